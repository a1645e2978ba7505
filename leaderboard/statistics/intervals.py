"""Point estimates with intervals that cover as often as they say.

An interval is, at each end, the wider of two: the studentized bootstrap, within bounds, and Student's t times the
standard deviation of the replicates. `simulations` shows on real score noise why neither alone will do, and what
rliable's percentiles cover instead. Percentiles of the ordinary stratified bootstrap stand beside every interval for
comparison.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]

from leaderboard.statistics import metrics
from leaderboard.statistics.conventions import STATISTICS_POLICY, Policy
from leaderboard.statistics.influence import Error
from leaderboard.statistics.metrics import Layout, Scores, lay_out, trimmed_means
from leaderboard.statistics.replicates import Replicates, game_means, of_points

SAME = 1e-9
"""Widths below this share of the value are rounding, not knowledge."""

REACH = 1.5
"""How many times as far as Student's t the studentized bootstrap may reach: with two or three runs a game some
resamples have next to no error of their own, and a few intervals would be several times too wide for no coverage."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A point estimate with its interval's ends; both ends are None where the data cannot carry an interval.

    `low` and `high` cover as often as they say (see `simulations`). `percentile_low` and `percentile_high` are the
    conventional percentiles of a stratified bootstrap, which cover less often: they stand beside it for comparison.
    """

    value: float
    low: float | None
    high: float | None
    percentile_low: float | None = None
    percentile_high: float | None = None


def estimate(metric_name: str, scores: Scores, policy: Policy = STATISTICS_POLICY) -> Estimate:
    """Return a metric of final scores, [runs] for each game, with its intervals.

    `metric_name` is "iqm", "iqm_rliable", "mean", "optimality_gap" or "median". Raises ValueError for another, for a
    game without a run and for values that are not finite.
    """
    if metric_name == "median":
        return _median(scores, policy)
    if metric_name == "optimality_gap":
        capped = {name: np.minimum(values, 1.0) for name, values in scores.items()}
        return _shortfall(estimate("mean", capped, policy))
    layout = _layout(metric_name, scores, policy)
    if not carries(layout, policy):
        return Estimate(float(trimmed_means(layout)[0]), None, None)
    return interval(of_points(layout, policy, policy.final_repetitions, metric_name)[0], policy)


def interval(found: Replicates, policy: Policy = STATISTICS_POLICY) -> Estimate:
    """Return the estimate with the wider of two intervals at each end, and the conventional one.

    The studentized bootstrap reads its quantiles of t* = (value* - target) / error* from the replicates; where more
    than 1 % of them have no error of their own (very few runs), the error's own t-interval takes its place. Where all
    runs that differ are trimmed away, the error is 0 and the replicates' deviation alone decides. No end is further
    from the value than `REACH` times the wider of both t-intervals.
    """
    tails = np.array([(1 - policy.level) / 2, (1 + policy.level) / 2])
    t = float(stdtrit(found.freedom, tails[1]))
    spread = t * float(np.std(found.values))
    sound = found.errors > SAME * found.error
    below = above = t * found.error
    if sound.mean() > 0.99:
        ratios = (found.values[sound] - found.target) / found.errors[sound]
        lower, upper = np.quantile(ratios, tails).tolist()
        most = REACH * max(t * found.error, spread)
        below, above = min(upper * found.error, most), min(-lower * found.error, most)
    low, high = found.value - max(below, spread), found.value + max(above, spread)
    return _with_ends(found.value, (low, high), np.quantile(found.conventional, tails).tolist())


def student_interval(value: float, error: Error, policy: Policy = STATISTICS_POLICY) -> Estimate:
    """Return Student's interval around a value; without ends where its standard error is unknown."""
    deviation, freedom = error
    if deviation is None or freedom is None:
        return Estimate(value, None, None)
    half = float(stdtrit(freedom, (1 + policy.level) / 2)) * deviation
    return Estimate(value, value - half, value + half)


def carries(layout: Layout, policy: Policy = STATISTICS_POLICY) -> bool:
    """Return whether runs can carry an interval: enough games have the policy's minimum of them, and enough differ.

    One game with a second run says little about the spread of the others (see docs/statistics.md for how little).
    """
    games = len(layout.sizes)
    blocks = np.split(layout.rows, layout.starts[1:])
    differing = sum(bool((np.ptp(block, axis=0) > 0).any()) for block in blocks)
    return seeded(layout.sizes, policy) and differing >= min(games, max(2, policy.spread * games))


def seeded(sizes: Sequence[int], policy: Policy = STATISTICS_POLICY) -> bool:
    """Return whether enough games have the policy's minimum of runs."""
    return sum(size >= policy.minimum_seeds for size in sizes) >= policy.seeded * len(sizes)


def _layout(metric_name: str, scores: Scores, policy: Policy) -> Layout:
    if metric_name in ("iqm", "iqm_rliable"):
        return lay_out(scores, floored=metric_name == "iqm_rliable", trim=policy.trim)
    if metric_name == "mean":
        return lay_out(scores, trim=0.0)
    raise ValueError(f"no metric {metric_name!r} with an interval: use iqm, iqm_rliable, mean, ...")


def _median(scores: Scores, policy: Policy) -> Estimate:
    """The median over games of means over runs: the wider of percentiles and t times the replicates' deviation.

    It hangs on one or two games, so that t has the degrees of freedom of an average game.
    """
    layout = lay_out(scores, trim=0.0)
    value = metrics.median(scores)
    if not carries(layout, policy):
        return Estimate(value, None, None)
    samples, usual = game_means(layout, policy, policy.final_repetitions, "median")
    values = np.median(samples, axis=0)
    tails = np.array([(1 - policy.level) / 2, (1 + policy.level) / 2])
    freedom = float(np.mean([size - 1 for size in layout.sizes if size > 1]))
    spread = float(stdtrit(freedom, tails[1])) * float(np.std(values))
    low, high = np.quantile(values, tails).tolist()
    ends = (min(low, value - spread), max(high, value + spread))
    return _with_ends(value, ends, np.quantile(np.median(usual, axis=0), tails).tolist())


def _with_ends(value: float, ends: tuple[float, float], percentiles: Sequence[float]) -> Estimate:
    """Leave out intervals without width: equal scores are no evidence of certainty."""
    least = SAME * max(1.0, abs(value))
    usual: tuple[float | None, float | None] = (percentiles[0], percentiles[1])
    if not percentiles[1] - percentiles[0] > least:
        usual = (None, None)
    if not ends[1] - ends[0] > least:
        return Estimate(value, None, None, *usual)
    return Estimate(value, *ends, *usual)


def _shortfall(found: Estimate) -> Estimate:
    """Return how far a mean of scores of at most 1 falls short of 1; no end of it is below 0."""

    def short(end: float | None) -> float | None:
        return None if end is None else max(0.0, 1.0 - end)

    ends = (found.high, found.low, found.percentile_high, found.percentile_low)
    return Estimate(1.0 - found.value, *map(short, ends))
