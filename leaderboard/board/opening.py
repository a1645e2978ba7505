"""What the overview opens on: an entry with a method beside its dense twin, over the games that both have."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from leaderboard.board import standings
from leaderboard.board.duels import Duel
from leaderboard.board.report import Report, TaskData
from leaderboard.board.twins import Twin, environments, pairing_of
from leaderboard.board.views import Curve, TaskPage
from leaderboard.statistics.pairs import compare, judged
from leaderboard.store.rows import StoredRun

FIRST = "magnitude_pruning"
"""The method that is shown where several have equally many runs: the one that the board asks about."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A pair of entries, the one with a method first, compared on `games`; `curves` by configuration, over these.

    `unjudged`: why no verdict is given on it, or nothing.
    """

    task: TaskPage
    duel: Duel
    games: tuple[str, ...]
    curves: dict[str, Curve]
    unjudged: str = ""


def opening(report: Report) -> Opening | None:
    """Return the pair of the first official task that has one, with the most cells in common; None if none has."""
    for task in report.site.tasks:
        data = report.data[task.name]
        pair = _widest(data) if task.official and task.aggregated else None
        if pair is not None:
            return _opened(task, data, *pair)
    return None


def _widest(data: TaskData) -> tuple[str, Twin] | None:
    """Return the entry on the full budget with the most cells in common with its dense twin, and that.

    What may be judged comes before what may not.
    """
    common = {key: len(_cells(data.runs_of(key)) & _cells(twin.runs)) for key, twin in data.twins.items()}
    shown = [key for key, cells in common.items() if cells]
    if not shown:
        return None

    def place(key: str) -> tuple[object, ...]:
        return bool(_unjudged(data, key)), -common[key], data.entries[key].methods != (FIRST,), key

    widest = min(shown, key=place)
    return widest, data.twins[widest]


def _unjudged(data: TaskData, config_id: str) -> str:
    """Return why an entry and its twin are not judged over the games that both have, or nothing."""
    sides = [run for run in data.runs_of(config_id) if run.finished], list(data.twins[config_id].runs)
    runs = [run for side in sides for run in side]
    if missing := sum(not run.proven for run in runs):
        return f"{missing} of {len(runs)} runs were not replayed, and only what was replayed whole is judged"
    skipped = sorted({seed for side in sides for seed in standings.skipped_seeds(data.task, side)})
    if skipped:
        return standings.picked(skipped)
    shared = set.intersection(*({run.game for run in side} for side in sides))
    first, second = (environments(run for run in side if run.game in shared) for side in sides)
    return "" if first == second else "they ran in different environments"


def _opened(task: TaskPage, data: TaskData, config_id: str, twin: Twin) -> Opening:
    held = {config_id: data.runs_of(config_id), twin.config_id: twin.runs}
    names = set.intersection(*({name for name, _ in _cells(runs)} for runs in held.values()))
    games = tuple(name for name in data.task.games if name in names)
    runs = {each: [run for run in own if run.game in names] for each, own in held.items()}
    first, second = (standings.normalized_scores(own) for own in runs.values())
    planned, pairing = len(data.task.default_seeds), pairing_of(*runs.values())
    (item,) = judged({(0, 1): compare(first, second, planned=planned, pairing=pairing)}).values()
    a, b = (data.entries[each] for each in held)
    drawn = {curve.entry.config_id: curve for curve in standings.curves(data.task, runs, [a, b])}
    duel = Duel(a, b, item.comparison, item.p, item.p_equal, 1, item.verdict)
    return Opening(task, duel, games, drawn, _unjudged(data, config_id))


def _cells(runs: Iterable[StoredRun]) -> set[tuple[str, int]]:
    """Return the cells of runs that have a score on a common scale."""
    return {(run.game, run.seed) for run in runs if standings.normalized_scores([run])}
