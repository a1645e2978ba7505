"""A part of a task's results for a paper: the entries that are named, on the games that are named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from leaderboard.board.entries import competitors, find
from leaderboard.board.report import TaskData
from suite.errors import UsageError


def narrowed(data: TaskData, entries: Sequence[str], games: Sequence[str]) -> TaskData:
    """Return what a task's data hold of some entries and games; all of them where none are named.

    Entries are named as for `suite compare`; the title says on how many games the numbers rest. Raises UsageError for
    names that mean none or several, and for unknown games.
    """
    if entries:
        ids = {item.configuration.config_id for item in find(entries, {data.task.id: competitors(data)})}
        data = replace(
            data,
            configurations={key: item for key, item in data.configurations.items() if key in ids},
            runs=tuple(run for run in data.runs if run.config_id in ids),
        )
    if not games:
        return data
    unknown = [name for name in games if name not in data.task.games]
    if unknown:
        raise UsageError(
            f"{data.task.id} has no game {', '.join(unknown)}.", f"Its games are: {', '.join(data.task.games)}."
        )
    chosen = tuple(name for name in data.task.games if name in games)
    title = f"{data.task.title} ({len(chosen)} of {len(data.task.games)} games)"
    task = data.task.model_copy(update={"games": chosen, "title": title})
    return replace(data, task=task, runs=tuple(run for run in data.runs if run.game in chosen))
