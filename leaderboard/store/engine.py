"""SQLite's engine: durable, patient, transactions that begin where we say; its errors turned into ours."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, exc

from suite.errors import BadData, Locked, SuiteError, UnfitEnvironment

BUSY_SECONDS = 30.0
"""How long to wait for another process that writes to the same database."""

LOCAL_FILE_SYSTEMS = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "tmpfs", "xfs", "zfs"})
"""File systems of one machine, whose shared memory a write-ahead log can rely on."""

_MOUNTS = Path("/proc/self/mountinfo")


def make_engine(path: Path) -> Engine:
    """Return an engine of a database file whose transactions are `BEGIN IMMEDIATE`, or `BEGIN` for reading."""
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_SECONDS})
    wanted = journal_mode(sqlite3.sqlite_version_info, file_system(path))

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin where we say, below
        for pragma in ("foreign_keys = ON", "synchronous = FULL", "trusted_schema = OFF", "cell_size_check = ON"):
            connection.execute(f"PRAGMA {pragma}")
        if connection.execute("PRAGMA journal_mode").fetchone()[0] != wanted:
            with contextlib.suppress(sqlite3.OperationalError):  # in use or read-only: it stays as it is
                connection.execute(f"PRAGMA journal_mode = {wanted}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        write = connection.get_execution_options().get("suite_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


@contextlib.contextmanager
def transaction(engine: Engine, path: Path, *, write: bool = True) -> Iterator[Connection]:
    """Hold a transaction: whole if the context ends, undone if it raises."""
    with translated(path), engine.connect() as connection:
        connection = connection.execution_options(suite_write=write)
        with connection.begin():
            yield connection


def journal_mode(version: tuple[int, ...], kind: str | None) -> str:
    """Return `wal` where SQLite's version and the kind of file system are known to keep it whole, else `delete`.

    Before 3.51.3, and in the withdrawn 3.52.0, a reset of the log could corrupt the database.
    """
    sound = version >= (3, 51, 3) and version[:3] != (3, 52, 0)
    return "wal" if sound and kind in LOCAL_FILE_SYSTEMS else "delete"


def file_system(path: Path, mounts: Path = _MOUNTS) -> str | None:
    """Return the kind of file system that holds a path (`ext4`, `nfs4`), or None where the system does not say."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError:
        return None
    place, best, found = path.absolute().resolve(), -1, None
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 5 or not kinds:
            continue
        point = Path(_unescaped(fields[4]))
        if place.is_relative_to(point) and len(point.parts) >= best:  # the later of two mounts at one place hides it
            best, found = len(point.parts), kinds[0]
    return found


def _unescaped(text: str) -> str:
    for code, letter in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, letter)
    return text


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn the database's errors into ours: Locked, BadData for a damaged file, UnfitEnvironment for its place."""
    try:
        yield
    except SuiteError:
        raise
    except (exc.DatabaseError, sqlite3.DatabaseError) as error:
        text = str(error.orig if isinstance(error, exc.DatabaseError) else error)
        if (known := _known(path, text)) is not None:
            raise known from error
        if isinstance(error, exc.OperationalError | sqlite3.OperationalError):
            raise UnfitEnvironment(
                f"Cannot use {path} ({text}).", "Check its directory, permissions and free space."
            ) from error
        raise


def _known(path: Path, text: str) -> SuiteError | None:
    if "locked" in text:
        return Locked(
            f"Another process has been writing to {path} for {BUSY_SECONDS:g} seconds.", "Wait for it, then repeat."
        )
    if "not a database" in text or "malformed" in text:
        return BadData(
            f"{path} is not a sound SQLite database ({text}).",
            "Name another file with --db, or ingest the run directories and bundles into a new one.",
        )
    if "disk is full" in text:
        return UnfitEnvironment(
            f"There is no space left for {path}; what was stored before stands.", "Free space there, then repeat."
        )
    if "readonly" in text:
        return UnfitEnvironment(
            f"{path} cannot be written to, or its directory cannot.", "Mend the permissions, or name another with --db."
        )
    return None
