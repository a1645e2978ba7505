"""Two entries set against each other: is the difference real, how large, where does it come from, what is missing.

Differences are always those of the first entry less the second, which is the reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.statistics.influence import error_of, iqm_influence
from leaderboard.statistics.intervals import Estimate, carries
from leaderboard.statistics.metrics import Array, Scores, iqm, lay_out
from leaderboard.statistics.permutation import holm, permutation_p
from leaderboard.statistics.power import seeds_needed, student_quantile, unit_variances
from leaderboard.statistics.proportions import poi_estimate

__all__ = ["Comparison", "GameDifference", "Verdict", "compare", "holm", "verdict"]

MARGIN = 0.05
"""Entries are practically equal where their interquartile means differ by less than this share of the reference's."""

FEWEST_SEEDS = 5
"""With fewer runs in some game a comparison is preliminary."""

Verdict = Literal["better", "worse", "equal", "open"]
"""What can be said of the first entry: better or worse than the second, practically equal, or nothing."""


@dataclass(frozen=True, slots=True)
class GameDifference:
    """One game: both means over runs, their difference, and how much of the aggregate's difference comes from it.

    The interval is Welch's, each game's own: of 20 games without a difference one is outside by chance. `share` is what
    the difference of interquartile means changes by when the game's runs alone change sides, in its unit.
    """

    game: str
    a: float
    b: float
    difference: Estimate
    share: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """All that is said about a pair.

    `a` and `b` are the interquartile means over the common `games`, `left_out` names games that only one entry has.
    `improvement` is the probability that a run of the first is above one of the second. `margin` is absolute. `seeds`
    are the lowest and highest numbers of runs of a game. `seeds_needed` is how many runs a game, of each entry, find
    with power 0.8 a difference as large as the one seen, or as the margin if that is larger; None: more than 1,000, or
    nothing is known about spread.
    """

    games: tuple[str, ...]
    left_out: tuple[str, ...]
    a: float
    b: float
    difference: Estimate
    improvement: Estimate
    p: float
    margin: float
    by_game: tuple[GameDifference, ...]
    seeds: tuple[int, int]
    seeds_needed: int | None

    @property
    def within_margin(self) -> bool:
        """Whether the whole interval of the difference lies within the margin."""
        low, high = self.difference.low, self.difference.high
        return low is not None and high is not None and -self.margin < low and high < self.margin

    @property
    def preliminary(self) -> bool:
        """Whether some game has fewer than five runs."""
        return self.seeds[0] < FEWEST_SEEDS


def compare(a: Scores, b: Scores, *, margin: float = MARGIN) -> Comparison:
    """Compare two entries, human-normalized scores [runs] by game, on the games that both have.

    `margin` is a share of the second's interquartile mean. The result depends on nothing but the scores and the margin.
    Raises ValueError where no game is common.
    """
    games = tuple(sorted(set(a) & set(b)))
    if not games:
        raise ValueError("the entries have no game in common")
    left_out = tuple(sorted(set(a) ^ set(b)))
    a, b = ({name: scores[name] for name in games} for scores in (a, b))
    left, right = iqm(a), iqm(b)
    influences = [iqm_influence(scores)[1] for scores in (a, b)]
    wide, counts = abs(right) * margin, [len(scores[name]) for scores in (a, b) for name in games]
    return Comparison(
        games=games,
        left_out=left_out,
        a=left,
        b=right,
        difference=welch_interval(
            left - right, *(_known_error(*side) for side in zip((a, b), influences, strict=True))
        ),
        improvement=_improvement(a, b),
        p=permutation_p(a, b),
        margin=wide,
        by_game=_by_game(a, b),
        seeds=(min(counts), max(counts)),
        seeds_needed=_seeds_needed(max(abs(left - right), wide), influences),
    )


def verdict(comparison: Comparison, p: float | None = None) -> Verdict:
    """Return what can be said; `p` stands for the pair's own where it was adjusted for several pairs.

    Without an interval nothing can be: one run a game on either side says nothing about other runs. A difference that
    is established (p below 0.05) goes before practical equality: both can hold, with many runs.
    """
    if comparison.difference.low is None:
        return "open"
    if (comparison.p if p is None else p) < 1 - STATISTICS_POLICY.level:
        return "better" if comparison.difference.value > 0 else "worse"
    return "equal" if comparison.within_margin else "open"


def welch_interval(
    value: float, first: tuple[float | None, float | None], second: tuple[float | None, float | None]
) -> Estimate:
    """Return Welch's interval around a difference, from each side's standard error and its degrees of freedom.

    Without ends where one of them is unknown.
    """
    known = [(error**2, freedom) for error, freedom in (first, second) if error is not None and freedom is not None]
    if len(known) < 2:
        return Estimate(value, None, None)
    squared = sum(part for part, _ in known)
    freedom = squared**2 / sum(part**2 / degrees for part, degrees in known)
    half = float(student_quantile((1 + STATISTICS_POLICY.level) / 2, freedom)) * squared**0.5
    return Estimate(value, value - half, value + half)


def _known_error(scores: Scores, influences: Mapping[str, Array]) -> tuple[float | None, float | None]:
    """Return the standard error of an interquartile mean and its degrees of freedom; None without enough runs."""
    return error_of(influences) if carries(lay_out(scores)) else (None, None)


def _improvement(a: Scores, b: Scores) -> Estimate:
    """Return the probability of improvement with its interval, which is a formula: no need to resample for it."""
    found = poi_estimate(a, b, replace(STATISTICS_POLICY, final_repetitions=1))
    return Estimate(found.value, found.low, found.high)


def _by_game(a: Scores, b: Scores) -> tuple[GameDifference, ...]:
    """Return all games, what drives the difference first."""
    whole_a, whole_b = iqm(a), iqm(b)
    rows = []
    for name in a:
        kept_a, kept_b = iqm({**a, name: b[name]}), iqm({**b, name: a[name]})
        rows.append(
            GameDifference(
                game=name,
                a=float(np.mean(a[name])),
                b=float(np.mean(b[name])),
                difference=welch_interval(
                    float(np.mean(a[name]) - np.mean(b[name])), _mean_error(a[name]), _mean_error(b[name])
                ),
                share=((whole_a - kept_a) + (kept_b - whole_b)) / 2,
            )
        )
    return tuple(sorted(rows, key=lambda row: (-abs(row.share), row.game)))


def _mean_error(values: Array) -> tuple[float | None, float | None]:
    """Return a mean's standard error and degrees of freedom; None where runs do not differ."""
    if len(values) < 2 or not np.ptp(values) > 0:
        return None, None
    return float(np.std(values, ddof=1)) / len(values) ** 0.5, float(len(values) - 1)


def _seeds_needed(difference: float, influences: Sequence[Mapping[str, Array]]) -> int | None:
    first, second = (unit_variances(item) for item in influences)
    return None if first is None or second is None else seeds_needed(difference, first, second)
