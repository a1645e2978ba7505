"""Families of tasks: where experience comes from, and all that follows from it. One module each."""

from __future__ import annotations

from pathlib import Path

from suite.families.base import Family, Saved, Setup
from suite.tasks import Task

__all__ = ["Family", "Saved", "Setup", "family_of"]


def family_of(task: Task, data: Path | None = None, dataset: str | None = None) -> Family:
    """Return the family of a task; offline, with the directory of logged data and which of them are meant."""
    if task.family == "continuous":
        from suite.families.continuous import Continuous

        return Continuous(task)
    if task.family == "offline":
        from suite.families.offline import Offline

        return Offline(task, data, dataset)
    from suite.families.atari import Atari

    return Atari(task)
