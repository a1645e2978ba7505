"""Between the tables and plain values: what a run becomes when it is stored, and what is read back."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from leaderboard.store import models, scoring
from suite import record
from suite.card import Value


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
        return self.source == models.PUBLISHED


@dataclass(frozen=True, slots=True)
class StoredRun:
    """A current run as stored; `iterations` maps an iteration to its mean raw return."""

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

    @property
    def finished(self) -> bool:
        """Whether the run is a result."""
        return self.state in record.FINISHED


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run's row and its iterations, ready to be stored."""

    row: models.Run
    iterations: tuple[scoring.IterationMean, ...]


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


def run_row(checked: scoring.Checked) -> models.Run:
    """Return the row of a run. Only a result keeps its summary and its episodes."""
    run, summary = checked.run, checked.run.status.summary if checked.finished else None
    episodes = [[row.frame, row.length, row.value, row.end] for row in run.episodes] if checked.finished else None
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
        episodes=None if episodes is None else zlib.compress(json.dumps(episodes, separators=(",", ":")).encode(), 6),
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


def stored_run(row: models.Run, means: Mapping[int, float]) -> StoredRun:
    """Read a run's row, with the means of its iterations."""
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
        iterations=dict(sorted(means.items())),
    )
