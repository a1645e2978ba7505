"""Domains: the kinds of experience that tasks are made of, one module each."""

from __future__ import annotations

from pathlib import Path

from suite.errors import UnfitEnvironment
from suite.experience.domains.base import Domain
from suite.records.record import Run
from suite.tasks import GAMES, Task
from suite.tasks.environments import library_of

__all__ = ["Domain", "domain_of", "require_environment"]


def domain_of(task: Task, data: Path | None = None, dataset: str | None = None) -> Domain:
    """Return the domain of a task; offline, with the directory of logged data and which of them are meant."""
    if task.family == "continuous":
        from suite.experience.domains.continuous import Continuous

        return Continuous(task)
    if task.family == "classic":
        from suite.experience.domains.discrete import Classic

        return Classic(task)
    if task.family == "minatar":
        from suite.experience.domains.discrete import MinAtar

        return MinAtar(task)
    if task.family == "offline":
        from suite.experience.domains.offline import Offline

        return Offline(task, data, dataset)
    from suite.experience.domains.atari import Atari

    return Atari(task)


def require_environment(run: Run, task: Task) -> Domain:
    """Return the domain of a run's task; UnfitEnvironment unless the environments here are those of its record."""
    domain = domain_of(task)
    _, fingerprint = domain.environment(GAMES[run.cell.game])
    if fingerprint != run.attempt.environment_fingerprint:
        library = library_of(task)
        raise UnfitEnvironment(
            f"{run.path} was recorded with {library.replace('_', '-')} {run.attempt.environment.get(library)}; "
            "the environment here differs.",
            f"Install that version of {library.replace('_', '-')} and this version of the suite.",
        )
    return domain
