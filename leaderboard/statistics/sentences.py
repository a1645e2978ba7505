"""Sentences of a comparison: the verdict first, then what it rests on and what to mind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leaderboard.statistics import looks
from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.pairing import Pairing
from leaderboard.statistics.pairs import FEWEST_SEEDS, Comparison, verdict

MINUS = "\N{MINUS SIGN}"

PAIRING: Mapping[Pairing, str] = {
    "unpaired": "",
    "paired": "paired by seed, ",
    "unpaired as asked": "not paired by seed, as was asked for, ",
    "paired as asked": "paired by seed, as was asked for, ",
}
"""What a sentence says of how runs were compared."""

PAIRED = (
    "Paired by seed: each run of one entry is compared with the other's of the same game and seed, which shares its "
    "random streams, so that the luck that both share does not count. Interval, p and seeds are those of the pairs."
)

NO_INTERVAL = (
    f"No interval and no verdict: both sides need {STATISTICS_POLICY.minimum_seeds} runs in "
    f"{100 * STATISTICS_POLICY.seeded:g} % of the games, and runs that differ in several games."
)


def sentence(
    comparison: Comparison,
    a: str,
    b: str,
    *,
    p: float | None = None,
    p_equal: float | None = None,
    pairs: int = 1,
) -> str:
    """Return the verdict on entries called `a` and `b` as one sentence.

    `p` and `p_equal` are the pair's own adjusted for `pairs` that were tested together, if they are more than one.
    """
    difference, adjusted = comparison.difference, comparison.p_looks if p is None else p
    found = verdict(comparison, adjusted, p_equal)
    evidence = f"{_span(difference, _adjustments(comparison, pairs))}{_evidence(comparison, adjusted, pairs)}"
    if found in ("better", "worse"):
        way = "higher" if difference.value > 0 else "lower"
        small = ", and practically equal all the same" if comparison.within_margin else ""
        if _contradicts(comparison):
            other = "worse" if found == "better" else "better"
            small = f" by the interquartile mean{small}, and {other} by the probability of improvement"
        return (
            f"{a} is {found} than {b}{small}: its interquartile mean is {abs(difference.value):.3f} {way}"
            f"{_relative(comparison)} ({evidence})."
        )
    if found == "equal":
        return (
            f"{a} and {b} are practically equal: the difference of their interquartile means is less than "
            f"{comparison.margin:.3f}, the margin ({evidence})."
        )
    return (
        f"It cannot be told which of {a} and {b} is better: the difference is {signed(difference.value)} "
        f"({evidence}); {_missing(comparison)}."
    )


def remarks(comparison: Comparison) -> tuple[str, ...]:
    """Return what has to be minded with a comparison, a sentence each."""
    found = []
    if comparison.left_out:
        games = len(comparison.games)
        found.append(
            f"Compared on the {f'{games} games' if games > 1 else 'one game'} that both have; left out, because only "
            f"one has them: {', '.join(comparison.left_out)}."
        )
    if comparison.identical:
        found.append("Both entries have the same scores, run by run: hardly two experiments.")
    if comparison.paired:
        found.append(PAIRED)
    if comparison.preliminary:
        found.append(f"Preliminary: some game has fewer than {FEWEST_SEEDS} runs.")
    if comparison.difference.low is None:
        found.append(NO_INTERVAL)
    elif comparison.look == "other":
        found.append(
            "Not the number of seeds that was planned: whoever looks after every seed finds something sooner or later, "
            "so that p counts every look from "
            f"{looks.FEWEST} to {looks.MOST} seeds. That takes about twice the seeds of the planned look."
        )
    if _contradicts(comparison):
        found.append(
            "The interquartile means and the probability of improvement point in different directions: the verdict "
            "is that of the former, and a few games decide it."
        )
    return tuple(found)


def p_text(p: float) -> str:
    """Return a p as text, with two digits: 0.0021, 0.34, 1."""
    return f"{p:.2g}" if p >= 1e-4 else f"{p:.5f}" if p >= 1e-5 else "< 0.00001"


def signed(value: float, digits: int = 3) -> str:
    """Return a number with its sign, a true minus."""
    rounded = round(value, digits)
    return f"{rounded:+.{digits}f}".replace("-", MINUS) if rounded else f"{0:.{digits}f}"


def _relative(comparison: Comparison) -> str:
    """Return the difference as a share of the second entry's, where that is not next to nothing."""
    if abs(comparison.b) < 0.01:
        return ""
    share = abs(comparison.difference.value / comparison.b)
    return f", {100 * share:.0f} % of {comparison.b:.3f}".replace("-", MINUS)


def _adjustments(comparison: Comparison, pairs: int) -> list[str]:
    """Return what p is adjusted for, in words."""
    found = [] if pairs == 1 else [f"{pairs} pairs"]
    if comparison.look == "planned":
        found.append("looks at other numbers of seeds")
    if comparison.look == "other":
        found.append("every look on the way")
    return found


def _evidence(comparison: Comparison, adjusted: float, pairs: int) -> str:
    reasons = " and ".join(_adjustments(comparison, pairs))
    adjustment = f", adjusted for {reasons}" if reasons else ""
    return f"{PAIRING[comparison.pairing]}permutation p {p_text(adjusted)}{adjustment}"


def _span(difference: Estimate, adjustments: Sequence[str]) -> str:
    """Return the interval in words; it is that of this pair and this look, which is said where p is not."""
    if difference.low is None or difference.high is None:
        return ""
    own = "unadjusted " if adjustments else ""
    return f"{own}95 % interval {signed(difference.low)} to {signed(difference.high)}, "


def _missing(comparison: Comparison) -> str:
    if comparison.difference.low is None:
        return "too few runs to say how sure that is"
    target = max(abs(comparison.difference.value), comparison.margin)
    if comparison.seeds_needed is None:
        return f"how many seeds would find a difference of {target:.3f} is unknown, or more than a thousand"
    if comparison.seeds_needed <= comparison.seeds[0]:
        return f"the seeds that are there find a difference of {target:.3f} with power 0.8"
    return f"{comparison.seeds_needed} seeds a game, of both, would find a difference of {target:.3f} with power 0.8"


def _contradicts(comparison: Comparison) -> bool:
    """Return whether the probability of improvement is beyond one half on the other side than the difference."""
    odds = comparison.improvement
    low, high = (odds.value if end is None else end for end in (odds.low, odds.high))
    return (comparison.difference.value > 0 and high < 0.5) or (comparison.difference.value < 0 and low > 0.5)
