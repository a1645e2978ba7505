"""The page of each method: its card, its results on every task, and what its runs recorded while training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from leaderboard.board import exports
from leaderboard.board.answers import MethodAnswer
from leaderboard.board.exports import Column, Table
from leaderboard.board.report import Report
from leaderboard.board.views import Entry, MethodCard, Standing, TaskPage
from leaderboard.site import forest, inside, links, tables
from leaderboard.site.book import Book
from leaderboard.site.downloads import printed
from leaderboard.site.drawing import panels
from leaderboard.site.inside import Dashboard, beside
from leaderboard.site.parts import Files, Part, all_files, key_of, whole
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

ROWS = 24
"""How many entries of a task the forest shows."""


Drawn = tuple[TaskPage, list[str], list[str]]
"""A task, whose diagnostics are drawn together there, and the one or two whose heat maps are."""


@dataclass(frozen=True, slots=True)
class Result:
    """A configuration with the method, on a task's full budget."""

    task: TaskPage
    row: Standing


def pages(book: Book) -> dict[str, bytes]:
    """Return a page for each method of the suite, and the files of its results."""
    return all_files(parts(book))


def parts(book: Book) -> Iterator[Part]:
    """Yield the page of each method of the suite with its files."""
    for card in book.report.site.methods:
        results, answered, drawn = _results(book.report, card), _answered(book, card), _drawn(book.report, card)
        shown = [(result.task.name, result.row) for result in results], [found[1:] for found in answered]
        seen = [
            (task.name, [(data.entries[key], data.diagnostics.digests(key)) for key in chosen], pair)
            for task, chosen, pair in drawn
            for data in (book.report.data[task.name],)
        ]
        yield whole(links.method(card.id), key_of((shown, seen)), _page, book, card, results, answered, drawn)


def _page(
    book: Book,
    card: MethodCard,
    results: tuple[Result, ...],
    answered: list[tuple[TaskPage, MethodAnswer, forest.Forest]],
    drawn: Sequence[Drawn],
) -> Files:
    path = links.method(card.id)
    stem, dashboards = path.removesuffix(".html"), _dashboards(book, drawn)
    made = _downloads(card, results, dashboards, stem)
    return made | book.html(
        path,
        "method.html",
        card=card,
        results=results,
        answered=answered,
        dashboards=dashboards,
        partners=_partners(book.report, card),
        stem=stem,
        offered=exports.offered(made),
    )


def uses(entry: Entry, method: str) -> bool:
    """Return whether an entry was run with a method, alone or combined."""
    return not entry.published and method in entry.methods


def _results(report: Report, card: MethodCard) -> tuple[Result, ...]:
    return tuple(
        Result(task, row) for task in report.site.tasks for row in task.full.standings if uses(row.entry, card.id)
    )


def _answered(book: Book, card: MethodCard) -> list[tuple[TaskPage, MethodAnswer, forest.Forest]]:
    """Return what the method changes on each task, alone and combined, with its forest; the most entries first."""
    found = []
    for task in book.report.site.tasks:
        here = book.answers[task.name]
        for method in here.methods:
            drawn = forest.forest([method], here.pairs, ROWS) if card.id in method.methods else None
            if drawn is not None:
                found.append((task, method, drawn))
    return found


def _partners(report: Report, card: MethodCard) -> tuple[tuple[MethodCard, str], ...]:
    """Return the other methods, each with why the two cannot be combined, or ""."""
    both = zip(report.site.methods, card.refusals, strict=True)
    return tuple((other, reason) for other, reason in both if other.id != card.id)


def _drawn(report: Report, card: MethodCard) -> list[Drawn]:
    """Return whose diagnostics are shown on each task on which the method was run: its entries and dense twins.

    The heat maps are of the best entry that has a dense one like it, and of that one.
    """
    found = []
    for task in report.site.tasks:
        own = [entry.config_id for entry in task.full.entries if uses(entry, card.id)]
        if not own:
            continue
        dense = [entry.config_id for entry in task.full.entries if uses(entry, "dense") and entry.config_id not in own]
        own = own[: panels.ENTRIES - 2]
        dense = sorted(dense, key=lambda config_id: config_id not in {task.full.twins.get(one) for one in own})
        pair = next(([one, task.full.twins[one]] for one in own if one in task.full.twins), own[:1])
        found.append((task.bare, [*own, *dense[:2]], pair))
    return found


def _dashboards(book: Book, drawn: Sequence[Drawn]) -> tuple[Dashboard, ...]:
    found = []
    for task, chosen, pair in drawn:
        board = book.dashboard(task.name, chosen)
        if board is not None:
            found.append(replace(board, maps=beside(book.report.data[task.name], pair)))
    return tuple(found)


def _downloads(
    card: MethodCard, results: tuple[Result, ...], dashboards: Sequence[Dashboard], stem: str
) -> dict[str, bytes]:
    made = exports.files(_table(card, results), stem, _printed(card, results)) if results else {}
    if card.parameters:
        made |= exports.files(_settings(card), f"{stem}-settings")
    for board in dashboards:
        path = f"{stem}-diagnostics-{links.slug(board.task.name)}"
        made |= inside.files(board, card.id, path)
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
