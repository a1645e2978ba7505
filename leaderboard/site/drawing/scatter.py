"""Entries as points over what they cost: whiskers for intervals, faint lines through series, steps for the front."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from leaderboard.board.views import Style
from leaderboard.site.drawing import marks
from leaderboard.site.drawing.plots import (
    BOTTOM,
    LEFT,
    NEAREST,
    RIGHT,
    TOP,
    Label,
    Plot,
    Stroke,
    held,
    round_step,
    step_over,
    tick,
)
from leaderboard.site.text import si

Scale = Callable[[float], float]

MOST_TICKS = 7
"""How many labels an axis of powers has at most."""


@dataclass(frozen=True, slots=True)
class Dot:
    """A point: its place, its interval, how it is drawn, and the series whose points a line goes through."""

    key: str
    x: float
    value: float
    low: float | None
    high: float | None
    drawn: Style
    series: str


def scatter(dots: Sequence[Dot], *, log: bool, steps: bool, width: float = 420, height: float = 260) -> Plot:
    """Return a plot of points, at least one of numbers, with the steps of their front if wanted.

    `log`: a horizontal axis of powers, over positive places.
    """
    dots = [
        replace(dot, x=x, value=value, low=held(dot.low), high=held(dot.high))
        for dot in dots
        if (x := held(dot.x)) is not None and (value := held(dot.value)) is not None
    ]
    across, x_labels = _axis_x([dot.x for dot in dots], LEFT + 8, width - RIGHT - 8, log=log)
    ends = [end for dot in dots for end in (dot.value, dot.low, dot.high) if end is not None]
    low, high = min(ends), max(ends)
    step = step_over(low, high)
    low, high = step * math.floor(low / step), step * (math.floor(low / step) + max(1, math.ceil((high - low) / step)))
    top, bottom = TOP, height - BOTTOM

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    y_labels = tuple(
        Label(round(y(low + step * i), 1), tick(low + step * i, step)) for i in range(round((high - low) / step) + 1)
    )
    strokes = [
        *_chains(dots, across, y),
        *(_front(dots, across, y) if steps else ()),
        *(_point(dot, across, y) for dot in dots),
    ]
    return Plot(width, height, LEFT, width - RIGHT, top, bottom, x_labels, y_labels, tuple(strokes))


def front(dots: Iterable[Dot]) -> list[Dot]:
    """Return the points that no other beats: none is as far left and higher; by place."""
    found: list[Dot] = []
    for dot in sorted(dots, key=lambda dot: (dot.x, -dot.value, dot.key)):
        if not found or dot.value > found[-1].value:
            found.append(dot)
    return found


def _axis_x(values: Sequence[float], left: float, right: float, *, log: bool) -> tuple[Scale, tuple[Label, ...]]:
    if log:
        low, high = (math.log10(max(end, NEAREST)) for end in (min(values), max(values)))
        room = max(0.05, 0.04 * (high - low))
        low, high = low - room, high + room

        def place(value: float) -> float:
            return left + (right - left) * (math.log10(max(value, NEAREST)) - low) / (high - low)

        return place, tuple(Label(round(place(at), 1), si(at)) for at in _powers(10**low, 10**high))
    step = round_step((max(values) - min(min(values), 0.0)) or 1.0, 4)
    last = step * math.ceil(max(values) / step - 1e-9) or step

    def linear(value: float) -> float:
        return left + (right - left) * value / last

    return linear, tuple(Label(round(linear(step * i), 1), f"{step * i:g}") for i in range(round(last / step) + 1))


def _powers(low: float, high: float) -> list[float]:
    """Return round numbers between two, in steps of 1, 2, 5 or of 10 where these are too many."""
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for factors in ((1, 2, 3, 5, 7), (1, 2, 5), (1,)):
        found = [factor * 10.0**power for power in decades for factor in factors if low <= factor * 10.0**power <= high]
        if len(found) <= MOST_TICKS:
            return found
    return found[:: -(-len(found) // MOST_TICKS)]


def _chains(dots: Iterable[Dot], x: Scale, y: Scale) -> list[Stroke]:
    """Return a faint line through every series of several points, from left to right."""
    series: dict[str, list[Dot]] = {}
    for dot in dots:
        series.setdefault(dot.series, []).append(dot)
    found = []
    for chain in series.values():
        ordered = sorted(chain, key=lambda dot: (dot.x, dot.value))
        if len(ordered) > 1:
            line = "L".join(f"{x(dot.x):.1f} {y(dot.value):.1f}" for dot in ordered)
            found.append(Stroke(f"M{line}", "", ordered[-1].drawn.colour, "", faint=True))
    return found


def _front(dots: Sequence[Dot], x: Scale, y: Scale) -> list[Stroke]:
    kept = front(dots)
    steps = [f"H{x(dot.x):.1f}V{y(dot.value):.1f}" for dot in kept[1:]]
    return [Stroke(f"M{x(kept[0].x):.1f} {y(kept[0].value):.1f}{''.join(steps)}", "", "", "3 3", faint=True)] * (
        len(kept) > 1
    )


def _point(dot: Dot, x: Scale, y: Scale) -> Stroke:
    across = x(dot.x)
    line = "" if dot.low is None or dot.high is None else f"M{across:.1f} {y(dot.low):.1f}V{y(dot.high):.1f}"
    shape = marks.marker(dot.drawn.shape, across, y(dot.value), 4.5)
    return Stroke(line, "", dot.drawn.colour, "", False, shape)
