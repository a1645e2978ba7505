"""Tests of contrasts: the difference with its interval, and p for and against what is claimed of it.

A test is two-sided and counts every look, as `leaderboard.statistics.pairs` does. Where games have no common scale, and
for diagnostics, what is compared are shares of each game's mean over the sides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.statistics.influence import error_of, iqm_influence
from leaderboard.statistics.intervals import Estimate, carries, student_interval
from leaderboard.statistics.looks import Look, adjusted_p, look_at
from leaderboard.statistics.metrics import Scores, iqm, lay_out
from leaderboard.statistics.pairs import MARGIN, compare
from leaderboard.statistics.power import seeds_needed, student_tail, unit_variances
from leaderboard.studies.contrasts import Contrast
from leaderboard.studies.definition import Rule
from leaderboard.studies.evidence import Evidence, aggregated, scores_of
from leaderboard.studies.expansion import Expanded, Point


@dataclass(frozen=True)
class Tested:
    """One comparison: what it is of, the difference with its interval, and p for and against what is claimed.

    `difference` is None, and both p are 1, where nothing can be computed yet. `relative`: the difference as a share of
    the second side's aggregate. `seeds_needed`: how many seeds a game find a difference as large as the one seen, or as
    the margin.
    """

    label: str
    difference: Estimate | None
    relative: Estimate | None
    p_for: float
    p_against: float
    seeds_needed: int | None = None


def tested(expanded: Expanded, contrast: Contrast, evidence: Evidence) -> Tested:
    """Return the test of a contrast with the results that are there."""
    found = [_scores(expanded, contrast.rule, evidence, point) for point in contrast.points]
    sides = [{name: scores[name] for name in contrast.games if name in scores} for scores in found]
    if not contrast.games or any(set(scores) != set(contrast.games) for scores in sides):
        return Tested(contrast.label, None, None, 1.0, 1.0)
    apart = len(contrast.games) > 1 and not aggregated(expanded)
    change = contrast.rule.rule in ("declines", "keeps")
    scaled = bool(contrast.rule.series) or (apart and not change)
    return _test(contrast, _scaled(sides) if scaled else sides, len(expanded.seeds))


def _scores(expanded: Expanded, rule: Rule, evidence: Evidence, point: Point) -> Scores:
    if rule.rule not in ("declines", "keeps"):
        return scores_of(evidence, expanded, point, at=rule.at, series=rule.series)
    return changes(evidence, expanded, point, rule.at or 0.5)


def changes(evidence: Evidence, expanded: Expanded, point: Point, at: float) -> Scores:
    """Return what each run of a point gained from a share of its budget to the end, as a share of what it had then.

    That is the aggregate; where games have no common scale, it is each game's mean.

    The same runs stand on both sides, so that their own differences are what varies.
    """
    before = scores_of(evidence, expanded, point, at=at)
    after = scores_of(evidence, expanded, point, at=1 - 1e-9)
    both = {
        name: after[name] - before[name] for name in after if name in before and len(before[name]) == len(after[name])
    }
    if not both:
        return {}
    one = abs(iqm(before))
    whole = {name: one if aggregated(expanded) else float(np.mean(np.abs(before[name]))) for name in both}
    return {name: values / whole[name] for name, values in both.items()} if all(whole.values()) else {}


def _scaled(sides: Sequence[Scores]) -> list[Scores]:
    """Return numbers as shares of their game's mean size, over all sides: games have scales of their own."""
    sizes = {name: float(np.mean(np.abs(np.concatenate([side[name] for side in sides])))) or 1.0 for name in sides[0]}
    return [{name: values / sizes[name] for name, values in side.items()} for side in sides]


