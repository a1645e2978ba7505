"""The score of a run, by its task's rule; the only place that knows it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import TypeVar

from suite.records.record import Episode, EvaluationRow, Run, State
from suite.tasks import GAMES, Task

RowT = TypeVar("RowT", bound=Episode | EvaluationRow)


def by_evaluation(task: Task) -> bool:
    """Return whether a task's score comes from evaluation episodes."""
    return task.score.rule == "mean_evaluation_return"


def scorable(task: Task, run: Run) -> Sequence[Episode] | Sequence[EvaluationRow]:
    """Return the rows of a run from which its score is taken."""
    return run.evaluation if by_evaluation(task) else run.episodes


def scored(task: Task, frames: int, rows: Iterable[RowT]) -> list[RowT]:
    """Return those of the scorable rows that count in the score of a run of `frames`.

    Training episodes must end in the task's score window, evaluation episodes be of a learner there. A finished run
    has its budget's frames. One that diverged has those at which that was noticed: its
    score is its last.
    """
    after, until = task.score_window(frames)
    return [row for row in rows if after < row.frame <= until]


def score_of(run: Run, task: Task, state: State) -> tuple[float | None, int]:
    """Return the score of a finished run, and over how many episodes it is a mean; see `score_of_rows`.

    A run that diverged stopped at the frames of its status.
    """
    return score_of_rows(task, run.cell.game, state, run.status.frames, scorable(task, run))


def score_of_rows(task: Task, game: str, state: State, frames: int, rows: Iterable[RowT]) -> tuple[float | None, int]:
    """Return the same from a run's scorable rows. One that left the numbers is a result, and is never tried again.

    Where training episodes are scored, those of the last window before that count: it did play them. Where a policy is
    evaluated there is none left to evaluate, and the run counts as a random policy does, over no episode: by the
    game's reference, None if the game has none.
    """
    if state == "diverged" and by_evaluation(task):
        return GAMES[game].random_score, 0
    return score(task, frames, rows)


def score(task: Task, frames: int, rows: Iterable[RowT]) -> tuple[float | None, int]:
    """Return the mean raw return of the scored rows, and how many they are.

    The score is None if there is none, or fewer than one of the task's evaluations has episodes.
    """
    returns = [row.value for row in scored(task, frames, rows)]
    needed = 1
    if by_evaluation(task) and task.evaluation is not None:
        needed = task.evaluation.episodes or 1
    return (math.fsum(returns) / len(returns) if len(returns) >= needed else None), len(returns)
