"""Training as commands share it: the options that say how cells are computed, the plan, its execution, its outcomes."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.cli.signals import stop_once
from suite.errors import ExitCode

if TYPE_CHECKING:
    from suite.records.outcome import Outcome
    from suite.running.plan import Plan
    from suite.running.request import Resolved

Command = Callable[..., None]

OPTIONS = (
    click.option("--lanes", default="auto", show_default=True, metavar="N|auto", help="Cells to run at a time."),
    click.option(
        "--checkpoint-every",
        type=click.IntRange(min=1),
        metavar="FRAMES",
        help="Frames, or the task's unit, between checkpoints, from which a killed run goes on; Atari: 1,000,000.",
    ),
    click.option(
        "--inspect-every",
        type=click.IntRange(min=0),
        envvar="SUITE_INSPECT_EVERY",
        metavar="FRAMES",
        help="Frames, or the task's unit, between inspections of the network: ranks, dormant units, gradients; "
        "0 for none; default: the task's. Training does not depend on it.",
    ),
    click.option(
        "--replay",
        "placement",
        type=click.Choice(["auto", "device", "host", "compressed"]),
        default="auto",
        show_default=True,
        help="Where replays live; auto: the first of these that fits.",
    ),
    click.option(
        "--keep",
        default="final",
        show_default=True,
        metavar="final|policy|none",
        help="What stays of a finished run's checkpoints: the last, the policy alone, or nothing.",
    ),
    click.option(
        "--keep-checkpoints",
        metavar="N|all",
        help="How many checkpoints of a finished run stay, the newest, those of stops left out; default: 1.",
    ),
    click.option("--threads", type=click.IntRange(1, 1024), help="Threads of a CPU program, on which bits depend."),
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "gpu"]),
        default="auto",
        show_default=True,
        help="What to compute on; auto: a GPU if there is one.",
    ),
    click.option(
        "--form",
        type=click.Choice(["auto", "loop", "unrolled", "vmap", "matmul"]),
        default="auto",
        show_default=True,
        help="How one program serves many lanes; auto: loop on a CPU, matmul elsewhere.",
    ),
    click.option(
        "--overlap/--no-overlap",
        default=True,
        show_default=True,
        help="Where one program serves many lanes, let parts of them take turns: some's emulators run while the device "
        "works for others.",
    ),
    click.option(
        "--deterministic/--no-deterministic", default=True, show_default=True, help="The same bits twice on a GPU."
    ),
)


def computing_options(command: Command) -> Command:
    """Give a command the options that `Computing` holds."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, slots=True)
class Computing:
    """How cells are computed, as the options say; a record's question does not depend on it."""

    lanes: str
    checkpoint_every: int | None
    inspect_every: int | None
    placement: str
    threads: int | None
    device: str
    form: str
    overlap: bool
    deterministic: bool
    keep: str
    keep_checkpoints: str | None


def planned(
    resolved: Sequence[Resolved],
    games: str,
    seeds: str | None,
    out: Path,
    data: Path | None,
    computing: Computing,
    device_profile: str | None = None,
) -> Plan:
    """Return the plan for resolved configurations, the device made ready; for a profile's machine if one is named."""

    def make() -> Plan:
        from suite.running.machine import machine_of
        from suite.running.plan import make_plan  # takes a second: jax
        from suite.running.profiles.profile import profile_named

        machine = None if device_profile is None else machine_of(profile_named(device_profile))
        return make_plan(resolved, games, seeds, out, computing.lanes, computing.placement, data, machine)

    return prepared(resolved[0], computing, make)


def prepared(first: Resolved, computing: Computing, make: Callable[[], Plan]) -> Plan:
    """Return the plan that `make` makes once the device is ready for its configurations, of which one is the first."""
    from suite.learning.device import prepare
    from suite.records.keeping import parse_keep
    from suite.running.memory import check_start

    keep = parse_keep(computing.keep, computing.keep_checkpoints)
    check_start()
    threads = computing.threads or first.task.program_threads
    precision = first.spec.precision
    prepare(threads, deterministic=computing.deterministic, precision=precision, device=computing.device)
    every = computing.checkpoint_every or first.task.checkpoint_every
    return replace(make(), keep=keep, checkpoint_every=every)


def executed(plan: Plan, computing: Computing, stop: threading.Event, *, as_json: bool) -> int:
    """Run a plan's cells, saying how each ended; return the exit code."""
    from suite.running.plan_report import exit_code
    from suite.running.preflight import preflight

    click.echo("\n".join(preflight(plan, os.environ.get("SUITE_IMAGE", ""))), err=True)
    outcomes = _run(plan, computing, stop, as_json) if plan.jobs else []
    if not plan.jobs:
        click.echo(f"Nothing to do: all {plan.total} cells are there.", err=True)
    elif stop.is_set():
        click.echo("Interrupted. Issue the same command again to go on with what is missing.", err=True)
    return exit_code(plan, outcomes, interrupted=stop.is_set())


def _run(plan: Plan, computing: Computing, stop: threading.Event, as_json: bool) -> list[Outcome]:
    from suite.running.progress import open_progress
    from suite.running.runner import run_cells
    from suite.running.start import Options

    with open_progress(len(plan.jobs)) as progress:

        def finished(outcome: Outcome) -> None:
            progress.result(json.dumps(outcome_document(outcome)) if as_json else outcome_line(outcome))

        return run_cells(
            plan.jobs,
            plan.out,
            lanes=plan.lanes,
            options=Options(
                plan.checkpoint_every,
                plan.placement,
                computing.form,
                plan.data,
                computing.inspect_every,
                plan.keep,
                overlap=computing.overlap,
            ),
            progress=progress,
            stop=stop,
            finished=finished,
        )


def outcome_line(outcome: Outcome) -> str:
    """Return one line for people about how a cell ended."""
    cell = outcome.cell
    score = "no episode to score" if outcome.score is None else f"score {outcome.score:.2f}"
    detail = f"{score}  {outcome.message}".rstrip() if outcome.state == "done" else outcome.message
    state = outcome.state if outcome.cause is None else f"{outcome.state} ({outcome.cause})"
    return f"{state:<11} {cell.game} seed {cell.seed}  {cell.spec.label}  {detail}  {outcome.path}".rstrip()


def outcome_document(outcome: Outcome) -> dict[str, Any]:
    """Return the same for machines."""
    cell = outcome.cell
    return {
        "schema": "suite.run/1",
        "config_id": cell.spec.config_id,
        "label": cell.spec.label,
        "game": cell.game,
        "seed": cell.seed,
        "state": outcome.state,
        "score": outcome.score,
        "message": outcome.message,
        "cause": outcome.cause,
        "path": str(outcome.path),
    }


def stop_on_signals() -> contextlib.AbstractContextManager[threading.Event]:
    """Return the event that asks cells to stop; see `stop_once`."""
    return stop_once(_abort)


def _abort() -> None:
    os._exit(ExitCode.INTERRUPTED)  # the checkpoint before stays valid
