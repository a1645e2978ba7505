"""The score of a run, by its task's rule; the only place that knows it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from suite.record import Episode
from suite.tasks import Task


def scored(task: Task, frames: int, episodes: Iterable[Episode]) -> list[Episode]:
    """Return the episodes that end in the task's score window of a run of `frames`.

    A finished run has its budget's frames. One that diverged has those at which that was noticed: its score is its
    last.
    """
    after, until = task.score_window(frames)
    return [episode for episode in episodes if after < episode.frame <= until]


def score(task: Task, frames: int, episodes: Iterable[Episode]) -> tuple[float | None, int]:
    """Return the mean raw return of the scored episodes, None if there is none, and how many they are."""
    returns = [episode.value for episode in scored(task, frames, episodes)]
    return (math.fsum(returns) / len(returns) if returns else None), len(returns)
