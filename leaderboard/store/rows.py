"""Between the tables and plain values: what a run becomes when it is stored, and what is read back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leaderboard.bundles.levels import is_proven
from leaderboard.store import models
from leaderboard.store.details import recording_row
from suite.contracts.card import Value
from suite.records import claims, record

RETRACTED = "retracted"
"""The code of the flag with which a submission's results no longer count."""


@dataclass(frozen=True, slots=True)
class StoredConfiguration:
    """A configuration as stored."""

    config_id: str
    source: str
    task: str
    frames: int
    shortened: bool
    agent: str
    network: str
    width: str | None
    method: str
    spec: dict[str, Any] | None
    caveats: tuple[str, ...]

    @property
    def published(self) -> bool:
        """Whether others published these numbers, and nobody ran them here."""
        return self.source in (models.PUBLISHED, models.PUBLISHED_SCORES)


@dataclass(frozen=True, slots=True)
class Rerun:
    """A cell of a bundle that a maintainer drew and trained again: the hash at `agent_step` came out the same."""

    config_id: str
    game: str
    seed: int
    agent_step: int
    by: str
    date: str


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A current run as stored; `iterations` maps an iteration to its mean raw return.

    `level` says how far it is proven: `recomputed` or `replayed` for a run directory; for a run of submissions, the
    highest of them; `published` for numbers of others. `submissions` are the slugs that hold it, what is proven most
    first; `submission` is that one, or None. `recorded` is its attempt's provenance as JSON. `rank` is what results of
    one cell in several environments are sorted by, the one that stands first. `reruns`: how far it was trained again.
    """

    config_id: str
    game: str
    seed: int
    environment_fingerprint: str
    attempt: int
    state: str
    frames: int
    score: float | None
    parameters: int | None
    active_parameters: int | None
    sparsity: float | None
    departures: Mapping[str, Value]
    ended_at: str
    digest: str
    iterations: Mapping[int, float]
    scored_episodes: int | None = None
    updates: int | None = None
    wall_seconds: float | None = None
    started_at: str = ""
    recorded: str = "{}"
    level: str = "recomputed"
    submissions: tuple[str, ...] = ()
    rank: tuple[Any, ...] = ()
    reruns: tuple[Rerun, ...] = ()

    @property
    def provenance(self) -> Mapping[str, Any]:
        """Where it came from; read from the text each time, since there are tens of thousands of them."""
        found: Mapping[str, Any] = json.loads(self.recorded)
        return found

    @property
    def proven(self) -> bool:
        """Whether all of it was played or trained again."""
        return is_proven(self.level)

    @property
    def submission(self) -> str | None:
        """The slug of the earliest submission that holds the run."""
        return self.submissions[0] if self.submissions else None

    @property
    def unreached(self) -> tuple[str, ...]:
        """What the run did not reach of its methods and schedules, a sentence each."""
        return tuple(map(str, self.provenance.get("unreached", ()))) if '"unreached"' in self.recorded else ()

    @property
    def finished(self) -> bool:
        """Whether the run is a result."""
        return self.state in record.FINISHED


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run's row, its iterations and its details, ready to be stored, beside the row of its configuration."""

    row: models.Run
    iterations: tuple[claims.IterationMean, ...]
    configuration: models.Configuration | None = None
    recording: models.Recording | None = None


def configuration_row(run: record.Run) -> models.Configuration:
    """Return the row of the configuration that a run belongs to."""
    spec = run.cell.spec
    width = spec.network.settings.get("width")
    return models.Configuration(
        config_id=spec.config_id,
        source=models.RUN_HERE,
        task=spec.task_key,
        frames=spec.frames,
        shortened=spec.shortened,
        agent=spec.agent.id,
        network=spec.network.id,
        width=None if width is None else f"{width}",
        method=spec.method_label,
        spec=spec.canonical(),
        caveats="[]",
    )


