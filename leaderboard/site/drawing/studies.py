"""The picture of a study as a Vega-Lite specification, for `charts.svg` and `charts.pdf`.

What is missing is seen: a point, or the end of a curve, of which some cells have no result is hollow, one of which none
has is a cross on the axis, a panel without anything says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from leaderboard.board.looks import DASHES, SERIES
from leaderboard.site.drawing.charts import METHODS, PAPER, Look, Spec, config, rounded
from leaderboard.studies.figure import Figure, Matrix, Row

WIDTH, HEIGHT = 175.0, 120.0
"""Points of one panel, when there are two beside each other."""

_GREY = "#77828d"
_AGAINST, _ALONG = "#8b1a1a", "#12408a"


def study_spec(figure: Figure, look: Look = PAPER) -> Spec:
    """Return the specification of a study's picture."""
    import altair as alt

    kind = figure.expanded.study.picture.kind
    if kind == "covariance":
        charts = [_heat(matrix, look) for matrix in figure.matrices]
    else:
        panels = list(dict.fromkeys(row.panel for row in figure.rows))
        colours = _colours(figure.rows)
        charts = [
            _panel([row for row in figure.rows if row.panel == panel], panel, figure, colours, look) for panel in panels
        ]
    columns = {"diagnostics": len(figure.expanded.study.picture.series), "covariance": 2}.get(kind, 2)
    whole = alt.concat(*charts, columns=max(1, columns), spacing=2 * look.text)
    whole = whole.properties(background="transparent", padding=4, title=_title(figure, look))
    spec: Spec = whole.configure(**config(look)).to_dict(validate=False)
    return spec


def _title(figure: Figure, look: Look) -> Any:
    import altair as alt

    note = "equation 1" if not figure.cells else f"{figure.done:,} of {figure.cells:,} cells"
    if figure.done < figure.cells:
        note += "; hollow: some cells of the point are missing; cross: all are"
    title = f"{figure.expanded.study.title} ({figure.expanded.task.id})"
    return alt.TitleParams(title, subtitle=note, subtitleFontSize=look.text, subtitleColor=look.ink, offset=8)


def _colours(rows: Sequence[Row]) -> dict[str, tuple[str, list[int]]]:
    """Return the colour and dash of every series: its method's, the dash telling those of one method apart."""
    found: dict[str, tuple[str, list[int]]] = {}
    methods = {row.series: row.method for row in rows}
    several = len(set(methods.values())) < len(methods)
    for place, (series, method) in enumerate(methods.items()):
        alike = [name for name, own in methods.items() if own == method]
        own = METHODS.get(method, (_GREY, ""))[0]
        many = several and len(alike) > len(DASHES)
        colour = SERIES[place % len(SERIES)] if many or len(set(methods.values())) == 1 else own
        found[series] = (colour, DASHES[alike.index(series) % len(DASHES)])
    return found


