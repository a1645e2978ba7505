"""Shares with intervals: performance profiles and the probability of improvement.

A share p with standard error s is as uncertain as n = p (1 - p) / s^2 coin flips, and gets Wilson's interval for them.

In a profile each game has a share of its own, known from a few runs: k of R are above, and k (R - k) / (R (R - 1))
estimates without bias what p (1 - p) of it is. Of most games all runs lie far from a threshold and agree, so that their
sum rests on few disagreements. It counts half, and half what it is in proportion to p (1 - p) over all thresholds at
once, which rests on many; and a quarter of one disagreement more, that of a single run that differs from the others of
its game. The probability of improvement has Student's t instead, for the error that the runs themselves show; where
they show none, n is the number of runs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.special import ndtri, stdtrit  # type: ignore[import-untyped]

from leaderboard.statistics.conventions import STATISTICS_POLICY, Policy
from leaderboard.statistics.influence import error_of
from leaderboard.statistics.intervals import Estimate, seeded
from leaderboard.statistics.metrics import Array, Layout, Scores, lay_out, pairwise_wins, probability_of_improvement
from leaderboard.statistics.resampling import key_of, resamples


def profile_estimates(scores: Scores, taus: Array, policy: Policy = STATISTICS_POLICY) -> list[Estimate]:
    """Return the share of runs above each of `taus` [taus] with its intervals, all from one resample."""
    layout = lay_out(scores)
    taus = np.asarray(taus, dtype=np.float64)
    above = (layout.rows > taus).astype(np.float64)
    values = np.mean([block.mean(axis=0) for block in np.split(above, layout.starts[1:])], axis=0).tolist()
    if not seeded(layout.sizes, policy):
        return [Estimate(value, None, None) for value in values]
    usual = _profile_percentiles(layout, above, policy)
    normal = float(ndtri((1 + policy.level) / 2))
    found = []
    for i, (value, flips) in enumerate(zip(values, _flips(layout, taus).tolist(), strict=True)):
        low, high = _wilson(value, flips, normal)
        found.append(_estimate(value, low, high, usual[:, i].tolist()))
    return found


def poi_estimate(a: Scores, b: Scores, policy: Policy = STATISTICS_POLICY) -> Estimate:
    """Return the probability that a run of `a` beats one of `b` on a random game, with its intervals.

    Raises ValueError where the two do not have the same games.
    """
    value = probability_of_improvement(a, b)
    layouts = (lay_out(a), lay_out(b))
    if not all(seeded(layout.sizes, policy) for layout in layouts):
        return Estimate(value, None, None)
    wins = pairwise_wins(a, b)
    influences = {}
    for name, matrix in wins.items():
        influences[name, "a"] = (matrix.mean(axis=1) - matrix.mean()) / len(wins)
        influences[name, "b"] = (matrix.mean(axis=0) - matrix.mean()) / len(wins)
    error, freedom = error_of({"/".join(key): found for key, found in influences.items()})
    flips = min(len(layout.rows) for layout in layouts)
    t = float(stdtrit(flips - 1 if freedom is None else freedom, (1 + policy.level) / 2))
    low, high = _wilson(value, flips if error is None else value * (1 - value) / error**2, t)
    return _estimate(value, low, high, _poi_percentiles(wins, layouts, policy))


def _flips(layout: Layout, taus: Array) -> Array:
    """Return how many coin flips are as uncertain as the share of runs above each of `taus`, [taus].

    A share of nothing or everything counts as one run, and has at least one disagreement.
    """
    games, runs = len(layout.sizes), len(layout.rows)
    one = (games / runs) ** 2
    share, squared = _disagreements(layout, taus)
    everywhere, squared_everywhere = _disagreements(layout, np.unique(layout.rows))
    whole = float((everywhere * (1 - everywhere)).sum())
    inner = np.clip(share, 1 / runs, 1 - 1 / runs)
    single = inner * (1 - inner)
    typical = single * (float(squared_everywhere.sum()) / whole if whole > 0 else 0.0)
    total = (squared + typical) / 2 + one / 4
    found: Array = single * games**2 / np.where((share > 0) & (share < 1), total, np.maximum(total, one))
    return found


def _disagreements(layout: Layout, taus: Array) -> tuple[Array, Array]:
    """Return the share of runs above each of `taus` and the squared error of the sum of games' shares, [taus].

    A game with one run is lent the mean of the others; one has several.
    """
    blocks = np.split(layout.rows[:, 0], layout.starts[1:])
    above = np.array([len(block) - np.searchsorted(block, taus, side="right") for block in blocks], dtype=np.float64)
    sizes = np.array(layout.sizes, dtype=np.float64)[:, None]
    several = sizes[:, 0] > 1
    known = (above * (sizes - above) / (sizes * np.maximum(sizes - 1, 1)))[several]
    squared = (known / sizes[several]).sum(axis=0) + np.count_nonzero(~several) * known.mean(axis=0)
    return (above / sizes).mean(axis=0), squared


def _wilson(value: float, flips: float, t: float) -> tuple[float, float]:
    """Return Wilson's interval for a share among so many coin flips; `t` is the quantile, Student's or the normal."""
    center = (value + t * t / (2 * flips)) / (1 + t * t / flips)
    half = t * math.sqrt(value * (1 - value) / flips + t * t / (4 * flips * flips)) / (1 + t * t / flips)
    return max(0.0, min(value, center - half)), min(1.0, max(value, center + half))


def _estimate(value: float, low: float, high: float, percentiles: Sequence[float]) -> Estimate:
    if not percentiles[1] - percentiles[0] > 0:
        return Estimate(value, low, high)
    return Estimate(value, low, high, percentiles[0], percentiles[1])


def _tails(policy: Policy) -> Array:
    return np.array([(1 - policy.level) / 2, (1 + policy.level) / 2])


def _profile_percentiles(layout: Layout, above: Array, policy: Policy) -> Array:
    """Return the ends of ordinary bootstrap percentiles, [2, taus]."""
    per_run = np.repeat([1 / (size * len(layout.sizes)) for size in layout.sizes], layout.sizes)[:, None]
    key = key_of(policy, "profile", layout.sizes, layout.rows)
    found = []
    for counts in resamples(layout.sizes, layout.sizes, policy.curve_repetitions, key):
        weighted = counts * per_run
        found.append(np.stack([(weighted * column[:, None]).sum(axis=0) for column in above.T]))
    ends: Array = np.quantile(np.concatenate(found, axis=1), _tails(policy), axis=1)
    return ends


def _poi_percentiles(wins: dict[str, Array], layouts: tuple[Layout, Layout], policy: Policy) -> list[float]:
    """Return the ends of ordinary bootstrap percentiles; the two sides are drawn independently."""
    keys = [key_of(policy, f"poi/{side}", layout.sizes, layout.rows) for side, layout in enumerate(layouts)]
    draws = [
        resamples(layout.sizes, layout.sizes, policy.final_repetitions, key)
        for layout, key in zip(layouts, keys, strict=True)
    ]
    found = []
    for ours, theirs in zip(*draws, strict=True):
        share = np.zeros(ours.shape[1])
        for g, name in enumerate(layouts[0].names):
            matrix, first, second = wins[name], layouts[0].starts[g], layouts[1].starts[g]
            scale = 1 / (matrix.size * len(wins))
            for i, j in product(range(matrix.shape[0]), range(matrix.shape[1])):
                if matrix[i, j]:
                    share += (matrix[i, j] * scale) * (ours[first + i] * theirs[second + j])
        found.append(share)
    low, high = np.quantile(np.concatenate(found), _tails(policy)).tolist()
    return [low, high]
