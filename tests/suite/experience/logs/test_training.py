"""Offline training through the command line, on a made-up log: killed, continued, alone and beside others, refused."""

import hashlib
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from suite.checks.verify import verify
from suite.contracts.agent import Learner
from suite.records.find import find_runs
from suite.records.record import Run, read_run
from suite.running.checkpointing import save

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_everywhere")]

RUN = (sys.executable, "-m", "suite", "run", "--task", "smoke-offline", "--network", "tiny")
SHORT = ("--games", "Pong", "--frames", "60", "--checkpoint-every", "20", "--method", "magnitude_pruning")


def call(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture
def data(make_log: Callable[..., object], tmp_path: Path) -> Path:
    """A directory with two runs of Pong, and samples of half of each."""
    for run in (1, 2):
        make_log("......T....X......." * 12, [150, 150], run=run, seed=run)
    command = (sys.executable, "-m", "suite", "data", "sample", str(tmp_path / "data"), "--fraction", "0.5")
    subprocess.run(command, check=True, capture_output=True)
    return tmp_path / "data"


def content(run: Run) -> list[object]:
    assert run.status.summary is not None
    rows: list[object] = [
        [row.model_dump_json(exclude={"attempt"}) for row in table] for table in (run.diagnostics, run.checkpoints)
    ]
    return [*rows, run.status.summary.model_dump(exclude={"wall_seconds"})]


def test_a_checkpoint_without_a_history_has_the_hash_of_none() -> None:
    lane = SimpleNamespace(actor=None, episodes=0, replay=SimpleNamespace(arrays=dict))
    learner = Learner({"w": np.zeros(1, np.float32)}, {}, {}, {})
    seen: Any = {"step": 4, "updates": 2, "lanes": [lane], "seen": [{}]}
    group: Any = SimpleNamespace(**seen, learner=lambda lane: learner, metrics=lambda lane: {})
    assert save(group, 0, "0" * 16, {}).state.chain == hashlib.sha256().hexdigest()


@pytest.mark.nightly
def test_a_run_that_is_killed_goes_on_to_the_same_bits_alone_or_beside_others(data: Path, tmp_path: Path) -> None:
    beside = call(*SHORT, "--data", str(data), "--seeds", "0-1", "--lanes", "2", "--out", str(tmp_path / "beside"))
    assert beside.returncode == 0, beside.stderr
    first, second = map(read_run, find_runs(tmp_path / "beside"))
    assert len({row.learner for row in (*first.checkpoints, *second.checkpoints)}) == 6
    assert verify(first).mismatches == ()
    assert first.status.summary is not None
    assert (first.status.updates, first.status.episodes, first.status.summary.score) == (60, 0, None)
    assert first.cell.spec.dataset is not None
    assert first.cell.spec.dataset.startswith("made-up.blocks.0.5.0.")
    assert first.cell.spec == second.cell.spec
    logs = [dict(item.split("=") for item in str(first.attempt.execution["data"]).split())]
    assert {cell: content.split(":")[0] for cell, content in logs[0].items()} == {"Pong/0": "1", "Pong/1": "2"}

    out = tmp_path / "killed"
    alone = (*SHORT, "--data", str(data), "--seeds", "1", "--out", str(out))
    with subprocess.Popen([*RUN, *alone], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 300
        while not any(out.glob("*/*/*/*/checkpoints/step-0000000020")) and time.monotonic() < deadline:
            assert process.poll() is None, process.communicate()[1]
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
    again = call(*alone)
    assert again.returncode == 0, again.stderr
    run = read_run(find_runs(out)[0])
    assert run.attempt.resumed_at > 0
    assert content(run) == content(second)


def test_data_that_are_not_there_or_not_those_are_refused(data: Path, tmp_path: Path) -> None:
    out = ("--out", str(tmp_path / "out"))
    without = call(*SHORT, *out)
    assert (without.returncode, "--data DIR" in without.stderr) == (2, True)
    empty = call(*SHORT, "--data", str(tmp_path), *out)
    assert (empty.returncode, "suite data sample" in empty.stderr) == (3, True)
    other = call(*SHORT, "--data", str(data), "--set", "data.reading=episodes", *out)
    assert (other.returncode, "--reading episodes" in other.stderr) == (3, True)
    game = call("--games", "Breakout", "--frames", "60", "--data", str(data), *out)
    assert (game.returncode, "no sample of Breakout" in game.stderr) == (3, True)
    word = call(*SHORT, "--data", str(data), "--set", "data.fraction=half", *out)
    assert (word.returncode, "data.fraction = half is no number" in word.stderr) == (2, True)


def test_the_plan_names_the_data_and_another_sample_is_another_question(data: Path) -> None:
    command = (sys.executable, "-m", "suite", "data", "sample", str(data), "--fraction", "0.5", "--reading")
    subprocess.run([*command, "transitions"], check=True, capture_output=True)
    plans = [
        json.loads(call(*SHORT, "--data", str(data), "--dry-run", "--json", *more).stdout)
        for more in ((), ("--set", "data.reading=transitions"))
    ]
    (blocks,), (rows,) = (plan["configurations"] for plan in plans)
    assert blocks["config_id"] != rows["config_id"]
    assert rows["departures"] == {"data.reading": "blocks"}
    assert plans[0]["memory_bytes"] > 0
