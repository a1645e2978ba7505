"""Static sparse training: a random mask at initialization that never changes."""

from __future__ import annotations

from baselines.methods.sparse_training import sparse_training
from suite.contracts.card import Value
from suite.contracts.method import Context, Method

ID = "static_sparse"


def make(settings: dict[str, Value], context: Context) -> Method:
    """Build the method."""
    return sparse_training(ID, settings, context)
