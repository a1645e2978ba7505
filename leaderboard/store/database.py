"""The results database; the only module that opens a session. One transaction per run: whole, or not at all."""

from __future__ import annotations

import contextlib
import hashlib
import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

from sqlalchemy import URL, Engine, create_engine, event, exc, insert, select
from sqlalchemy.orm import Session

from leaderboard.store import models, scoring
from leaderboard.store.rows import (
    NewRun,
    StoredConfiguration,
    StoredRun,
    configuration_row,
    run_row,
    stored_configuration,
    stored_run,
)
from suite import record
from suite.errors import BadData, Locked, SuiteError, UnfitEnvironment, UsageError

BUSY_SECONDS = 30.0
"""How long to wait for another process that writes to the same database."""

Outcome = Literal["new", "updated", "known", "skipped"]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of one run directory; `reason` says why one was skipped."""

    outcome: Outcome
    reason: str = ""


class Snapshot:
    """The database as it was at one moment, as plain values."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def config_ids(self) -> set[str]:
        """Return the ids of all configurations."""
        return set(self._session.scalars(select(models.Configuration.config_id)))

    def tasks(self) -> list[str]:
        """Return the keys of all tasks that have a configuration, sorted."""
        query = select(models.Configuration.task).distinct().order_by(models.Configuration.task)
        return list(self._session.scalars(query))

    def configurations(self, task: str) -> list[StoredConfiguration]:
        """Return the configurations of a task (`atari40m@1`), by id."""
        table = models.Configuration
        query = select(table).where(table.task == task).order_by(table.config_id)
        return [stored_configuration(row) for row in self._session.scalars(query)]

    def runs(self, task: str) -> list[StoredRun]:
        """Return the current runs of a task, by configuration, game, seed and environment."""
        run, configuration, iteration = models.Run, models.Configuration, models.Iteration
        chosen = select(run.id).join(configuration).where(configuration.task == task, run.current == 1)
        rows = select(iteration.run_id, iteration.iteration, iteration.mean_return)
        means: dict[int, dict[int, float]] = defaultdict(dict)
        for run_id, index, mean in self._session.execute(rows.where(iteration.run_id.in_(chosen))):
            means[run_id][index] = mean
        order = (run.config_id, run.game, run.seed, run.environment_fingerprint)
        query = select(run).where(run.id.in_(chosen)).order_by(*order)
        return [stored_run(row, means[row.id]) for row in self._session.scalars(query)]

    def digest(self) -> str:
        """Return the SHA-256 of the content: the same for the same results, however and whenever they came in."""
        run, configuration = models.Run, models.Configuration
        total = hashlib.sha256()
        for row in self._session.scalars(select(configuration).order_by(configuration.config_id)):
            total.update(repr(stored_configuration(row)).encode())
        columns = (run.config_id, run.game, run.seed, run.environment_fingerprint, run.current, run.digest)
        for line in self._session.execute(select(*columns).order_by(*columns)):
            total.update(repr(tuple(line)).encode())
        return total.hexdigest()


