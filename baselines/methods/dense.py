"""Dense training: the method that does nothing, against which the others are compared."""

from __future__ import annotations

from suite.contracts.card import Settings
from suite.contracts.method import Context, Method


def make(settings: Settings, context: Context) -> Method:
    """Build the identity; it has no settings."""
    return Method("dense")
