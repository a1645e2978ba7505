"""Who owns a cell: the process whose attempt is the newest, which has the only file of that number.

    attempts/3.json    who owns attempt 3, and since when; created once, never changed
    attempts/3.beat    counts up while its process lives; says so when it has let go

Nothing here asks for locks, nor compares two machines' clocks. An owner counts up every `HEARTBEAT` seconds. Who wants
the cell listens by a clock of its own: any change says that the owner lives, `MISSED` beats without one that its
attempt may be followed. Of all who then try, one can create the file of the next number, and that file is what fences
the old owner: it looks for it before it writes, and its files are none of the new one's in any case.

What is quicker to know is known at once: a process of this kernel and this namespace lives or does not, and a lock that
it held and that is free now has no holder. Only a process that was suspended is listened to like one elsewhere.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import math
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Final, Literal

from pydantic import BaseModel, ConfigDict, Field

from suite.durable import create_once, make_directory
from suite.errors import BadData, Locked, Overtaken, UsageError
from suite.records.attempts import FOLDER, attempts_below
from suite.records.reading import read_whole

HEARTBEAT: Final = 30.0
"""Seconds between an owner's beats, unless $SUITE_HEARTBEAT says otherwise."""
MISSED: Final = 5
"""Beats that an observer must miss in a row, at looks of its own that lie a beat apart, until it may follow."""
_LET_GO = b"let go      \n"
_SUSPENDED, _DEAD = frozenset("Tt"), frozenset("ZXx")


class Owner(BaseModel):
    """`attempts/N.json`. `since`: by the owner's clock, for people to read.

    `token`: unlike any other's. `process` and `lock`: what `lives` knows it by on the same kernel, empty where that
    cannot be said.
    """

    model_config = ConfigDict(frozen=True)

    schema_version: Literal[1] = 1
    attempt: int = Field(ge=1)
    token: str
    host: str
    pid: int
    job: str = ""
    since: str
    heartbeat: float = Field(default=HEARTBEAT, gt=0)
    kernel: str = ""
    process: str = ""
    lock: str = ""

    @property
    def label(self) -> str:
        """The owner in a few words."""
        job = f", job {self.job}" if self.job else ""
        return f"process {self.pid} on {self.host}{job}, since {self.since}"


@dataclass(frozen=True, slots=True)
class Kernel:
    """The running system: `boot` tells it from every other, `namespace` where process numbers are counted."""

    boot: str
    namespace: str

    @property
    def name(self) -> str:
        """Both in one word; empty where one of them is not known."""
        return f"{self.boot}/{self.namespace}" if self.boot and self.namespace else ""


