"""The comparisons of pairs, by task: who is told apart from whom."""

from __future__ import annotations

from dataclasses import dataclass

from leaderboard.board.duels import ENTRIES, Duel, plain_selves
from leaderboard.board.report import TaskData
from leaderboard.board.views import Entry, TaskPage
from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.pairs import Verdict
from leaderboard.statistics.sentences import p_text


@dataclass(frozen=True, slots=True)
class Matrix:
    """A task's pairs: the leaders in the order of the board, and for each of them its pair with every other, or None.

    `plain` are the pairs of an entry and its plain self, which is the same without its method, and `pairs` the number
    of all that are shown.
    """

    task: TaskPage
    entries: tuple[Entry, ...]
    rows: tuple[tuple[Duel | None, ...], ...]
    plain: tuple[Effect, ...]
    pairs: int


@dataclass(frozen=True, slots=True)
class Effect:
    """What a method changed: an entry less its plain self; `verdict` is that on the entry."""

    entry: Entry
    plain: Entry
    duel: Duel
    difference: Estimate
    verdict: Verdict


def pages(book: Book) -> dict[str, bytes]:
    """Return the page."""
    report = book.report
    names = {task.name: task for task in report.site.tasks}
    matrices = [matrix(names[name], report.data[name], pairs) for name, pairs in book.duels.items()]
    return book.html(links.COMPARE, "compare.html", matrices=matrices, p_text=p_text)


def matrix(task: TaskPage, data: TaskData, pairs: tuple[Duel, ...]) -> Matrix:
    """Return a task's pairs as a table of the leaders and a list of what methods changed."""
    found = {(pair.a.config_id, pair.b.config_id): pair for pair in pairs}
    entries = {entry.config_id: entry for pair in pairs for entry in (pair.a, pair.b)}
    ids = [row.entry.config_id for row in task.full.standings if row.entry.config_id in entries]
    leaders = ids[:ENTRIES]
    rows = tuple(tuple(found.get((a, b)) or found.get((b, a)) for b in leaders) for a in leaders)
    plain = [
        _effect(entries[one], entries[other], found.get((one, other)) or found[other, one])
        for one, other in plain_selves(ids, data).items()
    ]
    return Matrix(task, tuple(entries[config_id] for config_id in leaders), rows, tuple(plain), len(pairs))


def _effect(entry: Entry, plain: Entry, duel: Duel) -> Effect:
    difference = duel.comparison.difference
    if duel.a.config_id == entry.config_id:
        return Effect(entry, plain, duel, difference, duel.verdict)
    low, high = (None if end is None else -end for end in (difference.high, difference.low))
    turned: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
    return Effect(entry, plain, duel, Estimate(-difference.value, low, high), turned.get(duel.verdict, duel.verdict))
