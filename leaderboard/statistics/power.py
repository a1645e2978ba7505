"""Power: how many runs a difference needs to be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri, stdtr, stdtrit  # type: ignore[import-untyped]

from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.statistics.influence import variance_of
from leaderboard.statistics.looks import level_at
from leaderboard.statistics.metrics import Array

POWER = 0.8
SURE = 0.6
"""How often a raised variance is to be at least the truth; chosen by simulation so that plans keep their power."""

MOST_SEEDS = 1_000
"""Beyond so many runs a game nothing is planned."""


def unit_variances(influences: Mapping[str, Array]) -> dict[str, float] | None:
    """Return, by game, what one run's chance adds to the squared error of the interquartile mean, at one run a game.

    A game with one run is lent the pooled variance of the others; None where no game has two runs.
    """
    counts = {name: len(values) for name, values in influences.items()}
    if max(counts.values(), default=0) < 2:
        return None
    variances = {name: variance_of(values) for name, values in influences.items() if len(values) > 1}
    freedom = sum(counts[name] - 1 for name in variances)
    pooled = sum((counts[name] - 1) * variance for name, variance in variances.items()) / freedom
    return {name: variances.get(name, pooled) for name in influences}


def seeds_needed(
    difference: float,
    a: Mapping[str, float],
    b: Mapping[str, float],
    *,
    power: float = POWER,
    level: float = STATISTICS_POLICY.level,
    planned: int | None = None,
    freedom: Sequence[float | None] | None = None,
) -> int | None:
    """Return the runs per game, of each entry, that find a difference of interquartile means with probability `power`.

    `a` and `b` are the entries' `unit_variances`, or `a` is that of their pairs and `b` is empty. The smallest R with
    (t(1 - alpha / 2) + t(power)) sqrt(V / R) at most the difference, V the sum of all unit variances, and R - 1 times
    the degrees of freedom that one more run a game gives (Satterthwaite). `planned` seeds have another alpha than other
    numbers (see `looks`). With `freedom`, the degrees of freedom of both sides' present errors, V is raised by what it
    is likely to be too small by (see `caution`). None beyond 1,000 runs, for no difference, and where nothing varies.
    """
    parts = [*a.values(), *b.values()]
    total = sum(parts)
    if not total > 0 or not abs(difference) > 0:
        return None
    raised = total * caution(list(zip((sum(a.values()), sum(b.values())), freedom, strict=True)) if freedom else [])
    runs = np.arange(2, MOST_SEEDS + 1, dtype=np.int64)
    wide = quantiles(runs, parts, power=power, level=level, planned=planned)
    enough = np.flatnonzero(wide * np.sqrt(raised / runs) <= abs(difference))
    return int(runs[enough[0]]) if len(enough) else None


def caution(variances: Sequence[tuple[float, float | None]]) -> float:
    """Return what a variance from few runs is raised by: it falls short of the truth more often than it exceeds it.

    `variances` are the parts that are summed, with their degrees of freedom. The factor makes the sum at least the
    truth in `SURE` of all cases: freedom / chi^2(1 - SURE, freedom). 1 where nothing is known.
    """
    known = [(variance, degrees) for variance, degrees in variances if degrees is not None and variance > 0]
    lost = sum(variance**2 / degrees for variance, degrees in known)
    if not lost > 0:
        return 1.0
    freedom = sum(variance for variance, _ in known) ** 2 / lost
    return float(freedom / chdtri(freedom, SURE))


def quantiles(
    runs: NDArray[np.int64] | int,
    parts: Sequence[float],
    *,
    power: float = POWER,
    level: float = STATISTICS_POLICY.level,
    planned: int | None = None,
) -> Array:
    """Return how many standard errors a difference must span to be found, at a number of `runs` a game.

    `parts` are both entries' `unit_variances`; `planned` as for `seeds_needed`.
    """
    squares = sum(part**2 for part in parts)
    counts = np.asarray(runs)
    freedom = (counts - 1) * (sum(parts) ** 2 / squares if squares > 0 else 1.0)
    alpha: Array = np.full(counts.shape, 1 - level)
    if planned is not None:
        alpha = np.where(counts == planned, level_at("planned", 1 - level), level_at("other", 1 - level))
    return student_quantile(1 - alpha / 2, freedom) + student_quantile(power, freedom)


def student_quantile(share: Array | float, freedom: Array | float) -> Array:
    """Return the quantile of Student's t at `share`, for each of the degrees of freedom."""
    found: Array = np.asarray(stdtrit(freedom, share), dtype=np.float64)
    return found


def student_tail(t: float, freedom: float) -> float:
    """Return the chance that Student's t exceeds `t`."""
    return float(stdtr(freedom, -t))
