"""Small line plots drawn here, for pages that come by the thousand: geometry as values, which `plots.html` prints."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from leaderboard.site.drawing import marks
from leaderboard.site.drawing.charts import Point, Style
from leaderboard.site.text import MINUS, si

LEFT, RIGHT, TOP, BOTTOM = 50.0, 18.0, 8.0, 24.0
"""Margins around the panel, for the labels of the axes."""

FARTHEST, NEAREST = 1e250, 1e-250
"""How far from 0 a number is drawn at most, and the least width of an axis: no arithmetic on them leaves numbers."""

Scale = Callable[[float], float]


@dataclass(frozen=True, slots=True)
class Trace:
    """A line to draw. An empty colour is the ink of the text; `faint` ones stay in the background.

    `shape` is that of the markers upon it, "" for none.
    """

    points: tuple[Point, ...]
    colour: str = ""
    dash: tuple[int, ...] = ()
    faint: bool = False
    shape: str = ""

    @classmethod
    def of(cls, points: tuple[Point, ...], drawn: Style) -> Trace:
        """Return a line in an entry's style; numbers that others published have no markers."""
        dash = () if drawn.dash == [1, 0] else tuple(drawn.dash)
        return cls(points, drawn.colour, dash, shape="" if drawn.shape == "stroke" else drawn.shape)


@dataclass(frozen=True, slots=True)
class Stroke:
    """A line as SVG path data, and the area of its intervals and its markers, "" if it has none."""

    line: str
    band: str
    colour: str
    dash: str
    faint: bool
    marks: str = ""


@dataclass(frozen=True, slots=True)
class Label:
    """A labelled place on an axis, in the plot's units."""

    at: float
    text: str


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of `width` x `height` units; `strokes` are in drawing order."""

    width: float
    height: float
    left: float
    right: float
    top: float
    bottom: float
    x_labels: tuple[Label, ...]
    y_labels: tuple[Label, ...]
    strokes: tuple[Stroke, ...]


def plot(traces: Sequence[Trace], *, width: float = 640, height: float = 240) -> Plot | None:
    """Return a plot of lines over a shared horizontal axis from 0, or None where there is no point.

    The vertical axis holds every point and interval, and 0 if that is near.
    """
    ends = _ends(traces)
    if not all(abs(end) <= FARTHEST for end in ends):
        traces = [_held(trace) for trace in traces]
        ends = _ends(traces)
    if not ends:
        return None
    x_last = max(p.x for trace in traces for p in trace.points) or 1.0
    low, high = min(ends), max(ends)
    if low > 0 and low < 0.6 * high:
        low = 0.0
    step = step_over(low, high)
    low, high = step * math.floor(low / step), step * math.ceil(high / step)
    high = high if high > low else low + step
    left, right, top, bottom = LEFT, width - RIGHT, TOP, height - BOTTOM

    def x(value: float) -> float:
        return left + (right - left) * value / x_last

    def y(value: float) -> float:
        return bottom - (bottom - top) * (value - low) / (high - low)

    count = round((high - low) / step)
    x_step = round_step(x_last, 4)
    return Plot(
        width, height, left, right, top, bottom,
        tuple(Label(round(x(x_step * i), 1), si(x_step * i)) for i in range(int(x_last / x_step + 1e-9) + 1)),
        tuple(Label(round(y(low + step * i), 1), tick(low + step * i, step)) for i in range(count + 1)),
        tuple(_stroke(trace, x, y) for trace in sorted(traces, key=lambda trace: not trace.faint)),
    )  # fmt: skip


def _ends(traces: Sequence[Trace]) -> list[float]:
    return [end for trace in traces for p in trace.points for end in (p.value, p.low, p.high) if end is not None]


def _held(trace: Trace) -> Trace:
    """Return a line with gaps where a value is no number, and what is too far away at FARTHEST."""
    return replace(trace, points=tuple(Point(p.x, *map(held, (p.value, p.low, p.high))) for p in trace.points))


def held(value: float | None) -> float | None:
    """Return a number that can be drawn; None for what is none."""
    return None if value is None or not math.isfinite(value) else max(-FARTHEST, min(FARTHEST, value))


def step_over(low: float, high: float) -> float:
    """Return a round distance that divides what lies between two numbers into about four; they can tell it apart."""
    least = 16 * math.ulp(max(abs(low), abs(high)))
    return round_step(max(high - low, least) if high > low else abs(high) or 1.0, 4)


def round_step(width: float, parts: int) -> float:
    """Return a round distance that divides a positive width into about so many parts."""
    width = max(width, NEAREST)
    power = 10.0 ** math.floor(math.log10(width / parts))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= width / parts * 0.999)


def tick(value: float, step: float) -> str:
    """Return the label of a place on an axis whose labels are a step apart."""
    if abs(value) >= 1e15 or step < 1e-9:
        text = f"{value:.3g}" if abs(value) > step / 1000 else "0"
    elif abs(value) >= 1_000:
        text = ("-" if value < 0 else "") + si(abs(value))
    else:
        digits = max(0, -math.floor(math.log10(step) + 1e-9) + (f"{step:.1e}"[2] != "0"))
        text = f"{value + 0.0:,.{digits}f}" if abs(value) > step / 1000 else "0"
    return text.replace("-", MINUS)


def _stroke(trace: Trace, x: Scale, y: Scale) -> Stroke:
    line, pen = [], "M"
    for point in trace.points:
        if point.value is None:
            pen = "M"
            continue
        line.append(f"{pen}{x(point.x):.1f} {y(point.value):.1f}")
        pen = "L"
    dash = " ".join(map(str, trace.dash))
    return Stroke("".join(line), _band(trace, x, y), trace.colour, dash, trace.faint, _marks(trace, x, y))


def _marks(trace: Trace, x: Scale, y: Scale) -> str:
    """Return about eight markers along a line, the last at its end."""
    if not trace.shape:
        return ""
    known = [(x(point.x), y(point.value)) for point in trace.points if point.value is not None]
    return "".join(
        marks.marker(trace.shape, across, down, 4) for across, down in known[:: -max(1, -(-len(known) // 8))]
    )


def _band(trace: Trace, x: Scale, y: Scale) -> str:
    """Return the areas between the intervals' ends, one for each stretch without a gap."""
    parts: list[str] = []
    stretch: list[tuple[float, float, float]] = []
    for point in (*trace.points, Point(0, None)):
        if point.value is not None and point.low is not None and point.high is not None:
            stretch.append((x(point.x), y(point.low), y(point.high)))
            continue
        if len(stretch) > 1:
            above = "L".join(f"{at:.1f} {high:.1f}" for at, _, high in stretch)
            below = "L".join(f"{at:.1f} {low:.1f}" for at, low, _ in reversed(stretch))
            parts.append(f"M{above}L{below}Z")
        stretch = []
    return "".join(parts)
