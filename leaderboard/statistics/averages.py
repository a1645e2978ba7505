"""The mean of several differences, of which some may share a reference."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from typing import TypeVar

from leaderboard.statistics.influence import Error, combined, error_of, iqm_influence
from leaderboard.statistics.intervals import Estimate, carries, student_interval
from leaderboard.statistics.metrics import Scores, lay_out

Key = TypeVar("Key", bound=Hashable)


def mean_difference(pairs: Sequence[tuple[Key, Key]], scores: Mapping[Key, Scores]) -> Estimate:
    """Return the mean over pairs of the difference of interquartile means, first less second, with its interval.

    Sides are independent of each other, but one may stand in several pairs: with c_s its sum of signs over n pairs,
    the squared error is the sum of (c_s / n)^2 SE_s^2, its degrees of freedom Welch and Satterthwaite's. The pairs are
    those given, not a sample of more. No ends where the runs of some side carry no interval. Raises ValueError without
    a pair.
    """
    if not pairs:
        raise ValueError("a mean needs a pair")
    signs: Counter[Key] = Counter()
    for first, second in pairs:
        signs[first] += 1
        signs[second] -= 1
    value = 0.0
    errors: list[Error] = []
    for key, count in signs.items():
        own, influences = iqm_influence(scores[key])
        value += count * own / len(pairs)
        error, freedom = error_of(influences) if carries(lay_out(scores[key])) else (None, None)
        errors.append((None if error is None else count / len(pairs) * error, freedom))
    return student_interval(value, combined(errors))
