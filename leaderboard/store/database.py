"""The results database; the only module that writes to it. A run is stored whole or not at all, and so is a bundle."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from sqlalchemy import URL, Engine, create_engine, select
from sqlalchemy.orm import Session

from leaderboard.store import models, schema
from leaderboard.store.claims import Claim, read_claims, stands, superfluous
from leaderboard.store.engine import make_engine, transaction, translated
from leaderboard.store.rows import NewRun, new_run
from leaderboard.store.snapshot import Conflict, Snapshot
from suite.errors import UsageError
from suite.records import claims, record
from suite.records.verified import is_verified

__all__ = ["Conflict", "Ingested", "NewSubmission", "ResultStore", "Snapshot", "Submitted", "prepared"]

Outcome = Literal["new", "updated", "known", "skipped"]


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of one run; `reason` says why one was skipped."""

    outcome: Outcome
    reason: str = ""


@dataclass(frozen=True, slots=True)
class NewSubmission:
    """A checked bundle ready to be stored: its row, its runs, and what a maintainer says about it, if anything."""

    row: models.Submission
    runs: Sequence[NewRun]
    attestation: models.Attestation | None = None


@dataclass(frozen=True, slots=True)
class Submitted:
    """What became of a bundle, and of each of its runs; `updated`: it was known, what is attested of it was not."""

    outcome: Outcome
    runs: tuple[Ingested, ...] = ()


def prepared(run: record.Run) -> NewRun:
    """Return the run of a run directory, judged and ready to be stored; BadData if it says what cannot be.

    It counts as replayed if `suite verify` played it again as it stands.
    """
    judged = claims.judged(run, record.effective_state(run.path, run.status))
    return new_run(judged, own=True, replayed=is_verified(run.path))


