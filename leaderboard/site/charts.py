"""The charts: view-models to SVG through Vega-Lite, the same bytes every time.

Text and axes take their ink from the viewer's light or dark scheme; the entries have mid-tones that read on both, and
dashes and markers that tell them apart without colour. All of it follows from the entry alone.
"""

from __future__ import annotations

import hashlib
import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.site.views import Curve, Entry

INK = "#010203"
"""Stands for the viewer's text colour in the specification."""

_STYLE = "<style>svg{color:#33383f}@media (prefers-color-scheme:dark){svg{color:#c9cfd6}}</style>"
_FONT = "Liberation Sans, Helvetica Neue, Arial, sans-serif"

_MARKER_OUTLINE = re.compile(
    r'(role-legend-symbol"[^>]*><path [^>]*\bd="[^"]*[AZ][^"]*" fill="[^"]*") stroke="[^"]*" stroke-width="[^"]*"'
    r'(?: stroke-dasharray="[^"]*")?'
)
"""The outline of a marker in the legend, which would be dashed like its line."""

_COLOURS = ("#2f7fd0", "#d9601a", "#1a9a6c", "#b45fc0", "#b8860b", "#1798a8", "#d14e86", "#7d6bd6", "#8c7355")
_MUTED = ("#7688a3", "#b38a66", "#6f9c82", "#a283b3", "#a39a55")
_DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
_SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross")
_METHODS = ("dense", "magnitude pruning", "rigl", "set", "static sparsity", "redo", "reset", "weight decay", "l2")
_NETWORKS = ("Impala", "Nature")
_AGENTS = ("DQN", "Rainbow", "IQN", "C51", "QR-DQN")


@dataclass(frozen=True, slots=True)
class Style:
    """How an entry is drawn, everywhere and always."""

    colour: str
    dash: list[int]
    shape: str
    width: float


def style(entry: Entry) -> Style:
    """Return an entry's style: it depends on nothing but the entry."""
    dash = _DASHES[_index(entry.network.partition(" ")[0], _NETWORKS, len(_DASHES))]
    if entry.published:
        return Style(_MUTED[_index(entry.agent, _AGENTS, len(_MUTED))], dash, "stroke", 1.5)
    colour = _COLOURS[_index(entry.method, _METHODS, len(_COLOURS))]
    return Style(colour, dash, _SHAPES[_index(entry.config_id, (), len(_SHAPES))], 2.4)


def curve_chart(
    curves: Sequence[Curve], step: int, unit: str, title: str, *, width: int, height: int, columns: int
) -> str:
    """Return the sample-efficiency chart as SVG: IQM against the task's `unit`, a band for the pointwise intervals.

    Points are `step` frames apart; where an entry lacks one, its line has a gap.
    """
    import altair as alt
    import vl_convert

    here = [curve for curve in curves if not curve.entry.published]
    published = [curve for curve in curves if curve.entry.published]
    styles = {curve.entry.label: style(curve.entry) for curve in curves}
    order = list(styles)
    legend = _legend(columns, lines_only=not here)

    def fixed(values: list[Any]) -> dict[str, Any]:
        return {"scale": alt.Scale(domain=order, range=values), "legend": legend, "sort": order}

    colour = alt.Color("entry:N", **fixed([one.colour for one in styles.values()]))
    band = alt.Color("colour:N", scale=None)  # outside the scale, so that the legend shows lines and not areas
    dash = alt.StrokeDash("entry:N", **fixed([one.dash for one in styles.values()]))
    shape = alt.Shape("entry:N", **fixed([one.shape for one in styles.values()]))
    x = alt.X(
        "frames:Q",
        title="emulator frames" if unit == "frames" else unit,
        axis=alt.Axis(format="~s", tickCount=5, grid=False),
    )
    y = alt.Y("iqm:Q", title="IQM, human-normalized", axis=alt.Axis(tickCount=5))
    longest = max(len(curve.points) for curve in curves)
    layers = [
        _chart(curves, step)
        .mark_area(opacity=1, fillOpacity=0.14)
        .encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), band, alt.Detail("entry:N"))
    ]
    if published:
        layers.append(_chart(published, step).mark_line(strokeWidth=1.5).encode(x, y, colour, dash))
    if here:
        layers.append(_chart(here, step).mark_line(strokeWidth=2.4).encode(x, y, colour, dash))
        layers.append(
            _chart(here, step, every=-(-longest // 10))
            .mark_point(filled=True, size=42, opacity=1)
            .encode(x, y, colour, shape)
        )
    chart = alt.layer(*layers).properties(width=width, height=height, background="transparent")
    chart = chart.properties(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"), padding=2)
    spec = chart.configure(**_config()).to_dict(validate=False)
    return _finish(vl_convert.vegalite_to_svg(spec, allowed_base_urls=[]), title)


def _legend(columns: int, *, lines_only: bool) -> Any:
    """Return the legend below the chart; without markers of its own to show, it shows lines."""
    import altair as alt

    legend = alt.Legend(
        orient="bottom",
        columns=columns,
        title=None,
        symbolSize=130,
        symbolStrokeWidth=1.5,
        symbolOpacity=1,
        labelLimit=330,
    )
    if lines_only:
        legend.symbolType = "stroke"
    return legend


def _chart(curves: Sequence[Curve], step: int, every: int = 1) -> Any:
    """Return an empty chart over the curves' rows, of which every n-th is kept, the last among them."""
    import altair as alt

    return alt.Chart({"values": [row for curve in curves for row in _rows(curve, step)[::-every]]})


def _rows(curve: Curve, step: int) -> list[dict[str, Any]]:
    """Return a row for each iteration from the first point to the last, empty where there is none."""
    known = {point.frames: point.estimate for point in curve.points}
    rows: list[dict[str, Any]] = []
    for frames in range(min(known), max(known) + 1, step):
        one = known.get(frames)
        rows.append(
            {
                "entry": curve.entry.label,
                "colour": style(curve.entry).colour,
                "frames": frames,
                "iqm": None if one is None else round(one.value, 4),
                "low": None if one is None or one.low is None else round(one.low, 4),
                "high": None if one is None or one.high is None else round(one.high, 4),
            }
        )
    return rows


def _config() -> dict[str, Any]:
    axis = {
        "labelColor": INK, "titleColor": INK, "domainColor": INK, "tickColor": INK, "gridColor": INK,
        "gridOpacity": 0.13, "domainOpacity": 0.45, "tickOpacity": 0.45,
        "labelFontSize": 12, "titleFontSize": 12, "titleFontWeight": "normal", "titlePadding": 8,
    }  # fmt: skip
    return {
        "font": _FONT,
        "axis": axis,
        "legend": {"labelColor": INK, "labelFontSize": 12, "rowPadding": 4, "columnPadding": 24, "offset": 14},
        "view": {"stroke": None},
    }


def _finish(svg: str, title: str) -> str:
    """Name the picture for those who cannot see it, and leave its ink to the viewer's scheme."""
    label = html.escape(title, quote=True)
    svg = _MARKER_OUTLINE.sub(r"\1", svg.replace(INK, "currentColor"))
    svg = re.sub(r"<svg ", f'<svg role="img" aria-label="{label}" ', svg, count=1)
    return re.sub(r"(<svg [^>]*>)", lambda match: match.group(1) + _STYLE, svg, count=1) + "\n"


def _index(name: str, known: Sequence[str], size: int) -> int:
    """Return a fixed place for a name: its own if it is known, else one that follows from its hash."""
    if name in known:
        return known.index(name) % size
    return hashlib.sha256(name.encode()).digest()[0] % size
