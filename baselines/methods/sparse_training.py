"""Sparse training: random masks from the first step on, fixed or rewired while training goes on.

The number of weights of each kernel never changes. Gradients are masked before the agent's optimizer, so that the
moments of masked weights stay zero. The order and the arithmetic of a rewiring are JaxPruner's. Random numbers
come from the run's own seed, as in JaxPruner's Dopamine agent (f133ee5 baselines/dopamine/dqn_agent_pruner.py); its
updaters by themselves have a constant one.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from baselines.methods.masks import (
    HIGHEST,
    Masks,
    Scores,
    apply_masks,
    keep_count,
    keep_counts,
    layer_sparsities,
    magnitude_scores,
    random_masks,
    top,
)
from baselines.methods.moments import zero_moments
from suite.contracts.agent import Learner, Params
from suite.contracts.card import Settings
from suite.contracts.method import Context, Method
from suite.errors import UsageError

Growth = Callable[[jax.Array, Params], Scores]
"""From a key and the dense gradients to scores: the highest among the weights that are not there begin to live."""


class SparseSettings(Settings):
    """Settings of training with masks that stay."""

    sparsity: float
    distribution: Literal["erk", "uniform"]


class DynamicSparseSettings(SparseSettings):
    """Settings of training with masks that are rewired."""

    drop_fraction: float
    end_fraction: float
    mask_period: int


def sparse_training(method: str, settings: SparseSettings, context: Context) -> Method:
    """Build a method whose masks are drawn at initialization and stay."""
    sparsities = layer_sparsities(context, settings.sparsity, settings.distribution)
    keep = keep_counts(context.shapes, sparsities, 1.0)
    return Method(
        method,
        init=lambda key, params: random_masks(key, params, keep),
        wrap=partial(masked_gradients, method),
        project=lambda masks, params: apply_masks(params, masks),
        masks=lambda masks: masks,
    )


def dynamic_sparse_training(method: str, settings: DynamicSparseSettings, context: Context, growth: Growth) -> Method:
    """Build a method that replaces a share of the weights at every due step, which has no update of the weights.

    The share falls along a cosine from `drop_fraction` at the first gradient step to 0 at the end.
    """
    end = round(settings.end_fraction * context.total_updates)
    period = settings.mask_period
    if period > end:
        raise UsageError(
            f"method.{method}.mask_period = {period} never falls within gradient steps 1 to {end}.",
            "Rewire more often, or for longer.",
        )
    sparsities = layer_sparsities(context, settings.sparsity, settings.distribution)
    live = keep_counts(context.shapes, sparsities, 1.0)
    initial = settings.drop_fraction

    def refresh(key: jax.Array, learner: Learner, gradients: Params, stay: Any) -> Learner:
        return rewired(method, learner, growth(key, gradients), stay)

    return replace(
        sparse_training(method, settings, context),
        due=range(period, end + 1, period),
        signal=lambda updates: jax.tree.map(
            lambda count: keep_count(int(count), drop_fraction(updates, end, initial)), live
        ),
        refresh=refresh,
        skips_update=True,
        milestones={"rewiring starts": period, "rewiring ends": end // period * period},
    )


def drop_fraction(updates: int, end: int, initial: float) -> float:
    """Return the share of weights to replace after a count of gradient steps: half a cosine, 0 from `end` on."""
    return initial * (1 + math.cos(math.pi * min(updates, end) / end)) / 2


def masked_gradients(
    method: str, optimizer: optax.GradientTransformationExtraArgs
) -> optax.GradientTransformationExtraArgs:
    """Return the optimizer behind this method's masks over the gradients."""

    def update(gradients: Params, state: Any, params: Params, *, methods: dict[str, Any], **others: Any) -> Any:
        sparse = apply_masks(gradients, methods[method])
        return optimizer.update(sparse, state, params, methods=methods, **others)

    return optax.GradientTransformationExtraArgs(optimizer.init, update)


def rewired(method: str, learner: Learner, scores: Scores, stay: Any) -> Learner:
    """Return the learner with the `stay` (a tree of counts) largest weights of each kernel, the rest replaced.

    Their successors are those that score highest among all that do not stay: a weight may be dropped and taken up
    again, and then keeps its value. One that was not there starts at zero, where the old masks held it, with
    moments of zero.
    """
    old: Masks = learner.methods[method]

    def rewire(mask: jax.Array, magnitude: jax.Array, score: jax.Array, count: jax.Array) -> jax.Array:
        kept = top(jnp.where(mask, magnitude, -1), count)
        return top(jnp.where(kept, HIGHEST, score), jnp.sum(mask, dtype=jnp.int32))

    new = jax.tree.map(rewire, old, magnitude_scores(learner.params), scores, stay)
    grown = jax.tree.map(lambda before, after: after & ~before, old, new)
    opt_state = zero_moments(learner.opt_state, learner.params, grown)
    return learner._replace(opt_state=opt_state, methods=learner.methods | {method: new})
