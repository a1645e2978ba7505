"""Every agent on a real game through the command line, at the smallest budget that trains: killed, continued, exact."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.checks.verify import verify
from suite.contracts import registry
from suite.records.find import find_runs
from suite.records.record import Run, read_run

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


def content(run: Run) -> list[object]:
    tables = (run.episodes, run.evaluation, run.diagnostics, run.checkpoints)
    summary = run.status.summary
    assert summary is not None
    rows: list[object] = [
        sorted((row.model_dump_json(exclude={"attempt"}) for row in table), key=str) for table in tables
    ]
    return [*rows, summary.model_dump(exclude={"wall_seconds"})]


@pytest.mark.nightly
@pytest.mark.parametrize("agent", AGENTS)
def test_it_trains_and_goes_on_to_the_same_bits_after_a_kill(
    agent: str, tmp_path: Path, data: Path, record_property: Callable[[str, object], None]
) -> None:
    undisturbed = start(agent, tmp_path / "undisturbed", data)
    _, err = undisturbed.communicate(timeout=900)
    assert undisturbed.returncode == 0, err
    reference = read_run(find_runs(tmp_path / "undisturbed")[0])
    assert reference.status.updates > 15
    assert len({row.learner for row in reference.checkpoints if row.updates}) >= 3  # it learns
    assert verify(reference).mismatches == ()

    out = tmp_path / "killed"
    process = start(agent, out, data)
    wanted = reference.checkpoints[-2].agent_step
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        runs = find_runs(out) if out.exists() else []
        if runs and any((runs[0] / "checkpoints").glob(f"step-{wanted:010d}")):
            break
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    again = start(agent, out, data)
    _, err = again.communicate(timeout=900)
    assert again.returncode == 0, err
    run = read_run(find_runs(out)[0])
    assert run.attempt.resumed_at > 0
    assert content(run) == content(reference)
    record_property(f"{agent}_updates", run.status.updates)
