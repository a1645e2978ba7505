"""Power: how many runs a difference needs to be found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit  # type: ignore[import-untyped]

from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.statistics.metrics import Array

POWER = 0.8
MOST_SEEDS = 1_000
"""Beyond so many runs a game nothing is planned."""


def unit_variances(influences: Mapping[str, Array]) -> dict[str, float] | None:
    """Return, by game, what one run's chance adds to the squared error of the interquartile mean, at one run a game.

    A game with one run is lent the pooled variance of the others; None where no game has two runs.
    """
    counts = {name: len(values) for name, values in influences.items()}
    if max(counts.values(), default=0) < 2:
        return None
    variances = {name: float(np.var(values, ddof=1)) for name, values in influences.items() if len(values) > 1}
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
) -> int | None:
    """Return the runs per game, of each entry, that find a difference of interquartile means with probability `power`.

    `a` and `b` are the entries' `unit_variances`. The smallest R with (t(1 - alpha / 2) + t(power)) sqrt(V / R) at most
    the difference, V the sum of all unit variances, and R - 1 times the degrees of freedom that one more run a game
    gives (Satterthwaite). None beyond 1,000 runs, for no difference, and where nothing varies.
    """
    parts = [*a.values(), *b.values()]
    total = sum(parts)
    if not total > 0 or not abs(difference) > 0:
        return None
    runs = np.arange(2, MOST_SEEDS + 1, dtype=np.int64)
    enough = np.flatnonzero(quantiles(runs, parts, power=power, level=level) * np.sqrt(total / runs) <= abs(difference))
    return int(runs[enough[0]]) if len(enough) else None


def quantiles(
    runs: NDArray[np.int64] | int,
    parts: Sequence[float],
    *,
    power: float = POWER,
    level: float = STATISTICS_POLICY.level,
) -> Array:
    """Return how many standard errors a difference must span to be found, at a number of `runs` a game.

    `parts` are both entries' `unit_variances`.
    """
    squares = sum(part**2 for part in parts)
    freedom = (np.asarray(runs) - 1) * (sum(parts) ** 2 / squares if squares > 0 else 1.0)
    return student_quantile((1 + level) / 2, freedom) + student_quantile(power, freedom)


def student_quantile(share: float, freedom: Array | float) -> Array:
    """Return the quantile of Student's t at `share`, for each of the degrees of freedom."""
    found: Array = np.asarray(stdtrit(freedom, share), dtype=np.float64)
    return found
