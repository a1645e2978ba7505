"""The changelog, from the database alone: submissions and runs by the day on which they came."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from leaderboard.board.moves import moves, said
from leaderboard.board.report import Report, TaskData, each_once
from leaderboard.board.views import TaskPage
from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.store.rows import StoredSubmission

T = TypeVar("T")

LISTED = 300
"""How many batches of runs the page lists one by one; the days before are summed up."""

MOVED_DAYS, MOVES = 15, 8
"""For how many days, the newest, the page says what moved, and how many entries of a board it names."""

TOLD_DAYS = 3
"""For how many of them it says what is told of entries against their dense twins: each compares anew those that have
results of that day."""

DAY = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Batch:
    """Results of an entry that ended on one day; `first`: the entry had none before."""

    task: str
    config_id: str
    label: str
    runs: int
    games: int
    first: bool


@dataclass(frozen=True, slots=True)
class Day:
    """A day: what was submitted, and what ended."""

    date: str
    submissions: tuple[StoredSubmission, ...]
    batches: tuple[Batch, ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """Cells of an entry in which one holder's result stands before another's; holders are slugs, none a directory."""

    task: str
    config_id: str
    label: str
    stands: tuple[str, ...]
    level: str
    other: tuple[str, ...]
    other_level: str
    cells: int


def pages(book: Book) -> dict[str, bytes]:
    """Return the page."""
    found = days(book.report)
    listed, counted = set[str](), 0
    for day in found:
        counted += len(day.batches)
        if counted <= LISTED or day is found[0]:
            listed.add(day.date)
    return book.html(
        links.CHANGELOG,
        "changelog.html",
        days=found,
        listed=listed,
        moved=by_day(book.report, found[:MOVED_DAYS], lambda _, data, newest: moves(data, newest)),
        told=by_day(book.report, found[:TOLD_DAYS], said),
        beside=beside(book.report),
    )


def by_day(
    report: Report, found: Sequence[Day], of: Callable[[TaskPage, TaskData, Sequence[str]], Mapping[str, tuple[T, ...]]]
) -> dict[str, list[tuple[str, tuple[T, ...], int]]]:
    """Return by day what changed on which task's board: the first `MOVES` of each, and how many more there are."""
    newest = [day.date for day in found]
    days: dict[str, list[tuple[str, tuple[T, ...], int]]] = defaultdict(list)
    for task in report.site.tasks:
        if task.aggregated and task.entries_here:
            for day, own in of(task, report.data[task.name], newest).items():
                days[day].append((task.name, own[:MOVES], max(0, len(own) - MOVES)))
    return dict(days)


def beside(report: Report) -> tuple[Beside, ...]:
    """Return who stands before whom, and in how many cells: at most LISTED rows, by task and entry."""
    counts: Counter[tuple[str, str, str, tuple[str, ...], str, tuple[str, ...], str]] = Counter()
    seen: set[tuple[str, str, int]] = set()
    for name, data in report.data.items():
        fresh = [one for one in data.conflicts if one.cell not in seen]
        seen |= {one.cell for one in fresh}
        for one in fresh:
            head = (name, one.config_id, data.entries[one.config_id].label, one.stands.slugs, one.stands.level)
            counts.update((*head, other.slugs, other.level) for other in one.others)
    return tuple(Beside(*head, count) for head, count in sorted(counts.items())[:LISTED])


def days(report: Report) -> tuple[Day, ...]:
    """Return all days on which something came, the newest first; what has no date is left out."""
    submitted: Mapping[str, list[StoredSubmission]] = defaultdict(list)
    for item in report.submissions:
        submitted[_day(item.submitted_at)].append(item)
    batches: Mapping[str, list[Batch]] = defaultdict(list)
    ended: Mapping[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
    for data, run in each_once(report.data.values()):
        if run.finished and not data.entries[run.config_id].published:
            ended[data.task.id, run.config_id].append((_day(run.ended_at), run.game))
    for (name, config_id), rows in ended.items():
        counts = Counter(day for day, _ in rows)
        first = min(counts)
        for day, count in counts.items():
            games = len({game for other, game in rows if other == day})
            label = report.data[name].entries[config_id].label
            batches[day].append(Batch(name, config_id, label, count, games, day == first))
    dates = sorted((submitted.keys() | batches.keys()) - {""}, reverse=True)
    return tuple(
        Day(
            date,
            tuple(submitted.get(date, ())),
            tuple(sorted(batches.get(date, ()), key=lambda batch: (batch.task, batch.label, batch.config_id))),
        )
        for date in dates
    )


def _day(moment: str) -> str:
    found = DAY.match(moment)
    return found.group() if found else ""