class ResultStore:
    """A results database. Use as a context manager, or call `close`."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.path = path
        self.engine = engine

    @classmethod
    def open(cls, path: Path, *, create: bool = False) -> Self:
        """Open a database, or make one.

        Raises UsageError if there is none, BadData if it is foreign, damaged, older or newer than this suite, Locked
        if another process keeps it for 30 seconds, UnfitEnvironment if it cannot be written.
        """
        if not create and not path.is_file():
            raise UsageError(
                f"There is no database at {path}.", "Make one with `suite leaderboard ingest DIR --db FILE`."
            )
        store = cls(path, make_engine(path))
        try:
            schema.prepare(store.engine, path, create=create)
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
        self.engine.dispose()

    def ingest(self, run: record.Run) -> Ingested:
        """Check and store the run of a run directory as it stands. The same content twice changes nothing.

        Finished runs are results; others are kept as a mere line. A newer attempt takes the place of an older one.
        """
        return self.add_runs([prepared(run)])[0]

    def add_runs(self, runs: Sequence[NewRun]) -> list[Ingested]:
        """Store runs, all in one transaction, and say what became of each."""
        with self._session() as session:
            claims = read_claims(session.connection())
            return [_store_run(session, new, claims) for new in runs]

    def add_submission(self, new: NewSubmission) -> Submitted:
        """Store a bundle and its runs in one transaction; see `place` for one that is known."""
        sha256, slug = new.row.sha256, new.row.slug
        with self._session() as session:
            if session.get(models.Submission, sha256) is None:
                session.add(new.row)
                session.flush()
                if new.attestation is not None:
                    _attest(session, new.attestation)
                claims = read_claims(session.connection())
                runs = tuple(_store_run(session, run, claims, sha256) for run in new.runs)
                _settle_slug(session, claims, slug)
                return Submitted("new", runs)
        said = self.place(sha256, slug, new.attestation, new.row.arrived)
        return said or Submitted("known")  # another process was faster

    def place(
        self,
        sha256: str,
        slug: str,
        attestation: models.Attestation | None = None,
        arrived: int | None = None,
    ) -> Submitted | None:
        """Say of a bundle that is here where it lies and what is attested of it; None if it is not here.

        Of several places the first by name is its slug; "" is none. `arrived`: its place in the repository's history.
        """
        with self._session(write=False) as session:  # most bundles come in again and again: no lock for those
            row = session.get(models.Submission, sha256)
            if row is None:
                return None
            if not _says_more(session, row, slug, attestation, arrived):
                return Submitted("known")
        with self._session() as session:
            row = session.get_one(models.Submission, sha256)
            if not _says_more(session, row, slug, attestation, arrived):
                return Submitted("known")
            slugs = {row.slug}
            row.slug, row.arrived = _first_slug(row, slug), _first_arrival(row, arrived)
            if attestation is not None:
                _attest(session, attestation)
            session.flush()
            claims = read_claims(session.connection())
            for touched in sorted(slugs | {row.slug}):
                _settle_slug(session, claims, touched)
            return Submitted("updated")

    def add_published(self, configurations: Iterable[tuple[models.Configuration, list[NewRun]]]) -> int:
        """Store published configurations that are not here yet, all in one transaction; return how many were new."""
        added = 0
        with self._session() as session:
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
        """Read the database as it is at one moment, whatever is written meanwhile; no lock is held afterwards."""
        with transaction(self.engine, self.path, write=False) as connection:
            found = Snapshot(connection, lambda: transaction(self.engine, self.path, write=False))
        yield found

    @contextlib.contextmanager
    def snapshot_in(self, copy: Path) -> Iterator[Snapshot]:
        """Read a whole copy of this database as its snapshot; details, which never change, are read here."""
        engine = create_engine(URL.create("sqlite", database=str(copy)))
        with translated(copy), engine.connect() as connection:
            found = Snapshot(connection, lambda: transaction(self.engine, self.path, write=False))
        engine.dispose()
        yield found

    @contextlib.contextmanager
    def _session(self, *, write: bool = True) -> Iterator[Session]:
        with transaction(self.engine, self.path, write=write) as connection, Session(connection) as session:
            yield session
            session.flush()


def _store_run(session: Session, new: NewRun, claims: dict[str, Claim], sha256: str | None = None) -> Ingested:
    """Store a run, alone or as part of the bundle `sha256`, and settle which row of its key stands."""
    row = new.row
    if new.configuration is not None and session.get(models.Configuration, row.config_id) is None:
        session.add(new.configuration)
        session.flush()
    known = _rows_of_key(session, row)
    before = next((old.id for old in known if old.current), None)
    same = next((old for old in known if old.digest == row.digest), None)
    if same is not None:
        same.own, same.replayed = same.own or row.own, same.replayed or row.replayed
        same.trace = same.trace or row.trace  # schema 1 kept no evaluations
        _record(session, same.id, sha256 or "", new.recording)
        if sha256 is not None:
            session.merge(models.RunSubmission(run_id=same.id, sha256=sha256))
        _settle(session, known, claims)
        return Ingested("known")
    row.current = not known and (sha256 is None or claims[sha256].live)
    _insert(session, new, sha256)
    if known:
        _settle(session, [*known, row], claims)
    if not row.current:
        return Ingested("skipped", _why_not(row, claims.get(sha256 or "")))
    return Ingested("new" if before is None else "updated")


def _insert(session: Session, new: NewRun, sha256: str | None) -> None:
    session.add(new.row)
    session.flush()
    _insert_iterations(session, [new])
    if new.recording is not None:
        new.recording.run_id, new.recording.source = new.row.id, sha256 or ""
        session.add(new.recording)
    if sha256 is not None:
        session.add(models.RunSubmission(run_id=new.row.id, sha256=sha256))


def _rows_of_key(session: Session, row: models.Run) -> list[models.Run]:
    run = models.Run
    key = (run.config_id == row.config_id, run.game == row.game, run.seed == row.seed)
    return list(session.scalars(select(run).where(*key, run.environment_fingerprint == row.environment_fingerprint)))


def _settle(session: Session, rows: list[models.Run], claims: dict[str, Claim]) -> None:
    """Drop what is superfluous of one key's rows and make that one of them current which stands."""
    session.flush()
    by_id, link = {row.id: row for row in rows}, models.RunSubmission
    bundles: dict[int, list[Claim]] = {}
    if claims:
        for number, sha256 in session.execute(select(link.run_id, link.sha256).where(link.run_id.in_(by_id))):
            bundles.setdefault(number, []).append(claims[sha256])
    for number in superfluous(by_id, bundles):
        session.delete(by_id.pop(number))
    chosen = stands(by_id, bundles)
    for number, row in by_id.items():
        if row.current and number != chosen:
            row.current = False
    session.flush()  # before another takes its place: at most one is current
    if chosen is not None:
        by_id[chosen].current = True
        session.flush()


