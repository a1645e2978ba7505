"""Runs that hold in every respect that can be checked without an emulator, made in memory; and bundles of them."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from leaderboard.bundles.curves import write_curves
from leaderboard.bundles.environment import lock
from leaderboard.bundles.pack import cards_of, claim_of, document, manifest_of, zipped
from leaderboard.bundles.runs import BundledRun, document_name, to_document
from suite.records.claims import check
from suite.records.record import (
    Actions,
    Attempt,
    CellFile,
    Checkpoint,
    Diagnostics,
    Episode,
    EvaluationRow,
    ProvenanceFile,
    StatusFile,
    Summary,
    pack,
)
from suite.records.schedule import by_segment, due_steps, is_complete, stretches
from suite.records.score import score_of, scored
from suite.rng import Streams
from suite.running.request import Request, resolve
from suite.tasks import GAMES, Task, load_task
from suite.tasks.configuration import Spec
from suite.tasks.environments import fingerprint, library_of, options_of

TOML = b"""\
schema = 2
title = "Two games, two seeds"
contact = "someone@example.org"
license = "CC0-1.0"
relationship = "third_party"
deviations = []
known_issues = ["It is a test."]

[[authors]]
name = "Ada Example"
orcid = "0000-0002-1825-0097"

[code]
url = "https://example.org/code"
commit = "0123456789abcdef"

[tuning]
budget_runs = 0
games_used = []
selection_rule = "published settings"

