"""Reading a database: what it held at one moment, as plain values."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections import defaultdict, namedtuple
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, NamedTuple

from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from leaderboard.bundles.findings import SEVERITIES
from leaderboard.store import models
from leaderboard.store.claims import Claim, foremost, highest, own_level, rank_of, read_claims
from leaderboard.store.copies import Copy, Held, Traces
from leaderboard.store.details import NO_DETAILS, RunDetails, stored_details, unpacked
from leaderboard.store.means import compact
from leaderboard.store.recordings import Place, Reader, Recordings
from leaderboard.store.rows import (
    Rerun,
    StoredConfiguration,
    StoredRun,
    StoredSubmission,
    SubmittedRun,
    stored_configuration,
)
from suite.records.record import FINISHED

SHOWN = (
    *("attempt", "state", "frames", "score", "scored_episodes", "parameters", "active_parameters", "sparsity"),
    *("updates", "wall_seconds", "departures", "provenance", "started_at", "ended_at"),
)
"""Columns of a run that pages show: the hash of the content covers them, though they follow from the run's digest."""


class Result(NamedTuple):
    """One of several results of a cell: the slugs of the submissions that hold it, none for a run directory."""

    slugs: tuple[str, ...]
    digest: str
    level: str
    score: float | None
    environment_fingerprint: str

    @property
    def holder(self) -> str:
        """Who holds it, in words."""
        return ", ".join(self.slugs) or "a run directory"


@dataclass(frozen=True, slots=True)
class Conflict:
    """Different results of one cell, whatever their environments: `stands` counts, `others` are kept beside it."""

    config_id: str
    game: str
    seed: int
    stands: Result
    others: tuple[Result, ...]

    @property
    def cell(self) -> tuple[str, str, int]:
        """What was run."""
        return self.config_id, self.game, self.seed


