"""What is run on the clusters, and its comparison with a local run."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from suite.records.find import find_runs
from suite.records.record import read_run, read_status

FRAMES = 4800
STUDY = """\
id = "cluster"
title = "Twelve cells for a cluster"
summary = "Dense, pruned, and the pruned runs' lottery tickets."
task = "smoke"
games = ["Pong", "Breakout"]
seeds = 2

[[arms]]
name = "dense"
agents = ["dqn"]
network = "nature_cnn"
method = "dense"
settings = { "agent.batch_size" = 4 }

[[arms]]
name = "pruned"
agents = ["dqn"]
network = "nature_cnn"
method = "magnitude_pruning"
[arms.settings]
"agent.batch_size" = 4
"method.magnitude_pruning.start_fraction" = 0.02
"method.magnitude_pruning.end_fraction" = 0.08

[[arms]]
name = "ticket"
agents = ["dqn"]
network = "nature_cnn"
method = "lottery_ticket"
settings = { "agent.batch_size" = 4, "method.lottery_ticket.ticket" = "@pruned" }

[picture]
kind = "curves"

[[claims]]
id = "gain"
text = "Pruned is better."
source = "a proof of launchers"

[[claims.rules]]
rule = "better"
a = { arm = "pruned" }
b = { arm = "dense" }
"""
Found = TypeVar("Found")


class NotRun(Exception):
    """What the proof needs is not here, in one sentence: it says nothing, good or bad."""


def command(study: Path, out: Path, *more: str) -> list[str]:
    """The command that runs the study's cells, each alone and on one thread."""
    run = ["study", "run", str(study), "--out", str(out), "--frames", f"{FRAMES}", "--threads", "1", "--lanes", "1"]
    return [sys.executable, "-m", "suite", *run, "--checkpoint-every", "1600", *more]


def call(words: Sequence[str], environment: dict[str, str] | None = None) -> str:
    """Run a command that must succeed; what it printed."""
    done = subprocess.run(words, env=environment or dict(os.environ), capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(words)} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.stdout


def wait_for(what: str, find: Callable[[], Found | None], seconds: float = 900) -> Found:
    """What `find` finds, asked all the time; ends the proof if it finds nothing in time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if (found := find()) is not None:
            return found
        time.sleep(0.2)
    sys.exit(f"waited {seconds:.0f} seconds for {what}")


def midway(out: Path, path: str) -> bool:
    """Whether a run is on its way: past its first steps, and not near its end."""
    place = out / path
    if not (place / "status.json").exists():
        return False
    status = read_status(place)
    return status.state == "running" and FRAMES // 6 <= status.frames < FRAMES * 3 // 4


def content(path: Path) -> list[Any]:
    """What training produced: rows without the numbers of attempts, hashes of the learner among them, and the score."""
    run = read_run(path)
    tables = (run.episodes, run.diagnostics, run.checkpoints)
    rows: list[Any] = [[row.model_dump_json(exclude={"attempt"}) for row in table] for table in tables]
    summary = run.status.summary
    return [*rows, run.status.differs_at, None if summary is None else summary.model_dump(exclude={"wall_seconds"})]


def compared(local: Path, out: Path) -> dict[str, float]:
    """How many runs there are, all equal to the local ones; ends the proof if one is missing or differs."""
    names = [sorted(str(path.relative_to(root)) for path in find_runs(root)) for root in (local, out)]
    if names[0] != names[1]:
        sys.exit(f"other cells: {set(names[0]) ^ set(names[1])}")
    unlike = [name for name in names[0] if content(local / name) != content(out / name)]
    unfinished = [name for name in names[0] if read_status(out / name).state != "done"]
    if unlike or unfinished:
        sys.exit(f"other bits than a local run: {unlike}; not done: {unfinished}")
    attempts = [read_status(out / name).attempt for name in names[0]]
    return {"cells": len(names[0]), "cells_equal": len(names[0]) - len(unlike), "attempts": sum(attempts)}