def new_run(checked: claims.Checked, *, own: bool, replayed: bool = False) -> NewRun:
    """Return a checked run ready to be stored; `own`: it was read from a run directory, which was `replayed`."""
    details = recording_row(checked.run) if checked.finished else None
    row = run_row(checked, own=own, replayed=replayed)
    return NewRun(row, checked.iterations, configuration_row(checked.run), details)


def run_row(checked: claims.Checked, *, own: bool = True, replayed: bool = False) -> models.Run:
    """Return the row of a run. Only a result keeps its summary."""
    run, summary = checked.run, checked.run.status.summary if checked.finished else None
    return models.Run(
        config_id=run.cell.config_id,
        game=run.cell.game,
        seed=run.cell.seed,
        environment_fingerprint=checked.attempt.environment_fingerprint,
        attempt=run.status.attempt,
        current=True,
        state=checked.state,
        frames=run.status.frames,
        score=checked.score,
        scored_episodes=checked.scored_episodes if checked.finished else None,
        parameters=summary.parameters if summary else None,
        active_parameters=summary.active_parameters if summary else None,
        sparsity=summary.sparsity if summary else None,
        updates=run.status.updates,
        wall_seconds=summary.wall_seconds if summary else None,
        departures=json.dumps(run.cell.departures, sort_keys=True),
        provenance=json.dumps(checked.attempt.model_dump(mode="json"), sort_keys=True),
        started_at=run.status.started_at,
        ended_at=run.status.updated_at,
        digest=checked.digest,
        own=own,
        replayed=replayed and checked.finished,
        trace=(claims.trace(run) or None) if checked.finished else None,
    )


def stored_configuration(row: models.Configuration) -> StoredConfiguration:
    """Read a configuration's row."""
    return StoredConfiguration(
        config_id=row.config_id,
        source=row.source,
        task=row.task,
        frames=row.frames,
        shortened=bool(row.shortened),
        agent=row.agent,
        network=row.network,
        width=row.width,
        method=row.method,
        spec=None if row.spec is None else json.loads(row.spec),
        caveats=tuple(json.loads(row.caveats)),
    )


@dataclass(frozen=True, slots=True)
class Flag:
    """What a maintainer holds against a submission: `code` (`retracted`), the reason, the date and who says so."""

    code: str
    reason: str
    date: str
    by: str


@dataclass(frozen=True, slots=True)
class SubmittedRun:
    """A run that a bundle holds; `current` unless another result of its cell stands."""

    config_id: str
    game: str
    seed: int
    environment_fingerprint: str
    digest: str
    state: str
    score: float | None
    current: bool


@dataclass(frozen=True, slots=True)
class StoredSubmission:
    """A submission as stored.

    `level` is that of its newest attestation, else what the check found; `flags` are the newest attestation's.
    `current`: it is the newest bundle of its slug. `submitted_at`: when the last of its runs ended, as they say, and
    `arrived` its place in the history of the results repository. `reruns`: what of it was trained again.
    `links` are pairs of a kind (`code`, `paper`) and an address. `report` is the check's: `level` and `findings`.
    `cards` (by `method/redo`), `environment` and `statement` (submission.toml) are the bundle's, from outside.
    """

    slug: str
    sha256: str
    title: str
    authors: tuple[Mapping[str, Any], ...]
    license: str
    links: tuple[tuple[str, str], ...]
    submitted_at: str
    level: str
    report: Mapping[str, Any]
    flags: tuple[Flag, ...]
    current: bool
    attested_by: str | None
    attested_at: str | None
    evidence: str
    cards: Mapping[str, Any]
    environment: Mapping[str, Any]
    statement: Mapping[str, Any]
    runs: tuple[SubmittedRun, ...]
    arrived: int | None = None
    reruns: tuple[Rerun, ...] = ()

    @property
    def retracted(self) -> bool:
        """Whether its results no longer count."""
        return any(flag.code == RETRACTED for flag in self.flags)
