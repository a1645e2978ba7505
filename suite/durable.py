"""Durable file operations, all in one place: what these functions acknowledge outlives a kill and a power cut.

Every change of the disk is one call of `system`, so that a test can stop at each of them, let each of them fail, and
work out what a disk may hold after a crash there. An error of any call, `fsync` above all, ends the operation: an
`fsync` that is tried again can report success for data that are lost.
"""

from __future__ import annotations

import contextlib
import errno
import os
import uuid
from collections.abc import Iterable
from pathlib import Path

_TRASH = ".trash-"
_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""How file systems without hard links refuse one."""


class System:
    """The calls that change a disk, and reading."""

    def create(self, path: Path) -> int:
        """Open a new or emptied file for writing."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)

    def create_new(self, path: Path) -> int:
        """Open a file for writing whose name is free; FileExistsError if it is not."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    def link(self, old: Path, new: Path) -> None:
        """Give a file a second name, which is free; FileExistsError if it is not."""
        os.link(old, new)

    def open_directory(self, path: Path) -> int:
        """Open a directory, to sync it."""
        return os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of the data and return how many bytes."""
        return os.write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        """Return once a file's data or a directory's entries are on the disk."""
        os.fsync(descriptor)

    def close(self, descriptor: int) -> None:
        """Close a file or directory."""
        os.close(descriptor)

    def rename(self, old: Path, new: Path) -> None:
        """Rename a file or directory, in place of `new` if that is a file."""
        old.replace(new)

    def unlink(self, path: Path) -> None:
        """Delete a file."""
        path.unlink()

    def mkdir(self, path: Path) -> None:
        """Make a directory."""
        path.mkdir()

    def rmdir(self, path: Path) -> None:
        """Delete an empty directory."""
        path.rmdir()

    def read(self, path: Path) -> bytes:
        """Read a whole file."""
        return path.read_bytes()


system = System()
"""What all functions below call."""


def write_file(path: Path, content: bytes | Iterable[bytes | memoryview]) -> None:
    """Write a file and sync its data; its name is durable once its directory is synced.

    A crash leaves anything under that name, so it must be in a directory that nobody reads yet.
    """
    descriptor = system.create(path)
    try:
        for piece in (content,) if isinstance(content, bytes) else content:
            _write_all(descriptor, memoryview(piece))
        system.fsync(descriptor)
    finally:
        system.close(descriptor)


def replace_file(path: Path, content: str | bytes) -> None:
    """Replace a file so that a reader or a power cut finds the old content or the new, never a mixture.

    Text is encoded in UTF-8 and ends with one more newline; bytes are written as they are.
    """
    data = f"{content}\n".encode() if isinstance(content, str) else content
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        write_file(temporary, data)
        system.rename(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            system.unlink(temporary)
        raise
    sync_directory(path.parent)


def create_once(path: Path, content: bytes) -> bool:
    """Write a file whose name is free; return whether the name now stands for this content, which is like no other.

    The name is taken by a hard link: of all who try, one can have it, on NFS before version 3 too, where O_EXCL cannot
    be relied on, and whoever sees the name sees the whole content. Without hard links it is O_CREAT with O_EXCL. An
    answer may be lost on its way from a server; so the content decides, not the answer.
    """
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        write_file(temporary, content)
        with contextlib.suppress(FileExistsError):
            _take_name(path, temporary, content)
    finally:
        with contextlib.suppress(OSError):
            system.unlink(temporary)
    sync_directory(path.parent)
    try:
        return system.read(path) == content
    except FileNotFoundError:  # it is another's, and this machine has not heard of it yet
        return False


def make_directory(path: Path) -> None:
    """Make a directory and its missing parents, or find it there; its name is durable."""
    if not path.parent.exists():
        make_directory(path.parent)
    if not path.is_dir():
        with contextlib.suppress(FileExistsError):  # another process was faster
            system.mkdir(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """Return once the names in a directory are on the disk."""
    descriptor = system.open_directory(path)
    try:
        system.fsync(descriptor)
    finally:
        system.close(descriptor)


def publish_directory(temporary: Path, final: Path) -> None:
    """Give a directory of synced files its final name, which must be free; all or nothing of it is found there."""
    sync_directory(temporary)
    system.rename(temporary, final)
    sync_directory(final.parent)


def remove_tree(path: Path) -> None:
    """Delete a file or directory so that no half of it is ever found under its name.

    It is first renamed to a hidden name. One that has a hidden name, as what an earlier kill left, keeps it, but is
    deleted no sooner than that name is on the disk: a power cut could still bring the other one back.
    """
    trash = path
    if not path.name.startswith("."):
        trash = path.with_name(_TRASH + path.name)
        if trash.exists():
            remove_tree(trash)
        system.rename(path, trash)
    sync_directory(path.parent)
    _delete(trash)


def _take_name(path: Path, temporary: Path, content: bytes) -> None:
    try:
        system.link(temporary, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        descriptor = system.create_new(path)
        try:
            _write_all(descriptor, memoryview(content))
            system.fsync(descriptor)
        finally:
            system.close(descriptor)


def _write_all(descriptor: int, data: memoryview) -> None:
    while data:
        data = data[system.write(descriptor, data) :]


def _delete(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            _delete(child)
        system.rmdir(path)
    else:
        system.unlink(path)
