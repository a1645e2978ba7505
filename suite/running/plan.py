"""What a run command will do: cells, update counts, milestones, memory, time; and whether this machine can."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from suite.contracts.card import written
from suite.durations import duration
from suite.errors import BadData, ExitCode, UnfitEnvironment, UsageError
from suite.experience.domains import Domain, domain_of
from suite.experience.replay.placement import Placement
from suite.learning.build import build, full_updates, programs_for
from suite.learning.device import cpu_threads
from suite.learning.programs import Programs
from suite.records.outcome import Outcome
from suite.records.predecessors import check_source
from suite.records.record import FINISHED, effective_state, read_status, require_whole
from suite.records.schedule import due_steps
from suite.records.score import by_evaluation
from suite.running.cost import (
    Seconds,
    available_device_memory,
    device_description,
    is_accelerator,
    projected_seconds,
)
from suite.running.memory import available_memory
from suite.running.request import Resolved, parse_games, parse_seeds
from suite.running.runner import Job
from suite.tasks import GAMES, Game, Task, load_task
from suite.tasks.configuration import Cell, Spec

LEAST_FREE_DISK = 64 * 2**20
"""For logs and whatever else; checkpoints come on top."""
PROCESS_BYTES = 270_000_000
PROGRAMS_BYTES = 160_000_000
"""The process without any lane, and what a configuration's programs for one number of actions add to it: libraries,
code, what compiling leaves behind. Fitted to seven runs on a CPU, whose peaks they give to 10 %."""


@dataclass(frozen=True)
class Plan:
    """Cells to run, in order, and those that are there already. `existing` maps finished cells to their state."""

    task: Task
    resolved: tuple[Resolved, ...]
    games: tuple[str, ...]
    seeds: tuple[int, ...]
    out: Path
    lanes: int
    jobs: tuple[Job, ...]
    existing: dict[Cell, str]
    placement: Placement
    data: Path | None = None

    @property
    def domain(self) -> Domain:
        """The task's domain."""
        return domain_of(self.task, self.data, self.resolved[0].spec.dataset)

    @property
    def widest(self) -> Game:
        """The game whose networks are the largest."""
        return max((GAMES[name] for name in self.games), key=self._size)

    def _size(self, game: Game) -> tuple[int, int]:
        return int(self.domain.inputs(game).blank().size), game.actions

    def _programs(self, spec: Spec, game: Game | None = None) -> Programs:
        return programs_for(spec, self.widest if game is None else game)

    @property
    def total(self) -> int:
        """The number of cells that were asked for."""
        return len(self.jobs) + len(self.existing)

    @cached_property
    def costs(self) -> dict[str, Seconds]:
        """Projected seconds of one cell, by configuration; with the largest networks among the games."""
        return {
            item.spec.config_id: projected_seconds(
                self._programs(item.spec), self.task.agent_steps(item.spec.frames), self.task.family
            )
            for item in self.resolved
        }

    def projected(self) -> float:
        """Return the projected seconds for all that is left, `lanes` at a time."""
        costs = [self.costs[job.cell.spec.config_id] for job in self.jobs]
        together = max(1, min(self.lanes, len(self.jobs)))
        return sum(cost.host for cost in costs) / together + sum(cost.device for cost in costs)

    def preflight(self, image: str) -> list[str]:
        """Check that this machine can, raising UnfitEnvironment if not; return the lines that are said first.

        `image` is the name of the container image that this runs in, or empty.
        """
        for name in self.games:
            self.domain.check(GAMES[name])
        self._check_sources()
        _check_writable(self.out, self.disk)
        self._check_memory()
        keep = ' (kept only if mounted: docker run -u "$(id -u):$(id -g)" -v "$PWD/out:/out" ...)' if image else ""
        device = device_description()
        if "cuda" in image and not is_accelerator():
            device += ", although this is the CUDA image (docker run --gpus all ...; it needs driver 580 or newer)"
        lines = [
            f"Results go to {self.out.resolve()}{keep}.",
            f"Device: {device}; {len(self.jobs)} of {self.total} cells to run, {self.lanes} at a time.",
        ]
        if self.jobs:
            lines.append(f"Projected: {duration(self.projected())} in all, a rough figure.{self._first_try()}")
        return lines + list(dict.fromkeys(filter(None, map(self._unscored, self.resolved))))

    def _unscored(self, item: Resolved) -> str:
        """Return what to say of a budget that ends before the first evaluation is due; "" of any other."""
        evaluation, frames = self.task.evaluation, item.spec.frames
        if evaluation is None or evaluation.every is None or not by_evaluation(self.task):
            return ""
        if due_steps(evaluation, self._programs(item.spec).plan.trajectory, self.task.agent_steps(frames)):
            return ""
        return (
            f"NO SCORE: a budget of {frames:,} {self.task.unit} ends before the first evaluation, which comes after "
            f"{evaluation.every:,}. Give more --frames."
        )

    def _check_sources(self) -> None:
        """Refuse a cell that starts from a run which is neither done nor among those to be done."""
        planned = {item.spec.config_id for item in self.resolved}
        for job in self.jobs:
            programs = self._programs(job.cell.spec, GAMES[job.cell.game])
            for source in programs.sources.values():
                if source not in planned:
                    check_source(self.out, job.cell, source)

    @cached_property
    def memory(self) -> tuple[int, int]:
        """The bytes that the process will hold at its peak: (host, device)."""
        kinds = {(job.cell.spec.config_id, self._size(GAMES[job.cell.game])) for job in self.jobs}
        lanes = sorted((self._lane_bytes(job) for job in self.jobs), reverse=True)[: self.lanes]
        host = PROCESS_BYTES + len(kinds) * PROGRAMS_BYTES + sum(lane[0] for lane in lanes)
        return host, sum(lane[1] for lane in lanes)

    @property
    def lane_bytes(self) -> int:
        """The bytes of the largest lane, on host and device together."""
        return max((sum(self._lane_bytes(job)) for job in self.jobs), default=0)

    def fits(self, margin: float = 1.0) -> bool:
        """Return whether host and device have the memory."""
        host, device = self.memory
        return host <= available_memory() * margin and device <= available_device_memory() * margin

    def _lane_bytes(self, job: Job) -> tuple[int, int]:
        """Return what a lane holds at its peak: replay, learner, and what an update takes beside them."""
        cell = job.cell
        programs = self._programs(cell.spec)
        steps = self.task.agent_steps(cell.spec.frames)
        host, device = self.domain.replay_bytes(programs.plan, steps, GAMES[cell.game], self.placement)
        training = programs.training_bytes()
        return (host, device + training) if is_accelerator() else (host + device + training, 0)

    def _check_memory(self) -> None:
        if self.fits():
            return
        lanes = min(self.lanes, len(self.jobs))
        needs = [
            f"{needed / 2**30:.1f} GiB of {kind}memory; {available / 2**30:.1f} GiB are available"
            for kind, needed, available in zip(
                ("", "device "), self.memory, (available_memory(), available_device_memory()), strict=True
            )
            if needed > available
        ]
        remedy = "Use fewer --lanes" if lanes > 1 else "Use a machine with more memory"
        other = "" if self.placement is Placement.COMPRESSED else ", --replay compressed"
        raise UnfitEnvironment(
            f"{lanes} lane(s) need {' and '.join(needs)}.", f"{remedy}{other}, or a shorter --frames."
        )

    @property
    def disk(self) -> int:
        """The bytes that checkpoints may take: the last of every cell, and while it runs two more."""
        learner = max(self._programs(item.spec).learner_bytes() + self._history_bytes(item) for item in self.resolved)
        return (len(self.jobs) + 2 * min(self.lanes, len(self.jobs))) * learner + LEAST_FREE_DISK

    def _history_bytes(self, item: Resolved) -> int:
        """Return what a checkpoint holds at most of the actions from which its replay is rebuilt."""
        steps = min(self._programs(item.spec).plan.capacity, self.task.agent_steps(item.spec.frames))
        width = {"atari": 1, "offline": 0, "continuous": 4 * self.widest.actions}[self.task.family]
        return steps * width

    def _first_try(self) -> str:
        if is_accelerator() or self.projected() < 3600:
            return ""
        return " On a CPU try first: suite run --task smoke --network nature_cnn"

    def exit_code(self, outcomes: Sequence[Outcome], *, interrupted: bool) -> int:
        """Return the documented exit code for how the cells ended."""
        states = [outcome.state for outcome in outcomes] + list(self.existing.values())
        if interrupted and (len(outcomes) < len(self.jobs) or "interrupted" in states):
            return ExitCode.INTERRUPTED
        if ExitCode.UNFIT in [outcome.error for outcome in outcomes]:
            return ExitCode.UNFIT
        if "failed" in states or "diverged" in states:
            return ExitCode.CELLS_FAILED
        if "locked" in states and "done" not in [outcome.state for outcome in outcomes]:
            return ExitCode.LOCKED
        return ExitCode.DONE

    def document(self) -> dict[str, Any]:
        """Return the plan for machines."""
        return {
            "schema": "suite.plan/1",
            "task": self.task.key,
            "out": str(self.out),
            "games": list(self.games),
            "seeds": list(self.seeds),
            "lanes": self.lanes,
            "cells": [_cell(cell, state) for cell, state in self.existing.items()]
            + [_cell(job.cell, "to run") for job in self.jobs],
            "cells_to_run": len(self.jobs),
            "replay": str(self.placement),
            "lane_bytes": self.lane_bytes,
            "memory_bytes": self.memory[0],
            "device_memory_bytes": self.memory[1],
            "disk_bytes": self.disk,
            "projected_seconds": round(self.projected(), 1),
            "configurations": [_configuration(self, item) for item in self.resolved],
        }

    def text(self) -> str:
        """Return the plan for people."""
        lines = [
            f"{self.task.title} ({self.task.key}): {self.total} cells, {len(self.jobs)} to run, {self.lanes} at a time",
            *([f"data    {self.resolved[0].spec.dataset}, from {self.data}"] if self.data is not None else []),
            f"games   {', '.join(self.games)}",
            f"seeds   {', '.join(map(str, self.seeds))}",
            f"out     {self.out.resolve()}",
            f"memory  {self.memory[0] / 2**30:.2f} GiB at the peak"
            + (f" and {self.memory[1] / 2**30:.2f} GiB on the device" if self.memory[1] else "")
            + f", {self.lane_bytes / 2**30:.2f} GiB the largest lane; replay: {self.placement}",
            f"disk    {self.disk / 2**30:.2f} GiB at most, nearly all of it checkpoints",
            f"time    {duration(self.projected())} on {device_description()}: a rough figure from operation counts",
        ]
        for item in self.resolved:
            entry = _configuration(self, item)
            shortened = "  SHORTENED BUDGET: ranks nowhere" if item.spec.shortened else ""
            lines += [
                "",
                f"{entry['config_id']}  {entry['label']}{shortened}",
                _budget_text(self.task, entry["frames"], entry["agent_steps"]),
                f"  gradient steps   {entry['updates']:,} (schedules: {entry['nominal_updates']:,} at the full budget)",
                f"  parameters       {entry['parameters']:,} with {entry['actions']} actions",
            ]
            lines += [f"  {name:<16} gradient step {value:,}" for name, value in entry["milestones"].items()]
            published = {path: written(value) for path, value in item.departures.items()}
            lines += [f"  departs from the published {path} = {value}" for path, value in published.items()]
            lines.append(f"  time a cell      {duration(sum(self.costs[item.spec.config_id]))}")
            lines += [f"  {text}" for text in (self._unscored(item),) if text]
        return "\n".join(lines)


