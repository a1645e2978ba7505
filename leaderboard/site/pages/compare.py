"""The comparisons of pairs, by task: who is told apart from whom."""

from __future__ import annotations

from dataclasses import dataclass

from leaderboard.board.answers import Answer, TaskAnswers
from leaderboard.board.duels import ENTRIES, Duel
from leaderboard.board.views import Entry, TaskPage
from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.statistics.sentences import p_text


@dataclass(frozen=True, slots=True)
class Matrix:
    """A task's pairs: the leaders in the order of the board, and for each of them its pair with every other, or None.

    `plain` are the entries that have a dense twin to be compared with, and `pairs` the number of leaders' pairs.
    """

    task: TaskPage
    entries: tuple[Entry, ...]
    rows: tuple[tuple[Duel | None, ...], ...]
    plain: tuple[Answer, ...]
    pairs: int


def pages(book: Book) -> dict[str, bytes]:
    """Return the page."""
    report = book.report
    names = {task.name: task for task in report.site.tasks}
    matrices = [matrix(names[name], pairs, book.answers[name]) for name, pairs in book.duels.items()]
    return book.html(links.COMPARE, "compare.html", matrices=matrices, p_text=p_text)


def matrix(task: TaskPage, pairs: tuple[Duel, ...], found_answers: TaskAnswers) -> Matrix:
    """Return a task's pairs as a table of the leaders and a list of what methods changed."""
    found = {(pair.a.config_id, pair.b.config_id): pair for pair in pairs}
    entries = {entry.config_id: entry for pair in pairs for entry in (pair.a, pair.b)}
    ids = [row.entry.config_id for row in task.full.standings if row.entry.config_id in entries]
    leaders = ids[:ENTRIES]
    rows = tuple(tuple(found.get((a, b)) or found.get((b, a)) for b in leaders) for a in leaders)
    plain = [answer for answer in found_answers.answers if answer.duel is not None]
    among = sum(not pair.twins for pair in pairs)
    return Matrix(task, tuple(entries[config_id] for config_id in leaders), rows, tuple(plain), among)
