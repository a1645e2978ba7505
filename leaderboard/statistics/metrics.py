"""Aggregates over games and runs: the numbers themselves, without their uncertainty.

Definitions are rliable's (Agarwal et al. 2021), kept equal to it by tests wherever every game has as many runs as any
other; of the interquartile mean there are two, rliable's and the one that the board shows, which trims exactly. Beyond
it, games may have different numbers of runs: each game then weighs the same.

Scores are a mapping from game to the values of its runs, shape [runs].
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Scores = Mapping[str, Array]

TRIM = 0.25
"""The share of the weight that an interquartile mean leaves out at each end."""


@dataclass(frozen=True, slots=True)
class Layout:
    """All runs of all games, one below the other: games by name, and the runs of a game by value.

    `rows` [n, points] are the values, `sizes` the numbers of runs of the games, `weights` [n] what a run weighs, and
    `keep` the range of cumulated weight that a trimmed mean averages.
    """

    names: tuple[str, ...]
    sizes: tuple[int, ...]
    rows: Array
    weights: Array
    keep: tuple[float, float]

    @property
    def starts(self) -> NDArray[np.intp]:
        """The first row of every game, shape [games]."""
        return np.cumsum([0, *self.sizes[:-1]], dtype=np.intp)


def balanced(scores: Scores) -> bool:
    """Return whether every game has the same number of runs."""
    return len({len(values) for values in scores.values()}) == 1


def lay_out(scores: Scores, *, floored: bool = False, trim: float = TRIM) -> Layout:
    """Return the runs in an order that depends on nothing but their values.

    Exactly `trim` of the weight goes at each end, parts of runs included; every game weighs the same. `floored` asks
    for rliable's trim where every game has the same number n / games of runs: floor(trim n) whole runs at each end.
    Values have shape [runs] or [runs, points]. Raises ValueError for a game without a run and for values that are not
    finite.
    """
    if not scores or not all(len(values) for values in scores.values()):
        raise ValueError("every game needs a run")
    names = tuple(sorted(scores))
    blocks = []
    for name in names:
        block = np.asarray(scores[name], dtype=np.float64).reshape(len(scores[name]), -1) + 0.0  # no negative zeros
        blocks.append(block[np.lexsort(block.T[::-1])])
    rows = np.concatenate(blocks)
    if not np.isfinite(rows).all():
        raise ValueError("scores must be finite")
    sizes, n = tuple(len(block) for block in blocks), len(rows)
    if len(set(sizes)) == 1:
        cut = math.floor(trim * n) if floored else trim * n
        return Layout(names, sizes, rows, np.ones(n), (cut, n - cut))
    weights = np.concatenate([np.full(size, 1.0 / size) for size in sizes])
    return Layout(names, sizes, rows, weights, (trim * len(sizes), (1 - trim) * len(sizes)))


def iqm(scores: Scores) -> float:
    """Return the interquartile mean over all runs of all games: that of exactly the middle half, parts of runs too.

    It means the same at every number of runs; every game weighs the same.
    """
    return _trimmed_mean(lay_out(scores))


def iqm_rliable(scores: Scores) -> float:
    """Return the interquartile mean as rliable computes it: the mean without the floor(n / 4) lowest and highest runs.

    It keeps 52 % of 5 x 15 runs and 50 % of 20 x 15, so that it moves with the number of runs. With unequal numbers of
    runs, which rliable does not know, it is `iqm`.
    """
    return _trimmed_mean(lay_out(scores, floored=True))


def mean(scores: Scores) -> float:
    """Return the mean over games of the mean over runs."""
    return float(np.mean([np.mean(np.sort(scores[name])) for name in _names(scores)]))


def median(scores: Scores) -> float:
    """Return the median over games of the mean over runs."""
    return float(np.median([np.mean(np.sort(scores[name])) for name in _names(scores)]))


def optimality_gap(scores: Scores, gamma: float = 1.0) -> float:
    """Return how far the runs fall short of `gamma` (1: the human) on average, anything above counting as `gamma`."""
    return gamma - mean({name: np.minimum(values, gamma) for name, values in scores.items()})


def profile(scores: Scores, taus: Array) -> Array:
    """Return the share of runs above each of `taus` [taus], with equal weight for every game."""
    above = [(np.asarray(scores[name])[:, None] > taus).mean(axis=0) for name in _names(scores)]
    return np.asarray(np.mean(above, axis=0), dtype=np.float64)


def probability_of_improvement(a: Scores, b: Scores) -> float:
    """Return how likely a run of `a` beats one of `b` on a game drawn at random; ties count half.

    Raises ValueError where the two do not have the same games.
    """
    wins = pairwise_wins(a, b)
    return float(np.mean([wins[name].mean() for name in sorted(wins)]))


def pairwise_wins(a: Scores, b: Scores) -> dict[str, Array]:
    """Return for each game what every run of `a` gets against every run of `b`, [a's runs, b's runs]: 1, 0.5 or 0."""
    if set(a) != set(b):
        raise ValueError("both sides need the same games")
    wins = {}
    for name in _names(a):
        ours, theirs = np.sort(np.asarray(a[name]))[:, None], np.sort(np.asarray(b[name]))[None, :]
        wins[name] = (ours > theirs) + 0.5 * (ours == theirs)
    return wins


def trimmed_means(layout: Layout) -> Array:
    """Return at every point the mean of the values whose cumulated weight lies in the range that is kept."""
    low, high = layout.keep
    means = np.empty(layout.rows.shape[1])
    for p, values in enumerate(layout.rows.T):
        order = np.argsort(values, kind="stable")
        cumulated = np.clip(np.cumsum(layout.weights[order]), low, high)
        kept = np.diff(cumulated, prepend=low)
        means[p] = (kept * values[order]).sum() / (high - low)
    return means


def _names(scores: Scores) -> list[str]:
    if not scores or not all(len(values) for values in scores.values()):
        raise ValueError("every game needs a run")
    return sorted(scores)


def _trimmed_mean(layout: Layout) -> float:
    return float(trimmed_means(layout)[0])
