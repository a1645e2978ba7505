"""Runs in processes of their own: killed at a checkpoint, started again, and compared with those left alone."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from fnmatch import fnmatch
from pathlib import Path

from suite.records.record import Run


def finish(process: subprocess.Popen[str]) -> str:
    """Wait for a process that must succeed; return what it printed."""
    out, err = process.communicate(timeout=900)
    assert process.returncode == 0, err
    return out


def written(out: Path, name: str) -> list[Path]:
    """Return what is called `name`, a pattern, below a folder that others write: what vanishes is passed over.

    `Path.rglob` ends with FileNotFoundError where a checkpoint gets its name while it looks.
    """
    walked = os.walk(out)
    return [Path(folder) / each for folder, below, files in walked for each in (*below, *files) if fnmatch(each, name)]


def kill_at(process: subprocess.Popen[str], out: Path, step: int) -> None:
    """Kill a run that writes below `out` as soon as it has its checkpoint of an agent step."""
    deadline = time.monotonic() + 900
    while not any(out.glob(f"*/*/*/*/checkpoints/step-{step:010d}")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.communicate()


def content(run: Run) -> list[object]:
    """Return what training produced: rows without the numbers of attempts, and the summary without its time."""
    summary = run.status.summary
    assert summary is not None
    evaluation = sorted(run.evaluation, key=lambda row: (row.agent_step, row.episode))  # they end side by side
    tables = (run.episodes, evaluation, run.diagnostics, run.checkpoints)
    rows: list[object] = [[row.model_dump_json(exclude={"attempt"}) for row in table] for table in tables]
    return [*rows, summary.model_dump(exclude={"wall_seconds"})]
