"""Learning curves of runs as arrays, and what is asked of them: the curve of an entry, its area, the area between two.

A run that diverged is a result: its score is its last, and so its curve goes on with its last value to the end of the
budget. Nothing else is carried forward.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial

import numpy as np

from leaderboard.board import estimates
from leaderboard.board.estimates import AREA, Question
from leaderboard.board.workers import spread
from leaderboard.statistics import curves as statistics
from leaderboard.statistics.curves import complete_points
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.metrics import Scores
from leaderboard.store.rows import StoredRun
from suite.tasks import GAMES, Task, human_normalized


def iterations(task: Task, frames: int) -> int:
    """Return how many iterations a budget has; the last may be a short one."""
    return -(-frames // task.budget.iteration_length)


def progress(run: StoredRun, count: int) -> Mapping[int, float]:
    """Return a run's mean raw return by iteration, that of a diverged run carried forward to the last of `count`."""
    known = {index: mean for index, mean in run.iterations.items() if math.isfinite(mean)}
    last = carried_from(run)
    if last is None:
        return known
    return known | dict.fromkeys(range(last + 1, count), known[last])


def carried_from(run: StoredRun) -> int | None:
    """Return the last iteration with a mean of a run that diverged; None of other runs and of one without any."""
    known = [index for index, mean in run.iterations.items() if math.isfinite(mean)]
    return max(known) if known and run.state == "diverged" else None


def curve_scores(task: Task, runs: Sequence[StoredRun], frames: int, games: Collection[str] | None = None) -> Scores:
    """Return the human-normalized curves of the results among some runs: by game, [runs, iterations].

    An iteration in which a run finished no episode is not a number. Games without a common scale are left out, and all
    but `games` where they are given.
    """
    count = iterations(task, frames)
    rows: dict[str, list[list[float]]] = defaultdict(list)
    for run in runs:
        if run.finished and GAMES[run.game].normalizable and (games is None or run.game in games):
            means = progress(run, count)
            rows[run.game].append([_normalized(run.game, means.get(index)) for index in range(count)])
    return {name: np.array(block, dtype=np.float64) for name, block in rows.items()}


def positions(task: Task, frames: int) -> tuple[int, ...]:
    """Return the frames at which the iterations of a budget end."""
    return tuple((index + 1) * task.budget.iteration_length for index in range(iterations(task, frames)))


def carried(task: Task, runs: Sequence[StoredRun], frames: int) -> tuple[int, ...]:
    """Return for each iteration of a budget how many results have their last value carried forward to it."""
    lasts = [carried_from(run) for run in runs if run.finished and GAMES[run.game].normalizable]
    return tuple(sum(last is not None and last < index for last in lasts) for index in range(iterations(task, frames)))


def area(task: Task, curve: Scores, frames: int) -> Question | None:
    """Return the question for the mean height of an entry's IQM curve; None where no iteration is complete."""
    whole = bool(curve) and bool(complete_points(curve).any())
    return Question(AREA, curve, positions(task, frames)) if whole else None


def areas_between(
    task: Task, curves: Mapping[str, Scores], pairs: Iterable[tuple[str, str]], frames: int
) -> dict[tuple[str, str], Estimate]:
    """Return the mean height of the first IQM curve above the second, of all pairs that have a complete iteration.

    Both curves must be those of the same games.
    """
    asked = [(a, b) for a, b in pairs if curves[a] and curves[a].keys() == curves[b].keys()]
    whole = [(a, b) for a, b in asked if complete_points(curves[a], curves[b]).any()]
    places = positions(task, frames)
    keys = {(a, b): estimates.key_of_pair("area between", curves[a], curves[b], places) for a, b in whole}
    open_ones = [pair for pair in whole if estimates.known(keys[pair]) is None]
    size = sum(block.size for key in {key for pair in open_ones for key in pair} for block in curves[key].values())
    each = partial(spread, seconds=estimates.SECONDS_EACH * size)
    for pair, found in statistics.areas_between(curves, open_ones, places, estimates.POLICY, each).items():
        estimates.remember(keys[pair], (found,))
    answers = {pair: estimates.known(keys[pair]) for pair in whole}
    return {pair: answer[0] for pair, answer in answers.items() if answer}


def _normalized(game: str, mean: float | None) -> float:
    value = None if mean is None else human_normalized(game, mean)
    return math.nan if value is None else value
