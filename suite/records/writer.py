"""The only writer of run directories: locked, append-only, and replaced whole where a file is replaced."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from pydantic import BaseModel

from suite.contracts.card import Value
from suite.durable import make_directory, replace_file
from suite.errors import BadData, Locked, UnfitEnvironment
from suite.records.record import (
    Actions,
    Attempt,
    CellFile,
    Checkpoint,
    ClosedAttempt,
    Diagnostics,
    Episode,
    EvaluationRow,
    ProvenanceFile,
    State,
    StatusFile,
    read_cell,
    read_provenance,
    read_status,
    require_whole,
)
from suite.tasks.configuration import Cell

LOGS = ("episodes.jsonl", "evaluation.jsonl", "actions.jsonl", "diagnostics.jsonl", "checkpoints.jsonl")


class RunWriter:
    """The only writer of a run directory. Holds its lock from `open` to `close`."""

    def __init__(self, path: Path, cell: CellFile, lock: IO[str], previous: StatusFile | None) -> None:
        self.path = path
        self.cell = cell
        self.previous = previous
        self.attempt = 1 if previous is None else previous.attempt + 1
        self._lock = lock
        self._logs = {name: _open_log(path / name) for name in LOGS}

    @classmethod
    def open(cls, root: Path, cell: Cell, departures: dict[str, Value]) -> RunWriter:
        """Lock a cell's directory, made if need be, and prepare a new attempt.

        Raises Locked if another process writes there, UnfitEnvironment if it cannot be written, BadData if what it
        holds is damaged or belongs to another configuration.
        """
        path = root / cell.path
        file = CellFile(
            config_id=cell.spec.config_id, spec=cell.spec, game=cell.game, seed=cell.seed, departures=departures
        )
        with _unwritable(path):
            make_directory(path)
            lock = _lock(path)
        try:
            with _unwritable(path):
                previous = read_status(path) if (path / "status.json").exists() else None
                if previous is not None:
                    require_whole(path)
                if (path / "spec.json").exists():
                    _same_cell(path, file)
                else:
                    replace_file(path / "spec.json", file.model_dump_json(indent=1))
                return cls(path, file, lock, previous)
        except BaseException:
            lock.close()
            raise

    def provenance(self, attempt: Attempt) -> None:
        """Add this attempt's provenance."""
        file = self.path / "provenance.json"
        earlier = read_provenance(self.path).attempts if file.exists() else ()
        whole = ProvenanceFile(attempts=(*(old for old in earlier if old.attempt < self.attempt), attempt))
        replace_file(file, whole.model_dump_json(indent=1))

    def status(self, status: StatusFile) -> None:
        """Replace the status, after everything appended so far is on the disk."""
        self.sync()
        with _unwritable(self.path):
            replace_file(self.path / "status.json", status.model_dump_json(indent=1))

    def require_home(self) -> None:
        """Raise UnfitEnvironment unless every open file is still what its name in the directory stands for."""
        for name, file in (("run.lock", self._lock), *self._logs.items()):
            try:
                here = os.path.samestat((self.path / name).stat(), os.fstat(file.fileno()))
            except OSError:
                here = False
            if not here:
                raise UnfitEnvironment(
                    f"{self.path / name} was deleted or replaced while the run went on: what it recorded is lost.",
                    "Run the cell again, and leave its directory alone meanwhile.",
                )

    def closed_attempts(self) -> tuple[ClosedAttempt, ...]:
        """Return how all earlier attempts ended, the last of them as it is found now."""
        if self.previous is None:
            return ()
        last = self.previous
        state: State = "killed" if last.state == "running" else last.state
        ended = ClosedAttempt(attempt=last.attempt, state=state, frames=last.frames, updated_at=last.updated_at)
        return (*last.closed, ended)

    def episode(self, row: Episode) -> None:
        """Append a finished episode."""
        self._append("episodes.jsonl", row)

    def actions(self, row: Actions) -> None:
        """Append the actions of a scored episode."""
        self._append("actions.jsonl", row)

    def evaluation(self, row: EvaluationRow) -> None:
        """Append an evaluation episode."""
        self._append("evaluation.jsonl", row)

    def diagnostics(self, row: Diagnostics) -> None:
        """Append diagnostics."""
        self._append("diagnostics.jsonl", row)

    def checkpoint(self, row: Checkpoint) -> None:
        """Append the hashes of a checkpoint, and put everything appended so far on the disk."""
        self._append("checkpoints.jsonl", row)
        self.sync()

    def sync(self) -> None:
        """Put everything appended so far on the disk.

        Raises UnfitEnvironment if the directory is no longer the one that was opened: deleted, moved or replaced.
        """
        self.require_home()
        with _unwritable(self.path):
            for log in self._logs.values():
                os.fsync(log.fileno())

    def _append(self, name: str, row: BaseModel) -> None:
        log = self._logs[name]
        with _unwritable(self.path):
            log.write(row.model_dump_json(by_alias=True) + "\n")
            log.flush()

    def close(self) -> None:
        """Flush, close and unlock."""
        for log in self._logs.values():
            with contextlib.suppress(OSError):  # a full disk: the failed write has been told
                log.close()
        self._lock.close()


def _same_cell(path: Path, wanted: CellFile) -> None:
    found = read_cell(path)
    if (found.config_id, found.spec, found.game, found.seed) != (
        wanted.config_id,
        wanted.spec,
        wanted.game,
        wanted.seed,
    ):
        raise BadData(
            f"{path / 'spec.json'} describes another run than its place says.",
            "Move this run directory away; the run will then start anew.",
        )


def _open_log(path: Path) -> IO[str]:
    """Open a log for appending, cutting off an unfinished last line."""
    if path.exists():
        content = path.read_bytes()
        complete = content.rfind(b"\n") + 1
        if complete != len(content):
            os.truncate(path, complete)
    return path.open("a", encoding="utf-8")


def _lock(path: Path) -> IO[str]:
    lock = (path / "run.lock").open("a")
    for attempt in range(10):
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.02 * (attempt + 1))  # a reader that looks whether we live holds it for an instant
        except OSError as error:
            lock.close()
            raise UnfitEnvironment(
                f"{path} is where files cannot be locked ({error.strerror}): two processes could ruin a record there.",
                "Choose an --out on a local disk, or have this file system mounted with locks.",
            ) from error
        else:
            return lock
    lock.close()
    raise Locked(f"Another process is running {path}.", "Wait for it, or run other cells.")


@contextlib.contextmanager
def _unwritable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnfitEnvironment(
            f"Cannot write to {path}: {error.strerror or error}.",
            "Choose another place with --out, mend its permissions, or free space there.",
        ) from error
