"""Plans handed to a cluster: the file of their groups, written beside the results, and who runs each of them."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite import durable
from suite.cli.training import Computing
from suite.errors import ExitCode, UnfitEnvironment

if TYPE_CHECKING:
    from suite.cli.launch.wishes import Launch, Wishes
    from suite.running.groups import Group, PlanFile
    from suite.running.plan import Plan

FOLDER = "launches"
DAY = 86_400
"""Seconds of a cell on CPUs from which on somebody may have forgotten to ask for a GPU."""
KEPT = (
    "checkpoint_every",
    "inspect_every",
    "placement",
    "threads",
    "form",
    "overlap",
    "deterministic",
    "keep",
    "keep_checkpoints",
)
"""What a plan's file says of how its cells are computed; the lanes are those of a group."""


def kept(computing: Computing) -> dict[str, Any]:
    """Return the part of how cells are computed that a plan's file keeps."""
    return {name: getattr(computing, name) for name in KEPT}


def launched(
    plans: Sequence[Plan], computing: Computing, launch: Launch, stop: threading.Event, *, dry: bool, as_json: bool
) -> int:
    """Hand the groups of plans to Slurm or Ray; return the exit code.

    Slurm's jobs are submitted and left to it; Ray's tasks are waited for. `dry`: files are written, nothing is run.
    """
    if not any(plan.jobs for plan in plans):
        click.echo(f"Nothing to do: all {sum(plan.total for plan in plans)} cells are there.", err=True)
        return int(ExitCode.DONE)
    for line in without_gpus(plans, computing, launch.wishes):
        click.echo(line, err=True)
    path, plan = _written(plans, computing)
    if launch.launcher == "slurm":
        _to_slurm(path, plan, launch.wishes, computing.threads or 1, dry=dry, as_json=as_json)
        return int(ExitCode.DONE)
    if dry:
        click.echo(f"{path}: {len(plan.groups)} groups; each is a task of Ray that runs `suite run --cells`.")
        return int(ExitCode.DONE)
    from suite.cli.launch.on_ray import run_on_ray

    tell = partial(_ended, plan, as_json=as_json)
    return exit_code(run_on_ray(path, plan.groups, launch.wishes, computing.threads or 1, stop, tell))


def without_gpus(plans: Sequence[Plan], computing: Computing, wishes: Wishes) -> list[str]:
    """Return what to say where this machine has no GPU, so that jobs that take days ask for none; nothing elsewhere."""
    from suite.durations import duration

    told = computing.device != "auto" or wishes.gpus is not None
    here = [plan for plan in plans if plan.machine.here and not plan.machine.accelerator]
    seconds = [found.seconds for plan in here if plan.jobs for found in plan.projections.values() if found.seconds]
    if told or max(seconds, default=0) < DAY:
        return []
    return [
        f"NO GPU is asked for: none is seen here, and a cell takes {duration(max(seconds))} on CPUs. Give "
        "--cluster gpus=1 --lanes 15 for GPUs, or --device cpu if it is to be so; see docs/clusters.md."
    ]


def _to_slurm(path: Path, plan: PlanFile, wishes: Wishes, threads: int, *, dry: bool, as_json: bool) -> None:
    from suite.cli.launch.on_slurm import by_hand, scripts, submit

    found = scripts(path, plan.groups, wishes, threads)
    jobs = {} if dry else submit(path, found, wishes)
    if as_json:
        entries = [
            {
                "array": array.number,
                "job": jobs.get(array.number),
                "script": str(file),
                "tasks": {str(task): group for task, group in array.groups.items()},
                "resources": array.resources._asdict(),
            }
            for array, file in found
        ]
        click.echo(json.dumps({"schema": "suite.launch/1", "plan": str(path), "arrays": entries}, indent=1))
        return
    for array, file in found:
        where = "not submitted" if dry else f"job {jobs[array.number]}"
        given = array.resources
        click.echo(
            f"{file}: {where}, {len(array.groups)} groups of lanes, each {given.cpus} cores, {given.gpus} GPUs, "
            f"{given.memory_gib:g} GiB, {given.minutes} minutes"
        )
    for line in by_hand(found) if dry else [f"squeue --job {','.join(jobs.values())}", f"suite status {plan.out}"]:
        click.echo(f"  {line}")


def exit_code(codes: Sequence[int]) -> int:
    """Return what stands for the ends of several groups: a stop before all, then what is most in need of a look."""
    order = (ExitCode.INTERRUPTED, ExitCode.UNEXPECTED, ExitCode.UNFIT, ExitCode.CELLS_FAILED, ExitCode.LOCKED)
    return next((int(code) for code in order if code in codes), max(codes, default=0))


def _written(plans: Sequence[Plan], computing: Computing) -> tuple[Path, PlanFile]:
    """Write the file of the groups below the results, under a name that follows from what it says."""
    from suite.running.groups import document, read_plan

    content = json.dumps(document(plans, kept(computing)), indent=1).encode() + b"\n"
    place = plans[0].out.absolute() / FOLDER / hashlib.sha256(content).hexdigest()[:12]
    try:
        durable.make_directory(place / "logs")
        durable.replace_file(place / "plan.json", content)
    except OSError as error:
        raise UnfitEnvironment(
            f"Cannot write to {place}: {error.strerror or error}.", "Choose another place with --out."
        ) from error
    return place / "plan.json", read_plan(place / "plan.json")


def _ended(plan: PlanFile, group: Group, code: int, *, as_json: bool) -> None:
    from suite.running.groups import states_of

    for cell, state in states_of(group, plan.out):
        if as_json:
            entry = {"config_id": group.config_id, "label": group.label, "game": cell.game, "seed": cell.seed}
            path = str(plan.out / cell.path)
            click.echo(json.dumps({"schema": "suite.run/1", **entry, "state": state, "path": path, "exit": code}))
        else:
            click.echo(f"{state:<11} {cell.game} seed {cell.seed}  {group.label}  {plan.out / cell.path}")
