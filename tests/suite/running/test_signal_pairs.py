"""Any two stopping signals, together or apart, end a run with a checkpoint, exit code 75, and nothing lost."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from suite.cli.signals import STOPPING
from suite.records.checkpoints import CheckpointStore
from suite.records.find import find_runs
from suite.records.record import read_run
from tests.support.processes import written

pytestmark = pytest.mark.slow

ARGUMENTS = ("run", "--task", "smoke", "--network", "tiny", "--games", "Pong", "--seeds", "0", "--threads", "1")


PROGRAM = """
import runpy, signal
from suite.cli.signals import STOPPING
for number in STOPPING:
    signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
runpy.run_module("suite", run_name="__main__", alter_sys=True)
"""
"""The command with no signal ignored, as some are where tests run in the background."""


@pytest.fixture
def start(tiny_path: Path, tmp_path: Path) -> Callable[[], subprocess.Popen[str]]:
    def start() -> subprocess.Popen[str]:
        paths = [str(tiny_path), *filter(None, [os.environ.get("PYTHONPATH")])]
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM, *ARGUMENTS, "--out", str(tmp_path), "--checkpoint-every", "16000"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
        )

    return start


def advances(root: Path, process: subprocess.Popen[str], attempt: int) -> None:
    """Wait until an attempt has recorded a row of its own, so that it is in the middle of training."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        assert process.poll() is None, process.stderr and process.stderr.read()
        for path in find_runs(root) if root.exists() else []:
            if any(f'{{"attempt":{attempt},' in log.read_text() for log in written(path, "diagnostics.jsonl")):
                return
        time.sleep(0.01)
    raise AssertionError("nothing was recorded in two minutes")


def stop(root: Path, start: Callable[[], subprocess.Popen[str]], attempt: int, rng: random.Random) -> str:
    """Stop an attempt by two signals; return what they were, and start anew what is near its end."""
    process = start()
    advances(root, process, attempt)
    pair, gap = [rng.choice(STOPPING) for _ in range(2)], rng.choice([0.0, 0.001, 0.05, 0.3])
    process.send_signal(pair[0])
    time.sleep(gap)
    if process.poll() is None:
        process.send_signal(pair[1])
    _, err = process.communicate(timeout=120)
    words = f"{signal.Signals(pair[0]).name}, {signal.Signals(pair[1]).name} {gap} s later"
    assert process.returncode == 75, f"{words}: {process.returncode}\n{err}"
    (path,) = find_runs(root)
    run = read_run(path)
    assert (run.status.state, run.status.attempt) == ("interrupted", attempt), words
    assert CheckpointStore(run.folder).steps()[-1] == run.status.agent_steps > 0, words
    return words


def whole(root: Path, start: Callable[[], subprocess.Popen[str]], pairs: int, seed: int) -> int:
    """Stop a run again and again, anew from its beginning where it has come near its end; return the pairs tried."""
    rng, attempt = random.Random(seed), 0
    for _ in range(pairs):
        attempt += 1
        stop(root, start, attempt, rng)
        (path,) = find_runs(root)
        if read_run(path).status.agent_steps > 3000:
            path.rename(root.parent / f"{root.name}-{rng.random()}")
            attempt = 0
    return pairs


def test_two_pairs_of_signals_leave_a_checkpoint_each(
    tmp_path: Path, start: Callable[[], subprocess.Popen[str]]
) -> None:
    whole(tmp_path, start, 2, seed=1)


@pytest.mark.nightly
def test_200_pairs_of_signals_leave_a_checkpoint_each(
    tmp_path: Path, start: Callable[[], subprocess.Popen[str]], record_property: Callable[[str, object], None]
) -> None:
    record_property("pairs", whole(tmp_path, start, int(os.environ.get("SIGNAL_PAIRS", "200")), seed=2))
