"""Every agent on a real game through the command line, at the smallest budget that trains: killed, continued, exact."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from suite import plugins
from suite.record import Run, find_runs, read_run
from suite.verify import verify

AGENTS = sorted(name for name, point in plugins.registered("agent").items() if point.module.startswith("baselines."))
EVERY_100K = ("der", "drq_eps")
"""Agents with an update at every agent step, under the rules of Atari 100k."""


def start(agent: str, out: Path) -> subprocess.Popen[str]:
    hundred = agent in EVERY_100K
    return subprocess.Popen(
        [
            *(sys.executable, "-m", "suite", "run", "--task", "smoke100k" if hundred else "smoke", "--agent", agent),
            *("--network", "nature_cnn", "--method", "magnitude_pruning", "--games", "Breakout", "--seeds", "0"),
            *("--frames", "2120" if hundred else "2320", "--checkpoint-every", "40", "--out", str(out)),
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
    agent: str, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    undisturbed = start(agent, tmp_path / "undisturbed")
    _, err = undisturbed.communicate(timeout=900)
    assert undisturbed.returncode == 0, err
    reference = read_run(find_runs(tmp_path / "undisturbed")[0])
    assert reference.status.updates > 15
    assert len({row.learner for row in reference.checkpoints if row.updates}) >= 3  # it learns
    assert verify(reference).mismatches == ()

    out = tmp_path / "killed"
    process = start(agent, out)
    wanted = reference.checkpoints[-3].agent_step
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        runs = find_runs(out) if out.exists() else []
        if runs and any((runs[0] / "checkpoints").glob(f"step-{wanted:010d}")):
            break
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    again = start(agent, out)
    _, err = again.communicate(timeout=900)
    assert again.returncode == 0, err
    run = read_run(find_runs(out)[0])
    assert run.attempt.resumed_at > 0
    assert content(run) == content(reference)
    record_property(f"{agent}_updates", run.status.updates)
