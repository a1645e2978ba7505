"""Shares with intervals: performance profiles and the probability of improvement.

A share p with standard error s is as uncertain as n = p (1 - p) / s^2 coin flips, and gets Wilson's interval for them
with Student's t. Where the runs of every game agree, s is 0 although other runs might not: then n is the number of
runs, so that an interval has always a width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
from scipy.special import stdtrit  # type: ignore[import-untyped]

from leaderboard.statistics.influence import error_of
from leaderboard.statistics.intervals import Estimate, carries
from leaderboard.statistics.metrics import Array, Layout, Scores, lay_out, pairwise_wins, probability_of_improvement
from leaderboard.statistics.policy import STATISTICS_POLICY, Policy
from leaderboard.statistics.resampling import key_of, resamples


def profile_estimates(scores: Scores, taus: Array, policy: Policy = STATISTICS_POLICY) -> list[Estimate]:
    """Return the share of runs above each of `taus` [taus] with its intervals, all from one resample."""
    layout = lay_out(scores)
    taus = np.asarray(taus, dtype=np.float64)
    above = (layout.rows > taus).astype(np.float64)
    blocks = np.split(above, layout.starts[1:])
    values = np.mean([block.mean(axis=0) for block in blocks], axis=0).tolist()
    if not carries(layout.sizes, policy):
        return [Estimate(value, None, None) for value in values]
    usual = _profile_percentiles(layout, above, policy)
    found = []
    for i, value in enumerate(values):
        influences = {
            name: (block[:, i] - block[:, i].mean()) / len(blocks)
            for name, block in zip(layout.names, blocks, strict=True)
        }
        low, high = _wilson(value, influences, len(layout.rows), policy)
        found.append(_estimate(value, low, high, usual[:, i].tolist()))
    return found


def poi_estimate(a: Scores, b: Scores, policy: Policy = STATISTICS_POLICY) -> Estimate:
    """Return the probability that a run of `a` beats one of `b` on a random game, with its intervals.

    Raises ValueError where the two do not have the same games.
    """
    value = probability_of_improvement(a, b)
    layouts = (lay_out(a), lay_out(b))
    if not all(carries(layout.sizes, policy) for layout in layouts):
        return Estimate(value, None, None)
    wins = pairwise_wins(a, b)
    influences = {}
    for name, matrix in wins.items():
        influences[name, "a"] = (matrix.mean(axis=1) - matrix.mean()) / len(wins)
        influences[name, "b"] = (matrix.mean(axis=0) - matrix.mean()) / len(wins)
    flips = min(len(layout.rows) for layout in layouts)
    low, high = _wilson(value, {"/".join(key): found for key, found in influences.items()}, flips, policy)
    return _estimate(value, low, high, _poi_percentiles(wins, layouts, policy))


def _wilson(value: float, influences: dict[str, Array], runs: int, policy: Policy) -> tuple[float, float]:
    """Return Wilson's interval for as many coin flips as the standard error amounts to; without one, for `runs`."""
    error, freedom = error_of(influences)
    flips = float(runs) if error is None else value * (1 - value) / error**2
    t = float(stdtrit(freedom if freedom is not None else runs - 1, (1 + policy.level) / 2))
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
