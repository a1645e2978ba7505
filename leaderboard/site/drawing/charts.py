"""The charts: values to Vega-Lite specifications, and those to SVG for the pages and to PDF for papers.

On the pages, text and axes take their ink from the viewer's light or dark scheme; the entries have mid-tones that read
on both, and dashes and markers that tell them apart without colour. All of it follows from the entry alone. The same
values give the same bytes.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.board.looks import METHODS, style, styles
from leaderboard.board.views import Curve, Entry, Style
from leaderboard.site.drawing import pdf_bytes

__all__ = ["METHODS", "Line", "Look", "Point", "Style", "style", "styles"]

INK = "#010203"
"""Stands for the viewer's text colour in the specification."""

Spec = dict[str, Any]

_STYLE = "<style>svg{color:#33383f}@media (prefers-color-scheme:dark){svg{color:#c9cfd6}}</style>"
_FONT = "Liberation Sans, Helvetica Neue, Arial, sans-serif"

_LEGEND_SYMBOL = re.compile(
    r'(role-legend-symbol"[^>]*>)<path transform="translate\(([\d.]+),([\d.]+)\)" d="([^"]*)" fill="([^"]*)"'
    r'(?: stroke="([^"]*)")?( stroke-width="[^"]*")?( stroke-dasharray="[^"]*")?([^>]*)/>'
)
"""A symbol of the legend: a marker or a short line, in the colour and dash of its line."""


@dataclass(frozen=True, slots=True)
class Look:
    """What a figure is made for; sizes in pixels on a page and in points on paper."""

    ink: str
    text: float
    line: float
    thin: float
    marker: float


SCREEN = Look(ink=INK, text=12, line=2.4, thin=1.5, marker=62)
PAPER = Look(ink="#1a1a1a", text=7.5, line=1.2, thin=0.8, marker=22)


@dataclass(frozen=True, slots=True)
class Point:
    """A place on a line, with its interval; `value` is None where the line has a gap."""

    x: float
    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """An entry's line."""

    entry: Entry
    points: tuple[Point, ...]


def curve_chart(
    curves: Sequence[Curve], step: int, unit: str, scale: str, title: str, *, width: int, height: int, columns: int
) -> str:
    """Return the sample-efficiency chart as SVG: IQM on the task's `scale` against its `unit`.

    A band is for the pointwise intervals. Points are `step` frames apart; where an entry lacks one, its line has a gap.
    """
    return svg(curve_spec(curves, step, unit, scale, width=width, height=height, columns=columns), title)


def curve_spec(
    curves: Sequence[Curve],
    step: int,
    unit: str,
    scale: str,
    *,
    width: float,
    height: float,
    columns: int,
    look: Look = SCREEN,
) -> Spec:
    """Return the specification of the sample-efficiency chart; see `curve_chart`."""
    lines = [Line(curve.entry, curve_points(curve, step)) for curve in curves]
    x = "emulator frames" if unit == "frames" else unit
    layers = line_layers(lines, x, f"IQM, {scale}", look, x_format="~s", columns=columns)
    return finished(layers, width, height, look)


def line_layers(
    lines: Sequence[Line],
    x_title: str,
    y_title: str,
    look: Look,
    *,
    x_format: str = "",
    columns: int = 1,
    legend: bool = True,
) -> Any:
    """Return lines over bands, with markers on those that were run here, as an Altair chart without a size."""
    import altair as alt

    here = [line for line in lines if not line.entry.published]
    published = [line for line in lines if line.entry.published]
    drawn = styles(line.entry for line in lines)
    order = [line.entry.label for line in lines]
    looks = [drawn[label] for label in order]
    below = _legend(columns, look, lines_only=not here) if legend else None

    def fixed(values: list[Any]) -> dict[str, Any]:
        return {"scale": alt.Scale(domain=order, range=values), "legend": below, "sort": order}

    colour = alt.Color("entry:N", **fixed([one.colour for one in looks]))
    band = alt.Color("colour:N", scale=None)  # outside the scale, so that the legend shows lines and not areas
    dashes = [one.dash if one.dash == [1, 0] else [length * look.text / 12 for length in one.dash] for one in looks]
    dash = alt.StrokeDash("entry:N", **fixed(dashes))
    shape = alt.Shape("entry:N", **fixed([one.shape for one in looks]))
    x = alt.X("x:Q", title=x_title, axis=alt.Axis(format=x_format, tickCount=5, grid=False))
    y = alt.Y("value:Q", title=y_title, axis=alt.Axis(tickCount=5))
    longest = max(len(line.points) for line in lines)
    layers = [
        _chart(lines)
        .mark_area(opacity=1, fillOpacity=0.14)
        .encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), band, alt.Detail("entry:N"))
    ]
    if published:
        layers.append(_chart(published).mark_line(strokeWidth=look.thin).encode(x, y, colour, dash))
    if here:
        layers.append(_chart(here).mark_line(strokeWidth=look.line).encode(x, y, colour, dash))
        layers.append(
            _chart(here, every=-(-longest // 10))
            .mark_point(filled=True, size=look.marker, opacity=1)
            .encode(x, y, colour, shape)
        )
    return alt.layer(*layers)


def legend_columns(labels: Sequence[str], width: float, look: Look) -> int:
    """Return how many columns of these labels fit below a figure of this width."""
    each = max(map(len, labels), default=1) * 0.52 * look.text + 5 * look.text
    return max(1, int((width - 3 * look.text) // each))


def finished(chart: Any, width: float, height: float, look: Look) -> Spec:
    """Return the specification of a chart of one panel, `width` in all, its axis titles included."""
    import altair as alt

    chart = chart.properties(width=width, height=height, background="transparent")
    chart = chart.properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), padding=2)
    spec: Spec = chart.configure(**config(look)).to_dict(validate=False)
    return spec


def config(look: Look) -> dict[str, Any]:
    """Return what all charts of a look share: one font, thin rules, faint grid."""
    axis = {
        "labelColor": look.ink, "titleColor": look.ink, "domainColor": look.ink, "tickColor": look.ink,
        "gridColor": look.ink, "gridOpacity": 0.13, "domainOpacity": 0.45, "tickOpacity": 0.45,
        "labelFontSize": look.text, "titleFontSize": look.text, "titleFontWeight": "normal",
        "titlePadding": 0.6 * look.text, "gridWidth": look.text / 12, "domainWidth": look.text / 12,
        "tickWidth": look.text / 12, "tickSize": 0.4 * look.text,
    }  # fmt: skip
    legend = {
        "labelColor": look.ink, "labelFontSize": look.text, "labelFontWeight": "normal",
        "rowPadding": look.text / 3, "columnPadding": 2 * look.text, "offset": look.text,
    }  # fmt: skip
    title = {"color": look.ink, "fontSize": look.text, "fontWeight": "normal", "anchor": "start", "offset": 4}
    return {"font": _FONT, "axis": axis, "legend": legend, "title": title, "view": {"stroke": None}}


def svg(spec: Spec, title: str) -> str:
    """Return a chart for the pages; `title` is the sentence for those who cannot see it."""
    import vl_convert

    label = html.escape(title, quote=True)
    found = _tidied(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[])).replace(INK, "currentColor")
    found = found.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)
    return re.sub(r"(<svg [^>]*>)", lambda match: match.group(1) + _STYLE, found, count=1) + "\n"


