"""The forest of what methods change: every entry less its dense twin on one axis, the mean of each method above."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.board.answers import Answer, MethodAnswer, TaskAnswers
from leaderboard.board.exports import Column, Table
from leaderboard.board.views import TaskPage, Tick
from leaderboard.site import links, tables
from leaderboard.site.drawing.spans import Place, Span, axis, span
from leaderboard.statistics.intervals import Estimate


@dataclass(frozen=True, slots=True)
class Row:
    """An entry of the forest; `span` is None where there is no twin to be compared with."""

    answer: Answer
    span: Span | None


@dataclass(frozen=True, slots=True)
class Group:
    """A method: the mean of its differences, drawn where it has several, its entries, and how many are left out."""

    method: MethodAnswer
    span: Span | None
    rows: tuple[Row, ...]
    more: int


@dataclass(frozen=True, slots=True)
class Forest:
    """Groups on one axis; `zero` is the place of no difference; `alone`: methods without any entry to compare."""

    groups: tuple[Group, ...]
    ticks: tuple[Tick, ...]
    zero: float
    pairs: int
    alone: tuple[MethodAnswer, ...]

    @property
    def more(self) -> int:
        """How many entries are left out."""
        return sum(group.more for group in self.groups)


def forest(methods: Sequence[MethodAnswer], pairs: int, most: int) -> Forest | None:
    """Return the forest of some methods with at most about `most` entries, each method with one at least."""
    differences = [one.difference for method in methods for one in method.answers if one.difference is not None]
    if not differences:
        return None
    place, ticks = axis(differences)
    compared = [method for method in methods if any(one.difference is not None for one in method.answers)]
    limit = _limit([len(method.answers) for method in compared], most)
    groups = tuple(_group(method, limit, place) for method in compared)
    alone = tuple(method for method in methods if method not in compared)
    return Forest(groups, ticks, place(0.0), pairs, alone)


def of_task(found: TaskAnswers, most: int) -> Forest | None:
    """Return the forest of a task; None where nothing has a dense twin."""
    return forest(found.methods, found.pairs, most)


def stem(task: str) -> str:
    """Return the path, without its end, of a task's answers as files."""
    return f"{links.slug(task)}/answers-{links.slug(task)}"


def table(task: TaskPage, found: TaskAnswers) -> Table:
    """Return every entry less its dense twin, for machines."""
    columns = (
        *(
            *tables.ENTRY,
            Column("twin_config_id", "Dense twin"),
            Column("difference", "Difference"),
            *tables.INTERVAL[:2],
        ),
        *(
            Column("p_holm", "p (Holm)"),
            Column("pairs", "Pairs"),
            Column("verdict", "Verdict"),
            Column("why", "Why not"),
        ),
    )
    rows = tuple(
        (
            *tables.entry_cells(one.entry),
            None if one.twin is None else one.twin.config_id,
            *tables.estimate_cells(one.difference)[:3],
            *((one.duel.p, one.duel.pairs) if one.duel else (None, None)),
            one.verdict if one.judged else None,
            one.why or None,
        )
        for one in found.answers
    )
    return Table(f"{task.name}-answers", f"{task.title}: entries less their dense twins.", columns, rows)


def printed(task: TaskPage, found: TaskAnswers) -> Table:
    """Return the same for LaTeX."""
    columns = (
        *(Column("entry", "Entry"), Column("difference", "Difference"), Column("low", "Low"), Column("high", "High")),
        Column("verdict", "Verdict"),
    )
    rows = tuple(
        (one.entry.label, *tables.estimate_cells(one.difference)[:3], one.verdict if one.judged else one.why)
        for one in found.answers
    )
    return Table(f"{task.name}-answers", f"{task.title}: entries less their dense twins.", columns, rows)


def _limit(counts: Sequence[int], most: int) -> int:
    """Return how many rows a method may have, so that all together have no more than `most`, one at least."""
    limits = range(max(counts), 1, -1)
    return next((limit for limit in limits if sum(min(count, limit) for count in counts) <= most), 1)


def _group(method: MethodAnswer, limit: int, place: Place) -> Group:
    several = sum(answer.judged for answer in method.answers) > 1
    mean = _drawn(method.mean, "open", place) if several and method.mean is not None else None
    rows = tuple(
        Row(one, None if one.difference is None else _drawn(one.difference, one.verdict, place))
        for one in method.answers[:limit]
    )
    return Group(method, mean, rows, max(0, len(method.answers) - limit))


def _drawn(estimate: Estimate, says: str, place: Place) -> Span:
    """Return an interval that is drawn as its verdict says, which is adjusted, not as it lies."""
    drawn = span(estimate, place)
    return Span(drawn.value, drawn.low, drawn.high, says, drawn.cut_low, drawn.cut_high)