def _test(contrast: Contrast, sides: Sequence[Scores], planned: int) -> Tested:
    rule, label = contrast.rule, contrast.label
    if rule.rule in ("declines", "keeps"):
        return _change_test(rule, label, sides[0], planned)
    if len(sides) == 4:
        return _lead_test(rule, label, sides, planned)
    found = compare(sides[0], sides[1], planned=planned)
    value, known = found.difference.value, found.difference.low is not None
    above, below = (found.p_looks if known and sign * value > 0 else 1.0 for sign in (1, -1))
    same = found.p_equal if known else 1.0
    error, look = moments(*sides) if known else None, look_at(sides, planned)
    over, under = (_beyond(sign * value, found.margin, error, look) for sign in (1, -1))
    not_over, not_under = (_beyond(sign * value, -found.margin, error, look) for sign in (-1, 1))
    p_for, p_against = {
        "better": (above, min(below, same)),
        "rises": (above, min(below, same)),
        "higher": (above, min(below, same)),
        "falls": (below, min(above, same)),
        "lower": (below, min(above, same)),
        "not_better": (not_over, over),
        "at_least": (not_under, under),
        "equal": (same, min(over, under)),
    }[rule.rule]
    return Tested(label, found.difference, _relative(found.difference, found.b), p_for, p_against, found.seeds_needed)


def _beyond(value: float, bound: float, error: tuple[float, float] | None, look: Look) -> float:
    """Return p, at a look, for a value being above a bound; 1 where it is not seen above it."""
    if error is None or not value > bound:
        return 1.0
    return adjusted_p(min(1.0, 2 * student_tail((value - bound) / error[0], error[1])), look)


def moments(*sides: Scores) -> tuple[float, float] | None:
    """Return the standard error of a sum or difference of interquartile means, and the least degrees of freedom.

    None where some side says nothing about its spread. The least: an error from few runs is often far too small, and
    Welch's degrees of freedom would trust it.
    """
    found = [error_of(iqm_influence(scores)[1]) for scores in sides if carries(lay_out(scores))]
    if len(found) < len(sides) or any(error is None for error, _ in found):
        return None
    squared = sum(error**2 for error, _ in found if error is not None)
    return squared**0.5, min(freedom for _, freedom in found if freedom is not None)


def _lead_test(rule: Rule, label: str, sides: Sequence[Scores], planned: int) -> Tested:
    """Test the lead of the first over the second side less that of the third over the fourth."""
    last, last_other, first, first_other = (iqm(side) for side in sides)
    value, error = (last - last_other) - (first - first_other), moments(*sides)
    if error is None:
        return Tested(label, Estimate(value, None, None), None, 1.0, 1.0)
    p = adjusted_p(min(1.0, 2 * student_tail(abs(value) / error[0], error[1])), look_at(sides, planned))
    wanted = value > 0 if rule.rule == "widens" else value < 0
    needed = _seeds_needed(value, list(sides), planned)
    return Tested(label, student_interval(value, error), None, p if wanted else 1.0, 1.0 if wanted else p, needed)


def _change_test(rule: Rule, label: str, gains: Scores, planned: int) -> Tested:
    """Test what the runs of one side gained from some time on, in shares of what they had then."""
    value, error = iqm(gains), moments(gains)
    if error is None:
        return Tested(label, Estimate(value, None, None), None, 1.0, 1.0)
    look = look_at([gains], planned)
    down, up = (_beyond(sign * value, 0.0, error, look) for sign in (-1, 1))
    same = max(_beyond(sign * value, -MARGIN, error, look) for sign in (-1, 1))
    kept, lost = _beyond(value, -MARGIN, error, look), _beyond(-value, MARGIN, error, look)
    p_for, p_against = (down, min(up, same)) if rule.rule == "declines" else (kept, lost)
    around = student_interval(value, error)
    return Tested(label, around, around, p_for, p_against, _seeds_needed(max(abs(value), MARGIN), [gains], planned))


def _seeds_needed(difference: float, sides: Sequence[Scores], planned: int) -> int | None:
    variances = [unit_variances(iqm_influence(side)[1]) for side in sides]
    if any(found is None for found in variances):
        return None
    together = {f"{index}": sum(found.values()) for index, found in enumerate(variances) if found is not None}
    return seeds_needed(difference, together, {}, planned=planned)


def _relative(difference: Estimate, base: float) -> Estimate | None:
    if abs(base) < 0.01:
        return None
    ends = [None if end is None else end / abs(base) for end in (difference.low, difference.high)]
    return Estimate(difference.value / abs(base), *ends)