class Snapshot:
    """The database as it was when this was made. Details of runs, which never change, are read when asked for."""

    def __init__(self, connection: Connection, reader: Reader) -> None:
        """Read everything but details; `reader` opens a transaction for those."""
        self._reader = reader
        self._claims = read_claims(connection)
        self._configurations = _read_configurations(connection)
        self._rows = _read_rows(connection)
        self._numbers = {(*_key(row), row.digest): row.id for row in self._rows}
        self._submissions = connection.execute(select(models.Submission.__table__)).fetchall()
        self._recordings: dict[int, dict[str, str]] = defaultdict(dict)
        recording = models.Recording
        self._diagnosed: set[tuple[int, str]] = set()
        held = recording.diagnostics.is_not(None)
        columns = select(recording.run_id, recording.source, recording.digest, held)
        for run_id, source, digest, diagnosed in connection.execute(columns):
            self._recordings[run_id][source] = digest
            if diagnosed:
                self._diagnosed.add((run_id, source))
        self._bundles: dict[int, list[Claim]] = defaultdict(list)
        for run_id, sha256 in connection.execute(select(models.RunSubmission.run_id, models.RunSubmission.sha256)):
            self._bundles[run_id].append(self._claims[sha256])
        self._means = _read_means(connection)
        self._read: dict[int, StoredRun] = {}
        self._conflicts: list[Conflict] | None = None
        self._traces = Traces(self._rows, self._bundles)

    def config_ids(self) -> set[str]:
        """Return the ids of all configurations."""
        return set(self._configurations)

    def tasks(self) -> list[str]:
        """Return the keys of all tasks that have a configuration, sorted."""
        return sorted({item.task for item in self._configurations.values()})

    def configurations(self, task: str) -> list[StoredConfiguration]:
        """Return the configurations of a task (`atari40m@1`), by id."""
        return [item for _, item in sorted(self._configurations.items()) if item.task == task]

    def runs(self, task: str) -> list[StoredRun]:
        """Return the current runs of a task, by configuration, game, seed and environment."""
        return [self._stored_run(row) for row in self._current(task)]

    def diagnostics(self, *tasks: str, games: Collection[str] = ()) -> Recordings:
        """Return what the current results of some tasks recorded in detail, of all games or of some."""
        places: dict[str, list[Place]] = defaultdict(list)
        for row in (row for task in tasks for row in self._current(task)):
            if (not games or row.game in games) and self._recordings.get(row.id):
                source = self._source(row.id)
                digest = self._recordings[row.id].get(source, "")
                diagnosed = (row.id, source) in self._diagnosed
                places[row.config_id].append(Place(row.id, source, _key(row), digest, diagnosed))
        return Recordings(self._reader, dict(places))

    def details(self, run: StoredRun) -> RunDetails:
        """Return the episodes, evaluations, checkpoint hashes and thinned diagnostics of a run of this snapshot."""
        number = self._numbers.get((*_key(run), run.digest))
        if number is None:
            return NO_DETAILS
        with self._reader() as connection, Session(connection) as session:
            return stored_details(session.get(models.Recording, (number, self._source(number))))

    def submissions(self) -> list[StoredSubmission]:
        """Return all submissions by slug, the current bundle of each before older ones."""
        held: dict[str, list[SubmittedRun]] = defaultdict(list)
        for row in sorted(self._rows, key=_key):
            for claim in self._bundles.get(row.id, ()):
                held[claim.sha256].append(_submitted_run(row))
        copies: dict[str, list[Copy]] = defaultdict(list)
        for copy in self.copies():
            copies[copy.run.slug].append(copy)
        found = []
        for row in self._submissions:
            claim = self._claims[row.sha256]
            report = _with_copies(json.loads(row.report), copies[row.slug] if claim.current else ())
            found.append(_submission(row, claim, report, held[row.sha256]))
        return sorted(found, key=lambda item: (item.slug, not item.current, self._claims[item.sha256].arrival))

    def conflicts(self) -> list[Conflict]:
        """Return the cells of which live submissions, or one of them and a run directory, hold different results."""
        if self._conflicts is None:
            self._conflicts = self._find_conflicts()
        return list(self._conflicts)

    def _find_conflicts(self) -> list[Conflict]:
        cells: dict[tuple[str, str, int], dict[int, Any]] = defaultdict(dict)
        for row in self._rows:
            if row.state in FINISHED and self._rank(row) is not None:
                cells[_cell(row)][row.id] = row
        found = []
        for cell, rows in sorted(cells.items()):
            if len(rows) < 2 or not any(self._slugs(number) for number in rows):
                continue
            ranks = {number: rank for number, row in rows.items() if row.current and (rank := self._rank(row))}
            first = foremost(ranks, rows)
            if first is None:
                continue
            standing = rows.pop(first)
            others = [row for row in rows.values() if self._result(row) != self._result(standing)]
            if others:
                others.sort(key=lambda row: (self._rank(row), row.digest))
                found.append(Conflict(*cell, self._named(standing), tuple(map(self._named, others))))
        return found

    def _named(self, row: Any) -> Result:
        return Result(self._slugs(row.id), row.digest, self._level(row), row.score, row.environment_fingerprint)

    def _rank(self, row: Any) -> tuple[Any, ...] | None:
        return rank_of(row, self._bundles.get(row.id, ()))

    def _level(self, row: Any) -> str:
        """Return how far a row is proven: by the highest of those whose word counts."""
        if self._configurations[row.config_id].published:
            return models.PUBLISHED_LEVEL
        levels = [claim.level for claim in self._bundles.get(row.id, ()) if claim.live]
        return highest([*levels, *([own_level(row)] if row.own else [])])

    def copies(self) -> list[Copy]:
        """Return the runs whose episodes are those of another holder's run, by holder and cell; all sides are there.

        It says since when others hold it, as a fact. A bundle that a newer one replaced holds nothing.
        """
        return self._traces.copies()

    def copies_of(self, sha256: str, runs: Iterable[tuple[str, Held]]) -> list[Copy]:
        """Return the copies of runs that a bundle holds, stored here or not, each given with its trace.

        Their `slug` does not count: it is the bundle's, so that a bundle is no copy of itself.
        """
        slug = self._claims[sha256].slug if sha256 in self._claims else models.slug_of(sha256)
        found = [self._traces.others(trace, replace(run, slug=slug)) for trace, run in runs]
        return [copy for copy in found if copy is not None]

    def digest(self) -> str:
        """Return the SHA-256 of the content: the same for the same results, however and whenever they came in."""
        total = hashlib.sha256()
        for _, item in sorted(self._configurations.items()):
            total.update(repr(item).encode())
        for row in sorted(self._rows, key=lambda row: (*_key(row), bool(row.current), row.digest)):
            line = (
                *(*_key(row), bool(row.current), row.digest, self._holds(row)),
                sorted(self._recordings[row.id].items()),
                *(tuple(getattr(row, name) for name in SHOWN), self._listed_means(row.id)),
            )
            total.update(repr(line).encode())
        for submission in self.submissions():
            total.update(repr(submission).encode())
        return total.hexdigest()

    def _listed_means(self, number: int) -> Sequence[tuple[int, float]]:
        return [*self._means[number].items()] if number in self._means else ()

    def _holds(self, row: Any) -> tuple[bool, bool]:
        return bool(row.own), bool(row.replayed)

    def _source(self, number: int) -> str:
        """Return where the details of a run are taken from: its run directory, else the earliest bundle that counts."""
        claims = [claim for claim in self._bundles.get(number, ()) if claim.sha256 in self._recordings[number]]
        if "" in self._recordings[number] or not claims:
            return ""
        return min(claims, key=lambda claim: (not claim.live, claim.order)).sha256

    def _current(self, task: str) -> list[Any]:
        rows = [row for row in self._rows if row.current and self._configurations[row.config_id].task == task]
        return sorted(rows, key=_key)

    def _slugs(self, number: int) -> tuple[str, ...]:
        claims = sorted((claim for claim in self._bundles.get(number, ()) if claim.live), key=lambda c: c.order)
        return tuple(dict.fromkeys(claim.slug for claim in claims))

    def _result(self, row: Any) -> tuple[object, ...]:
        return row.state, row.score, row.scored_episodes, tuple(self._means.get(row.id, {}).items())

    def _stored_run(self, row: Any) -> StoredRun:
        """Return a row as a run, the same object every time: tasks share cells."""
        if row.id not in self._read:
            self._read[row.id] = self._made_run(row)
        return self._read[row.id]

    def _made_run(self, row: Any) -> StoredRun:
        return StoredRun(
            config_id=row.config_id,
            game=row.game,
            seed=row.seed,
            environment_fingerprint=row.environment_fingerprint,
            attempt=row.attempt,
            state=row.state,
            frames=row.frames,
            score=row.score,
            parameters=row.parameters,
            active_parameters=row.active_parameters,
            sparsity=row.sparsity,
            departures=json.loads(row.departures),
            ended_at=row.ended_at,
            digest=row.digest,
            iterations=self._means.get(row.id, {}),
            scored_episodes=row.scored_episodes,
            updates=row.updates,
            wall_seconds=row.wall_seconds,
            started_at=row.started_at,
            recorded=row.provenance,
            level=self._level(row),
            submissions=self._slugs(row.id),
            rank=self._rank(row) or (),
            reruns=self._reruns(row),
        )

    def _reruns(self, row: Any) -> tuple[Rerun, ...]:
        """Return how far maintainers trained a row's cell again, the furthest first."""
        claims = [claim for claim in self._bundles.get(row.id, ()) if claim.live]
        found = {one for claim in claims for one in claim.reruns if (one.config_id, one.game, one.seed) == _cell(row)}
        return tuple(sorted(found, key=lambda one: (-one.agent_step, one.date, one.by)))


