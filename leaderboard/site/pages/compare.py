"""The comparisons of pairs, by task: who is told apart from whom."""

from __future__ import annotations

from dataclasses import dataclass

from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.site.duels import Duel
from leaderboard.site.views import Entry, TaskPage


@dataclass(frozen=True, slots=True)
class Matrix:
    """A task's pairs: entries in the order of the board, and for each of them its pair with every other, or None."""

    task: TaskPage
    entries: tuple[Entry, ...]
    rows: tuple[tuple[Duel | None, ...], ...]


def pages(book: Book) -> dict[str, bytes]:
    """Return the page."""
    names = {task.name: task for task in book.report.site.tasks}
    matrices = [matrix(names[name], pairs) for name, pairs in book.duels.items()]
    return book.html(links.COMPARE, "compare.html", matrices=matrices)


def matrix(task: TaskPage, pairs: tuple[Duel, ...]) -> Matrix:
    """Return a task's pairs as a table."""
    found = {(pair.a.config_id, pair.b.config_id): pair for pair in pairs}
    entries = tuple({entry.config_id: entry for pair in pairs for entry in (pair.a, pair.b)}.values())
    order = {row.entry.config_id: place for place, row in enumerate(task.full.standings)}
    entries = tuple(sorted(entries, key=lambda entry: order[entry.config_id]))
    rows = tuple(
        tuple(found.get((a.config_id, b.config_id)) or found.get((b.config_id, a.config_id)) for b in entries)
        for a in entries
    )
    return Matrix(task, entries, rows)
