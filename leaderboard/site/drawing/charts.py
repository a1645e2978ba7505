"""What all figures share, and the studies' charts: Vega-Lite specifications to SVG and to PDF.

The entries have mid-tones that read on light and on dark, and dashes and markers that tell them apart without colour.
All of it follows from the entry alone. The same values give the same bytes.
"""

from __future__ import annotations

import html
import json
import re
from dataclasses import dataclass
from typing import Any

from leaderboard.board.looks import METHODS, style, styles
from leaderboard.board.views import Curve, Entry, Style
from leaderboard.site.drawing import pdf_bytes

__all__ = ["METHODS", "Line", "Look", "Point", "Style", "style", "styles"]

Spec = dict[str, Any]

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
    """Return a chart as SVG; `title` is the sentence for those who cannot see it."""
    import vl_convert

    label = html.escape(title, quote=True)
    found = _tidied(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]))
    return found.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1) + "\n"


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
