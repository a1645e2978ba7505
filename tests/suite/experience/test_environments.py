"""What an environment says of itself where it runs is what its task asks for, and what the judge expects."""

from __future__ import annotations

import pytest

from suite.experience.domains import domain_of
from suite.records.judged_cell import of_environment
from suite.records.record import Attempt
from suite.tasks import GAMES, load_task
from suite.tasks.environments import MEASURED, UNCOUNTED, fingerprint, library_of, options_of


@pytest.mark.parametrize(
    ("name", "game"), [("smoke", "Pong"), ("smoke-offline", "Breakout"), ("smoke-mujoco", "Hopper"), ("mujoco", "Ant")]
)
def test_what_is_recorded_is_what_the_judge_expects(name: str, game: str) -> None:
    task = load_task(name)
    environment, digest = domain_of(task).environment(GAMES[game])
    options = options_of(task, GAMES[game])
    assert environment.keys() == {*options, *MEASURED[library_of(task)]}
    assert options.items() <= environment.items()
    assert digest == fingerprint(environment)
    packages = {"ale-py": "ale_py", "mujoco": "mujoco", "gymnasium": "gymnasium"}
    attempt = Attempt(
        attempt=1,
        started_at="2026-01-01T00:00:00Z",
        suite_version="0.1.0",
        git={},
        packages={package: environment[part] for package, part in packages.items() if part in environment},
        hardware={},
        environment=environment,
        environment_fingerprint=digest,
    )
    assert list(of_environment(attempt, task, game)) == []
    assert next(of_environment(attempt, load_task("smoke100k"), "Qbert")).code == "environment.options"


def test_threads_and_batches_leave_the_fingerprint_as_it_is_and_nothing_else_does() -> None:
    options = options_of(load_task("smoke"), GAMES["Pong"])
    assert set(UNCOUNTED) <= options.keys()
    for name in options:
        same = fingerprint(options | {name: "other"}) == fingerprint(options)
        assert same == (name in UNCOUNTED), name
    assert fingerprint(dict(reversed(options.items()))) == fingerprint(options)