def _settle_slug(session: Session, claims: dict[str, Claim], slug: str) -> None:
    """Settle every key of which a bundle of this slug, current or not, holds a run."""
    bundles = [claim.sha256 for claim in claims.values() if claim.slug == slug]
    run, link = models.Run, models.RunSubmission
    touched = session.scalars(select(run).join(link, link.run_id == run.id).where(link.sha256.in_(bundles)))
    keys = {(row.config_id, row.game, row.seed, row.environment_fingerprint): row for row in touched}
    for _, row in sorted(keys.items()):
        _settle(session, _rows_of_key(session, row), claims)


def _attest(session: Session, attestation: models.Attestation) -> bool:
    if session.get(models.Attestation, (attestation.sha256, attestation.digest)) is not None:
        return False
    session.add(attestation)
    session.flush()
    return True


def _says_more(
    session: Session,
    row: models.Submission,
    slug: str,
    attestation: models.Attestation | None,
    arrived: int | None,
) -> bool:
    new = attestation is not None and session.get(models.Attestation, (row.sha256, attestation.digest)) is None
    return new or (_first_slug(row, slug), _first_arrival(row, arrived)) != (row.slug, row.arrived)


def _first_arrival(row: models.Submission, arrived: int | None) -> int | None:
    return min((place for place in (row.arrived, arrived) if place is not None), default=None)


def _first_slug(row: models.Submission, slug: str) -> str:
    """Return the slug of a bundle that lies in several places: a folder's name before its own, then the first."""
    own = models.slug_of(row.sha256)
    return min({row.slug, slug} - {own, ""}, default=own)


def _record(session: Session, number: int, source: str, new: models.Recording | None) -> None:
    """Keep what a run recorded in detail: the first of a source, unless another of it holds more."""
    if new is None:
        return
    old = session.get(models.Recording, (number, source))
    if old is None:
        new.run_id, new.source = number, source
        session.add(new)
    elif (new.points, new.digest) > (old.points, old.digest):
        old.digest, old.points, old.episodes = new.digest, new.points, old.episodes or new.episodes
        old.diagnostics, old.checkpoints, old.evaluation = new.diagnostics, new.checkpoints, new.evaluation


def _why_not(row: models.Run, claim: Claim | None) -> str:
    if claim is not None and not claim.live:
        return "kept, but its submission is retracted or was replaced by a newer bundle"
    if row.state not in record.FINISHED:
        return f"attempt {row.attempt} was followed by a newer one that is already stored"
    return "kept beside another result of the same cell, which stands: it is proven further, or came first"


def _insert_iterations(session: Session, runs: Iterable[NewRun]) -> None:
    rows = [(run.row.id, mean.iteration, mean.mean_return, mean.episodes) for run in runs for mean in run.iterations]
    if rows:  # by the driver: there are hundreds of thousands
        session.connection().exec_driver_sql(
            "INSERT INTO iteration (run_id, iteration, mean_return, episodes) VALUES (?, ?, ?, ?)", rows
        )
