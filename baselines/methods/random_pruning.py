"""Gradual random pruning: the schedule of magnitude pruning, with no regard to the weights.

Everything but the choice of weights is that of `magnitude_pruning`. A pruned weight stays pruned.
"""

from __future__ import annotations

from typing import Any, Literal

import jax
import jax.numpy as jnp

from baselines.methods.magnitude_pruning import GradualPruningSettings, gradual_pruning
from baselines.methods.masks import Masks, Scores, random_scores, top_masks
from suite.contracts.agent import Params
from suite.contracts.method import Context, Method

ID = "random_pruning"


class RandomPruningSettings(GradualPruningSettings):
    """Settings of random pruning."""

    distribution: Literal["erk", "uniform"]


def make(settings: RandomPruningSettings, context: Context) -> Method:
    """Build the method."""
    return gradual_pruning(ID, settings, context, _choose)


def _choose(key: jax.Array, masks: Masks, params: Params, keep: Any) -> Masks:
    return survivors(masks, random_scores(key, params), keep)


def survivors(masks: Masks, scores: Scores, keep: Any) -> Masks:
    """Return masks of the `keep` (a tree of counts) highest scores among the weights still there."""
    alive = jax.tree.map(lambda mask, score: jnp.where(mask, score, -1), masks, scores)
    return top_masks(alive, keep)
