"""Dense training: the method that does nothing, against which the others are compared."""

from __future__ import annotations

from suite.contracts.card import Value
from suite.contracts.method import Context, Method


def make(settings: dict[str, Value], context: Context) -> Method:
    """Build the identity; it has no settings."""
    return Method("dense")
