"""SET, sparse evolutionary training (Mocanu et al. 2018): drop the smallest weights, grow random ones."""

from __future__ import annotations

from baselines.methods.masks import random_scores
from baselines.methods.sparse_training import DynamicSparseSettings, dynamic_sparse_training
from suite.contracts.method import Context, Method

ID = "set"


def make(settings: DynamicSparseSettings, context: Context) -> Method:
    """Build the method."""
    return dynamic_sparse_training(ID, settings, context, random_scores)
