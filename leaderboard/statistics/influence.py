"""Influence of every run on the interquartile mean, and the standard error that follows.

A trimmed mean reacts to a run as the mean of the winsorized values does: values below the lowest or above the highest
that is kept count as those. With w the winsorized scores, k the share of the weight that is kept, T games and R_g runs
of game g, run r of game g has the influence (w_gr - mean_r w_gr) / (k T), and

    SE^2 = sum over games of var_r(influence_gr, ddof=1) / R_g .

Games keep their places and only runs vary: this is the uncertainty about other seeds, not about other games.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from leaderboard.statistics.metrics import Array, Layout, Scores, lay_out

Error = tuple[float | None, float | None]
"""A standard error with its degrees of freedom; both None where they are unknown."""


def iqm_influence(scores: Scores) -> tuple[float, dict[str, Array]]:
    """Return the interquartile mean and the influence of every run on it, in the order of `scores`' own runs.

    Influences have the unit of the scores and sum to zero within each game; adding d to run r of game g moves the
    interquartile mean by about d / (k T R_g) where the run is kept. Raises ValueError for a
    game without a run and for values that are not finite.
    """
    layout = lay_out(scores)
    value, low, high, kept = bounds(layout)
    influences = {}
    for name in sorted(scores):
        clipped = np.clip(np.asarray(scores[name], dtype=np.float64).reshape(-1), low, high)
        influences[name] = (clipped - statistics.fmean(clipped)) / (kept * len(layout.names))
    return value, influences


def error_of(influences: Mapping[str, Array]) -> Error:
    """Return the standard error and its degrees of freedom from the influences of the runs of each game.

    A game with one run says nothing about its own spread: it is lent the pooled variance of the games that do. Both
    are None where no game has two runs or all influences of every game are equal.
    """
    names = sorted(influences)
    counts = [len(influences[name]) for name in names]
    variances = [variance_of(influences[name]) if len(influences[name]) > 1 else 0.0 for name in names]
    shares = contributions(counts)
    parts = [share * variance for share, variance in zip(shares, variances, strict=True)]
    squared = sum(parts)
    if not squared > 0:
        return None, None
    lost = sum(part**2 / (count - 1) for part, count in zip(parts, counts, strict=True) if count > 1)
    return float(squared) ** 0.5, float(squared**2 / lost)


def combined(errors: Iterable[Error]) -> Error:
    """Return the standard error of a sum of independent parts, with the degrees of freedom of Welch and Satterthwaite.

    Both are None where one of the parts is unknown or none has any error.
    """
    parts = [(None if error is None else error**2, freedom) for error, freedom in errors]
    known = [(part, freedom) for part, freedom in parts if part is not None and freedom is not None]
    squared = sum(part for part, _ in known)
    if len(known) < len(parts) or not squared > 0:
        return None, None
    return squared**0.5, squared**2 / sum(part**2 / freedom for part, freedom in known)


def contributions(counts: Sequence[int]) -> list[float]:
    """Return what each game's variance counts in the squared error, given the numbers of runs: 1 / R_g and more.

    What is lent to games with one run comes from the others in proportion to their degrees of freedom.
    """
    single = sum(count == 1 for count in counts)
    freedom = sum(count - 1 for count in counts)
    return [0.0 if count == 1 else 1 / count + single * (count - 1) / freedom for count in counts]


def variance_of(values: Array) -> float:
    """Return the variance (ddof 1) of two values or more: the same bits in every order, and with every sign turned."""
    return float(statistics.variance(values.tolist()))


def bounds(layout: Layout) -> tuple[float, float, float, float]:
    """Return a layout's trimmed mean, the lowest and the highest value that it keeps, and the share of weight kept.

    The layout has one point. Winsorized values are those clipped to the two.
    """
    values = layout.rows[:, 0]
    order = np.argsort(values, kind="stable")
    values = values[order]
    cumulated = np.cumsum(layout.weights[order])
    low, high = layout.keep
    slack = 1e-9 * cumulated[-1]  # sums of 1 / R_g are not exact
    first = int(np.searchsorted(cumulated, low + slack, side="right"))
    last = int(np.searchsorted(cumulated, high - slack, side="left"))
    kept = np.diff(np.clip(cumulated, low, high), prepend=low)
    value = float((kept * values).sum() / (high - low))
    return value, float(values[first]), float(values[last]), (high - low) / float(cumulated[-1])
