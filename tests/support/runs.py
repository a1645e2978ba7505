"""Synthetic run directories, written by the suite's own writer."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from suite.records.record import Attempt, Episode, StatusFile, Summary
from suite.records.verified import content_of, write_verified
from suite.records.writer import RunWriter
from suite.tasks import GAMES, load_task
from suite.tasks.configuration import Cell, Component, Spec


def make_spec(
    task: str = "smoke",
    agent: str = "dqn",
    network: str = "impala",
    width: int = 1,
    methods: tuple[str, ...] = ("dense",),
    frames: int | None = None,
    settings: dict[str, Any] | None = None,
) -> Spec:
    """Return a spec; `settings` are the agent's, and those of methods stand under `method.<name>.<key>`."""
    found = load_task(task)
    extra = settings or {}
    budget = found.budget.length if frames is None else frames
    own = {key.partition(".")[2]: value for key, value in extra.items() if key.startswith("agent.")}
    return Spec(
        task=found.protocol,
        task_version=found.version,
        frames=budget,
        shortened=budget != found.budget.length,
        agent=Component(id=agent, version=1, settings={"gamma": 0.99} | own),
        network=Component(id=network, version=1, settings={"width": width}),
        methods=tuple(
            Component(
                id=name,
                version=1,
                settings={k.rpartition(".")[2]: v for k, v in extra.items() if k.startswith(f"method.{name}.")},
            )
            for name in methods
        ),
    )


def make_episodes(
    spec: Spec, game: str, seed: int, attempt: int, level: float, per_iteration: int = 4
) -> list[Episode]:
    """Return episodes that end at even distances; human-normalized returns rise towards `level` with some noise."""
    task = load_task(spec.task)
    low, high = GAMES[game].random_score or 0.0, GAMES[game].human_score or 100.0
    source = random.Random(f"{spec.config_id} {game} {seed} {attempt}")
    gap = task.budget.iteration_length // per_iteration
    shift = source.gauss(0, 0.08)
    rows = []
    for number, frame in enumerate(range(gap, spec.frames + 1, gap)):
        done = frame / task.budget.length
        normalized = level * (1 + shift) * done / (done + 0.25) * 1.25 + source.gauss(0, 0.03)
        rows.append(
            Episode(
                attempt=attempt,
                episode=number,
                agent_step=frame // task.units_per_step,
                frame=frame,
                length=gap // task.units_per_step,
                end="terminated",
                emulator_seed=number,
                **{"return": round(low + normalized * (high - low), 3)},
            )
        )
    return rows


@contextmanager
def open_run(
    root: Path,
    spec: Spec,
    game: str = "Pong",
    seed: int = 0,
    *,
    state: str = "done",
    level: float = 1.0,
    departures: dict[str, Any] | None = None,
    fingerprint: str = "env-a",
    episodes: list[Episode] | None = None,
    score: float | None = None,
    started_at: str = "2026-01-01T00:00:00Z",
    reached: int | None = None,
    sparsity: float = 0.0,
    unreached: tuple[str, ...] = (),
    replayed: bool = True,
) -> Iterator[Path]:
    """Write one attempt and hold its lock while the context lasts. `score` replaces the true one in the summary.

    `replayed`: it says of itself that it was, so that boards rank it; there are no actions in it.
    """
    writer = RunWriter.open(root, Cell(spec, game, seed), departures or {})
    try:
        frames = spec.frames if state == "done" else spec.frames // 2 if reached is None else reached
        if episodes is None:
            episodes = make_episodes(spec, game, seed, writer.attempt, level)
            episodes = [row for row in episodes if state != "diverged" or row.frame <= frames]
        start, end = load_task(spec.task).score_window(frames if state == "diverged" else spec.frames)
        returns = [row.value for row in episodes if start < row.frame <= end]
        true = math.fsum(returns) / len(returns) if returns else None
        writer.provenance(
            Attempt(
                attempt=writer.attempt,
                started_at=started_at,
                suite_version="0.1.0",
                git={"commit": None},
                packages={},
                hardware={},
                environment={"ale": "0.12.1"},
                environment_fingerprint=fingerprint,
                unreached=unreached,
            )
        )
        for row in episodes:
            writer.episode(row)
        finished = state in ("done", "diverged")
        summary = Summary(
            score=true if score is None else score,
            scored_episodes=len(returns),
            parameters=1_060_000,
            active_parameters=int(1_060_000 * (1 - sparsity)),
            sparsity=sparsity,
            updates=100,
            wall_seconds=1.0,
        )
        writer.status(
            StatusFile(
                schema_version=1,
                state=state,
                attempt=writer.attempt,
                agent_steps=frames // load_task(spec.task).units_per_step,
                frames=frames,
                budget_frames=spec.frames,
                updates=100,
                episodes=len(episodes),
                last_return=None,
                frames_per_second=None,
                started_at=started_at,
                updated_at=started_at.replace("T00", "T01"),
                summary=summary if finished else None,
                closed=writer.closed_attempts(),
            )
        )
        if finished and replayed:
            write_verified(writer.path, content_of(writer.path), len(returns), 0)
        yield writer.path
    finally:
        writer.close()


def make_run(root: Path, spec: Spec | None = None, game: str = "Pong", seed: int = 0, **rest: Any) -> Path:
    """Write one attempt of a run and let go of it; return its directory."""
    with open_run(root, spec or make_spec(), game, seed, **rest) as path:
        return path