def _cell(row: Any) -> tuple[str, str, int]:
    return row.config_id, row.game, row.seed


def _key(row: Any) -> tuple[str, str, int, str]:
    return row.config_id, row.game, row.seed, row.environment_fingerprint


def _read_configurations(connection: Connection) -> dict[str, StoredConfiguration]:
    rows: Iterable[Any] = connection.execute(select(models.Configuration.__table__))
    return {row.config_id: stored_configuration(row) for row in rows}


def _read_rows(connection: Connection) -> list[Any]:
    """Return all runs; equal texts are one object: runs of an entry share most of where they come from."""
    table, known = models.Run.__table__, dict[str, str]()
    row_of = namedtuple("row_of", table.columns.keys())  # type: ignore[misc]
    return [
        row_of(*(known.setdefault(value, value) if isinstance(value, str) else value for value in row))
        for row in connection.execute(select(table))
    ]


def _read_means(connection: Connection) -> dict[int, Mapping[int, float]]:
    table, found = models.Iteration, dict[int, Mapping[int, float]]()
    query = select(table.run_id, table.iteration, table.mean_return).order_by(table.run_id, table.iteration)
    for run_id, rows in itertools.groupby(connection.execute(query), key=lambda row: row[0]):
        found[run_id] = compact({index: mean for _, index, mean in rows})
    return found


def _submitted_run(row: Any) -> SubmittedRun:
    return SubmittedRun(*_key(row), row.digest, row.state, row.score, bool(row.current))


def _with_copies(report: dict[str, Any], copies: Sequence[Copy]) -> dict[str, Any]:
    """Return the report of a check, with a finding for each run of which there are copies; errors stay first."""
    if not copies:
        return report
    found = [*report.get("findings", ()), *(asdict(one) for copy in copies for one in copy.findings())]
    return report | {"findings": sorted(found, key=lambda one: SEVERITIES.index(one["severity"]))}


def _submission(row: Any, claim: Claim, report: dict[str, Any], runs: list[SubmittedRun]) -> StoredSubmission:
    documents = unpacked(row.documents) or {}
    return StoredSubmission(
        slug=row.slug,
        sha256=row.sha256,
        title=row.title,
        authors=tuple(json.loads(row.authors)),
        license=row.license,
        links=tuple((kind, address) for kind, address in json.loads(row.links)),
        submitted_at=row.submitted_at,
        level=claim.level,
        report=report,
        flags=claim.flags,
        current=claim.current,
        attested_by=claim.attested_by,
        attested_at=claim.attested_at,
        evidence=claim.evidence,
        cards=documents.get("cards", {}),
        environment=documents.get("environment", {}),
        statement=documents.get("statement", {}),
        runs=tuple(runs),
        arrived=claim.arrived,
        reruns=claim.reruns,
    )
