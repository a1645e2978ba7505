"""Intervals on a shared axis, as positions from 0 to 100: forests of differences."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from leaderboard.board.views import Tick
from leaderboard.site.drawing.plots import round_step
from leaderboard.site.text import signed
from leaderboard.statistics.intervals import Estimate

Place = Callable[[float], float]

SAYS = {"better": "#2f7fd0", "worse": "#d9601a", "open": "#808a94"}
"""The colour of what speaks for the first of a pair, against it, and for neither."""


@dataclass(frozen=True, slots=True)
class Span:
    """An interval on a shared axis, positions 0 to 100, and what it speaks for: `better`, `worse` or `open`.

    `cut_low` and `cut_high`: it goes on beyond the axis.
    """

    value: float
    low: float | None
    high: float | None
    says: str
    cut_low: bool = False
    cut_high: bool = False


def axis(estimates: Sequence[Estimate]) -> tuple[Place, tuple[Tick, ...]]:
    """Return where values lie on an axis from 0 to 100 that holds all values, 0 and most intervals, and its ticks.

    An interval that reaches further than all values and three usual widths beyond is left to be cut: one game with few
    runs would squeeze all others.
    """
    spans = [(e.low, e.high) for e in estimates if e.low is not None and e.high is not None]
    values = [0.0, *(e.value for e in estimates)]
    slack = 3 * statistics.median([high - low for low, high in spans] or [0.0])
    least, most = min(values) - slack, max(values) + slack
    ends = values + [min(max(end, least), most) for span in spans for end in span]
    width = (max(ends) - min(ends)) or 1.0
    steps = [round_step(width, parts) for parts in (4, 3, 2)]
    step = next((step for step in steps if _decimals(step) < 3), steps[-1])  # long labels want room
    first = int(min(ends) // step)
    last = max(first + 1, -int(-max(ends) // step))

    def place(value: float) -> float:
        return 100 * (value / step - first) / (last - first)

    return place, tuple(Tick(place(step * i), signed(step * i, _decimals(step))) for i in range(first, last + 1))


def _decimals(step: float) -> int:
    return len(f"{step:g}".partition(".")[2])


def says(estimate: Estimate) -> str:
    """Return what an interval speaks for as it lies; one that holds 0, or is missing, for neither."""
    if estimate.low is not None and estimate.low > 0:
        return "better"
    return "worse" if estimate.high is not None and estimate.high < 0 else "open"


def span(estimate: Estimate, place: Place) -> Span:
    """Return an estimate at its places; it speaks as its interval lies; cut ends are at the ends of the axis."""
    low, high = estimate.low, estimate.high
    if low is None or high is None:
        return Span(place(estimate.value), None, None, says(estimate))
    start, end = place(low), place(high)
    cut = start < -1e-6, end > 100 + 1e-6
    return Span(place(estimate.value), max(start, 0.0), min(end, 100.0), says(estimate), *cut)