def _panel(
    rows: Sequence[Row], title: str, figure: Figure, colours: dict[str, tuple[str, list[int]]], look: Look
) -> Any:
    import altair as alt

    ends = {row.series: row.x for row in rows if row.value is not None}
    values = [
        {
            "series": row.series,
            "colour": colours[row.series][0],
            "x": row.x,
            "value": rounded(row.value),
            "low": rounded(row.low),
            "high": rounded(row.high),
            "whole": row.done >= row.cells,
            "last": row.cells > 0 and row.x == ends.get(row.series),
        }
        for row in rows
    ]
    order = list(colours)
    scale = alt.Scale(domain=order, range=[colours[name][0] for name in order])
    colour = alt.Color(
        "series:N",
        scale=scale,
        legend=alt.Legend(orient="bottom", columns=2, title=None, labelLimit=330, symbolType="stroke"),
    )
    dash = alt.StrokeDash(
        "series:N", scale=alt.Scale(domain=order, range=[colours[name][1] for name in order]), legend=None
    )
    words = any(isinstance(row.x, str) for row in rows)
    kind = "O" if figure.expanded.study.picture.kind == "final" else "Q"
    axis = alt.Axis(tickCount=5, grid=False, **({"labelAngle": 0} if kind == "O" or words else {"format": "~s"}))
    x = alt.X(f"x:{kind}", title=figure.x_title, axis=axis)
    y = alt.Y("value:Q", title=figure.y_title, axis=alt.Axis(tickCount=5))
    placed = alt.Chart({"values": [value for value in values if value["x"] is not None and value["value"] is not None]})
    across = [value for value in values if value["x"] is None and value["value"] is not None]
    absent = [value for value in values if value["value"] is None]
    layers = _lines(placed, kind, (x, y, colour, dash), scale, look)
    if across:
        layers.append(alt.Chart({"values": across}).mark_rule(strokeWidth=look.line).encode(y, colour, dash))
    for nowhere in (False, True):
        marked = [value for value in absent if (value["x"] is None) == nowhere]
        if marked:
            place = alt.value(6) if nowhere else x
            marks = alt.Chart({"values": marked}).mark_point(shape="cross", size=look.marker, angle=45, opacity=1)
            layers.append(marks.encode(**{"x": place, "y": alt.value(HEIGHT - 5), "color": colour}))
    width = WIDTH if figure.expanded.study.picture.kind != "diagnostics" else WIDTH * 0.6
    return alt.layer(*layers).properties(title=title, width=width, height=HEIGHT)


def _lines(placed: Any, kind: str, channels: tuple[Any, Any, Any, Any], scale: Any, look: Look) -> list[Any]:
    import altair as alt

    x, y, colour, dash = channels
    fill = alt.condition("datum.whole", alt.Fill("series:N", scale=scale, legend=None), alt.value("#ffffff"))

    if kind == "Q":
        own = alt.Color("colour:N", scale=None)  # outside the scale, so that the legend shows lines and not areas
        band = placed.mark_area(opacity=1, fillOpacity=0.14)
        band = band.encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), own, alt.Detail("series:N"))
        ends = placed.transform_filter("datum.last").mark_point(size=look.marker, opacity=1, strokeWidth=look.thin)
        return [
            band,
            placed.mark_line(strokeWidth=look.line).encode(x, y, colour, dash),
            ends.encode(x, y, colour, fill=fill),
        ]
    bars = placed.transform_filter("isValid(datum.low)")
    return [
        placed.mark_line(strokeWidth=look.line).encode(x, y, colour, dash),
        bars.mark_rule(strokeWidth=look.thin).encode(x, alt.Y("low:Q"), alt.Y2("high:Q"), colour),
        placed.mark_point(size=look.marker, opacity=1, strokeWidth=look.thin).encode(x, y, colour, fill=fill),
    ]


def _heat(matrix: Matrix, look: Look) -> Any:
    """Return a heat map: dark red for -1, white for 0, dark blue for 1; without any numbers, a frame that says so."""
    import altair as alt

    title = f"{matrix.panel}: {matrix.series}"
    side = 0.8 * WIDTH
    if not matrix.values:
        text = alt.Chart({"values": [{"text": "no run has any"}]}).mark_text(color=look.ink, fontSize=look.text)
        return text.encode(text="text:N").properties(title=title, width=side, height=side)
    values = [
        {"x": column, "y": row, "value": rounded(value, 3)}
        for row, line in enumerate(matrix.values)
        for column, value in enumerate(line)
    ]
    scale = alt.Scale(domain=[-1, 0, 1], range=[_AGAINST, "#ffffff", _ALONG], interpolate="rgb")
    blank = alt.Axis(labels=False, ticks=False, title=None)
    squares = alt.Chart({"values": values}).mark_rect()
    colour = alt.Color("value:Q", scale=scale, legend=alt.Legend(title=None, orient="right"))
    return squares.encode(alt.X("x:O", axis=blank), alt.Y("y:O", axis=blank), colour).properties(
        title=title, width=side, height=side
    )
