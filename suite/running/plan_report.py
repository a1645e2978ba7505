"""A plan in words and as a JSON document, and the exit code for how its cells ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from suite.contracts.card import written
from suite.durations import duration
from suite.errors import ExitCode
from suite.learning.build import full_updates, unreached
from suite.records.outcome import Outcome
from suite.running.cost import Projection
from suite.running.groups import groups_of, request_document, request_of
from suite.running.plan import BASES, Plan
from suite.running.preflight import unscored
from suite.running.request import Resolved
from suite.tasks import Task
from suite.tasks.configuration import Cell


def document(plan: Plan, computing: Mapping[str, Any]) -> dict[str, Any]:
    """Return the plan for machines. `computing`: the options that say how cells are computed, for `--cells`."""
    return {
        "schema": "suite.plan/1",
        "task": plan.task.key,
        "out": str(plan.out),
        "data": None if plan.data is None else str(plan.data),
        "computing": dict(computing),
        "games": list(plan.games),
        "seeds": list(plan.seeds),
        "lanes": plan.lanes,
        "cells": [_cell(cell, state) for cell, state in plan.existing.items()]
        + [_cell(job.cell, "to run") for job in plan.jobs],
        "cells_to_run": len(plan.jobs),
        "replay": str(plan.placement),
        "lane_bytes": plan.lane_bytes,
        "memory_bytes": plan.memory[0],
        "device_memory_bytes": plan.memory[1],
        "disk_bytes": plan.disk,
        "projected_seconds": None if plan.seconds is None else round(plan.seconds, 1),
        "device": plan.machine.description,
        "device_profile": None if plan.machine.here else plan.machine.profile and plan.machine.profile.name,
        "configurations": [
            _configuration(plan, item) | {"request": request_document(request_of(item))} for item in plan.resolved
        ],
        "groups": groups_of([plan]),
    }


def text(plan: Plan) -> str:
    """Return the plan for people."""
    lines = [
        f"{plan.task.title} ({plan.task.key}): {plan.total} cells, {len(plan.jobs)} to run, {plan.lanes} at a time",
        *([_cells_text(plan.task)] if plan.task.cells_of is not None else []),
        *([f"data    {plan.resolved[0].spec.dataset}, from {plan.data}"] if plan.data is not None else []),
        f"games   {', '.join(plan.games)}",
        f"seeds   {', '.join(map(str, plan.seeds))}",
        f"out     {plan.out.resolve()}",
        f"memory  {plan.memory[0] / 2**30:.2f} GiB at the peak"
        + (f" and {plan.memory[1] / 2**30:.2f} GiB on the device" if plan.memory[1] else "")
        + f", {plan.lane_bytes / 2**30:.2f} GiB the largest lane; replay: {plan.placement}",
        f"disk    {plan.disk / 2**30:.2f} GiB at most, nearly all of it checkpoints",
        f"time    {_time(plan.seconds)} on {plan.machine.description}: {plan.basis}",
    ]
    for item in plan.resolved:
        entry = _configuration(plan, item)
        shortened = "  SHORTENED BUDGET: ranks nowhere" if item.spec.shortened else ""
        lines += [
            "",
            f"{entry['config_id']}  {entry['label']}{shortened}",
            _budget_text(plan.task, entry["frames"], entry["agent_steps"]),
            f"  gradient steps   {entry['updates']:,} (schedules: {entry['nominal_updates']:,} at the full budget)",
            f"  parameters       {entry['parameters']:,} with {entry['actions']} actions",
        ]
        lines += [_milestone(name, value, entry["updates"]) for name, value in entry["milestones"].items()]
        lines += [f"  NOT REACHED      {missed}" for missed in entry["unreached"]]
        published = {path: written(value) for path, value in item.departures.items()}
        lines += [f"  departs from the published {path} = {value}" for path, value in published.items()]
        lines.append(
            f"  time a cell      {_time(entry['seconds_per_cell'])}, {_basis(plan.costs.projection(item.spec))}"
        )
        lines += [f"  {notice}" for notice in (unscored(plan, item),) if notice]
    return "\n".join(lines)


def exit_code(plan: Plan, outcomes: Sequence[Outcome], *, interrupted: bool) -> int:
    """Return the documented exit code for how the cells ended."""
    states = [*(outcome.state for outcome in outcomes), *plan.existing.values()]
    if interrupted and (len(outcomes) < len(plan.jobs) or "interrupted" in states):
        return ExitCode.INTERRUPTED
    if ExitCode.UNFIT in [outcome.error for outcome in outcomes]:
        return ExitCode.UNFIT
    if "failed" in states or "diverged" in states:
        return ExitCode.CELLS_FAILED
    if "overtaken" in states:
        return ExitCode.LOCKED
    if "locked" in states and "done" not in [outcome.state for outcome in outcomes]:
        return ExitCode.LOCKED
    return ExitCode.DONE


def _configuration(plan: Plan, item: Resolved) -> dict[str, Any]:
    import jax

    spec = item.spec
    programs = plan.costs.programs(spec)
    steps = plan.task.agent_steps(spec.frames)
    alone = plan.costs.projection(spec)
    return {
        "config_id": spec.config_id,
        "label": spec.label,
        "frames": spec.frames,
        "shortened": spec.shortened,
        "agent_steps": steps,
        "updates": programs.plan.updates_by(steps),
        "nominal_updates": full_updates(plan.task, programs.plan),
        "actions": plan.costs.widest.actions,
        "parameters": sum(leaf.size for leaf in jax.tree.leaves(programs.shapes().params)),
        "milestones": programs.milestones,
        "unreached": list(unreached(spec, plan.costs.widest)),
        "departures": item.departures,
        "seconds_per_cell": None if alone.seconds is None else round(alone.seconds, 1),
        "seconds_basis": alone.basis,
        "spec": spec.model_dump(mode="json"),
    }


def _time(seconds: float | None) -> str:
    return "not known" if seconds is None else duration(seconds)


def _basis(projection: Projection) -> str:
    """Return what a cell's time rests on, with the rate that it is taken from."""
    rate = projection.rate
    runs = "" if rate is None else f" ({rate.said}, {rate.lanes} at a time, {rate.runs} runs)"
    return BASES[projection.basis] + runs


def _milestone(name: str, value: int, updates: int) -> str:
    return f"  {name:<16} gradient step {value:,}{'' if value <= updates else ', after the end of the run'}"


def _cells_text(task: Task) -> str:
    return f"cells   those of {task.protocol_key}, under which they are run and found: {task.id} is a list of its games"


def _budget_text(task: Task, frames: int, steps: int) -> str:
    counted = f"  {task.unit:<16} {frames:,}"
    return counted if task.units_per_step == 1 else f"{counted} = {steps:,} agent steps"


def _cell(cell: Cell, state: str) -> dict[str, Any]:
    return {"config_id": cell.spec.config_id, "game": cell.game, "seed": cell.seed, "state": state, "path": cell.path}
