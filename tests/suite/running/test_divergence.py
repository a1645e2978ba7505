"""Training that leaves the numbers is a result of its cell alone, whatever the agent and the task."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner

from suite.checks.verify import verify
from suite.cli.main import cli
from suite.contracts.agent import Feedback
from suite.records.checkpoints import CheckpointStore
from suite.records.claims import check
from suite.records.find import find_runs
from suite.records.keeping import given_up
from suite.records.record import read_run
from suite.records.score import score_of_rows
from suite.running.part import Part
from suite.tasks import GAMES, load_task

pytestmark = pytest.mark.slow

RUNAWAY = "agent.learning_rate=1e30"


def run(out: Path, *arguments: str) -> Any:
    return CliRunner().invoke(cli, ["run", *arguments, "--out", str(out), "--json"])


@pytest.mark.parametrize(
    "arguments",
    [
        ("--task", "smoke", "--agent", "rainbow", "--games", "Pong", "--frames", "3200"),
        ("--task", "smoke100k", "--agent", "dqn", "--games", "Pong"),
        pytest.param(("--task", "smoke-mujoco", "--agent", "sac", "--games", "Hopper"), marks=pytest.mark.nightly),
        pytest.param(("--task", "smoke-mujoco", "--agent", "ppo", "--games", "Hopper"), marks=pytest.mark.nightly),
    ],
    ids=lambda arguments: "-".join(arguments[1:4:2]),
)
@pytest.mark.usefixtures("tiny")
def test_a_runaway_learning_rate_ends_diverged_with_its_score_and_is_not_tried_again(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    network = () if "smoke-mujoco" in arguments else ("--network", "tiny")
    command = (*arguments, *network, "--seeds", "0-1", "--set", RUNAWAY, "--keep", "none", "--checkpoint-every", "100")
    done = run(tmp_path, *command)
    assert done.exit_code == 5, done.output
    runs = [read_run(path) for path in find_runs(tmp_path)]
    assert [one.status.state for one in runs] == ["diverged", "diverged"]
    for one in runs:
        assert one.status.message.startswith("Training left the numbers by agent step")
        assert check(one, "diverged").score == one.status.summary.score
        assert (given_up(one.folder), CheckpointStore(one.folder).steps()) == (("none", ""), ())
        proof = verify(one)
        assert proof.whole
        assert proof.frames == (one.status.frames if "rainbow" in arguments else 0)  # no episode had ended by then
        if "smoke100k" in arguments:
            assert one.status.summary.score == GAMES["Pong"].random_score == -20.7
    before = {path: (path / "status.json").read_bytes() for path in find_runs(tmp_path)}
    again = run(tmp_path, *command)
    assert "Nothing to do" in again.output
    assert {path: (path / "status.json").read_bytes() for path in find_runs(tmp_path)} == before


def test_where_policies_are_evaluated_a_diverged_run_counts_as_a_random_one() -> None:
    evaluated = [SimpleNamespace(frame=400_000, value=7.0)] * 100
    assert score_of_rows(load_task("atari100k"), "Breakout", "done", 400_000, evaluated) == (7.0, 100)  # type: ignore[type-var]
    assert score_of_rows(load_task("atari100k"), "Breakout", "diverged", 400_000, evaluated) == (1.7, 0)  # type: ignore[type-var]
    assert score_of_rows(load_task("mujoco"), "Hopper", "diverged", 10_000, []) == (None, 0)


def test_where_training_is_scored_a_diverged_run_counts_with_what_it_played_last() -> None:
    played = [SimpleNamespace(frame=frame, value=float(frame)) for frame in (1_000_000, 2_400_000, 2_900_000)]
    found = score_of_rows(load_task("atari40m"), "Breakout", "diverged", 3_000_000, played)  # type: ignore[type-var]
    assert found == (2_650_000.0, 2)


class Lane:
    """A lane that notes which priorities reached its replay."""

    def __init__(self) -> None:
        self.actor = SimpleNamespace(
            explore=lambda step, epsilon: None, observation=np.zeros(1), next_seed=None, begin=lambda seen: None
        )
        self.set: list[list[float]] = []
        self.replay = SimpleNamespace(reprioritize=lambda values: self.set.append(values.tolist()))

    def sample(self, updates: int) -> str:
        return "batch"


class Learners:
    """Two learners, of which the second gives no numbers from its second update on."""

    def __init__(self) -> None:
        self.updates = 0

    def update(self, updates: int, samplers: dict[int, Any]) -> None:
        for sampler in samplers.values():
            sampler()
        self.updates += 1

    def feedback(self, lane: int) -> Feedback:
        broken = lane == 1 and self.updates >= 2
        return Feedback(metrics={}, priorities=np.asarray([np.nan if broken else float(self.updates)]))  # type: ignore[arg-type]

    def states(self, updates: int) -> int:
        return 0

    def sync(self) -> None: ...

    def act(self, lanes: list[int], observations: list[Any], step: int) -> Callable[[], list[Any]]:
        return lambda: [np.asarray([np.nan if lane == 1 else 0.5], np.float32) for lane in lanes]


def part_of(lanes: list[Lane]) -> Part:
    plan = SimpleNamespace(replay="prioritized", warm_up=0, target_update_period=0, epsilon=lambda step: 0.0)
    return Part(plan, lanes, Learners(), SimpleNamespace(idle="idle", send=lambda actions: None))  # type: ignore[arg-type]


def test_priorities_that_are_no_numbers_break_their_own_lane_alone() -> None:
    lanes = [Lane(), Lane()]
    part = part_of(lanes)
    for step in (1, 2, 3, 4):
        part.learn(step, range(step - 1, step))
    part.settle()
    assert lanes[0].set == [[1.0], [2.0], [3.0], [4.0]]
    assert lanes[1].set == [[1.0]]
    assert part.broken == {1}
    assert part.active == {0, 1}


def test_an_action_that_is_no_number_is_not_taken() -> None:
    part = part_of([Lane(), Lane()])
    part.send(1)
    first, second = part._actions
    assert (first.tolist(), second) == ([0.5], "idle")
    assert part.broken == {1}
