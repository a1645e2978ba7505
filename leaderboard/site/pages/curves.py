"""A task's learning curves: the chart of the leading entries, and the numbers of all."""

from __future__ import annotations

from dataclasses import dataclass

from leaderboard.site import charts, exports, links, tables, text
from leaderboard.site.book import Book
from leaderboard.site.views import Curve, CurvePoint, Entry, TaskPage
from leaderboard.statistics.intervals import Estimate

SIZES = {"curves": (900, 400, 3), "curves-narrow": (400, 340, 1)}
"""Name to width, height and the legend's columns: one chart for wide windows, one for phones."""

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""The shares of the budget at which the table of all entries shows their curves."""


FORMATS = ("csv", "json", "pdf")
"""What the curves of all entries, and the chart, can be downloaded as."""

PAPER_SIZE = (397.0, 190.0, 2)
"""The chart for papers: width and height in points, and the legend's columns."""


@dataclass(frozen=True, slots=True)
class Row:
    """An entry's curve at some points of the budget, None where it has no point there, and its mean height.

    `diverged`: how many of its runs do not reach the end by themselves.
    """

    entry: Entry
    points: tuple[CurvePoint | None, ...]
    area: Estimate | None
    diverged: int


def pages(book: Book) -> dict[str, bytes]:
    """Return a page for each task that has a common scale, and its charts."""
    files: dict[str, bytes] = {}
    for task in book.report.site.tasks:
        if task.aggregated:
            files |= _page(book, task)
    return files


def drawn(task: TaskPage) -> tuple[Curve, ...]:
    """Return the curves that the chart shows."""
    featured = {entry.config_id for entry in task.full.featured}
    return tuple(curve for curve in task.full.curves if curve.entry.config_id in featured)


def label(task: TaskPage) -> str:
    """Return the sentence that stands for the chart: what it shows, and where each curve ends."""
    ends = (f"{curve.entry.label} {text.fixed(curve.points[-1].estimate.value)}" for curve in drawn(task))
    return f"{task.title}: IQM of human-normalized returns against {task.unit}. Last points: {', '.join(ends)}."


def _page(book: Book, task: TaskPage) -> dict[str, bytes]:
    step, shown = task.full.iteration_frames, drawn(task)
    last = task.full.frames // step * step
    frames = [max(step, round(share * last / step) * step) for share in SHARES]
    rows = [
        Row(
            curve.entry,
            tuple(next((p for p in curve.points if p.frames == at), None) for at in frames),
            curve.area,
            max(point.carried for point in curve.points),
        )
        for curve in task.full.curves
    ]
    base = f"{links.slug(task.name)}/curves"
    columns = sorted({point.frames for curve in shown for point in curve.points})
    files = book.html(
        links.curves(task.name),
        "curves.html",
        task=task,
        label=label(task),
        shown=shown,
        looks=charts.styles(curve.entry for curve in shown),
        frames=frames,
        rows=rows,
        columns=columns,
        base=base,
        ends=FORMATS,
    )
    if shown:
        files |= _downloads(task, base)
    for name, (width, height, legend) in SIZES.items() if shown else ():
        svg = charts.curve_chart(
            shown, step, task.unit, label(task), width=width, height=height, columns=min(legend, len(shown))
        )
        files[f"{links.slug(task.name)}/{name}.svg"] = svg.encode()
    return files


def _downloads(task: TaskPage, base: str) -> dict[str, bytes]:
    table, shown = tables.curves(task, task.full.curves), drawn(task)
    width, height, columns = PAPER_SIZE
    spec = charts.curve_spec(
        shown,
        task.full.iteration_frames,
        task.unit,
        width=width,
        height=height,
        columns=min(columns, len(shown)),
        look=charts.PAPER,
    )
    return {
        f"{base}.csv": exports.csv_file(table),
        f"{base}.json": exports.json_file(table),
        f"{base}.pdf": charts.pdf(spec),
    }