def make_plan(
    resolved: Sequence[Resolved],
    games: str,
    seeds: str | None,
    out: Path,
    lanes: str,
    placement: str = "auto",
    data: Path | None = None,
) -> Plan:
    """Return the plan for resolved configurations; UsageError for games, seeds or lanes that cannot be."""
    task = load_task(resolved[0].spec.task)
    if task.data is not None and data is None:
        raise UsageError(
            f"{task.id} learns from logged data, and none is named.",
            "Give --data DIR; `suite data --help` says how to get or make some.",
        )
    chosen_games = parse_games(games, task)
    chosen_seeds = task.default_seeds if seeds is None else parse_seeds(seeds)
    jobs: list[Job] = []
    existing: dict[Cell, str] = {}
    for seed in chosen_seeds:
        for name in chosen_games:
            for item in resolved:
                cell = Cell(item.spec, name, seed)
                state = _existing_state(out / cell.path)
                if state is not None and state in FINISHED:
                    existing[cell] = state
                else:
                    jobs.append(Job(cell, item.departures))
    first = Plan(task, tuple(resolved), chosen_games, chosen_seeds, out, 1, tuple(jobs), existing, Placement.HOST, data)
    return _placed(first, lanes, placement)


def _placed(plan: Plan, lanes: str, placement: str) -> Plan:
    """Return the plan with its lanes, and its replay in the first place where that many fit."""
    choices = [Placement.HOST, Placement.COMPRESSED] if placement == "auto" else [Placement(placement)]
    if placement == "auto" and is_accelerator():
        choices.insert(0, Placement.DEVICE)
    for choice in choices:
        plan = replace(plan, placement=choice)
        plan = replace(plan, lanes=_lanes(lanes, plan))
        if plan.fits():
            break
    return plan


