"""Gradual magnitude pruning (Zhu and Gupta 2017), the method of the paper, in JaxPruner's order and arithmetic.

At a due step: gradients at the masked parameters, new masks from the magnitudes of the same parameters, the optimizer's
update with dense gradients and moments, then masked weights back to zero.
"""

from __future__ import annotations

from typing import Any

import jax

from baselines.methods.masks import Masks, apply_masks, full_masks, keep_counts, largest_masks, layer_sparsities
from suite.agent import Learner, Params
from suite.card import Value
from suite.errors import UsageError
from suite.method import Context, Method

ID = "magnitude_pruning"


def make(settings: dict[str, Value], context: Context) -> Method:
    """Build the method; its clock is the count of gradient steps before the present one."""
    start = round(float(settings["start_fraction"]) * context.total_updates)
    end = round(float(settings["end_fraction"]) * context.total_updates)
    period = int(settings["mask_period"])
    first, last = _refreshes(start, end, period)
    sparsities = layer_sparsities(context.shapes, float(settings["sparsity"]), str(settings["distribution"]))

    def signal(updates: int) -> Any:
        return keep_counts(context.shapes, sparsities, sparsity_fraction(updates, start, end))

    return Method(
        ID,
        init=lambda key, params: full_masks(params),
        project=lambda masks, params: apply_masks(params, masks),
        due=range(first, last + 1, period),
        signal=signal,
        refresh=_refresh,
        masks=lambda masks: masks,
        milestones={"pruning starts": first, "pruning ends": last},
    )


def sparsity_fraction(updates: int, start: int, end: int) -> float:
    """Return the share of the final sparsity at a count of gradient steps: equation 1, one step ahead.

    1 - (1 - p)**3 with p = (updates + 1 - start) / (end - start) clipped to [0, 1]; the added step is JaxPruner's.
    """
    progress = min(max(updates + 1 - start, 0), end - start) / (end - start)
    return 1 - (1 - progress) ** 3


def _refresh(key: jax.Array, learner: Learner, gradients: Params, keep: Any) -> Learner:
    masks: Masks = largest_masks(learner.params, keep)
    return learner._replace(methods=learner.methods | {ID: masks})


def _refreshes(start: int, end: int, period: int) -> tuple[int, int]:
    """Return the gradient steps of the first and the last refresh: multiples of `period` from `start` to `end`."""
    if start >= end:
        raise UsageError(
            f"Pruning from gradient step {start} to {end} has no length.",
            f"Set method.{ID}.start_fraction below method.{ID}.end_fraction.",
        )
    first, last = -(-start // period) * period, end // period * period
    if first > last:
        raise UsageError(
            f"method.{ID}.mask_period = {period} never falls within gradient steps {start} to {end}.",
            "Refresh masks more often, or prune for longer.",
        )
    return first, last