def pdf(spec: Spec) -> bytes:
    """Return a chart for papers: vectors and text with its font inside, one unit of the chart to a point.

    Characters that are neither Latin nor common signs become question marks.
    """
    import vl_convert

    plain = json.loads(pdf_bytes.printable(json.dumps(spec, ensure_ascii=False)))
    return pdf_bytes.from_svg(_tidied(vl_convert.vegalite_to_svg(plain, allowed_base_urls=[])))


def _tidied(drawn: str) -> str:
    """Return a picture whose legend shows lines with their dashes and markers, and whose solid lines are no dashes."""
    return _LEGEND_SYMBOL.sub(_symbol, drawn).replace(' stroke-dasharray="1,0"', "")


def _symbol(match: re.Match[str]) -> str:
    """Return a legend's symbol as a piece of its line, with its marker, if it has one, upon it."""
    opening, x, y, shape, fill, stroke, width, dash, rest = match.groups(default="")
    half = 0.83 * float(x)
    line = (
        f'<path transform="translate({x},{y})" d="M{-half:.2f},0H{half:.2f}" fill="none" stroke="{stroke or fill}"'
        f"{width}{dash}{rest}/>"
    )
    marker = f'<path transform="translate({x},{y}) scale(0.85)" d="{shape}" fill="{fill}"{rest}/>'
    return opening + line + (marker if re.search("[AZ]", shape) else "")


def _legend(columns: int, look: Look, *, lines_only: bool) -> Any:
    """Return the legend below the chart; without markers of its own to show, it shows lines."""
    import altair as alt

    legend = alt.Legend(
        orient="bottom",
        columns=columns,
        title=None,
        symbolSize=130 * (look.text / 12) ** 2,
        symbolOffset=8 * look.text / 12,
        labelOffset=12 * look.text / 12,
        symbolStrokeWidth=look.thin,
        symbolOpacity=1,
        labelLimit=330,
    )
    if lines_only:
        legend.symbolType = "stroke"
    return legend


def _chart(lines: Sequence[Line], every: int = 1) -> Any:
    """Return an empty chart over the lines' rows, of which every n-th is kept, the last among them."""
    import altair as alt

    return alt.Chart({"values": [row for line in lines for row in _rows(line)[::-every]]})


def _rows(line: Line) -> list[dict[str, Any]]:
    colour = style(line.entry).colour
    return [
        {
            "entry": line.entry.label,
            "colour": colour,
            "x": point.x,
            "value": rounded(point.value),
            "low": rounded(point.low),
            "high": rounded(point.high),
        }
        for point in line.points
    ]


def rounded(value: float | None, digits: int = 5) -> float | None:
    """Return a value with so many significant digits, as a chart needs."""
    return None if value is None else float(f"{value:.{digits}g}")


def curve_points(curve: Curve, step: int) -> tuple[Point, ...]:
    """Return a point for each iteration from the first to the last, empty where there is none."""
    known = {point.frames: point.estimate for point in curve.points}
    points = []
    for frames in range(min(known), max(known) + 1, step):
        one = known.get(frames)
        points.append(Point(frames, None) if one is None else Point(frames, one.value, one.low, one.high))
    return tuple(points)
