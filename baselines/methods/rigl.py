"""RigL (Evci et al. 2020): drop the smallest weights, grow those whose gradients are largest."""

from __future__ import annotations

from baselines.methods.masks import magnitude_scores
from baselines.methods.sparse_training import DynamicSparseSettings, dynamic_sparse_training
from suite.contracts.method import Context, Method

ID = "rigl"


def make(settings: DynamicSparseSettings, context: Context) -> Method:
    """Build the method; the gradients are those of the due step's batch, dense."""
    return dynamic_sparse_training(ID, settings, context, lambda key, gradients: magnitude_scores(gradients))
