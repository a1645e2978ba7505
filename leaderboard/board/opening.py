"""What the overview opens on: an entry with a method beside its dense twin, over the games that both have."""

from __future__ import annotations

from dataclasses import dataclass

from leaderboard.board import standings
from leaderboard.board.duels import Duel
from leaderboard.board.report import Report, TaskData
from leaderboard.board.twins import plain_selves
from leaderboard.board.views import Curve, TaskPage
from leaderboard.statistics.pairs import compare, judged

FIRST = "magnitude_pruning"
"""The method that is shown where several have equally many runs: the one that the board asks about."""


@dataclass(frozen=True, slots=True)
class Opening:
    """A pair of entries, the one with a method first, compared on `games`; `curves` by configuration, over these."""

    task: TaskPage
    duel: Duel
    games: tuple[str, ...]
    curves: dict[str, Curve]


def opening(report: Report) -> Opening | None:
    """Return the pair of the first official task that has one, with the most cells in common; None if none has."""
    for task in report.site.tasks:
        data = report.data[task.name]
        pairs = _pairs(data) if task.official and task.aggregated else []
        if pairs:
            _, _, config_id, plain = min(pairs)
            return _opened(task, data, config_id, plain)
    return None


def _pairs(data: TaskData) -> list[tuple[int, bool, str, str]]:
    """Return pairs that finished the full budget, with what they are sorted by: fewer cells in common come later."""
    ids = [
        config_id
        for config_id, item in data.configurations.items()
        if not item.published and item.frames == data.task.budget.length and _cells(data, config_id)
    ]
    found = []
    for config_id, plain in plain_selves(ids, data.configurations).items():
        common = _cells(data, config_id) & _cells(data, plain)
        if common:
            found.append((-len(common), data.entries[config_id].method != FIRST, config_id, plain))
    return found


def _opened(task: TaskPage, data: TaskData, config_id: str, plain: str) -> Opening:
    names = {name for name, _ in _cells(data, config_id)} & {name for name, _ in _cells(data, plain)}
    games = tuple(name for name in data.task.games if name in names)
    runs = {each: [run for run in data.runs_of(each) if run.game in names] for each in (config_id, plain)}
    scores = [standings.normalized_scores(runs[each]) for each in (config_id, plain)]
    (item,) = judged({(0, 1): compare(scores[0], scores[1], planned=len(data.task.default_seeds))}).values()
    a, b = data.entries[config_id], data.entries[plain]
    drawn = {curve.entry.config_id: curve for curve in standings.curves(data.task, runs, [a, b])}
    duel = Duel(a, b, item.comparison, item.p, item.p_equal, 1, item.verdict)
    return Opening(task, duel, games, drawn)


def _cells(data: TaskData, config_id: str) -> set[tuple[str, int]]:
    """Return the cells of a configuration that have a score on a common scale."""
    scores = standings.normalized_scores
    return {(run.game, run.seed) for run in data.runs_of(config_id) if scores([run])}
