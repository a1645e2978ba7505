"""A task's learning curves: the chart of the leading entries, and the numbers of all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leaderboard.board import exports
from leaderboard.board.exports import Column, Table
from leaderboard.board.views import Curve, CurvePoint, Entry, TaskPage
from leaderboard.site import links, tables, text
from leaderboard.site.book import Book
from leaderboard.site.downloads import printed
from leaderboard.site.drawing import charts, figures
from leaderboard.site.parts import Part, all_files
from leaderboard.statistics.intervals import Estimate

SHARES = (0.1, 0.25, 0.5, 0.75, 1.0)
"""The shares of the budget at which the table of all entries shows their curves."""

PAPER_SIZE = (397.0, 190.0)
"""The chart for papers: width and height in points."""


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
    return all_files(parts(book))


def parts(book: Book) -> Iterator[Part]:
    """Yield the page of each task that has a common scale, with its charts."""
    yield from book.of_aggregated("curves", _page)


def drawn(task: TaskPage) -> tuple[Curve, ...]:
    """Return the curves that the chart shows."""
    featured = {entry.config_id for entry in task.full.featured}
    return tuple(curve for curve in task.full.curves if curve.entry.config_id in featured)


def label(task: TaskPage) -> str:
    """Return the sentence that stands for the chart: what it shows, and where each curve ends."""
    ends = (f"{curve.entry.label} {text.fixed(curve.points[-1].estimate.value)}" for curve in drawn(task))
    return f"{task.title}: IQM of {task.scale} returns against {task.unit}. Last points: {', '.join(ends)}."


def _page(book: Book, task: TaskPage) -> dict[str, bytes]:
    step, shown = task.full.iteration_length, drawn(task)
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
    made = _downloads(task, base) | exports.files(*_shares(task, rows, frames, f"{base}-all")) if shown else {}
    return made | book.html(
        links.curves(task.name),
        "curves.html",
        task=task,
        label=label(task),
        shown=shown,
        plot=figures.lines_plot(_lines(task, shown)),
        looks=charts.styles(curve.entry for curve in shown),
        frames=frames,
        rows=rows,
        columns=columns,
        base=base,
        offered=exports.offered(made),
    )


def _lines(task: TaskPage, shown: Sequence[Curve]) -> list[charts.Line]:
    step = task.full.iteration_length
    return [charts.Line(curve.entry, charts.curve_points(curve, step)) for curve in shown]


def _downloads(task: TaskPage, base: str) -> dict[str, bytes]:
    table, shown = tables.curves(task, task.full.curves), drawn(task)
    width, height = PAPER_SIZE
    lines = {"": _lines(task, shown)}
    drawn_pdf = figures.lines_pdf(lines, task.unit, f"IQM, {task.scale}", width=width, height=height)
    return exports.files(table, base, _drawn_table(task, shown)) | {f"{base}.pdf": drawn_pdf}


def _drawn_table(task: TaskPage, shown: Sequence[Curve]) -> Table:
    """Return the chart as numbers, for LaTeX: a row for each iteration, a column for each entry that is drawn."""
    heads = [Column("frames", task.unit.capitalize(), right=True)]
    heads += [Column(f"entry_{place}", curve.entry.label, right=True) for place, curve in enumerate(shown, 1)]
    known = [{point.frames: point.estimate for point in curve.points} for curve in shown]
    rows = tuple(
        (text.si(at), *(printed.estimate(points.get(at)) for points in known)) for at in sorted(set().union(*known))
    )
    return Table(f"{task.name}-curves", f"{task.title}: IQM against {task.unit}.", tuple(heads), rows)


def _shares(task: TaskPage, rows: Sequence[Row], frames: Sequence[int], path: str) -> tuple[Table, str, Table]:
    """Return the curves of all entries at some points of the budget, where they go, and the same for LaTeX."""
    ends = ("", "_low", "_high")
    parts = [Column(f"iqm_at_{at}{end}", f"at {text.si(at)}{end}") for at in frames for end in ends]
    parts += [Column(f"mean_height{end}", f"Mean height{end}") for end in ends]
    cells = tuple(
        (
            *tables.entry_cells(row.entry),
            *(value for found in _estimates(row) for value in tables.estimate_cells(found)[:3]),
            row.diverged,
        )
        for row in rows
    )
    columns = (*tables.ENTRY, *parts, Column("diverged_runs", "Diverged runs"))
    heads = [Column(f"at_{at}", text.si(at), right=True) for at in frames]
    heads = [Column("entry", "Entry"), *heads, Column("mean_height", "Mean height", right=True)]
    shown = tuple((row.entry.label, *map(printed.estimate, _estimates(row))) for row in rows)
    caption = f"{task.title}: IQM at shares of the budget, and the mean height of the curve."
    name = f"{task.name}-curves-all"
    return Table(name, caption, columns, cells), path, Table(name, caption, tuple(heads), shown)


def _estimates(row: Row) -> list[Estimate | None]:
    return [*(None if point is None else point.estimate for point in row.points), row.area]
