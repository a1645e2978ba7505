"""Every iteration of every run as one table, for `pages.data`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from leaderboard.board.exports import Cell, Column, Table
from leaderboard.board.report import TaskData, each_once


class Iterations(Iterable[tuple[Cell, ...]]):
    """The rows, made again each time: there are about a million for three hundred entries."""

    def __init__(self, data: Iterable[TaskData]) -> None:
        self._data = tuple(data)

    def __iter__(self) -> Iterator[tuple[Cell, ...]]:
        for item, run in each_once(self._data):
            step = item.task.budget.iteration_length
            for index, mean in run.iterations.items():
                yield run.config_id, run.game, run.seed, index, (index + 1) * step, mean


def iterations(data: Iterable[TaskData]) -> Table:
    """Return the mean raw return of every iteration of every run that stands, a row for each."""
    names = ("config_id", "game", "seed", "iteration", "units_done", "mean_return")
    columns = tuple(Column(name, name) for name in names)
    return Table(
        "iterations", "Mean raw return of the episodes that ended in each iteration.", columns, Iterations(data)
    )
