"""An inspection: measures of a learner on transitions of its replay, which change nothing of its training.

The transitions come from random streams of their own, the replay is only read, and a gradient step that is tried is
tried on a copy. What is measured, and why, stands in docs/diagnostics.md.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import Learner
from suite.learning import measures
from suite.learning.inspector import Look
from suite.learning.programs import Programs
from suite.records import covariance
from suite.rng import Streams
from suite.tasks import Inspection

STREAM = "inspect"
DIGITS = 6
"""Significant digits that are recorded: the last bits of sums on the host depend on the library."""
MASKS, EVER = "masks", "ever"
"""What is remembered of masks: as they were at the last inspection, and every weight that lived at any."""


class Found(NamedTuple):
    """What an inspection found: named scalars, and the packed gradient covariance."""

    values: dict[str, float]
    covariance: str = ""


NOTHING = Found({})


@dataclass(frozen=True, slots=True)
class Subject:
    """A learner to inspect, after so many gradient steps.

    `draw(name, count)`: transitions of its replay from the random stream `name`, as for an update. `seen`: what
    inspections remember of those before; one changes it in place.
    """

    programs: Programs
    learner: Learner
    streams: Streams
    updates: int
    draw: Callable[[str, int], Any]
    seen: dict[str, NDArray[Any]]


@np.errstate(invalid="ignore", over="ignore")
def inspect(subject: Subject, inspection: Inspection) -> Found:
    """Return the measures of a learner, which stays as it is; those of numbers that are not finite are not either."""
    parts = [subject.draw(f"{STREAM}/{number}", size) for number, size in enumerate(inspection.parts)]
    look = subject.programs.inspector.look(subject.learner.params, parts)
    packed, of_gradients = _gradients(subject, parts[0], inspection.gradients)
    found = (
        _units(look)
        | _values(subject, look, parts[0])
        | of_gradients
        | _changes(subject, look, parts[0])
        | _masks(subject)
    )
    return Found({name: float(f"{value:.{DIGITS}g}") for name, value in found.items()}, packed)


def _units(look: Look) -> dict[str, float]:
    """Return ranks and norms of the features, the mean over networks and each one's, and shares of dormant units."""
    own = {network: _ranks(features) for network, features in look.features.items()}
    found = {name: float(np.mean([one[name] for one in own.values()])) for name in next(iter(own.values()), {})}
    if len(own) > 1:
        found |= {f"{name}/{network}": value for network, one in own.items() for name, value in one.items()}
    if look.outputs:
        found |= {f"dormant_{level:g}": measures.dormant(look.outputs, level) for level in measures.THRESHOLDS}
    return found


def _ranks(features: NDArray[Any]) -> dict[str, float]:
    values = measures.singular_values(features)
    return {
        "srank": measures.srank(values),
        "stable_rank": measures.stable_rank(values),
        "effective_rank": measures.effective_rank(values),
        "feature_norm": float(np.mean(np.linalg.norm(features.astype(np.float64), axis=1))),
    }


def _values(subject: Subject, look: Look, data: Any) -> dict[str, float]:
    """Return variance and norm of what the agent thinks of actions, and the variance of its targets."""
    if look.values is None:
        return {}
    found = {
        "q_variance": float(np.var(look.taken.astype(np.float64))),
        "q_norm": float(np.mean(np.linalg.norm(look.values.astype(np.float64), axis=1))),
    }
    if subject.programs.plan.target_update_period:
        targets = subject.programs.inspector.targets(subject.learner.target_params, data)
        found["q_target_variance"] = float(np.var(targets.astype(np.float64)))
    return found


def _gradients(subject: Subject, data: Any, count: int) -> tuple[str, dict[str, float]]:
    """Return the packed cosines between the gradients of some transitions, their mean, and the mean gradient's norm.

    Where a gradient is not finite, nothing.
    """
    key_data, inspector = subject.streams.key_data(STREAM), subject.programs.inspector
    inner = measures.products(lambda index: inspector.gradient(subject.learner, key_data, data, index), count)
    if not np.isfinite(inner).all():
        return "", {}
    cosines = measures.cosines(inner)
    norm = math.sqrt(max(0.0, float(inner.sum()))) / count
    return covariance.pack(cosines), {"gradient_norm": norm, "gradient_cosine": measures.off_diagonal_mean(cosines)}


def _changes(subject: Subject, look: Look, data: Any) -> dict[str, float]:
    """Return how far weights are from where they began, and what one more gradient step changes of them and values."""
    programs, learner, name = subject.programs, subject.learner, f"{STREAM}/update"
    batch = subject.draw(name, programs.plan.batch_size)
    after = programs.tried(learner, subject.streams.key_data(name), subject.updates, batch)
    change, start = programs.inspector.apart(learner.params, programs.init(subject.streams).params)
    step, norm = programs.inspector.apart(after.params, learner.params)
    found = {"weight_change": change / max(start, measures.TINY), "update_size": step / max(norm, measures.TINY)}
    if look.values is None:
        return found
    moved = programs.inspector.values(after.params, data)
    before = look.values[: len(moved)]
    found["value_churn"] = float(np.mean(np.abs(moved.astype(np.float64) - before)))
    if programs.inputs.numbered_actions and np.isfinite(moved).all() and np.isfinite(before).all():
        found["policy_churn"] = float(np.mean(moved.argmax(1) != before.argmax(1)))
    return found


def _masks(subject: Subject) -> dict[str, float]:
    """Return the sparsity of each masked layer, and how masks compare with those of the inspections before."""
    inspector, seen = subject.programs.inspector, subject.seen
    masks = inspector.masks(subject.learner)
    if not masks:
        return {}
    found = {f"sparsity/{layer}": 1 - mask.density for layer, mask in masks.items()}
    joined = np.concatenate([mask.bits for mask in masks.values()])
    if MASKS in seen:
        found["mask_overlap"] = measures.overlap(joined, seen[MASKS])
    seen[EVER] = joined | seen[EVER] if EVER in seen else joined
    seen[MASKS] = joined
    found["mask_explored"] = measures.bits(seen[EVER]) / sum(mask.size for mask in masks.values())
    return found
