"""RigL (Evci et al. 2020): drop the smallest weights, grow those whose gradients are largest."""

from __future__ import annotations

from baselines.methods.masks import magnitude_scores
from baselines.methods.sparse_training import dynamic_sparse_training
from suite.contracts.card import Value
from suite.contracts.method import Context, Method

ID = "rigl"


def make(settings: dict[str, Value], context: Context) -> Method:
    """Build the method; the gradients are those of the due step's batch, dense."""
    return dynamic_sparse_training(ID, settings, context, lambda key, gradients: magnitude_scores(gradients))
