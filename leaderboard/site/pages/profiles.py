"""A task's performance profiles, and every aggregate of every entry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.site import charts, exports, figures, links, tables
from leaderboard.site.book import Book
from leaderboard.site.estimates import METRICS, Question, ask
from leaderboard.site.profiles import profile_lines
from leaderboard.site.report import TaskData
from leaderboard.site.standings import normalized_scores
from leaderboard.site.text import decimals
from leaderboard.site.views import Entry, TaskPage
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.metrics import Scores, profile

SIZES = {"profiles": (900, 380, 3), "profiles-narrow": (400, 340, 1)}
"""Name to width, height and the legend's columns: one chart for wide windows, one for phones."""

HEADS = ("IQM", "IQM, exact trim", "Median", "Mean", "Optimality gap")
"""What the metrics are called, in their order."""

SHOWN = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""Human-normalized scores at which the table shows the profiles."""


@dataclass(frozen=True, slots=True)
class Row:
    """An entry: its aggregates in the order of `METRICS`, and the share of its runs above each score of `SHOWN`."""

    entry: Entry
    aggregates: tuple[Estimate, ...]
    shares: tuple[float, ...]


def pages(book: Book) -> dict[str, bytes]:
    """Return a page for each task that has a common scale, and its charts."""
    files: dict[str, bytes] = {}
    for task in book.report.site.tasks:
        if task.aggregated:
            files |= _page(book, task, book.report.data[task.name])
    return files


def _page(book: Book, task: TaskPage, data: TaskData) -> dict[str, bytes]:
    complete = [row.entry for row in task.full.standings if row.estimate is not None]
    scores = {entry.config_id: normalized_scores(data.runs_of(entry.config_id)) for entry in complete}
    rows = [_row(entry, scores[entry.config_id]) for entry in complete]
    drawn = [entry for entry in task.full.featured if entry.config_id in scores]
    lines = profile_lines(task, data, {entry.config_id for entry in drawn})
    title = f"{task.title}: share of runs above each human-normalized score, for {', '.join(e.label for e in drawn)}."
    files = book.html(
        links.profiles(task.name),
        "profiles.html",
        task=task,
        rows=rows,
        drawn=drawn,
        last=lines[0].points[-1].x if lines else 0.0,
        digits=_digits(rows),
        title=title,
        heads=HEADS,
        shown=SHOWN,
        folder=links.slug(task.name),
    )
    if drawn:
        table = tables.aggregates(task, [(row.entry, row.aggregates) for row in rows], METRICS)
        files |= exports.files(table, f"{links.slug(task.name)}/aggregates")
        for name, (width, height, columns) in SIZES.items():
            spec = figures.profile_spec(lines, width=width, height=height, columns=min(columns, len(lines)))
            files[f"{links.slug(task.name)}/{name}.svg"] = charts.svg(spec, title).encode()
        paper = figures.profile_spec(lines, width=397, height=190, columns=min(2, len(lines)), look=charts.PAPER)
        files[f"{links.slug(task.name)}/profiles.pdf"] = charts.pdf(paper)
    return files


def _digits(rows: Sequence[Row]) -> tuple[int, ...]:
    """Return how many decimals each column of `METRICS` has: as many as its narrowest interval needs, at most 4."""
    return tuple(min(max(map(decimals, column)), 4) for column in zip(*(row.aggregates for row in rows), strict=True))


def _row(entry: Entry, scores: Scores) -> Row:
    aggregates = tuple(ask(Question(metric, scores))[0] for metric in METRICS)
    return Row(entry, aggregates, tuple(float(share) for share in profile(scores, np.array(SHOWN))))
