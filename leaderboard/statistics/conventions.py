"""The names under which numbers of the board are made: that of all rules, and the policy of estimates."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """How estimates are made; changing anything here changes the name, and with it every random draw.

    `trim` is the share left out at each end of an interquartile mean, `level` what intervals promise to cover,
    `final_repetitions` and `curve_repetitions` how many resamples a final score and a point of a curve get,
    `minimum_seeds` the runs that the share `seeded` of the games need, and `spread` the share of the games whose runs
    have to differ (in two games at least, where there are two), before anything is said about spread.
    """

    name: str
    trim: float
    level: float
    final_repetitions: int
    curve_repetitions: int
    minimum_seeds: int
    seeded: float
    spread: float


STATISTICS_POLICY = Policy("stats-v3", 0.25, 0.95, 20_000, 2_000, 2, 0.75, 0.25)

STATISTICS = "stats-v4"
"""What all rules together are called: those of estimates, which keep the name of their draws, those of shares, and
those by which entries are compared, ranked and judged."""
