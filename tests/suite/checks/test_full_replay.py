"""A replay of a million transitions: what stopping, resuming and memory really come to."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.records.attempts import home
from suite.records.checkpoints import CheckpointStore
from suite.records.find import find_runs
from suite.records.record import read_run

STEPS = 1_010_000


def suite(out: Path, *more: str) -> list[str]:
    """Breakout with the Nature CNN: random actions until the replay is full, then a thousand steps of learning."""
    return [
        *(sys.executable, "-m", "suite", "run", "--task", "atari40m", "--games", "Breakout", "--seeds", "0"),
        *("--network", "nature_cnn", "--frames", str(4 * STEPS), "--set", f"agent.warm_up={STEPS - 2000}"),
        *("--checkpoint-every", "400000", "--replay", "host", "--out", str(out), *more),
    ]


def status(out: Path) -> dict[str, int]:
    runs = find_runs(out) if out.exists() else []
    file = home(runs[0]) / "status.json" if runs else out / "nothing"
    return json.loads(file.read_text()) if file.exists() else {"agent_steps": 0}


@pytest.mark.nightly
def test_a_full_replay_is_saved_in_seconds_and_had_again(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    plan = json.loads(subprocess.run(suite(tmp_path, "--dry-run", "--json"), capture_output=True, check=True).stdout)
    began = time.monotonic()
    process = subprocess.Popen(suite(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while status(tmp_path)["agent_steps"] < STEPS - 1800:
        assert process.poll() is None
        time.sleep(0.5)
    record_property("fill_s", time.monotonic() - began)
    asked = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, code, usage = os.wait4(process.pid, 0)
    took = time.monotonic() - asked
    process.returncode = os.waitstatus_to_exitcode(code)
    assert process.returncode == 75
    record_property("sigterm_to_exit_s", took)
    assert took < 10
    peak = usage.ru_maxrss * 1024
    record_property("announced_gb", plan["memory_bytes"] / 1e9)
    record_property("peak_gb", peak / 1e9)
    assert plan["memory_bytes"] == pytest.approx(peak, rel=0.1)
    checkpoints = find_runs(tmp_path)[0] / "checkpoints"
    sizes = {path.name: sum(file.stat().st_size for file in path.iterdir()) for path in checkpoints.glob("step-*")}
    record_property("checkpoint_mb", max(sizes.values()) / 1e6)
    record_property("of_raw_frames_percent", 100 * max(sizes.values()) / (STEPS * 7056))
    stopped_at = status(tmp_path)["agent_steps"]
    loaded = CheckpointStore(find_runs(tmp_path)[0]).newest()
    assert loaded is not None
    elsewhere, times = CheckpointStore(tmp_path / "elsewhere"), []
    for step in range(100):
        began = time.monotonic()
        elsewhere.write(step, loaded.arrays, loaded.state)
        times.append(time.monotonic() - began)
    record_property("checkpoint_write_median_s", sorted(times)[50])
    record_property("checkpoint_write_p99_s", sorted(times)[98])
    del loaded

    began = time.monotonic()
    process = subprocess.Popen(suite(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and status(tmp_path)["agent_steps"] <= stopped_at:
        time.sleep(0.2)
    record_property("resume_to_training_s", time.monotonic() - began)
    assert process.wait() == 0
    run = read_run(find_runs(tmp_path)[0])
    assert run.attempt.resumed_at == stopped_at
    assert run.status.differs_at is None
    record_property("peak_of_resume_gb", resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 / 1e9)
