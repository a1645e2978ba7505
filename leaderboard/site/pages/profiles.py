"""A task's performance profiles, and every aggregate of every entry."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.board import exports
from leaderboard.board.estimates import METRICS, Question, ask
from leaderboard.board.exports import Column, Table
from leaderboard.board.standings import normalized_scores
from leaderboard.board.views import Entry, TaskPage
from leaderboard.site import links, tables
from leaderboard.site.book import Book
from leaderboard.site.downloads import printed
from leaderboard.site.drawing import charts, figures
from leaderboard.site.drawing.charts import Line
from leaderboard.site.parts import Part, all_files
from leaderboard.site.profiles import profile_lines
from leaderboard.site.text import decimals
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.metrics import Scores, profile

HEADS = ("IQM", "IQM, rliable's", "Median", "Mean", "Optimality gap")
"""What the metrics are called, in their order."""

SHOWN = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Normalized scores at which the table shows the profiles."""


@dataclass(frozen=True, slots=True)
class Row:
    """An entry: its aggregates in the order of `METRICS`, and the share of its runs above each score of `SHOWN`."""

    entry: Entry
    aggregates: tuple[Estimate, ...]
    shares: tuple[float, ...]


def pages(book: Book) -> dict[str, bytes]:
    """Return a page for each task that has a common scale, and its charts."""
    return all_files(parts(book))


def parts(book: Book) -> Iterator[Part]:
    """Yield the page of each task that has a common scale, with its charts."""
    yield from book.of_aggregated("profiles", _page)


def _page(book: Book, task: TaskPage) -> dict[str, bytes]:
    data = book.report.data[task.name]
    complete = [row.entry for row in task.full.standings if row.estimate is not None]
    scores = {entry.config_id: normalized_scores(data.runs_of(entry.config_id)) for entry in complete}
    rows = [_row(entry, scores[entry.config_id]) for entry in complete]
    drawn = [entry for entry in task.full.featured if entry.config_id in scores]
    lines = profile_lines(task, data, {entry.config_id for entry in drawn})
    title = f"{task.title}: share of runs above each {task.scale} score, for {', '.join(e.label for e in drawn)}."
    folder = links.slug(task.name)
    made = _downloads(task, rows, lines, folder) if drawn else {}
    return made | book.html(
        links.profiles(task.name),
        "profiles.html",
        task=task,
        rows=rows,
        drawn=drawn,
        plot=figures.lines_plot(lines),
        looks=charts.styles(drawn),
        last=lines[0].points[-1].x if lines else 0.0,
        digits=_digits(rows),
        title=title,
        heads=HEADS,
        shown=SHOWN,
        folder=folder,
        offered=exports.offered(made),
    )


def _downloads(task: TaskPage, rows: Sequence[Row], lines: Sequence[Line], folder: str) -> dict[str, bytes]:
    axes = f"{task.scale} score", "share of runs above it"
    found = [(row.entry, row.aggregates) for row in rows]
    return {
        **exports.files(_drawn_table(task, lines), f"{folder}/profiles", _printed_profiles(task, lines)),
        f"{folder}/profiles.pdf": figures.lines_pdf({"": lines}, *axes, width=397, height=190),
        **exports.files(_shares(task, rows), f"{folder}/shares", _printed_shares(task, rows)),
        **exports.files(
            tables.aggregates(task, found, METRICS), f"{folder}/aggregates", _printed_aggregates(task, rows)
        ),
    }


def _drawn_table(task: TaskPage, lines: Sequence[Line]) -> Table:
    """Return the profiles that are drawn, a row for each entry and score."""
    columns = (*tables.ENTRY, Column("above", "Above"), Column("share", "Share"), *tables.INTERVAL[:2])
    rows = tuple(
        (*tables.entry_cells(line.entry), point.x, point.value, point.low, point.high)
        for line in lines
        for point in line.points
    )
    caption = f"{task.title}: the share of runs above each {task.scale} score, with pointwise 95 % intervals."
    return Table(f"{task.name}-profiles", caption, columns, rows)


def _printed_profiles(task: TaskPage, lines: Sequence[Line]) -> Table:
    """Return every fifth score of the profiles for LaTeX, a column of per cents for each entry."""
    heads = [Column("above", "Above"), *(Column(f"entry_{i}", line.entry.label, 1) for i, line in enumerate(lines, 1))]
    rows = tuple(
        (at.x, *(_percent(line.points[index].value) for line in lines))
        for index, at in enumerate(lines[0].points)
        if index % 5 == 0
    )
    caption = f"{task.title}: per cent of runs above a {task.scale} score."
    return Table(f"{task.name}-profiles", caption, tuple(heads), rows)


def _shares(task: TaskPage, rows: Sequence[Row]) -> Table:
    """Return the share of every entry's runs above some scores."""
    columns = (*tables.ENTRY, *(Column(f"above_{tau:g}", f"above {tau:g}", 3) for tau in SHOWN))
    cells = tuple((*tables.entry_cells(row.entry), *row.shares) for row in rows)
    caption = f"{task.title}: the share of runs above a {task.scale} score."
    return Table(f"{task.name}-shares", caption, columns, cells)


def _printed_shares(task: TaskPage, rows: Sequence[Row]) -> Table:
    columns = (Column("entry", "Entry"), *(Column(f"above_{tau:g}", f"above {tau:g}", 1) for tau in SHOWN))
    cells = tuple((row.entry.label, *map(_percent, row.shares)) for row in rows)
    caption = f"{task.title}: per cent of runs above a {task.scale} score."
    return Table(f"{task.name}-shares", caption, columns, cells)


def _printed_aggregates(task: TaskPage, rows: Sequence[Row]) -> Table:
    columns = (Column("entry", "Entry"), *(Column(f"m{i}", head, right=True) for i, head in enumerate(HEADS)))
    digits = _digits(rows)
    cells = tuple((row.entry.label, *map(printed.estimate, row.aggregates, digits)) for row in rows)
    return Table(f"{task.name}-aggregates", f"{task.title}: aggregates with 95 % intervals.", columns, cells)


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _digits(rows: Sequence[Row]) -> tuple[int, ...]:
    """Return how many decimals each column of `METRICS` has: as many as its narrowest interval needs, at most 4."""
    return tuple(min(max(map(decimals, column)), 4) for column in zip(*(row.aggregates for row in rows), strict=True))


def _row(entry: Entry, scores: Scores) -> Row:
    aggregates = tuple(ask(Question(metric, scores))[0] for metric in METRICS)
    return Row(entry, aggregates, tuple(float(share) for share in profile(scores, np.array(SHOWN))))
