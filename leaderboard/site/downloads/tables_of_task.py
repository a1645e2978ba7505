"""Every iteration of every run as one table, for `pages.data`."""

from __future__ import annotations

from collections.abc import Iterable

from leaderboard.board.exports import Column, Table
from leaderboard.board.report import TaskData, each_once


def iterations(data: Iterable[TaskData]) -> Table:
    """Return the mean raw return of every iteration of every run that stands, a row for each."""
    names = ("config_id", "game", "seed", "iteration", "units_done", "mean_return")
    rows = tuple(
        (
            *(run.config_id, run.game, run.seed, index),
            *((index + 1) * item.task.budget.iteration_length, mean),
        )
        for item, run in each_once(data)
        for index, mean in run.iterations.items()
    )
    columns = tuple(Column(name, name) for name in names)
    return Table("iterations", "Mean raw return of the episodes that ended in each iteration.", columns, rows)
