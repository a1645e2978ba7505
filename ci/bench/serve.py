"""What every worker shares: one task, set up once, then played a round at a time as the runner asks.

A worker is `python worker_x.py TASK ARGUMENT...`. It answers in lines of JSON: once `{"ready": FACTS}`, then for every
line that it reads `{LABEL: {"steps": N, "cpu_s": SECONDS}, ...}`. Prints of libraries go to standard error.
"""

from __future__ import annotations

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from typing import NamedTuple


class Sample(NamedTuple):
    """Work done in a round, in the unit of the row, and the CPU time that all threads of the process took for it."""

    steps: float
    cpu_s: float


Round = Callable[[], dict[str, Sample]]
"""Plays one round of a task; one sample for each thing that it measures."""


def timed(steps: float, work: Callable[[], object]) -> Sample:
    """Return the sample of a piece of work that takes `steps` steps."""
    start = time.process_time()
    work()
    return Sample(steps, time.process_time() - start)


def serve(tasks: Mapping[str, Callable[..., Round]], packages: Sequence[str]) -> None:
    """Set up the task of the command line, then play a round for every line of standard input."""
    with os.fdopen(os.dup(1), "w", buffering=1, encoding="utf-8") as answers:
        os.dup2(2, 1)
        task, *arguments = sys.argv[1:]
        play = tasks[task](*arguments)
        versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}
        answers.write(json.dumps({"ready": versions}) + "\n")
        for _ in sys.stdin:
            answers.write(json.dumps({label: sample._asdict() for label, sample in play().items()}) + "\n")
