"""The page of each method: its card, its results on every task, and what its runs recorded while training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from leaderboard.board import exports
from leaderboard.board.exports import Column, Table
from leaderboard.board.report import Report
from leaderboard.board.views import Entry, MethodCard, Standing, TaskPage
from leaderboard.site import links, tables
from leaderboard.site.book import Book
from leaderboard.site.downloads import printed
from leaderboard.site.drawing import charts, panels, plot_files, plots
from leaderboard.site.text import span

COLUMNS = (
    Column("task", "Task"),
    Column("config_id", "Configuration"),
    Column("entry", "Entry"),
    Column("group", "Group"),
    Column("iqm", "IQM"),
    Column("low", "Low"),
    Column("high", "High"),
    Column("games", "Games"),
    Column("seeds_low", "Seeds, fewest"),
    Column("seeds_high", "Seeds, most"),
    Column("sparsity", "Sparsity"),
    Column("level", "Level"),
)

PANEL_COLUMNS = 2
"""How many panels stand beside each other on paper."""


@dataclass(frozen=True, slots=True)
class Result:
    """A configuration with the method, on a task's full budget."""

    task: TaskPage
    row: Standing


@dataclass(frozen=True, slots=True)
class Dashboard:
    """A task's diagnostics: plots by what they show, their values, and who is drawn, in the styles `looks` by label."""

    task: TaskPage
    plots: tuple[tuple[str, plots.Plot], ...]
    panels: tuple[panels.Panel, ...]
    entries: tuple[Entry, ...]
    looks: Mapping[str, charts.Style]


def pages(book: Book) -> dict[str, bytes]:
    """Return a page for each method of the suite, and the files of its results."""
    files: dict[str, bytes] = {}
    lines = {task.name: panels.recorded(task, book.report.data[task.name]) for task in book.report.site.tasks}
    for card in book.report.site.methods:
        path = links.method(card.id)
        results = _results(book.report, card)
        stem, dashboards = path.removesuffix(".html"), _dashboards(book.report, card, lines)
        made = _downloads(card, results, dashboards, stem)
        files |= made | book.html(
            path,
            "method.html",
            card=card,
            results=results,
            dashboards=dashboards,
            partners=_partners(book.report, card),
            stem=stem,
            offered=exports.offered(made),
        )
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
            found.append(Dashboard(task, kept, tuple(telling), tuple(entries.values()), looks))
    return tuple(found)


def _plot(panel: panels.Panel, looks: Mapping[str, charts.Style]) -> plots.Plot | None:
    traces = [plots.Trace.of(line.points, looks[line.entry.label]) for line in panel.lines]
    return plots.plot(traces, width=320, height=170)


def _downloads(
    card: MethodCard, results: tuple[Result, ...], dashboards: Sequence[Dashboard], stem: str
) -> dict[str, bytes]:
    made = exports.files(_table(card, results), stem, _printed(card, results)) if results else {}
    if card.parameters:
        made |= exports.files(_settings(card), f"{stem}-settings")
    for board in dashboards:
        path = f"{stem}-diagnostics-{links.slug(board.task.name)}"
        made |= exports.files(_diagnostics(card, board), path, _at_the_end(card, board))
        keys = tuple(plot_files.Key.of(entry.label, board.looks[entry.label]) for entry in board.entries)
        picture = plot_files.Picture(board.plots, board.task.unit, "", keys, min(PANEL_COLUMNS, len(board.plots)))
        made[f"{path}.pdf"] = plot_files.pdf(picture)
    return made


def _printed(card: MethodCard, results: tuple[Result, ...]) -> Table:
    columns = (
        *(Column("entry", "Entry"), Column("task", "Task"), Column("group", "Group"), Column("iqm", "IQM", right=True)),
        *(Column("games", "Games"), Column("seeds", "Seeds", right=True), Column("sparsity", "Sparsity", right=True)),
    )
    rows = tuple(
        (
            *(row.entry.label, result.task.name, row.ranking.group if row.ranking else None),
            *(printed.estimate(row.estimate), row.games, tables.none(span(row.seeds, "whole"))),
            tables.none(span(row.sparsity, "percent")),
        )
        for result in results
        for row in (result.row,)
    )
    return Table(card.id, f"Results with {card.title} on the full budget of every task.", columns, rows)


def _settings(card: MethodCard) -> Table:
    names = ("parameter", "published_value", "unit", "allowed", "doc", "source")
    heads = ("Parameter", "Published value", "Unit", "Allowed", "What it is", "Source")
    columns = tuple(Column(name, head) for name, head in zip(names, heads, strict=True))
    rows = tuple((one.name, one.value, one.unit or None, one.allowed, one.doc, one.source) for one in card.parameters)
    return Table(f"{card.id} settings", f"The settings of {card.title}.", columns, rows)


def _diagnostics(card: MethodCard, board: Dashboard) -> Table:
    """Return what is drawn, a row for each quantity, entry and point."""
    unit = board.task.unit.capitalize()
    columns = (*tables.ENTRY, Column("quantity", "Quantity"), Column("frames", unit), Column("value", "Value", 4))
    rows = tuple(
        (*tables.entry_cells(line.entry), panel.title, point.x, point.value)
        for panel in board.panels
        for line in panel.lines
        for point in line.points
    )
    caption = f"{board.task.title}: means over the runs of each entry against {board.task.unit}."
    return Table(f"{card.id} diagnostics", caption, columns, rows)


def _at_the_end(card: MethodCard, board: Dashboard) -> Table:
    """Return the last values for LaTeX, a row for each entry."""
    columns = [Column("entry", "Entry"), *(Column(f"q{i}", one.title, 4) for i, one in enumerate(board.panels))]
    last = [{line.entry.label: line.points[-1].value for line in panel.lines} for panel in board.panels]
    rows = tuple((entry.label, *(values.get(entry.label) for values in last)) for entry in board.entries)
    return Table(f"{card.id} diagnostics", f"{board.task.title}: at the end of training.", tuple(columns), rows)


def _table(card: MethodCard, results: tuple[Result, ...]) -> Table:
    rows = tuple(
        (
            *(result.task.key, row.entry.config_id, row.entry.label, row.ranking.group if row.ranking else None),
            *((row.estimate.value, row.estimate.low, row.estimate.high) if row.estimate else (None, None, None)),
            *(row.games, row.seeds.low if row.seeds else None, row.seeds.high if row.seeds else None),
            *(row.sparsity.high if row.sparsity else None, row.level),
        )
        for result in results
        for row in (result.row,)
    )
    return Table(card.id, f"Results with {card.title} on the full budget of every task.", COLUMNS, rows)
