"""The only writer of run directories: it owns an attempt, appends, and replaces whole what it replaces.

Before each write it looks whether a newer attempt has fenced it off. One that falls asleep between that look and the
write does no harm: the files that it writes are its own, and the newer attempt has noted how much of them counts.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from pydantic import BaseModel

from suite.contracts.card import Value
from suite.durable import create_once, make_directory, replace_file
from suite.errors import BadData, Overtaken, UnfitEnvironment
from suite.records.adoption import adopt
from suite.records.attempts import FOLLOWS, LOGS, Follows, current, folder_of, has_started, home, parts, sizes_of
from suite.records.ownership import Ownership, RunLock, take
from suite.records.record import (
    FINISHED,
    Actions,
    Attempt,
    CellFile,
    Checkpoint,
    ClosedAttempt,
    Diagnostics,
    Episode,
    EvaluationRow,
    ProvenanceFile,
    Run,
    State,
    StatusFile,
    limits,
    read_cell,
    read_provenance,
    read_run,
    read_status,
    require_whole,
)
from suite.tasks.configuration import Cell


class RunWriter:
    """The only writer of an attempt's files. Owns the attempt from `open` to `close`."""

    def __init__(self, path: Path, cell: CellFile, lock: RunLock, ownership: Ownership) -> None:
        self.path = path
        self.cell = cell
        self.attempt = ownership.attempt
        self.folder = folder_of(path, self.attempt)
        self._lock = lock
        self._ownership = ownership
        make_directory(self.folder)
        self.previous = _previous(path)
        if self.previous is None or self.previous.state not in FINISHED:
            adopt(self.folder, limits(path, self.attempt))
        self._follows = self._follow()
        self._logs = {name: _open_log(self.folder / name) for name in LOGS}

    @classmethod
    def open(
        cls, root: Path, cell: Cell, departures: dict[str, Value], pause: Callable[[float], None] = time.sleep
    ) -> RunWriter:
        """Become the owner of a cell's directory, made if need be, and prepare a new attempt.

        `pause` is called with seconds while it is not known yet whether an earlier owner lives; it may raise.
        Raises Locked if another process has the cell, UnfitEnvironment if it cannot be written, BadData if what it
        holds is damaged or belongs to another configuration.
        """
        path = root / cell.path
        file = CellFile(
            config_id=cell.spec.config_id, spec=cell.spec, game=cell.game, seed=cell.seed, departures=departures
        )
        with _unwritable(path):
            make_directory(path)
            lock = RunLock(path)
        ownership = None
        try:
            with _unwritable(path):
                previous = _previous(path)
                if not (path / "spec.json").exists():
                    create_once(path / "spec.json", f"{file.model_dump_json(indent=1)}\n".encode())
                _same_cell(path, file)
                ownership = take(path, lock, 0 if previous is None else previous.attempt, pause)
                return cls(path, file, lock, ownership)
        except BaseException:
            if ownership is not None:
                ownership.release()
            lock.close()
            raise

    @property
    def overtaken(self) -> Overtaken | None:
        """What to say if a newer attempt has the cell; None as long as this one has it."""
        return self._ownership.overtaken

    def before(self) -> Run | None:
        """Read what earlier attempts recorded, as far as it belongs to the record of this one."""
        return None if self.previous is None else read_run(self.path, self._follows)

    def provenance(self, attempt: Attempt) -> None:
        """Add this attempt's provenance."""
        self._ownership.require()
        earlier = read_provenance(self.path).attempts if (home(self.path) / "provenance.json").exists() else ()
        whole = ProvenanceFile(attempts=(*(old for old in earlier if old.attempt < self.attempt), attempt))
        replace_file(self.folder / "provenance.json", whole.model_dump_json(indent=1))

    def status(self, status: StatusFile) -> None:
        """Replace the status, after everything appended so far is on the disk."""
        self.sync()
        with _unwritable(self.path):
            replace_file(self.folder / "status.json", status.model_dump_json(indent=1))

    def require_home(self) -> None:
        """Raise UnfitEnvironment unless every open file is still what its name in the directory stands for."""
        logs = [(self.folder / name, file) for name, file in self._logs.items()]
        for path, file in ((self.path / "run.lock", self._lock.file), *logs):
            try:
                here = os.path.samestat(path.stat(), os.fstat(file.fileno()))
            except OSError:
                here = False
            if not here:
                raise UnfitEnvironment(
                    f"{path} was deleted or replaced while the run went on: what it recorded is lost.",
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

        Raises UnfitEnvironment if the directory is no longer the one that was opened: deleted, moved or replaced, and
        Overtaken if a newer attempt has the cell.
        """
        self.require_home()
        self._ownership.require()
        with _unwritable(self.path):
            for log in self._logs.values():
                os.fsync(log.fileno())

    def _append(self, name: str, row: BaseModel) -> None:
        log = self._logs[name]
        self._ownership.require()
        with _unwritable(self.path):
            log.write(row.model_dump_json(by_alias=True) + "\n")
            log.flush()

    def close(self) -> None:
        """Flush, close and let go of the cell."""
        for log in self._logs.values():
            with contextlib.suppress(OSError):  # a full disk: the failed write has been told
                log.close()
        self._ownership.release()
        self._lock.close()

    def _follow(self) -> Follows:
        """Note whose record this one goes on from, and how long it is; every later addition to it is none."""
        number = 0 if self.previous is None else current(self.path)
        follows = Follows(attempt=number, logs=sizes_of(folder_of(self.path, number)) if number else {})
        if self.attempt > 1 and self.folder != self.path:
            replace_file(self.folder / FOLLOWS, follows.model_dump_json(indent=1))
        return follows


def _previous(path: Path) -> StatusFile | None:
    if not has_started(path):
        return None
    status = read_status(path)
    require_whole(path, parts(path))
    return status


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


@contextlib.contextmanager
def _unwritable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnfitEnvironment(
            f"Cannot write to {path}: {error.strerror or error}.",
            "Choose another place with --out, mend its permissions, or free space there.",
        ) from error
