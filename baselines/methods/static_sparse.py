"""Static sparse training: a random mask at initialization that never changes."""

from __future__ import annotations

from baselines.methods.sparse_training import SparseSettings, sparse_training
from suite.contracts.method import Context, Method

ID = "static_sparse"


def make(settings: SparseSettings, context: Context) -> Method:
    """Build the method."""
    return sparse_training(ID, settings, context)
