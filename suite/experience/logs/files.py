"""Writing below a data directory: one process at a time, and every file whole or not there."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from suite import durable
from suite.errors import ExitCode, Locked, SuiteError, UnfitEnvironment


class Interrupted(SuiteError):
    """The work was stopped; the same call goes on with it."""

    exit_code = ExitCode.INTERRUPTED


class FileEntry(BaseModel):
    """A file's size in bytes and its SHA-256 in hexadecimal digits."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int = Field(ge=0)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Tapped:
    """Passes pieces on; `entry` is of those passed so far."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces
        self._size = 0
        self._sha256 = hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self._size += len(piece)
            self._sha256.update(piece)
            yield piece

    @property
    def entry(self) -> FileEntry:
        """Size and hash."""
        return FileEntry(bytes=self._size, sha256=self._sha256.hexdigest())


def write_whole(path: Path, pieces: Iterable[bytes]) -> FileEntry:
    """Write a file under a hidden name and rename it once it is on the disk; a failure of `pieces` leaves none."""
    tapped = Tapped(pieces)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with unwritable(path):
            durable.write_file(temporary, tapped)
            durable.system.rename(temporary, path)
            durable.sync_directory(path.parent)
    except BaseException:
        with contextlib.suppress(OSError):
            durable.system.unlink(temporary)
        raise
    return tapped.entry


@contextlib.contextmanager
def unwritable(path: Path) -> Iterator[None]:
    """Turn an error of the disk into one that names the place."""
    try:
        yield
    except OSError as error:
        raise UnfitEnvironment(
            f"Cannot write {path}: {error.strerror or error}.",
            "Choose another place with --out, mend its permissions, or free space there; then issue the command again.",
        ) from error


@contextlib.contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Make a folder if need be, and let no other process write there meanwhile."""
    with unwritable(folder):
        durable.make_directory(folder)
        lock = (folder / ".lock").open("a")
    with lock:
        with unwritable(folder):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise Locked(f"Another process is writing to {folder}.", "Wait for it.") from error
        yield


def check_space(folder: Path, needed: int) -> None:
    """Raise UnfitEnvironment if fewer bytes are free than needed."""
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise UnfitEnvironment(
            f"{needed / 2**30:,.1f} GiB are needed at {folder}, {free / 2**30:,.1f} are free.",
            "Free space there, or choose another --out.",
        )
