"""What a day's results changed on a board: who came, who leads, whose place moved, and what is said of whom.

Places are those by the interquartile mean alone, among complete entries that were run here; a day counts every run that
had ended by then. What was run again and replaced is not told apart from what was new.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from leaderboard.board.duels import twin_verdicts
from leaderboard.board.report import TaskData
from leaderboard.board.standings import counted_games, normalized_scores
from leaderboard.board.views import TaskPage
from leaderboard.statistics.metrics import iqm
from leaderboard.statistics.pairs import Verdict
from leaderboard.store.rows import StoredRun


@dataclass(frozen=True, slots=True)
class Move:
    """An entry's place on a board before and after a day; None before it was complete."""

    task: str
    config_id: str
    label: str
    before: int | None
    after: int

    @property
    def text(self) -> str:
        """What happened, in words."""
        if self.before is None:
            return "new, and leads" if self.after == 1 else f"new, place {self.after}"
        if self.after == 1:
            return f"leads now, from place {self.before}"
        return f"from place {self.before} to {self.after}"


@dataclass(frozen=True, slots=True)
class Said:
    """What was said of an entry against its dense twin before a day, None if nothing, and what is said since."""

    config_id: str
    label: str
    before: Verdict | None
    after: Verdict

    @property
    def text(self) -> str:
        """What changed, in words."""
        return self.after if self.before is None else f"{self.after} now, {self.before} before"


def said(task: TaskPage, data: TaskData, days: Sequence[str]) -> dict[str, tuple[Said, ...]]:
    """Return what is said otherwise of entries against their dense twins since some days, the newest first."""
    found = {}
    after = twin_verdicts(task, data)
    for day in days:
        before = twin_verdicts(task, data, day)
        changed = [
            Said(key, data.entries[key].label, before.get(key), verdict)
            for key, verdict in sorted(after.items())
            if before.get(key) != verdict
        ]
        if changed:
            found[day] = tuple(changed)
        after = before
    return found


def moves(data: TaskData, days: Sequence[str]) -> dict[str, tuple[Move, ...]]:
    """Return the moves of each of some days, the newest first; days on which nothing moved are left out."""
    found = {}
    runs = [run for run in data.runs if run.finished and not data.entries[run.config_id].published]
    whole = [run for run in runs if data.configurations[run.config_id].frames == data.task.budget.length]
    after = places(data, whole)
    for day in days:
        before = places(data, [run for run in whole if run.ended_at[:10] < day])
        moved = [
            Move(data.task.id, key, data.entries[key].label, before.get(key), place)
            for key, place in sorted(after.items(), key=lambda item: item[1])
            if before.get(key) != place
        ]
        if moved:
            found[day] = tuple(moved)
        after = before
    return found


def places(data: TaskData, runs: Iterable[StoredRun]) -> dict[str, int]:
    """Return the places, from 1, of the configurations that have every game that counts; the ids break ties."""
    needed = counted_games(data.task)
    grouped: dict[str, list[StoredRun]] = {}
    for run in runs:
        grouped.setdefault(run.config_id, []).append(run)
    scores = {key: normalized_scores(own) for key, own in grouped.items()}
    values = {key: iqm(own) for key, own in scores.items() if needed and own.keys() == needed}
    return {key: place for place, key in enumerate(sorted(values, key=lambda key: (-values[key], key)), start=1)}
