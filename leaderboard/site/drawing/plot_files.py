"""The small plots of the pages as PDF files for papers: the same lines in black on white, with titles and a legend."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import escape

from leaderboard.site.drawing import letters, marks, pdf_bytes
from leaderboard.site.drawing.charts import PAPER, Style
from leaderboard.site.drawing.plots import Label, Plot, Stroke

WIDTH = 397.0
"""Points: the width of a text column."""

LONGEST = 200
"""Letters of a name that a legend shows; no entry's is longer, but what a stranger wrote may be."""

TEXT = PAPER.text
LINE = 1.6 * TEXT
"""Points from one line of text to the next."""

_GAP = 14.0
_SYMBOL, _SPACE = 25.0, 10.0
_LOWER = 1.2 * TEXT
OPENING = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="{width:.1f}" height="{height:.1f}" '
    'viewBox="0 0 {width:.1f} {height:.1f}"><g font-family="Liberation Sans, Helvetica Neue, Arial, sans-serif" '
    'font-size="{text}" fill="{ink}">'
)


@dataclass(frozen=True, slots=True)
class Key:
    """A line of the legend: the name, and how its line is drawn; see `plots.Trace`."""

    label: str
    colour: str = ""
    dash: tuple[int, ...] = ()
    faint: bool = False
    shape: str = ""

    @classmethod
    def of(cls, label: str, drawn: Style) -> Key:
        """Return the key of an entry's line in its style."""
        dash = () if drawn.dash == [1, 0] else tuple(drawn.dash)
        return cls(label, drawn.colour, dash, shape="" if drawn.shape == "stroke" else drawn.shape)


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure: plots of one size under their titles, in so many columns, on axes of one meaning, above a legend."""

    plots: tuple[tuple[str, Plot], ...]
    x_title: str
    y_title: str
    keys: tuple[Key, ...] = ()
    columns: int = 1
    width: float = WIDTH

    @classmethod
    def of(cls, plot: Plot, x_title: str, y_title: str, keys: Sequence[Key] = ()) -> Picture:
        """Return a figure of one plot; a legend of one line is left out."""
        return cls((("", plot),), x_title, y_title, tuple(keys) if len(keys) > 1 else ())


def pdf(picture: Picture) -> bytes:
    """Return a picture as PDF, vectors and text with its font inside: the same bytes every time."""
    return pdf_bytes.from_svg(svg(picture))


def svg(picture: Picture) -> str:
    """Return a picture as SVG that stands alone; nothing in its names is obeyed, however odd they are."""
    across = panel_width(picture.width, picture.columns)
    left = LINE if picture.y_title else 0.0
    parts, height = [], 0.0
    for start in range(0, len(picture.plots), picture.columns):
        row = picture.plots[start : start + picture.columns]
        for column, (title, plot) in enumerate(row):
            parts.append(_panel(title, plot, picture, column * (across + _GAP), height, across - left, left))
        scale = (across - left) / row[0][1].width
        height += (LINE if any(title for title, _ in row) else 0.0) + scale * row[0][1].bottom + 3 * LINE
    if picture.keys:
        drawn, below = _legend(picture.keys, height, picture.width)
        parts.append(drawn)
        height += below
    opening = OPENING.format(width=picture.width, height=height, text=TEXT, ink=PAPER.ink)
    return f"{opening}{''.join(parts)}</g></svg>"


def panel_width(width: float, columns: int) -> float:
    """Return how wide each panel of a picture is that has so many beside each other."""
    return (width - _GAP * (columns - 1)) / columns


def _panel(title: str, plot: Plot, picture: Picture, x: float, y: float, width: float, left: float) -> str:
    """Return a plot, its lines scaled to a width in points, its text as large as text is."""
    scale = width / plot.width
    above = LINE if title else 0.0
    middle_x, middle_y = left + scale * (plot.left + plot.right) / 2, above + scale * (plot.top + plot.bottom) / 2
    said = [words(left + scale * plot.left, LINE * 0.7, title, "start")] if title else []
    said.append(words(middle_x, above + scale * plot.bottom + 2.3 * LINE * 0.9, picture.x_title, "middle"))
    if picture.y_title:
        turned = f'transform="rotate(-90 {TEXT:.1f} {middle_y:.1f})"'
        said.append(words(TEXT, middle_y, picture.y_title, "middle", turned))
    said += [
        words(left + scale * plot.left - 4, above + scale * tick.at + 0.36 * TEXT, tick.text, "end")
        for tick in plot.y_labels
    ]
    said += [
        words(left + scale * tick.at, above + scale * plot.bottom + 1.3 * TEXT, tick.text, "middle")
        for tick in plot.x_labels
    ]
    lines = "".join(_stroke(stroke, scale) for stroke in plot.strokes)
    return (
        f'<g transform="translate({x:.1f} {y:.1f})"><g transform="translate({left:.1f} {above:.1f}) '
        f'scale({scale:.5f})">{_grid(plot, plot.y_labels, scale)}{lines}</g>{"".join(said)}</g>'
    )


def _grid(plot: Plot, ticks: Sequence[Label], scale: float) -> str:
    across = f"H{plot.right:g}"
    lines = "".join(f"M{plot.left:g} {tick.at:g}{across}" for tick in ticks)
    rule = f'fill="none" stroke="{PAPER.ink}" stroke-width="{TEXT / 12 / scale:.2f}"'
    return (
        f'<path d="{lines}" {rule} stroke-opacity="0.13"/>'
        f'<path d="M{plot.left:g} {plot.bottom:g}{across}" {rule} stroke-opacity="0.45"/>'
    )


def _stroke(stroke: Stroke, scale: float) -> str:
    colour = stroke.colour or PAPER.ink
    found = f'<path d="{stroke.band}" fill="{colour}" fill-opacity="0.16"/>' if stroke.band else ""
    dash = tuple(int(length) for length in stroke.dash.split())
    found += f'<path d="{stroke.line}" {_pen(colour, dash, scale, faint=stroke.faint)}/>'
    return found + (f'<path d="{stroke.marks}" fill="{colour}"/>' if stroke.marks else "")


def _pen(colour: str, dash: Sequence[int], scale: float, *, faint: bool) -> str:
    """Return how a line is drawn, widths and dashes in points where one unit is `scale` points."""
    width = (PAPER.thin if faint else PAPER.line) / scale
    found = f'fill="none" stroke="{colour}" stroke-width="{width:.2f}" stroke-linejoin="round"'
    if dash:
        lengths = " ".join(f"{length * TEXT / 12 / scale:.2f}" for length in dash)
        found += f' stroke-dasharray="{lengths}"'
    return found + (' stroke-opacity="0.35"' if faint else "")


def _legend(keys: Sequence[Key], y: float, width: float) -> tuple[str, float]:
    """Return the legend from a height on, and how high it is: as many columns as fit, and no name cut."""
    labels = [_cut(key.label) for key in keys]
    widest = max(letters.width(label, TEXT) for label in labels)
    columns = max(1, min(len(keys), int((width + _SPACE) // (widest + _SYMBOL + _SPACE))))
    across = (width + _SPACE) / columns
    names = [letters.wrapped(label, across - _SYMBOL - _SPACE, TEXT) for label in labels]
    parts, top = [], y
    for first in range(0, len(keys), columns):
        row = list(zip(keys[first : first + columns], names[first : first + columns], strict=True))
        for column, (key, name) in enumerate(row):
            parts.append(_entry(key, name, column * across + 2, top + 0.5 * LINE))
        top += (max(len(name) for _, name in row) - 1) * _LOWER + LINE
    return "".join(parts), top - y + 0.3 * LINE


def _cut(label: str) -> str:
    return label if len(label) <= LONGEST else f"{label[: LONGEST - 1]}\N{HORIZONTAL ELLIPSIS}"


def _entry(key: Key, name: Sequence[str], x: float, y: float) -> str:
    """Return a line of the legend: how an entry is drawn, and the lines of its name."""
    colour = key.colour or PAPER.ink
    found = f'<path d="M{x:.1f} {y:.1f}h18" {_pen(colour, key.dash, 1.0, faint=key.faint)}/>'
    if key.shape:
        found += f'<path d="{marks.marker(key.shape, x + 9, y, 2.4)}" fill="{colour}"/>'
    lines = (words(x + 23, y + 0.36 * TEXT + index * _LOWER, line, "start") for index, line in enumerate(name))
    return found + "".join(lines)


def words(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    """Return a line of words at a place, from there on, around it or up to it (`anchor`)."""
    shown = escape(pdf_bytes.printable(text))
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{" " if more else ""}{more}>{shown}</text>'