def _existing_state(path: Path) -> str | None:
    """Return the state of a whole record; None where there is none, or a damaged one, which its own cell will tell."""
    if not (path / "status.json").exists():
        return None
    try:
        require_whole(path)
        return effective_state(path, read_status(path))
    except BadData:
        return None


def _lanes(text: str, plan: Plan) -> int:
    if text != "auto":
        if not (text.isascii() and text.isdigit() and 1 <= int(text) <= 1024):
            raise UsageError(f"--lanes {text!r} cannot be read.", "Give a whole number from 1, or `auto`.")
        return int(text)
    most = max(1, min(cpu_threads(), len(plan.jobs)))
    return next((count for count in range(most, 1, -1) if replace(plan, lanes=count).fits(0.95)), 1)


def _configuration(plan: Plan, item: Resolved) -> dict[str, Any]:
    import jax

    spec = item.spec
    agent, methods = build(spec, plan.widest)
    programs = programs_for(spec, plan.widest)
    steps = plan.task.agent_steps(spec.frames)
    return {
        "config_id": spec.config_id,
        "label": spec.label,
        "frames": spec.frames,
        "shortened": spec.shortened,
        "agent_steps": steps,
        "updates": agent.plan.updates_by(steps),
        "nominal_updates": full_updates(plan.task, agent),
        "actions": plan.widest.actions,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(programs.shapes().params)),
        "milestones": {name: value for method in methods for name, value in (method.milestones or {}).items()},
        "departures": item.departures,
        "seconds_per_cell": round(sum(plan.costs[spec.config_id]), 1),
        "spec": spec.model_dump(mode="json"),
    }


def _budget_text(task: Task, frames: int, steps: int) -> str:
    if task.family == "atari":
        return f"  frames           {frames:,} = {steps:,} agent steps"
    return f"  {task.unit:<16} {frames:,}"


def _cell(cell: Cell, state: str) -> dict[str, Any]:
    return {"config_id": cell.spec.config_id, "game": cell.game, "seed": cell.seed, "state": state, "path": cell.path}


def _check_writable(out: Path, needed: int) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
        free = shutil.disk_usage(out).free
    except OSError as error:
        raise UnfitEnvironment(
            f"Cannot write to {out}: {error.strerror or error}.",
            'Choose another place with --out; in a container give your user with -u "$(id -u):$(id -g)".',
        ) from error
    if free < needed:
        raise UnfitEnvironment(
            f"Only {free / 2**20:,.0f} MiB are free at {out}; checkpoints and logs may take {needed / 2**20:,.0f}.",
            "Free space, choose another --out, or run fewer cells.",
        )
