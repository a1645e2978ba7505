"""The page of each method: its card, its results on every task, and what its runs recorded while training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from leaderboard.site import charts, exports, links, panels, plots
from leaderboard.site.book import Book
from leaderboard.site.exports import Column, Table
from leaderboard.site.report import Report
from leaderboard.site.views import Entry, MethodCard, Standing, TaskPage

FORMATS = ("csv", "json", "tex")
"""What the table of results can be downloaded as."""

COLUMNS = (
    Column("task", "Task"),
    Column("config_id", "Configuration"),
    Column("entry", "Entry"),
    Column("group", "Group"),
    Column("iqm", "IQM"),
    Column("low", "Low"),
    Column("high", "High"),
    Column("games", "Games"),
    Column("sparsity", "Sparsity"),
)


@dataclass(frozen=True, slots=True)
class Result:
    """A configuration with the method, on a task's full budget."""

    task: TaskPage
    row: Standing


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A task's diagnostics: plots by what they show, and who is drawn, in the styles `looks` by label."""

    task: TaskPage
    plots: tuple[tuple[str, plots.Plot], ...]
    entries: tuple[Entry, ...]
    looks: Mapping[str, charts.Style]


def pages(book: Book) -> dict[str, bytes]:
    """Return a page for each method of the suite, and the files of its results."""
    files: dict[str, bytes] = {}
    lines = {task.name: panels.recorded(task, book.report.data[task.name]) for task in book.report.site.tasks}
    for card in book.report.site.methods:
        path = links.method(card.id)
        results = _results(book.report, card)
        files |= book.html(
            path,
            "method.html",
            card=card,
            results=results,
            dashboards=_dashboards(book.report, card, lines),
            partners=_partners(book.report, card),
            formats=FORMATS,
        )
        if results:
            files |= exports.files(_table(card, results), path.removesuffix(".html"))
    return files


def uses(entry: Entry, method: str) -> bool:
    """Return whether an entry was run with a method, alone or combined."""
    return not entry.published and method.replace("_", " ") in entry.method.split("+")


def _results(report: Report, card: MethodCard) -> tuple[Result, ...]:
    return tuple(
        Result(task, row) for task in report.site.tasks for row in task.full.standings if uses(row.entry, card.id)
    )


def _partners(report: Report, card: MethodCard) -> tuple[tuple[MethodCard, str], ...]:
    """Return the other methods, each with why the two cannot be combined, or ""."""
    both = zip(report.site.methods, card.refusals, strict=True)
    return tuple((other, reason) for other, reason in both if other.id != card.id)


def _dashboards(report: Report, card: MethodCard, lines: Mapping[str, panels.Lines]) -> tuple[Dashboard, ...]:
    """Return the diagnostics of each task on which the method was run, beside the best dense entries.

    A panel in which everything is 0 all the time, as the sparsity of dense networks is, is left out.
    """
    found = []
    for task in report.site.tasks:
        own = [entry.config_id for entry in task.full.entries if uses(entry, card.id)]
        if not own:
            continue
        dense = [entry.config_id for entry in task.full.entries if uses(entry, "dense") and entry.config_id not in own]
        shown = panels.panels(lines[task.name], [*own[: panels.ENTRIES - 2], *dense[:2]])
        entries = {line.entry.config_id: line.entry for panel in shown for line in panel.lines}
        telling = [panel for panel in shown if any(p.value for line in panel.lines for p in line.points)]
        looks = charts.styles(entries.values())
        drawn = [(panel.title, _plot(panel, looks)) for panel in telling]
        kept = tuple((title, plot) for title, plot in drawn if plot is not None)
        if kept:
            found.append(Dashboard(task, kept, tuple(entries.values()), looks))
    return tuple(found)


def _plot(panel: panels.Panel, looks: Mapping[str, charts.Style]) -> plots.Plot | None:
    traces = [plots.Trace.of(line.points, looks[line.entry.label]) for line in panel.lines]
    return plots.plot(traces, width=320, height=170)


def _table(card: MethodCard, results: tuple[Result, ...]) -> Table:
    rows = tuple(
        (
            *(result.task.key, row.entry.config_id, row.entry.label, row.ranking.group if row.ranking else None),
            *((row.estimate.value, row.estimate.low, row.estimate.high) if row.estimate else (None, None, None)),
            *(row.games, row.sparsity.high if row.sparsity else None),
        )
        for result in results
        for row in (result.row,)
    )
    return Table(card.id, f"Results with {card.title} on the full budget of every task.", COLUMNS, rows)
