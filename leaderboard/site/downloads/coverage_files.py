"""Tables of coverage, for the pages, for machines and for papers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leaderboard.board import exports
from leaderboard.board.exports import Cell, Column, Table
from leaderboard.board.views import Entry, TaskPage
from leaderboard.site import tables
from leaderboard.statistics.planning import PlannedCell

WIDEST = 16
"""How many games stand beside each other in LaTeX; of more, only the sums do."""


@dataclass(frozen=True, slots=True)
class Count:
    """The seeds of an entry in a game: with a result, of these diverged, and without one although they were begun."""

    done: int
    diverged: int
    unfinished: int
    seeds: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Row:
    """An entry with its counts, one for each game of the task; `results` in all."""

    entry: Entry
    counts: tuple[Count, ...]
    results: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """A run that is wanted, and the line that makes it."""

    cell: PlannedCell
    entry: Entry
    command: str


@dataclass(frozen=True, slots=True)
class Summary:
    """A task on the page of all tasks: cells with a result, and those that its own seeds ask for."""

    task: TaskPage
    entries: int
    results: int
    asked: int


def files(
    task: TaskPage, games: Sequence[str], rows: Sequence[Row], wanted: Sequence[Wanted], stem: str
) -> dict[str, bytes]:
    """Return the files of a task's matrix (`stem`-seeds) and of its next runs (`stem`-wanted), as far as there are."""
    made = exports.files(seeds(task, games, rows), f"{stem}-seeds", _matrix(task, games, rows)) if rows else {}
    if wanted:
        made |= exports.files(next_runs(task, wanted), f"{stem}-wanted", _short(task, wanted))
    return made


def seeds(task: TaskPage, games: Sequence[str], rows: Iterable[Row]) -> Table:
    """Return the matrix, a row for each entry and game; the seeds that have a result stand in one cell, with blanks."""
    columns = (
        *(*tables.ENTRY, Column("game", "Game"), Column("done", "Done"), Column("diverged", "Diverged")),
        *(Column("unfinished", "Unfinished"), Column("seeds", "Seeds")),
    )
    cells = tuple(
        (
            *tables.entry_cells(row.entry),
            *(game, count.done, count.diverged, count.unfinished),
            None if row.entry.published else " ".join(map(str, count.seeds)) or None,
        )
        for row in rows
        for game, count in zip(games, row.counts, strict=True)
    )
    caption = f"{task.title}: seeds with a result; those that diverged among them; and those begun without one."
    return Table(f"{task.name}-seeds", caption, columns, cells)


def next_runs(task: TaskPage, wanted: Iterable[Wanted]) -> Table:
    """Return the runs that would tell the most next, and the lines that make them."""
    columns = (
        *(*tables.ENTRY, Column("game", "Game"), Column("seed", "Seed"), Column("reason", "Why")),
        *(Column("gain", "Gain"), Column("hours", "Hours"), Column("command", "Command")),
    )
    cells = tuple(
        (
            *tables.entry_cells(item.entry),
            *(item.cell.game, item.cell.seed, item.cell.reason, item.cell.gain, item.cell.hours, item.command),
        )
        for item in wanted
    )
    return Table(f"{task.name}-wanted", f"{task.title}: the runs that would tell the most next.", columns, cells)


def summary(summaries: Iterable[Summary]) -> Table:
    """Return a row for each task: entries run here, results, and how many runs are asked for and missing."""
    columns = (
        *(Column("task", "Task"), Column("entries", "Entries run here"), Column("results", "Results")),
        *(Column("asked", "Asked for"), Column("missing", "Missing")),
    )
    cells = tuple(
        (item.task.key, item.entries, item.results, item.asked, max(item.asked - item.results, 0)) for item in summaries
    )
    return Table("coverage", "Runs by task: every game with each of the task's own seeds.", columns, cells)


def _matrix(task: TaskPage, games: Sequence[str], rows: Iterable[Row]) -> Table:
    shown = games if len(games) <= WIDEST else ()
    columns = (Column("entry", "Entry"), Column("all", "All"), *(Column(name, name) for name in shown))
    cells: list[tuple[Cell, ...]] = [
        (row.entry.label, row.results, *(count.done for count in row.counts[: len(shown)])) for row in rows
    ]
    return Table(f"{task.name}-seeds", f"{task.title}: seeds with a result.", columns, tuple(cells))


def _short(task: TaskPage, wanted: Iterable[Wanted]) -> Table:
    columns = (
        *(Column("entry", "Entry"), Column("game", "Game"), Column("seed", "Seed"), Column("reason", "Why")),
        *(Column("gain", "Gain", 3), Column("hours", "Hours", 1)),
    )
    cells = tuple(
        (item.entry.label, item.cell.game, item.cell.seed, item.cell.reason, item.cell.gain, item.cell.hours)
        for item in wanted
    )
    return Table(f"{task.name}-wanted", f"{task.title}: the runs that would tell the most next.", columns, cells)
