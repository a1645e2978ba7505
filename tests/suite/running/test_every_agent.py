"""Every agent on a real game through the command line, at the smallest budget that trains: killed, continued, exact."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.checks.verify import verify
from suite.contracts import registry
from suite.records.find import find_runs
from suite.records.record import read_run
from tests.support.processes import content, finish, kill_at

AGENTS = sorted(name for name, point in registry.registered("agent").items() if point.module.startswith("baselines."))
HUNDRED = ("--task", "smoke100k", "--frames", "2120")
"""For agents with an update at every agent step, under the rules of Atari 100k."""
OF_FAMILY = {
    "atari": ("--task", "smoke", "--frames", "2320"),
    "offline": ("--task", "smoke-offline", "--frames", "500"),
    "continuous": ("--task", "smoke-mujoco", "--frames", "6144", "--set", "agent.hidden_units=32"),
}
EVERY = {"atari": "40", "offline": "100", "continuous": "2048"}
INSPECT = {"atari": "2200", "offline": "400", "continuous": "2048"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of random play, and a sample of it."""
    out = tmp_path_factory.mktemp("data")
    command = (sys.executable, "-m", "suite", "data")
    made = ("--game", "Breakout", "--frames", "24000", "--rows-per-checkpoint", "2000", "--out", str(out))
    subprocess.run([*command, "generate", *made], check=True)
    subprocess.run([*command, "sample", str(out), "--fraction", "0.5"], check=True)
    return out


def start(agent: str, out: Path, data: Path) -> subprocess.Popen[str]:
    family = registry.card("agent", agent).families[0]
    task = HUNDRED if agent in ("der", "drq_eps") else OF_FAMILY[family]
    more = {
        "atari": ("--network", "nature_cnn", "--games", "Breakout"),
        "offline": ("--network", "nature_cnn", "--games", "Breakout", "--data", str(data)),
        "continuous": ("--games", "HalfCheetah"),
    }
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "suite", "run", "--agent", agent, *task, *more[family]),
            *("--method", "magnitude_pruning", "--seeds", "0", "--checkpoint-every", EVERY[family], "--out", str(out)),
            *("--inspect-every", INSPECT[family]),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.nightly
@pytest.mark.parametrize("agent", AGENTS)
def test_it_trains_and_goes_on_to_the_same_bits_after_a_kill(
    agent: str, tmp_path: Path, data: Path, record_property: Callable[[str, object], None]
) -> None:
    finish(start(agent, tmp_path / "undisturbed", data))
    reference = read_run(find_runs(tmp_path / "undisturbed")[0])
    assert reference.status.updates > 15
    assert len({row.learner for row in reference.checkpoints if row.updates}) >= 3  # it learns
    assert verify(reference).mismatches == ()

    out = tmp_path / "killed"
    process = start(agent, out, data)
    kill_at(process, out, reference.checkpoints[-2].agent_step)
    finish(start(agent, out, data))
    run = read_run(find_runs(out)[0])
    assert run.attempt.resumed_at > 0
    assert content(run) == content(reference)
    inspected = [row for row in run.diagnostics if "srank" in row.values]
    assert inspected, "no inspection came off"
    assert all(row.covariance for row in inspected)
    record_property(f"{agent}_updates", run.status.updates)
