"""A process that wants cells, as one on a node of a cluster; what it is to do comes line by line.

    python -m tests.support.claimants NODE ROOT [--no-locks]
    hold CELL    take it, train half of it, say "holding", and go on slowly
    go CELL      take it as `suite run` does: "won ATTEMPT", then "done"; "overtaken"; "locked"; or "finished"

Training is a row of an episode for each of `STEPS`, which follows from its number alone, and a checkpoint now and then.
"""

from __future__ import annotations

import errno
import fcntl
import sys
import time
from pathlib import Path

import numpy as np

from suite import durable
from suite.errors import Locked, Overtaken
from suite.records import ownership
from suite.records.attempts import has_started
from suite.records.checkpoints import CheckpointStore
from suite.records.ownership import Kernel
from suite.records.record import FINISHED, Attempt, Episode, StatusFile, read_status
from suite.records.writer import RunWriter
from suite.tasks.configuration import Cell
from tests.support.runs import make_spec

STEPS, CHECKPOINT = 60, 10


def cell_of(number: int) -> Cell:
    """Return the cell of a round."""
    return Cell(make_spec(), "Pong", number)


def episode(attempt: int, number: int) -> Episode:
    """Return the row of an episode: all but the attempt follows from its number."""
    return Episode.model_validate(
        {
            **{"attempt": attempt, "episode": number, "agent_step": 10 * (number + 1), "frame": 40 * (number + 1)},
            **{"length": 10, "return": number**2 % 97, "end": "terminated", "emulator_seed": number},
        }
    )


def status(writer: RunWriter, state: str, number: int) -> None:
    """Write a status after so many episodes."""
    writer.status(
        StatusFile.model_validate(
            {
                **{"state": state, "attempt": writer.attempt, "agent_steps": 10 * number, "frames": 40 * number},
                **{"budget_frames": 40 * STEPS, "updates": 0, "episodes": number, "last_return": None},
                **{"frames_per_second": None, "started_at": "", "updated_at": "", "closed": writer.closed_attempts()},
            }
        )
    )


def train(writer: RunWriter, holding: bool) -> None:
    """Go on from the newest checkpoint to the end; one that only holds is slow from the middle on."""
    store = CheckpointStore(writer.folder)
    loaded = store.newest()
    first = 0 if loaded is None else loaded.agent_step // 10
    environment = {"environment": {}, "environment_fingerprint": "f", "packages": {}, "hardware": {}, "git": {}}
    attempt = {"attempt": writer.attempt, "started_at": "", "suite_version": "0", "resumed_at": 10 * first}
    writer.provenance(Attempt.model_validate(attempt | environment))
    status(writer, "running", first)
    for number in range(first, STEPS):
        writer.episode(episode(writer.attempt, number))
        if (number + 1) % CHECKPOINT == 0:
            writer.sync()
            store.write(10 * (number + 1), {"a": np.full(9, number)}, b"")
            status(writer, "running", number + 1)
        if holding and number == STEPS // 2:
            say("holding")
        time.sleep(0.05 if holding and number >= STEPS // 2 else 0.005)
    status(writer, "done", STEPS)


def is_finished(path: Path) -> bool:
    """Return whether nothing is left to do, as the runner asks before and after it takes a cell."""
    return has_started(path) and read_status(path).state in FINISHED


def run(root: Path, number: int, holding: bool) -> str:
    """Take a cell and train it; return how that ended."""
    cell = cell_of(number)
    if is_finished(root / cell.path):
        return "finished"
    try:
        writer = RunWriter.open(root, cell, {})
    except Locked:
        return "locked"
    try:
        if writer.previous is not None and writer.previous.state in FINISHED:
            return "finished"
        say(f"won {writer.attempt}")
        train(writer, holding)
    except Overtaken:
        return "overtaken"
    finally:
        writer.close()
    return "done"


def say(text: str) -> None:
    """Answer."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def no_locks(*_: object) -> None:
    """Refuse a lock, as Lustre does that is mounted without."""
    raise OSError(errno.ENOSYS, "Function not implemented")


class _NoSync(durable.System):
    def fsync(self, descriptor: int) -> None:
        pass


def main(node: str, root: str, *options: str) -> None:
    """Do what is asked for."""
    real = ownership.kernel()
    ownership.kernel = lambda: Kernel(f"{node}-{real.boot}", real.namespace)  # type: ignore[assignment]
    durable.system = _NoSync()
    if "--no-locks" in options:
        fcntl.flock = no_locks  # type: ignore[assignment]
    say("ready")
    for line in sys.stdin:
        what, number = line.split()
        say(run(Path(root), int(number), what == "hold"))


if __name__ == "__main__":
    main(*sys.argv[1:])