class ResultStore:
    """A results database. Use as a context manager, or call `close`."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self._engine = engine

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Self:
        """Open a database, or make one.

        Raises UsageError if there is none, BadData if it is foreign, damaged or newer than this suite, Locked if
        another process keeps it for 30 seconds, UnfitEnvironment if it cannot be written.
        """
        if not create and not path.is_file():
            raise UsageError(
                f"There is no database at {path}.", "Make one with `suite leaderboard ingest DIR --db FILE`."
            )
        store = cls(path, _engine(path))
        try:
            store._check_schema(create=create)
        except BaseException:
            store.close()
            raise
        return store

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()

    def ingest(self, run: record.Run) -> Ingested:
        """Store a run as it stands, in one transaction. The same content twice changes nothing.

        Finished runs are results; others are kept as a mere line. A newer attempt takes the place of an older one.
        """
        checked = scoring.check(run, record.effective_state(run.path, run.status))
        new = NewRun(run_row(checked), checked.iterations)
        with self._transaction() as session:
            if session.get(models.Configuration, new.row.config_id) is None:
                session.add(configuration_row(run))
                session.flush()
            return _store_run(session, new)

    def add_published(self, configurations: Iterable[tuple[models.Configuration, list[NewRun]]]) -> int:
        """Store published configurations that are not here yet, all in one transaction; return how many were new."""
        added = 0
        with self._transaction() as session:
            for configuration, runs in configurations:
                if session.get(models.Configuration, configuration.config_id) is not None:
                    continue
                session.add(configuration)
                session.flush()
                session.add_all(run.row for run in runs)
                session.flush()
                _insert_iterations(session, runs)
                added += 1
        return added

    @contextlib.contextmanager
    def snapshot(self) -> Iterator[Snapshot]:
        """Read the database as it is at one moment, whatever is written meanwhile."""
        with self._transaction(write=False) as session:
            yield Snapshot(session)

    @contextlib.contextmanager
    def _transaction(self, *, write: bool = True) -> Iterator[Session]:
        with _translated(self.path), self._engine.connect() as connection:
            connection = connection.execution_options(suite_write=write)
            with Session(connection) as session, session.begin():
                yield session

    def _check_schema(self, *, create: bool) -> None:
        with _translated(self.path), self._engine.connect() as connection:
            connection = connection.execution_options(suite_write=create)
            with connection.begin():
                application = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
                version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
                tables = connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
                if create and not tables and not application:
                    models.Base.metadata.create_all(connection)
                    connection.exec_driver_sql(f"PRAGMA application_id = {models.APPLICATION_ID}")
                    connection.exec_driver_sql(f"PRAGMA user_version = {models.SCHEMA_VERSION}")
                    return
        if application != models.APPLICATION_ID:
            raise BadData(f"{self.path} is not a results database of this suite.", "Name another file with --db.")
        if version != models.SCHEMA_VERSION:
            raise BadData(
                f"{self.path} has schema {version}, this suite knows {models.SCHEMA_VERSION}.",
                "Use the suite that wrote it, or ingest the run directories into a new file.",
            )


def _engine(path: Path) -> Engine:
    engine = create_engine(URL.create("sqlite", database=str(path)), connect_args={"timeout": BUSY_SECONDS})

    @event.listens_for(engine, "connect")
    def _connect(connection: Any, _: object) -> None:
        connection.isolation_level = None  # transactions begin where we say, below
        for pragma in ("foreign_keys = ON", "journal_mode = DELETE", "synchronous = FULL"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Any) -> None:
        write = connection.get_execution_options().get("suite_write", True)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    return engine


def _store_run(session: Session, new: NewRun) -> Ingested:
    """Store a run and settle which of the rows of its key is current: the newest, by attempt and then by time."""
    run, row = models.Run, new.row
    key = (run.config_id == row.config_id, run.game == row.game, run.seed == row.seed)
    same = select(run).where(*key, run.environment_fingerprint == row.environment_fingerprint)
    known = list(session.scalars(same))
    if any(old.digest == row.digest for old in known):
        return Ingested("known")
    current = next((old for old in known if old.current), None)
    row.current = current is None or _age(row) > _age(current)
    if not row.current and not _is_result(row):
        return Ingested("skipped", f"attempt {row.attempt} was followed by a newer one that is already stored")
    if row.current and current is not None:
        current.current = False
        if not _is_result(current):
            session.delete(current)
        session.flush()
    session.add(row)
    session.flush()
    _insert_iterations(session, [new])
    if not row.current:
        return Ingested("skipped", "kept beside a newer result of the same cell, which stands")
    return Ingested("new" if current is None else "updated")


def _age(row: models.Run) -> tuple[int, str, str, str]:
    return row.attempt, row.started_at, row.ended_at, row.digest


def _is_result(row: models.Run) -> bool:
    return row.state in record.FINISHED


def _insert_iterations(session: Session, runs: Iterable[NewRun]) -> None:
    rows = [
        {"run_id": run.row.id, "iteration": mean.iteration, "mean_return": mean.mean_return, "episodes": mean.episodes}
        for run in runs
        for mean in run.iterations
    ]
    if rows:
        session.execute(insert(models.Iteration), rows)


@contextlib.contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Turn the database's errors into ours."""
    try:
        yield
    except SuiteError:
        raise
    except (exc.DatabaseError, sqlite3.DatabaseError) as error:
        text = str(error.orig if isinstance(error, exc.DatabaseError) else error)
        if "locked" in text:
            raise Locked(
                f"Another process has been writing to {path} for {BUSY_SECONDS:g} seconds.", "Wait for it, then repeat."
            ) from error
        if "not a database" in text or "malformed" in text:
            raise BadData(f"{path} is not a sound SQLite database ({text}).", "Name another file with --db.") from error
        if isinstance(error, exc.OperationalError | sqlite3.OperationalError):
            raise UnfitEnvironment(
                f"Cannot use {path} ({text}).", "Check its directory, permissions and free space."
            ) from error
        raise
