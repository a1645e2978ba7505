"""Two entries set against each other: is the difference real, how large, where does it come from, what is missing.

Differences are always those of the first entry less the second, which is the reference.
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import numpy as np

from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.statistics.influence import Error, combined, error_of, iqm_influence
from leaderboard.statistics.intervals import Estimate, carries, student_interval
from leaderboard.statistics.looks import Look, adjusted_p, look_at
from leaderboard.statistics.metrics import Array, Scores, iqm, lay_out
from leaderboard.statistics.pairing import Pairing, exchange_p, pair_error, pair_influence
from leaderboard.statistics.permutation import PERMUTATIONS, holm, permutation_p
from leaderboard.statistics.power import seeds_needed, student_tail, unit_variances
from leaderboard.statistics.proportions import poi_estimate

__all__ = ["Comparison", "GameDifference", "Judged", "Verdict", "compare", "holm", "judged", "verdict"]

Key = TypeVar("Key", bound=Hashable)

MARGIN = 0.05
"""Entries are practically equal where their interquartile means differ by less than this share of the smaller one."""

RESOLVED = 10
"""Where fewer relabellings than that went as far, the tail of Student's t says more about p than their number."""

FEWEST_SEEDS = 5
"""With fewer runs in some game a comparison is preliminary."""

Verdict = Literal["better", "worse", "equal", "open"]
"""What can be said of the first entry: better or worse than the second, practically equal, or nothing."""


@dataclass(frozen=True, slots=True)
class GameDifference:
    """One game: both means over runs, their difference, and how much of the aggregate's difference comes from it.

    The interval is Welch's, or that of the pairs, each game's own: of 20 games without a difference one is outside by
    chance. `share` is what the difference of interquartile means changes by when the game's runs alone change sides, in
    its unit.
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
    `improvement` is the probability that a run of the first is above one of the second. `p` is that of the test,
    `p_looks` what it is worth at this `look` among all looks (see `looks`), and `p_equal` that of the means being
    further apart than the `margin`, which is absolute, adjusted alike. `pairing` says whether runs of one seed were
    compared with each other, `identical` that both have the same scores, run by run. `seeds` are the lowest and highest
    numbers of runs of a game. `seeds_needed` is how many runs a game, of each entry, find with power 0.8 a difference
    as large as the one seen, or as the margin if that is larger; None: more than 1,000, or nothing is known about
    spread.
    """

    games: tuple[str, ...]
    left_out: tuple[str, ...]
    a: float
    b: float
    difference: Estimate
    improvement: Estimate
    p: float
    p_looks: float
    p_equal: float
    look: Look
    pairing: Pairing
    identical: bool
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

    @property
    def paired(self) -> bool:
        """Whether runs of one seed were compared with each other."""
        return is_paired(self.pairing)


def compare(
    a: Scores,
    b: Scores,
    *,
    margin: float = MARGIN,
    planned: int | None = None,
    growing: tuple[bool, bool] = (True, True),
    pairing: Pairing = "unpaired",
) -> Comparison:
    """Compare two entries, human-normalized scores [runs] by game, on the games that both have.

    `margin` is a share of the smaller of both interquartile means. `planned` is how many seeds a game were decided on
    before any was run, and `growing` says which sides may get more; without the former it is the only look. Where it is
    to be paired, run i of a common game is of one seed in both; pairs that are too much alike to say how they vary are
    compared unpaired all the same. The result depends on nothing but the arguments. Raises ValueError where no game is
    common, and for pairs of different numbers of runs.
    """
    games = tuple(sorted(set(a) & set(b)))
    if not games:
        raise ValueError("the entries have no game in common")
    left_out = tuple(sorted(set(a) ^ set(b)))
    a, b = ({name: scores[name] for name in games} for scores in (a, b))
    left, right = iqm(a), iqm(b)
    evidence = _evidence(a, b, pairing)
    wide, counts = min(abs(left), abs(right)) * margin, [len(scores[name]) for scores in (a, b) for name in games]
    p, look = _p(a, b, left - right, evidence), look_at(itertools.compress((a, b), growing), planned)
    return Comparison(
        games=games,
        left_out=left_out,
        a=left,
        b=right,
        difference=student_interval(left - right, combined(evidence.errors)),
        improvement=_improvement(a, b),
        p=p,
        p_looks=adjusted_p(p, look),
        p_equal=adjusted_p(_p_equal(left - right, wide, evidence.errors), look),
        look=look,
        pairing=evidence.pairing,
        identical=all(np.array_equal(np.sort(a[name]), np.sort(b[name])) for name in games),
        margin=wide,
        by_game=_by_game(a, b, paired=is_paired(evidence.pairing)),
        seeds=(min(counts), max(counts)),
        seeds_needed=_seeds_needed(max(abs(left - right), wide), evidence.influences, planned),
    )


@dataclass(frozen=True, slots=True)
class Judged:
    """A comparison among others: both its p adjusted for all of them (Holm), and the verdict."""

    comparison: Comparison
    p: float
    p_equal: float
    verdict: Verdict


