"""`suite run`: train the cells of one or several configurations on a task."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.cli.signals import stop_once
from suite.errors import ExitCode

if TYPE_CHECKING:
    from suite.records.outcome import Outcome
    from suite.running.plan import Plan

DEFAULT_OUT = "runs"


EXAMPLES = """\b
Examples:
  suite run --task smoke --network nature_cnn --method dense,magnitude_pruning
  suite run --task atari40m --width 3 --method magnitude_pruning --set method.sparsity=0.9
  suite run --task atari40m --games Pong,Breakout --seeds 0-1 --dry-run
"""


@click.command(epilog=EXAMPLES)
@click.option(
    "--task", "task_name", required=True, metavar="NAME", help="The task, such as atari40m or smoke; see `suite list`."
)
@click.option("--agent", metavar="NAME", help="The agent; the task's own if not given: dqn, or der for Atari 100k.")
@click.option("--network", metavar="NAME", help="The network, such as nature_cnn; the task's own if not given.")
@click.option("--width", type=int, metavar="K", help="Width multiplier; short for --set network.width=K.")
@click.option(
    "--method", "methods", default="dense", show_default=True, metavar="A,B+C", help="Methods: A, and B with C on top."
)
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="A setting, e.g. method.sparsity=0.95.")
@click.option("--games", default="all", show_default=True, metavar="A,B|all", help="Games of the task.")
@click.option("--seeds", metavar="0-4", help="Seeds; default: the task's.")
@click.option(
    "--frames",
    type=int,
    metavar="N",
    help="A shorter budget, in the task's unit: truncates, rescales nothing, ranks nowhere.",
)
@click.option(
    "--data",
    type=click.Path(path_type=Path),
    envvar="SUITE_DATA",
    help="Directory of logged data, for offline tasks; see `suite data`.",
)
@click.option("--out", type=click.Path(path_type=Path), envvar="SUITE_OUT", help="Where results go; default ./runs.")
@click.option("--lanes", default="auto", show_default=True, metavar="N|auto", help="Cells to run at a time.")
@click.option(
    "--checkpoint-every",
    type=click.IntRange(min=1),
    metavar="FRAMES",
    help="Frames, or the task's unit, between checkpoints, from which a killed run goes on; Atari: 1,000,000.",
)
@click.option(
    "--replay",
    "placement",
    type=click.Choice(["auto", "device", "host", "compressed"]),
    default="auto",
    show_default=True,
    help="Where replays live; auto: the first of these that fits.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads of a CPU program, on which bits depend.")
@click.option(
    "--form",
    type=click.Choice(["auto", "loop", "unrolled", "vmap", "matmul"]),
    default="auto",
    show_default=True,
    help="How one program serves many lanes; auto: loop on a CPU, vmap elsewhere.",
)
@click.option(
    "--deterministic/--no-deterministic", default=True, show_default=True, help="The same bits twice on a GPU."
)
@click.option("--dry-run", is_flag=True, help="Print cells, updates, milestones and cost; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable results, one JSON object a line.")
def run(
    task_name: str,
    agent: str | None,
    network: str | None,
    width: int | None,
    methods: str,
    settings: tuple[str, ...],
    games: str,
    seeds: str | None,
    frames: int | None,
    data: Path | None,
    out: Path | None,
    lanes: str,
    checkpoint_every: int | None,
    placement: str,
    threads: int | None,
    form: str,
    deterministic: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Train agents on a task. Issue the same command again and it does what is missing."""
    with stop_once(_abort) as stop:
        from suite.learning.device import prepare
        from suite.running.memory import check_start
        from suite.running.request import Request, resolve

        request = Request(task_name, agent, network, _split(methods), settings, frames, width, data)
        resolved = resolve(request)
        check_start()
        prepare(threads, deterministic=deterministic)
        from suite.running.plan import make_plan  # takes a second: jax

        plan = make_plan(resolved, games, seeds, out or Path(DEFAULT_OUT), lanes, placement, data)
        if dry_run:
            click.echo(json.dumps(plan.document(), indent=1) if as_json else plan.text())
            return
        outcomes = _execute(plan, stop, as_json, checkpoint_every, form)
        code = plan.exit_code(outcomes, interrupted=stop.is_set())
        click.get_current_context().exit(code)


def _execute(
    plan: Plan, stop: threading.Event, as_json: bool, checkpoint_every: int | None, form: str
) -> list[Outcome]:
    from suite.running.progress import open_progress
    from suite.running.runner import run_cells
    from suite.running.start import Options

    click.echo("\n".join(plan.preflight(os.environ.get("SUITE_IMAGE", ""))), err=True)
    if not plan.jobs:
        click.echo(f"Nothing to do: all {plan.total} cells are there.", err=True)
        return []
    with open_progress(len(plan.jobs)) as progress:

        def finished(outcome: Outcome) -> None:
            progress.result(json.dumps(outcome_document(outcome)) if as_json else outcome_line(outcome))

        outcomes = run_cells(
            plan.jobs,
            plan.out,
            lanes=plan.lanes,
            options=Options(checkpoint_every or plan.task.checkpoint_every, plan.placement, form, plan.data),
            progress=progress,
            stop=stop,
            finished=finished,
        )
    if stop.is_set():
        click.echo("Interrupted. Issue the same command again to go on with what is missing.", err=True)
    return outcomes


def outcome_line(outcome: Outcome) -> str:
    """Return one line for people about how a cell ended."""
    cell = outcome.cell
    score = "no episode to score" if outcome.score is None else f"score {outcome.score:.2f}"
    detail = f"{score}  {outcome.message}".rstrip() if outcome.state == "done" else outcome.message
    return f"{outcome.state:<11} {cell.game} seed {cell.seed}  {cell.spec.label}  {detail}  {outcome.path}".rstrip()


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
        "path": str(outcome.path),
    }


def _split(methods: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in methods.split(","))


def _abort() -> None:
    os._exit(ExitCode.INTERRUPTED)  # the checkpoint before stays valid
