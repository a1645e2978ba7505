"""The version of a database's tables: making them, telling what is found, and migrating what is older.

A database says its version three times, always the same: `PRAGMA user_version`, Alembic's table `alembic_version`, and,
by having tables at all, `PRAGMA application_id`. Version 1 had no Alembic table.
"""

from __future__ import annotations

import itertools
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

from sqlalchemy import Connection, Engine

from leaderboard.store import models
from leaderboard.store.claims import misplaced
from leaderboard.store.engine import make_engine, transaction, translated
from suite.durable import sync_directory
from suite.errors import BadData, UnfitEnvironment, UsageError

OLDEST = 1
"""The oldest version that can be migrated."""


def revision(version: int) -> str:
    """Return Alembic's name of a version: `0002`."""
    return f"{version:04}"


def prepare(engine: Engine, path: Path, *, create: bool) -> None:
    """Make the tables in an empty file if `create`, else see that they are this suite's and of its version."""
    with transaction(engine, path, write=create) as connection:
        if create and _is_empty(connection):
            models.Base.metadata.create_all(connection)
            mark(connection, models.SCHEMA_VERSION)
            return
        version = found_version(connection, path)
    if version < models.SCHEMA_VERSION:
        raise BadData(
            f"{path} has schema {version}, this suite writes {models.SCHEMA_VERSION}.",
            f"Migrate it: `suite leaderboard migrate --db {path}` (a copy of the old one stays beside it).",
        )


def found_version(connection: Connection, path: Path) -> int:
    """Return the version of a database's tables; BadData if they are foreign, inconsistent or newer than ours."""
    application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    version: int = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if application != models.APPLICATION_ID:
        raise BadData(f"{path} is not a results database of this suite.", "Name another file with --db.")
    if version > models.SCHEMA_VERSION:
        raise BadData(
            f"{path} has schema {version}, this suite knows {models.SCHEMA_VERSION}.",
            "Use the suite that wrote it, or ingest the run directories and bundles into a new file.",
        )
    stamp = _stamp(connection)
    if version < OLDEST or stamp != (None if version == 1 else revision(version)):
        raise BadData(
            f"{path} says schema {version} in one place and {stamp or 'none'} in another.",
            "Ingest the run directories and bundles into a new file.",
        )
    return version


def mark(connection: Connection, version: int) -> None:
    """Write a version everywhere it stands, within the caller's transaction."""
    connection.exec_driver_sql(f"PRAGMA application_id = {models.APPLICATION_ID}")
    connection.exec_driver_sql(f"PRAGMA user_version = {version}")
    connection.exec_driver_sql(
        "CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL, "
        "CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
    )
    connection.exec_driver_sql("DELETE FROM alembic_version")
    connection.exec_driver_sql("INSERT INTO alembic_version VALUES (?)", (revision(version),))


def migrate(path: Path) -> tuple[int, Path | None]:
    """Bring a database to this suite's version, in one transaction; return the version it had and the copy made.

    Which result of a cell stands is settled anew. Nothing happens, and no copy is made, if it is up to date. A kill
    leaves the old version or the new one.
    Raises UsageError if there is none, BadData if it is foreign, damaged or newer, Locked, UnfitEnvironment.
    """
    if not path.is_file():
        raise UsageError(f"There is no database at {path}.", "Make one with `suite leaderboard ingest DIR --db FILE`.")
    engine = make_engine(path)
    try:
        with transaction(engine, path) as connection:
            version = found_version(connection, path)
            if version == models.SCHEMA_VERSION:
                return version, None
            copy = _back_up(path, version)
            _upgrade(connection)
            _settle(connection)
            mark(connection, models.SCHEMA_VERSION)
            _sound(connection, path)
            return version, copy
    finally:
        engine.dispose()


def needs_migration(path: Path) -> bool:
    """Return whether there is a database of this suite at `path`, of an older version."""
    if not path.is_file() or not path.stat().st_size:
        return False
    engine = make_engine(path)
    try:
        with transaction(engine, path, write=False) as connection:
            return not _is_empty(connection) and found_version(connection, path) < models.SCHEMA_VERSION
    finally:
        engine.dispose()


def _is_empty(connection: Connection) -> bool:
    application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
    return not application and not connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()


def _stamp(connection: Connection) -> str | None:
    there = "SELECT count(*) FROM sqlite_schema WHERE name = 'alembic_version'"
    if not connection.exec_driver_sql(there).scalar_one():
        return None
    return connection.exec_driver_sql("SELECT max(version_num) FROM alembic_version").scalar_one_or_none()


def _back_up(path: Path, version: int) -> Path:
    """Copy a database, which the caller keeps from changing, to a new name beside it, synced before it has its name."""
    names = itertools.chain([""], (f"-{number}" for number in itertools.count(2)))
    copies = (path.with_name(f"{path.name}.schema-{version}{name}.bak") for name in names)
    copy = next(copy for copy in copies if not copy.exists())
    temporary = path.with_name(f".{copy.name}.tmp")
    try:
        temporary.unlink(missing_ok=True)
        with translated(path), closing(sqlite3.connect(path)) as old, closing(sqlite3.connect(temporary)) as new:
            old.backup(new)
        temporary.replace(copy)
        sync_directory(path.parent)
    except OSError as error:
        raise UnfitEnvironment(
            f"Cannot copy {path} to {copy} before migrating ({error.strerror}).", "Check permissions and free space."
        ) from error
    finally:
        temporary.unlink(missing_ok=True)
    return copy


def _upgrade(connection: Connection) -> None:
    from alembic import command  # imported where it is needed: a new database needs none of it
    from alembic.config import Config

    with resources.as_file(resources.files("leaderboard.store") / "migrations") as scripts:
        config = Config()
        config.set_main_option("script_location", str(scripts).replace("%", "%%"))
        config.set_main_option("path_separator", "os")
        config.attributes["connection"] = connection
        if _stamp(connection) is None:
            command.stamp(config, revision(OLDEST))
        command.upgrade(config, revision(models.SCHEMA_VERSION))


def _settle(connection: Connection) -> None:
    """Let that row of every cell stand which should by the rules of this suite."""
    for _, found, chosen in list(misplaced(connection)):
        for number in found:
            connection.exec_driver_sql("UPDATE run SET current = 0 WHERE id = ?", (number,))
        if chosen is not None:
            connection.exec_driver_sql("UPDATE run SET current = 1 WHERE id = ?", (chosen,))


def _sound(connection: Connection, path: Path) -> None:
    broken = connection.exec_driver_sql("PRAGMA foreign_key_check").fetchall()
    if broken:
        raise BadData(
            f"{path} holds rows that belong to none ({len(broken)}, the first in {broken[0][0]}).",
            "Ingest the run directories and bundles into a new file.",
        )
