"""The figures beside the curves, as Vega-Lite specifications for `charts.svg` and `charts.pdf`.

Sizes are in pixels on a page and in points on paper; the width is that of the whole figure.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.board.views import Entry
from leaderboard.site.drawing.charts import (
    PAPER,
    SCREEN,
    Line,
    Look,
    Spec,
    config,
    finished,
    line_layers,
    rounded,
    style,
)
from leaderboard.site.drawing.spans import SAYS, says
from leaderboard.statistics.intervals import Estimate

NAMES = 0.5
"""The share of a figure's width that the names of its rows take at most."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a plot of intervals: `name` for people, how it is drawn, and where. `note` stands behind the name."""

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


def profile_spec(
    lines: Sequence[Line], scale: str, *, width: float, height: float, columns: int, look: Look = SCREEN
) -> Spec:
    """Return performance profiles: the share of runs above each score of a task's `scale`, bands for the intervals."""
    layers = line_layers(
        lines, f"{scale} score", "share of runs above it", look,
        columns=columns,
    )  # fmt: skip
    return finished(layers, width, height, look)


def interval_spec(
    rows: Sequence[Row],
    title: str,
    *,
    width: float,
    row_height: float,
    reference: float | None = None,
    domain: tuple[float, float] | None = None,
    look: Look = PAPER,
) -> Spec:
    """Return a forest plot: a mark and its interval for each row, in their order, `reference` as a vertical rule.

    A row without an interval shows its mark alone. Long names stand in several lines (`NAMES`), and the
    rows are as high as the longest of them asks.
    """
    import altair as alt

    names = [_wrapped(f"{row.note}  {row.name}" if row.note else row.name, width, look) for row in rows]
    lines = max((name.count("\n") + 1 for name in names), default=1)
    row_height = max(row_height, (1.25 * lines + 0.35) * look.text)

    values = [
        {
            "place": index,
            "name": names[index],
            "value": rounded(row.estimate.value),
            "low": rounded(row.estimate.low),
            "high": rounded(row.estimate.high),
            "colour": row.colour,
            "shape": row.shape,
            "fill": row.colour if row.filled else "#ffffff",
        }
        for index, row in enumerate(rows)
    ]
    data = alt.Chart({"values": values})
    scale = alt.Undefined if domain is None else alt.Scale(domain=list(domain), nice=False)
    x = alt.X("value:Q", title=title, scale=scale, axis=alt.Axis(tickCount=4, titleAnchor="end", labelOverlap=True))
    axis = alt.Axis(
        title=None, grid=False, ticks=False, domain=False, labelLimit=width, labelPadding=4,
        labelExpr="split(datum.label, '\\n')", labelLineHeight=1.25 * look.text,
    )  # fmt: skip
    y = alt.Y("name:N", sort=alt.EncodingSortField("place"), axis=axis)
    colour = alt.Color("colour:N", scale=None)
    layers: list[Any] = []
    if reference is not None:
        line = alt.Chart({"values": [{"at": reference}]})
        layers.append(line.mark_rule(color=look.ink, strokeDash=[3, 2], opacity=0.6).encode(alt.X("at:Q")))
    spans = data.transform_filter("isValid(datum.low)")
    layers += [
        spans.mark_rule(strokeWidth=look.line, opacity=0.7).encode(alt.X("low:Q"), alt.X2("high:Q"), y, colour),
        data.mark_point(opacity=1, size=look.marker, strokeWidth=look.thin).encode(
            x, y, colour, alt.Fill("fill:N", scale=None), alt.Shape("shape:N", scale=None)
        ),
    ]
    return finished(alt.layer(*layers), width, row_height * max(len(rows), 1), look)


def _wrapped(name: str, width: float, look: Look) -> str:
    """Return a name in lines that take no more than `NAMES` of a figure's width, about."""
    return "\n".join(textwrap.wrap(name, max(12, int(NAMES * width / (0.52 * look.text))), break_long_words=False))


def difference_rows(changes: Sequence[tuple[str, Estimate]]) -> list[Row]:
    """Return the rows of a pair's differences by game, sorted, coloured by what they speak for.

    A game whose interval holds 0, or that has none, speaks for neither.
    """
    ordered = sorted(changes, key=lambda change: (-change[1].value, change[0]))
    return [Row(game, estimate, SAYS[says(estimate)]) for game, estimate in ordered]


def panels_spec(
    panels: Mapping[str, Sequence[Line]],
    x_title: str,
    *,
    width: float,
    height: float,
    columns: int,
    look: Look = SCREEN,
) -> Spec:
    """Return small multiples on one horizontal axis: a panel for each quantity, `width` and `height` of one panel."""
    import altair as alt

    charts = [
        line_layers(lines, x_title, "", look, x_format="~s", legend=False).properties(
            title=name, width=width, height=height
        )
        for name, lines in panels.items()
    ]
    whole = alt.concat(*charts, columns=columns, spacing=2 * look.text).properties(background="transparent", padding=2)
    spec: Spec = whole.configure(**config(look)).to_dict(validate=False)
    return spec