@functools.cache
def kernel() -> Kernel:
    """Return the running system, as far as it can be told."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return Kernel(boot, str(Path("/proc/self/ns/pid").readlink()))
    except OSError:
        return Kernel("", "")


class RunLock:
    """`run.lock`, as far as locks reach. Where they do not, it is never `held` nor `busy`; nothing depends on it."""

    def __init__(self, run: Path) -> None:
        self.file: IO[str] = (run / "run.lock").open("a")
        self.held = self.busy = False
        for attempt in range(4):
            try:
                fcntl.flock(self.file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                self.busy = True
                time.sleep(0.02 * (attempt + 1))  # a reader of an earlier version holds it for an instant
            except OSError:
                return
            else:
                self.held, self.busy = True, False
                return

    @property
    def domain(self) -> str:
        """Where a lock on the same file would be seen; empty if it is not held."""
        boot = kernel().boot
        return f"{boot}/{os.fstat(self.file.fileno()).st_dev}" if self.held and boot else ""

    def close(self) -> None:
        """Unlock."""
        self.file.close()


class Ownership:
    """An attempt that this process owns: it beats until it is released."""

    def __init__(self, run: Path, owner: Owner) -> None:
        self.attempt = owner.attempt
        self._run = run
        self._heartbeat = owner.heartbeat
        self._file = _file(run, owner.attempt, "beat")
        self._count = 0
        self._released = threading.Event()
        self._writing = threading.Lock()
        self.beat()
        threading.Thread(target=self._beat_on, name=f"heartbeat-{run.name}", daemon=True).start()

    @property
    def overtaken(self) -> Overtaken | None:
        """What to say if a newer attempt has fenced this one off; None as long as it is the newest."""
        if not _file(self._run, self.attempt + 1, "json").exists():
            return None
        newer = read_owner(self._run, self.attempt + 1)
        return Overtaken(
            f"Attempt {self.attempt} at {self._run} was overtaken by attempt {self.attempt + 1} "
            f"({'unknown' if newer is None else newer.label}), which had not heard of it for {MISSED} heartbeats.",
            "Nothing is lost: leave the cell to that process.",
        )

    def require(self) -> None:
        """Raise Overtaken if a newer attempt has fenced this one off. To be asked before every write."""
        if (error := self.overtaken) is not None:
            raise error

    def beat(self) -> None:
        """Count up; what cannot be written is a beat that others miss."""
        with self._writing, contextlib.suppress(OSError):
            if not self._released.is_set():
                _write_beat(self._file, f"{self._count:<12}\n".encode())
                self._count += 1

    def release(self) -> None:
        """Let go of the attempt: others need not listen any more."""
        self._released.set()
        with self._writing, contextlib.suppress(OSError):
            if self._file.exists():  # else the run directory was moved away or deleted
                _write_beat(self._file, _LET_GO)

    def _beat_on(self) -> None:
        while not self._released.wait(self._heartbeat):
            self.beat()


class Watch:
    """An observer of one cell's owner, by its own clock; each look is counted at most once a heartbeat."""

    def __init__(self, run: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self.run = run
        self._clock = clock
        self._sign: tuple[int, bytes] | None = None
        self._since = 0.0
        self._missed = 0

    def look(self) -> bool | None:
        """Return True if anything changed since the look before, False once `MISSED` beats were missed, else None."""
        number = newest_owned(self.run)
        sign, now = (number, _read_beat(self.run, number)), self._clock()
        if sign != self._sign:
            first, self._sign, self._since, self._missed = self._sign is None, sign, now, 0
            return None if first else True
        if now - self._since >= _heartbeat_of(self.run, number):
            self._since, self._missed = now, self._missed + 1
        return False if self._missed >= MISSED else None

    def decide(self, pause: Callable[[float], None]) -> bool:
        """Return whether the owner lives, once that is known; between two looks, `pause` is called with seconds."""
        while (alive := self.look()) is None:
            pause(min(1.0, _heartbeat_of(self.run, newest_owned(self.run)) / 4))
        return alive


def heartbeat() -> float:
    """Return the seconds between this process's beats; UsageError if $SUITE_HEARTBEAT is none."""
    text = os.environ.get("SUITE_HEARTBEAT", str(HEARTBEAT))
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise UsageError(f"$SUITE_HEARTBEAT is {text!r}.", "Set it to seconds, or not at all.")
    return seconds


def take(run: Path, lock: RunLock, follows: int, pause: Callable[[float], None]) -> Ownership:
    """Become the owner of a cell: of the attempt after the newest, which is at least `follows`.

    Raises Locked if its owner lives, or if another process was faster. While it listens, it calls `pause`, see `Watch`.
    """
    newest = newest_owned(run)
    if newest >= max(1, follows):
        alive = lives(run, newest, lock)
        if Watch(run).decide(pause) if alive is None else alive:
            raise held_by(run)
    elif lock.busy:  # by a process that has not come to its file yet, or of a version that had none
        raise held_by(run)
    return claim(run, max(newest, follows) + 1, lock)


def claim(run: Path, attempt: int, lock: RunLock) -> Ownership:
    """Become the owner of an attempt that nobody has; Locked if somebody was faster."""
    owner = _this_process(attempt, lock)
    make_directory(run / FOLDER)
    if not create_once(_file(run, owner.attempt, "json"), owner.model_dump_json(indent=1).encode() + b"\n"):
        raise held_by(run)
    return Ownership(run, owner)


def held_by(run: Path) -> Locked:
    """Return the error that says who has a cell."""
    owner = read_owner(run, newest_owned(run))
    return Locked(
        f"Another process is running {run}{'' if owner is None else f': {owner.label}'}.",
        "Wait for it, or run other cells.",
    )


def holder(run: Path, attempt: int = 0) -> Owner | None:
    """Return the owner of a cell, unless it has let go, is known to be dead, or is of an attempt before `attempt`."""
    newest = newest_owned(run)
    return read_owner(run, newest) if newest >= max(1, attempt) and lives(run, newest) is not False else None


def is_held(run: Path, attempt: int = 0) -> bool:
    """Return whether a living process has a cell whose status is that of `attempt`, as far as one look can tell.

    A process of another machine counts as living until it lets go; only a `Watch` finds out otherwise. Where no attempt
    has an owner, as in records of earlier versions, the lock decides.
    """
    if newest_owned(run) < max(1, attempt):
        return _is_locked(run)
    return lives(run, newest_owned(run)) is not False


def lives(run: Path, attempt: int, lock: RunLock | None = None) -> bool | None:
    """Return whether the owner of an attempt lives, by what is known at once; None if only its heartbeat can tell."""
    owner = read_owner(run, attempt)
    if owner is None or _read_beat(run, attempt) == _LET_GO:
        return None if owner is None else False
    if owner.kernel and owner.kernel == kernel().name:
        state, started = _process(owner.pid)
        if state in _DEAD or started != owner.process:
            return False
        return None if state in _SUSPENDED else True
    return False if lock is not None and lock.domain and owner.lock == lock.domain else None


def newest_owned(run: Path) -> int:
    """Return the number of the newest attempt that has an owner, 0 if none has."""
    return max(attempts_below(run, ".json"), default=0)


def read_owner(run: Path, attempt: int) -> Owner | None:
    """Return the owner of an attempt; None if there is none, or its file cannot be read, which makes it nobody's."""
    with contextlib.suppress(BadData, OSError):
        return read_whole(_file(run, attempt, "json"), Owner)
    return None


def _this_process(attempt: int, lock: RunLock) -> Owner:
    return Owner(
        attempt=attempt,
        token=uuid.uuid4().hex,
        host=platform.node(),
        pid=os.getpid(),
        job=os.environ.get("SLURM_JOB_ID", ""),
        since=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        heartbeat=heartbeat(),
        kernel=kernel().name,
        process=_process(os.getpid())[1],
        lock=lock.domain,
    )


def _process(pid: int) -> tuple[str, str]:
    """Return the state of a process of this namespace and when it started, in the kernel's ticks; "X" if it is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        return fields[0], fields[19]
    except OSError:
        return "X", ""


def _file(run: Path, attempt: int, kind: str) -> Path:
    return run / FOLDER / f"{attempt}.{kind}"


def _heartbeat_of(run: Path, attempt: int) -> float:
    owner = read_owner(run, attempt)
    return HEARTBEAT if owner is None else owner.heartbeat


def _read_beat(run: Path, attempt: int) -> bytes:
    try:
        return _file(run, attempt, "beat").read_bytes()
    except OSError:
        return b""


def _write_beat(file: Path, content: bytes) -> None:
    """Write in place, and close: on NFS, who opens the file next sees it, and no name has to be looked up anew."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        os.pwrite(descriptor, content, 0)
    finally:
        os.close(descriptor)


def _is_locked(run: Path) -> bool:
    """Return whether a process holds a run's lock, where locks reach."""
    try:
        with (run / "run.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
