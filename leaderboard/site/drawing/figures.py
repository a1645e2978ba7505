"""Figures for papers: intervals in rows, and lines under one another's axes, as PDF; sizes are in points."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board.views import Entry
from leaderboard.site.drawing import charts, letters, marks, plot_files, plots
from leaderboard.site.drawing.charts import PAPER, Line, style
from leaderboard.site.drawing.plot_files import OPENING, Key, Picture, words
from leaderboard.site.drawing.spans import SAYS, says
from leaderboard.statistics.intervals import Estimate

NAMES = 0.5
"""The share of a figure's width that the names of its rows take at most."""

SCALE = 0.65
"""Points to a unit of the plots' own geometry."""

_TEXT = PAPER.text
_LINE = 1.25 * _TEXT
_EDGE = 8.0


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a plot of intervals: `name` for people, how it is drawn, and where. `note` stands before the name."""

    name: str
    estimate: Estimate
    colour: str
    shape: str = "circle"
    filled: bool = True
    note: str = ""

    @classmethod
    def of(cls, entry: Entry, estimate: Estimate, note: str = "") -> Row:
        """Return an entry's row, in its own colour and marker; hollow if others published it."""
        drawn = style(entry)
        shape = "circle" if entry.published else drawn.shape
        return cls(entry.label, estimate, drawn.colour, shape, not entry.published, note)


@dataclass(frozen=True, slots=True)
class _Axis:
    """A horizontal axis: its values and places at both ends, and its labels by value."""

    low: float
    high: float
    left: float
    right: float
    ticks: tuple[tuple[float, str], ...]

    def place(self, value: float) -> float:
        return self.left + (self.right - self.left) * (value - self.low) / (self.high - self.low)


def difference_rows(changes: Sequence[tuple[str, Estimate]]) -> list[Row]:
    """Return the rows of a pair's differences by game, sorted, coloured by what they speak for.

    A game whose interval holds 0, or that has none, speaks for neither.
    """
    ordered = sorted(changes, key=lambda change: (-change[1].value, change[0]))
    return [Row(game, estimate, SAYS[says(estimate)]) for game, estimate in ordered]


def intervals(
    rows: Sequence[Row],
    title: str,
    *,
    width: float,
    row_height: float,
    reference: float | None = None,
    domain: tuple[float, float] | None = None,
) -> str:
    """Return a forest plot as SVG: a mark and its interval for each row, in their order, `reference` as a rule.

    A row without an interval shows its mark alone. Long names stand in several lines (`NAMES`), none is cut, and a row
    is as high as its name asks.
    """
    names = [letters.wrapped(f"{row.note} {row.name}".strip(), NAMES * width, _TEXT) for row in rows]
    heights = [max(row_height, (len(name) + 0.28) * _LINE) for name in names]
    column = max((letters.width(line, _TEXT) for name in names for line in name), default=0.0)
    axis = _axis(rows, reference, domain, column + _EDGE, width)
    total = sum(heights)
    parts = [f'<path d="M{axis.place(at):.1f} 0V{total:.1f}" {_rule(0.13)}/>' for at, _ in axis.ticks]
    if reference is not None:
        dash = f'stroke="{PAPER.ink}" stroke-opacity="0.6" stroke-dasharray="3 2" stroke-width="{PAPER.thin}"'
        parts.append(f'<path d="M{axis.place(reference):.1f} 0V{total:.1f}" {dash}/>')
    top = 0.0
    for row, name, height in zip(rows, names, heights, strict=True):
        middle = top + height / 2
        first = middle - (len(name) - 1) / 2 * _LINE + 0.36 * _TEXT
        parts += [words(column, first + index * _LINE, line, "end") for index, line in enumerate(name)]
        parts.append(_mark(row, axis, middle))
        top += height
    parts.append(f'<path d="M{axis.left:.1f} {total:.1f}H{axis.right:.1f}" {_rule(0.45)}/>')
    parts += [words(axis.place(at), total + 1.4 * _TEXT, label, "middle") for at, label in axis.ticks]
    foot = total + 1.4 * _TEXT
    for line in letters.wrapped(title, width - _EDGE, _TEXT):
        foot += 1.3 * _LINE
        parts.append(words(axis.right, foot, line, "end"))
    opening = OPENING.format(width=width, height=foot + 0.4 * _TEXT, text=_TEXT, ink=PAPER.ink)
    return f"{opening}{''.join(parts)}</g></svg>"


def lines_plot(lines: Sequence[Line], *, width: float = 640, height: float = 360) -> plots.Plot | None:
    """Return a plot of entries' lines, each in its look; None where there is no point."""
    looks = charts.styles(line.entry for line in lines)
    traces = [plots.Trace.of(line.points, looks[line.entry.label]) for line in lines]
    return plots.plot(traces, width=width, height=height)


def lines_pdf(
    panels: Mapping[str, Sequence[Line]],
    x_title: str,
    y_title: str,
    *,
    width: float,
    height: float,
    columns: int = 1,
) -> bytes:
    """Return lines as PDF: a panel of a `height` under each title, and one legend of all entries below."""
    across = plot_files.panel_width(width, columns) / SCALE
    drawn = [(title, lines_plot(lines, width=across, height=height / SCALE)) for title, lines in panels.items()]
    entries = {line.entry.label: line.entry for lines in panels.values() for line in lines}
    looks = charts.styles(entries.values())
    keys = tuple(Key.of(label, looks[label]) for label in entries)
    shown = tuple((title, plot) for title, plot in drawn if plot is not None)
    return plot_files.pdf(Picture(shown, x_title, y_title, keys, columns, width))


def _axis(
    rows: Sequence[Row],
    reference: float | None,
    domain: tuple[float, float] | None,
    left: float,
    width: float,
) -> _Axis:
    """Return the axis that holds all marks and intervals, from a place on, with labels that are whole and apart."""
    found = [
        end for row in rows for end in (row.estimate.value, row.estimate.low, row.estimate.high) if end is not None
    ]
    held = found if reference is None else [*found, reference]
    low, high = domain if domain is not None else (min(held, default=0.0), max(held, default=1.0))
    for parts in (4, 3, 2, 1):
        step = plots.round_step(high - low or abs(high) or 1.0, parts)
        first, last = round(low // step), -round(-high // step)
        ticks = tuple((step * i, plots.tick(step * i, step)) for i in range(first, max(last, first + 1) + 1))
        widest = max(letters.width(label, _TEXT) for _, label in ticks)
        right = width - max(_EDGE, widest / 2)
        if widest + 0.7 * _TEXT <= (right - left) / (len(ticks) - 1):
            break
    return _Axis(ticks[0][0], ticks[-1][0], left, right, ticks)


def _mark(row: Row, axis: _Axis, y: float) -> str:
    low, high = row.estimate.low, row.estimate.high
    span = ""
    if low is not None and high is not None:
        stroke = f'stroke="{row.colour}" stroke-width="{PAPER.line}" stroke-opacity="0.7"'
        span = f'<path d="M{axis.place(low):.2f} {y:.2f}H{axis.place(high):.2f}" {stroke}/>'
    shape = marks.marker(row.shape, axis.place(row.estimate.value), y, 2.1)
    fill = row.colour if row.filled else "#ffffff"
    return f'{span}<path d="{shape}" fill="{fill}" stroke="{row.colour}" stroke-width="{PAPER.thin}"/>'


def _rule(opacity: float) -> str:
    return f'fill="none" stroke="{PAPER.ink}" stroke-width="{_TEXT / 12:.2f}" stroke-opacity="{opacity}"'