[compute]
device = "2 cores"
hours = 0.5
"""


PACKAGES = {"ale-py": "0.12.1", "mujoco": "4.0.0", "gymnasium": "1.3.0", "minatar": "1.0.15"}

MEASURED: dict[str, dict[str, Any]] = {
    "ale_py": {"ale_py": "0.12.1", "rom_sha256": "0" * 64},
    "mujoco": {
        "mujoco": "4.0.0",
        "gymnasium": "1.3.0",
        "options": "{}",
        "frame_skip": 5,
        "model_sha256": "0" * 64,
    },
    "gymnasium": {"gymnasium": "1.3.0"},
    "minatar": {"minatar": "1.0.15"},
}
"""What the library of an environment would have said of itself."""


def honest_run(
    task_name: str = "smoke",
    game: str = "Pong",
    seed: int = 0,
    *,
    methods: str = "dense",
    settings: tuple[str, ...] = (),
    mean_length: int | None = None,
    with_actions: bool = True,
) -> BundledRun:
    """Return a finished run of the whole budget, as the suite would have recorded it, with random numbers."""
    task = load_task(task_name)
    (resolved,) = resolve(Request(task.id, methods=(methods,), settings=settings))
    if task.data is not None:
        resolved = replace(resolved, spec=resolved.spec.model_copy(update={"dataset": dataset_of(task, resolved.spec)}))
    source = random.Random(f"{task_name} {game} {seed} {methods} {settings}")
    steps = task.agent_steps(resolved.spec.frames)
    episodes = _episodes(task, game, seed, steps, mean_length or steps // 12, source)
    evaluation = _evaluation(task, game, seed, steps, source)
    cell = CellFile(
        config_id=resolved.spec.config_id, spec=resolved.spec, game=game, seed=seed, departures=resolved.departures
    )
    status = StatusFile(
        state="done",
        attempt=1,
        agent_steps=steps,
        frames=resolved.spec.frames,
        budget_frames=resolved.spec.frames,
        updates=100,
        episodes=len(episodes),
        last_return=None,
        frames_per_second=300.0,
        started_at="2026-01-01T00:00:00Z",
        updated_at="2026-01-01T01:00:00Z",
        summary=None,
    )
    run = BundledRun(
        Path(f"{game}-{seed}"),
        cell,
        ProvenanceFile(attempts=(_attempt(task, game),)),
        status,
        episodes,
        tuple(_diagnostics(task, steps, source)),
        (
            Checkpoint(
                attempt=1,
                agent_step=steps,
                frame=resolved.spec.frames,
                updates=100,
                learner=_hash(source),
                history=_hash(source),
            ),
        ),
        evaluation,
        logged=_actions(task, game, episodes, steps, source) if with_actions and not evaluation else {},
    )
    return with_score(run)


def dataset_of(task: Task, spec: Spec, source: str = "dqn-replay") -> str | None:
    """Return the identity of the data that an offline task asks for, for this agent; None for other tasks."""
    if (data := task.data) is None:
        return None
    steps = "" if (n := spec.agent.settings["n_step"]) == 1 else f".n{n}"
    return f"{source}.{data.reading}.{data.fraction:.10g}.{data.seed}{steps}.0123456789abcdef"


def with_score(run: BundledRun, **changes: Any) -> BundledRun:
    """Return a run with these fields changed, and the summary that follows from its episodes."""
    run = replace(run, **changes)
    value, count = score_of(run, load_task(run.cell.spec.task), run.status.state)
    summary = Summary(
        score=value,
        scored_episodes=count,
        parameters=1_000_000,
        active_parameters=1_000_000,
        sparsity=0.0,
        updates=100,
        wall_seconds=run.status.frames / 300,
    )
    return replace(run, status=run.status.model_copy(update={"summary": summary, "episodes": len(run.episodes)}))


def diverged(run: BundledRun, steps: int) -> BundledRun:
    """Return a run that diverged after so many agent steps, with the actions that such a run logs."""
    task = load_task(run.cell.spec.task)
    frames = steps * task.units_per_step
    status = run.status.model_copy(update={"state": "diverged", "agent_steps": steps, "frames": frames})
    kept = tuple(row for row in run.episodes if row.agent_step <= steps)
    logs = _actions(task, run.cell.game, kept, steps, random.Random(steps))
    rows = {
        name: tuple(row for row in getattr(run, name) if row.agent_step <= steps)
        for name in ("checkpoints", "diagnostics")
    }
    return with_score(run, status=status, episodes=kept, logged=logs, **rows)


def honest_runs(task_name: str = "smoke", **rest: Any) -> list[BundledRun]:
    """Return a run of every game and default seed of a task."""
    task = load_task(task_name)
    return [honest_run(task_name, game, seed, **rest) for game in task.games for seed in task.default_seeds]


def bundle_files(runs: Sequence[BundledRun], toml: bytes = TOML) -> dict[str, bytes]:
    """Return all files of a bundle of these runs, whatever they hold."""
    files = {"submission.toml": toml, **{document_name(run): to_document(run) for run in runs}}
    files |= cards_of([run.cell.spec for run in runs])[0]
    claims = sorted((document_name(run), *claim_of(run, document_name(run))) for run in runs)
    files["curves.parquet"] = write_curves(curve for _, _, curve in claims)
    files["environment.json"] = document(lock([attempt for run in runs for attempt in run.provenance.attempts]))
    return files | {"manifest.json": manifest_of(files, runs[0].cell.spec.task_key, [claim for _, claim, _ in claims])}


def bundle(runs: Sequence[BundledRun], toml: bytes = TOML) -> bytes:
    """Return a bundle of these runs."""
    return zipped(bundle_files(runs, toml))


def again(files: dict[str, bytes]) -> bytes:
    """Return a bundle of changed files, with sizes and hashes that fit; the table of runs stays as it is."""
    table = json.loads(files["manifest.json"])
    rest = {name: content for name, content in files.items() if name != "manifest.json"}
    return zipped(rest | {"manifest.json": manifest_of(rest, table["task"], table["runs"])})


def write_run(run: BundledRun, root: Path) -> Path:
    """Write a run as a run directory below `root`, and return it."""
    check(run, run.status.state)
    path = root / run.cell.spec.task_key / run.cell.config_id / run.cell.game / f"seed-{run.cell.seed}"
    path.mkdir(parents=True)
    for name, model in (("spec", run.cell), ("provenance", run.provenance), ("status", run.status)):
        (path / f"{name}.json").write_text(model.model_dump_json())
    logs = {"episodes": run.episodes, "evaluation": run.evaluation, "actions": tuple(run.actions().values())}
    for name, rows in {**logs, "checkpoints": run.checkpoints, "diagnostics": run.diagnostics}.items():
        (path / f"{name}.jsonl").write_text("".join(row.model_dump_json(by_alias=True) + "\n" for row in rows))
    return path


def _episodes(task: Task, game: str, seed: int, steps: int, mean: int, source: random.Random) -> tuple[Episode, ...]:
    rows: list[Episode] = []
    step = 0
    while task.family != "offline":
        length = source.randint(mean // 2, mean + mean // 2)
        if step + length > steps:
            break
        step += length
        rows.append(
            Episode.model_validate(
                {
                    "attempt": 1,
                    "agent_step": step,
                    "frame": step * task.units_per_step,
                    "episode": len(rows),
                    "length": length,
                    "return": float(_return(game, source)),
                    "end": "truncated" if source.random() < 0.1 else "terminated",
                    "emulator_seed": 0,
                }
            )
        )
    streams = Streams(task.key, game, seed)
    return tuple(
        row.model_copy(update={"emulator_seed": streams.emulator_seed(index)})
        for index, segment in enumerate(by_segment(rows, task))
        for row in segment
    )


def _evaluation(task: Task, game: str, seed: int, steps: int, source: random.Random) -> tuple[EvaluationRow, ...]:
    if task.evaluation is None:
        return ()
    streams, rows = Streams(task.key, game, seed), []
    after, until = task.score_window(task.budget.length)
    for step in due_steps(task.evaluation, 1, steps):
        lengths: dict[int, int] = {}
        while not is_complete(task.evaluation, lengths):
            number, length = len(lengths), source.randint(20, 60)
            lengths[number] = length
            frame = step * task.units_per_step
            actions = source.randbytes(length).translate(bytes(value % GAMES[game].actions for value in range(256)))
            rows.append(
                EvaluationRow.model_validate(
                    {
                        "attempt": 1,
                        "agent_step": step,
                        "frame": frame,
                        "episode": number,
                        "length": length,
                        "return": float(_return(game, source)),
                        "end": "terminated",
                        "emulator_seed": streams.emulator_seed(number, f"evaluation/{step}"),
                        "actions": pack(actions) if after < frame <= until else "",
                    }
                )
            )
    return tuple(rows)


def _actions(
    task: Task, game: str, episodes: Sequence[Episode], steps: int, source: random.Random
) -> dict[int, Actions]:
    """Return the actions of scored episodes, of those that lead to them, and of the one cut off at the end."""
    counted = scored(task, steps * task.units_per_step, episodes)
    left = steps - (episodes[-1].agent_step if episodes else 0)
    logs = {}
    for stretch in stretches(episodes, task, counted[0].episode if counted else len(episodes), left):
        lengths = {row.episode: row.length for row in stretch.episodes}
        for number, length in (lengths | {len(episodes): stretch.open_steps}).items():
            actions = source.randbytes(length).translate(bytes(v % GAMES[game].actions for v in range(256)))
            if actions:
                logs[number] = Actions.pack(1, number, actions)
    return logs


def _diagnostics(task: Task, steps: int, source: random.Random) -> list[Diagnostics]:
    every = task.agent_steps(task.diagnostics_every)
    return [
        Diagnostics(
            attempt=1,
            agent_step=step,
            frame=step * task.units_per_step,
            updates=step // 4,
            values={name: source.random() for name in ("loss", "mean_q", "parameter_norm", "sparsity", "epsilon")},
        )
        for step in range(every, steps + 1, every)
    ]


def _attempt(task: Task, game: str) -> Attempt:
    environment = MEASURED[library_of(task)] | options_of(task, GAMES[game])
    return Attempt(
        attempt=1,
        started_at="2026-01-01T00:00:00Z",
        execution={"threads": 1},
        command=("run",),
        suite_version="0.1.0",
        git={"commit": "0123456789abcdef", "dirty": False},
        packages={"python": "3.11.7", "numpy": "2.4.6", **PACKAGES},
        hardware={"device": "cpu", "cores": 2},
        environment=environment,
        environment_fingerprint=fingerprint(environment),
    )


def _return(game: str, source: random.Random) -> int:
    return source.randint(-21, 21) if game == "Pong" else source.randint(0, 60)


def _hash(source: random.Random) -> str:
    return hashlib.sha256(source.randbytes(8)).hexdigest()
