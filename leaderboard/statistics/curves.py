"""Sample-efficiency curves, the areas under them and between two of them, with intervals.

One resample serves all points of a curve: a run that is drawn is drawn with its whole history. At a single point that
makes no difference, but whatever is summed over time needs it: runs stay good or bad for long, and resampling every
point by itself, as rliable does, makes the error of an area several times too small.

Curves are a mapping from game to the values of its runs, shape [runs, points]; a missing value is not a number.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from leaderboard.statistics.conventions import STATISTICS_POLICY, Policy
from leaderboard.statistics.intervals import Estimate, carries, interval
from leaderboard.statistics.metrics import Array, Layout, lay_out, trimmed_means
from leaderboard.statistics.replicates import Replicates, difference, of_points, of_sum

Curves = Mapping[str, Array]

Side = tuple[str, str, bytes]
"""An entry, the purpose of its resample, and the points that count."""


class Resampling(NamedTuple):
    """What an area is resampled from: the runs, what each point counts [points], and the purpose."""

    layout: Layout
    factors: Array
    purpose: str


Each = Callable[[Callable[[Resampling], Replicates], Sequence[Resampling]], Iterable[Replicates]]
"""What applies a function to each of some items, as `map` does."""


def iqm_curve(curves: Curves, policy: Policy = STATISTICS_POLICY) -> list[Estimate]:
    """Return the IQM at every point with pointwise intervals; no value may be missing (see `complete_points`)."""
    layout = lay_out(curves, trim=policy.trim)
    if not carries(layout, policy):
        return [Estimate(value, None, None) for value in trimmed_means(layout).tolist()]
    return [interval(found, policy) for found in of_points(layout, policy, policy.curve_repetitions, "curve")]


def area_under_curve(
    curves: Curves, positions: Sequence[float] | None = None, policy: Policy = STATISTICS_POLICY
) -> Estimate:
    """Return the mean height of the IQM curve between its first and last point, with its interval.

    It is the area by trapezes over the distance, in the unit of the scores. `positions` [points] are where the points
    lie, in frames or any other unit, evenly spaced where they are not given. Points that lack a run are left out.
    Raises ValueError where no point is complete.
    """
    kept = complete_points(curves)
    factors = _trapezes(kept, positions)
    layout = lay_out(_only(curves, kept), trim=policy.trim)
    if not carries(layout, policy):
        return Estimate(float((trimmed_means(layout) * factors).sum()), None, None)
    return interval(of_sum(layout, factors, policy, policy.curve_repetitions, "area"), policy)


def area_between(
    a: Curves, b: Curves, positions: Sequence[float] | None = None, policy: Policy = STATISTICS_POLICY
) -> Estimate:
    """Return how far the IQM curve of `a` lies above that of `b` on average over training, with its interval.

    Only points that are complete on both sides count. The two are independent: they share no runs.
    """
    return areas_between({"a": a, "b": b}, [("a", "b")], positions, policy)["a", "b"]


def areas_between(
    entries: Mapping[str, Curves],
    pairs: Iterable[tuple[str, str]],
    positions: Sequence[float] | None = None,
    policy: Policy = STATISTICS_POLICY,
    each: Each = map,
) -> dict[tuple[str, str], Estimate]:
    """Return `area_between` of many pairs of `entries`; each entry is resampled once, whatever it is set against.

    `each` may resample in other processes.
    """
    found = {}
    wanted: dict[Side, Resampling] = {}
    asked: dict[tuple[str, str], tuple[Side, Side]] = {}
    for a, b in pairs:
        kept = complete_points(entries[a], entries[b])
        factors = _trapezes(kept, positions)
        first, second = (lay_out(_only(entries[name], kept), trim=policy.trim) for name in (a, b))
        if not carries(first, policy) or not carries(second, policy):
            value = ((trimmed_means(first) - trimmed_means(second)) * factors).sum()
            found[a, b] = Estimate(float(value), None, None)
            continue
        # the same runs on both sides must not draw the same resample
        twin = "/twin" if first.sizes == second.sizes and np.array_equal(first.rows, second.rows) else ""
        one, other = asked[a, b] = (a, "area", kept.tobytes()), (b, "area" + twin, kept.tobytes())
        wanted[one] = Resampling(first, factors, one[1])
        wanted[other] = Resampling(second, factors, other[1])
    made = each(functools.partial(_area, policy=policy), list(wanted.values()))
    known = dict(zip(wanted, made, strict=True))
    return found | {pair: interval(difference(known[a], known[b]), policy) for pair, (a, b) in asked.items()}


def _area(of: Resampling, policy: Policy) -> Replicates:
    return of_sum(of.layout, of.factors, policy, policy.curve_repetitions, of.purpose)


def complete_points(*entries: Curves) -> NDArray[np.bool_]:
    """Return which points [points] have a value in every run of every game of all `entries`."""
    blocks = [
        np.isfinite(np.asarray(block, dtype=np.float64)).all(axis=0) for curves in entries for block in curves.values()
    ]
    found: NDArray[np.bool_] = np.logical_and.reduce(blocks)
    return found


def _only(curves: Curves, kept: NDArray[np.bool_]) -> dict[str, Array]:
    return {name: np.asarray(block, dtype=np.float64)[:, kept] for name, block in curves.items()}


def _trapezes(kept: NDArray[np.bool_], positions: Sequence[float] | None) -> Array:
    """Return what each complete point counts in the mean height; they sum to 1."""
    places = np.arange(len(kept), dtype=np.float64) if positions is None else np.asarray(positions, dtype=np.float64)
    if places.shape != kept.shape or not (np.diff(places) > 0).all():
        raise ValueError(f"{len(kept)} points need as many rising positions")
    places = places[kept]
    if not len(places):
        raise ValueError("no point has a value in every run")
    if len(places) == 1:
        return np.ones(1)
    gaps = np.diff(places)
    widths = np.concatenate([gaps, [0.0]]) + np.concatenate([[0.0], gaps])
    shares: Array = widths / (2 * (places[-1] - places[0]))
    return shares
