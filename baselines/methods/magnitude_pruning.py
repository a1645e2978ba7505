"""Gradual magnitude pruning (Zhu and Gupta 2017), the method of the paper, in JaxPruner's order and arithmetic.

At a due step: gradients at the masked parameters, new masks from the magnitudes of the same parameters, the optimizer's
update with dense gradients and moments, then masked weights back to zero.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from typing import Any, Literal

import jax

from baselines.methods.masks import (
    Masks,
    apply_masks,
    full_masks,
    globally_largest_masks,
    keep_count,
    keep_counts,
    kernel_weights,
    largest_masks,
    layer_sparsities,
)
from suite.contracts.agent import Learner, Params
from suite.contracts.card import Settings
from suite.contracts.goals import Goal
from suite.contracts.method import Context, Method
from suite.errors import UsageError

ID = "magnitude_pruning"
GLOBAL = ("global", "global_raw")
"""The distributions that rank all kernels' weights together: normalized, or as they are."""
Choose = Callable[[jax.Array, Masks, Params, Any], Masks]
"""From a key, the present masks, the parameters and what to keep (see `gradual_pruning`) to the new masks."""


class GradualPruningSettings(Settings):
    """Settings of a method that removes weights along the schedule."""

    sparsity: float
    distribution: str
    start_fraction: float
    end_fraction: float
    mask_period: int


class MagnitudePruningSettings(GradualPruningSettings):
    """Settings of magnitude pruning."""

    distribution: Literal["erk", "uniform", "global", "global_raw"]


def make(settings: MagnitudePruningSettings, context: Context) -> Method:
    """Build the method."""
    if settings.distribution in GLOBAL:
        normalized = settings.distribution == "global"
        return gradual_pruning(
            ID, settings, context, lambda key, masks, params, keep: globally_largest_masks(params, keep, normalized)
        )
    return gradual_pruning(ID, settings, context, lambda key, masks, params, keep: largest_masks(params, keep))


def gradual_pruning(method: str, settings: GradualPruningSettings, context: Context, choose: Choose) -> Method:
    """Build a method that removes weights along the schedule, and leaves it to `choose` which.

    What to keep is a count for each kernel, or with a global distribution one for all. The clock is the count of
    gradient steps before the present one.
    """
    start = round(settings.start_fraction * context.total_updates)
    end = round(settings.end_fraction * context.total_updates)
    period = settings.mask_period
    due = refreshes(method, start, end, period)
    keep = keep_schedule(context, settings.sparsity, settings.distribution)

    def refresh(key: jax.Array, learner: Learner, gradients: Params, signal: Any) -> Learner:
        masks = choose(key, learner.methods[method], learner.params, signal)
        return learner._replace(methods=learner.methods | {method: masks})

    return Method(
        method,
        init=lambda key, params: full_masks(params),
        project=lambda masks, params: apply_masks(params, masks),
        due=due,
        signal=lambda updates: keep(sparsity_fraction(updates, start, end)),
        refresh=refresh,
        masks=lambda masks: masks,
        milestones={"pruning starts": due[0], "pruning ends": due[-1]},
        goals=(sparsity_goal(settings.sparsity, start, end, due),),
    )


def keep_schedule(context: Context, sparsity: float, distribution: str) -> Callable[[float], Any]:
    """Return the function from the share of the final sparsity to what is kept, see `gradual_pruning`."""
    if distribution in GLOBAL:
        weights = kernel_weights(context.shapes)
        return lambda fraction: keep_count(weights, fraction * sparsity)
    sparsities = layer_sparsities(context, sparsity, distribution)
    return lambda fraction: keep_counts(context.shapes, sparsities, fraction)


def sparsity_fraction(updates: int, start: int, end: int) -> float:
    """Return the share of the final sparsity at a count of gradient steps: equation 1, one step ahead.

    1 - (1 - p)**3 with p = (updates + 1 - start) / (end - start) clipped to [0, 1]; the added step is JaxPruner's. All
    of it at once where start and end are the same.
    """
    if start == end:
        return 1.0 if updates >= end else 0.0
    progress = min(max(updates + 1 - start, 0), end - start) / (end - start)
    return 1 - (1 - progress) ** 3


def sparsity_goal(sparsity: float, start: int, end: int, due: range) -> Goal:
    """Return the promise of a final sparsity along the schedule, which masks reach at their refreshes alone."""

    def after(updates: int) -> float:
        refreshed = bisect_left(due, updates)
        return sparsity * sparsity_fraction(due[refreshed - 1], start, end) if refreshed else 0.0

    return Goal("sparsity", after, sparsity)


def refreshes(method: str, start: int, end: int, period: int) -> range:
    """Return the gradient steps of the refreshes, at least one: multiples of `period` from `start` to `end`.

    Where both are the same, pruning is one shot there, whatever the period, as in JaxPruner.
    """
    if start > end:
        raise UsageError(
            f"Pruning from gradient step {start} to {end} goes backwards.",
            f"Set method.{method}.start_fraction to at most method.{method}.end_fraction.",
        )
    if start == end:
        return range(start, start + 1)
    due = range(-(-start // period) * period, end + 1, period)
    if not due:
        raise UsageError(
            f"method.{method}.mask_period = {period} never falls within gradient steps {start} to {end}.",
            "Refresh masks more often, or prune for longer.",
        )
    return due
