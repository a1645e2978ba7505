"""The score of a run, by its task's rule; the only place that knows it."""

from __future__ import annotations

import math
from collections.abc import Iterable

from suite.record import Episode
from suite.tasks import Task


def scored(task: Task, budget_frames: int, episodes: Iterable[Episode]) -> list[Episode]:
    """Return the episodes that end in the task's score window."""
    after, until = task.score_window(budget_frames)
    return [episode for episode in episodes if after < episode.frame <= until]


def score(task: Task, budget_frames: int, episodes: Iterable[Episode]) -> tuple[float | None, int]:
    """Return the mean raw return of the scored episodes, None if there is none, and how many they are."""
    returns = [episode.value for episode in scored(task, budget_frames, episodes)]
    return (math.fsum(returns) / len(returns) if returns else None), len(returns)