def judged(comparisons: Mapping[Key, Comparison]) -> dict[Key, Judged]:
    """Return comparisons that were made together with their verdicts."""
    p = holm({key: item.p_looks for key, item in comparisons.items()})
    equal = holm({key: item.p_equal for key, item in comparisons.items()})
    return {
        key: Judged(item, p[key], equal[key], verdict(item, p[key], equal[key])) for key, item in comparisons.items()
    }


def verdict(comparison: Comparison, p: float | None = None, p_equal: float | None = None) -> Verdict:
    """Return what can be said; both p stand for the pair's own where they were adjusted for several pairs.

    Without an interval nothing can be: one run a game on either side says nothing about other runs. A difference that
    is established (p below 0.05) goes before practical equality: both can hold, with many runs.
    """
    if comparison.difference.low is None:
        return "open"
    if (comparison.p_looks if p is None else p) < 1 - STATISTICS_POLICY.level:
        return "better" if comparison.difference.value > 0 else "worse"
    return "equal" if (comparison.p_equal if p_equal is None else p_equal) < 1 - STATISTICS_POLICY.level else "open"


def is_paired(pairing: Pairing) -> bool:
    """Return whether runs of one seed are compared with each other."""
    return pairing in ("paired", "paired as asked")


@dataclass(frozen=True, slots=True)
class _Evidence:
    """What is known of a difference's spread: of each side, or of the pairs alone; `influences` by game."""

    pairing: Pairing
    influences: Sequence[Mapping[str, Array]]
    errors: Sequence[Error]


def _evidence(a: Scores, b: Scores, pairing: Pairing) -> _Evidence:
    if is_paired(pairing):
        error = pair_error(a, b)
        if error[0] is not None:
            return _Evidence(pairing, [pair_influence(a, b)], [error])
        pairing = "unpaired"
    influences = [iqm_influence(scores)[1] for scores in (a, b)]
    return _Evidence(pairing, influences, [_known_error(*side) for side in zip((a, b), influences, strict=True)])


def _p(a: Scores, b: Scores, difference: float, evidence: _Evidence) -> float:
    """Return the permutation p; of one too small for the relabellings, the tail of Student's t.

    With the smaller side's degrees of freedom, which errs on the side of larger p.
    """
    p = exchange_p(a, b) if is_paired(evidence.pairing) else permutation_p(a, b)
    error, _ = combined(evidence.errors)
    if error is None or p > RESOLVED / PERMUTATIONS:
        return p
    freedom = min(degrees for _, degrees in evidence.errors if degrees is not None)
    return min(p, 2 * student_tail(abs(difference) / error, freedom))


def _p_equal(difference: float, margin: float, errors: Sequence[Error]) -> float:
    """Return how well a difference beyond the margin fits: below 0.05 where the whole interval lies within."""
    error, freedom = combined(errors)
    if error is None or freedom is None or abs(difference) >= margin:
        return 1.0
    return 2 * student_tail((margin - abs(difference)) / error, freedom)


def _known_error(scores: Scores, influences: Mapping[str, Array]) -> Error:
    """Return the standard error of an interquartile mean and its degrees of freedom; None without enough runs."""
    return error_of(influences) if carries(lay_out(scores)) else (None, None)


def _improvement(a: Scores, b: Scores) -> Estimate:
    """Return the probability of improvement with its interval, which is a formula: no need to resample for it."""
    found = poi_estimate(a, b, replace(STATISTICS_POLICY, final_repetitions=1))
    return Estimate(found.value, found.low, found.high)


def _by_game(a: Scores, b: Scores, *, paired: bool) -> tuple[GameDifference, ...]:
    """Return all games, what drives the difference first."""
    whole_a, whole_b = iqm(a), iqm(b)
    rows = []
    for name in a:
        sides = [a[name] - b[name]] if paired else [a[name], b[name]]
        kept_a, kept_b = iqm({**a, name: b[name]}), iqm({**b, name: a[name]})
        rows.append(
            GameDifference(
                game=name,
                a=float(np.mean(a[name])),
                b=float(np.mean(b[name])),
                difference=student_interval(
                    float(np.mean(a[name]) - np.mean(b[name])), combined(map(_mean_error, sides))
                ),
                share=((whole_a - kept_a) + (kept_b - whole_b)) / 2,
            )
        )
    return tuple(sorted(rows, key=lambda row: (-abs(row.share), row.game)))


def _mean_error(values: Array) -> Error:
    """Return a mean's standard error and degrees of freedom; None where runs do not differ."""
    if len(values) < 2 or not np.ptp(values) > 0:
        return None, None
    return float(np.std(values, ddof=1)) / len(values) ** 0.5, float(len(values) - 1)


def _seeds_needed(difference: float, influences: Sequence[Mapping[str, Array]], planned: int | None) -> int | None:
    units = [found for item in influences if (found := unit_variances(item)) is not None]
    if len(units) < len(influences):
        return None
    first, second = units if len(units) == 2 else (units[0], {})
    freedom = [error_of(item)[1] for item in influences]
    return seeds_needed(difference, first, second, planned=planned, freedom=(*freedom, None)[:2])
