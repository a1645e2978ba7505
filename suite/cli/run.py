"""`suite run`: train the cells of one or several configurations on a task."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from suite.cli.launch.launching import KEPT, kept, launched
from suite.cli.launch.options import Launcher, launch_options
from suite.cli.training import Computing, computing_options, executed, planned, stop_on_signals
from suite.errors import UsageError

DEFAULT_OUT = "runs"


EXAMPLES = """\b
Examples:
  suite run --task smoke --network nature_cnn --method dense,magnitude_pruning
  suite run --task atari40m --width 1,3 --method dense,magnitude_pruning --set method.sparsity=0.9,0.95
  suite run --task atari40m --games Pong,Breakout --seeds 0-1 --dry-run
  suite run --task atari40m --launcher slurm --device-profile h200 --lanes 15 --cluster partition=gpu
"""


@click.command(epilog=EXAMPLES)
@click.option("--task", "task_name", metavar="NAME", help="The task, such as atari40m or smoke; see `suite list`.")
@click.option("--agent", metavar="NAME", help="The agent; the task's own if not given: dqn, or der for Atari 100k.")
@click.option("--network", metavar="NAME", help="The network, such as nature_cnn; the task's own if not given.")
@click.option("--width", metavar="K,L", help="Width multipliers; short for --set network.width=K,L.")
@click.option(
    "--method", "methods", default="dense", show_default=True, metavar="A,B+C", help="Methods: A, and B with C on top."
)
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=A,B", help="A setting's values, e.g. method.sparsity=0.95."
)
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
@click.option(
    "--cells",
    metavar="PLAN.json#N",
    help="In place of --task: one group of lanes of a plan, the file that --dry-run --json wrote.",
)
@computing_options
@click.option(
    "--sink",
    "sinks",
    multiple=True,
    metavar="NAME",
    help="Feed tensorboard, trackio or wandb meanwhile, in OUT/sinks/NAME; repeatable.",
)
@launch_options
@click.option("--dry-run", is_flag=True, help="Print cells, updates, milestones and cost; run nothing.")
@click.option(
    "--device-profile",
    metavar="FILE|NAME",
    help="With --dry-run or --launcher: plan for that machine and not for this one; see `suite profile`.",
)
@click.option("--json", "as_json", is_flag=True, help="Machine-readable results, one JSON object a line.")
def run(
    task_name: str | None,
    agent: str | None,
    network: str | None,
    width: str | None,
    methods: str,
    settings: tuple[str, ...],
    games: str,
    seeds: str | None,
    frames: int | None,
    data: Path | None,
    out: Path | None,
    sinks: tuple[str, ...],
    cells: str | None,
    launcher: Launcher,
    cluster: tuple[str, ...],
    shard: str | None,
    dry_run: bool,
    device_profile: str | None,
    as_json: bool,
    **computing: Any,
) -> None:
    """Train agents on a task. Issue the same command again and it does what is missing."""
    if device_profile is not None and not dry_run and launcher == "local":
        remedy = "Add --dry-run, or --launcher."
        raise UsageError("--device-profile plans for another machine, and trains on none.", remedy)
    from suite.cli.launch.wishes import Launch

    launch = Launch.read(launcher, cluster, shard)
    context = click.get_current_context()
    options = launch.computing(Computing(**computing))
    with stop_on_signals() as stop:
        from suite.records.sinks.live import check_sinks, feeding

        check_sinks(sinks)
        if cells is not None:
            from suite.cli.launch.cells import planned_group

            plan, options = planned_group(cells, out, options, context, KEPT)
        else:
            from suite.running.request import Request, resolve_grid

            if task_name is None:
                raise UsageError("Nothing says what to run.", "Give --task NAME, or --cells PLAN.json#0.")
            request = Request(task_name, agent, network, _split(methods), settings, frames, data=data)
            place = out or Path(DEFAULT_OUT)
            plan = planned(resolve_grid(request, width), games, seeds, place, data, options, device_profile)
        if launch.shard is not None:
            from suite.running.groups import shared

            plan = plan.only(shared(plan, *launch.shard))
        if launcher != "local":
            context.exit(launched([plan], options, launch, stop, dry=dry_run, as_json=as_json))
        if dry_run:
            from suite.running import plan_report

            document = plan_report.document(plan, kept(options))
            click.echo(json.dumps(document, indent=1) if as_json else plan_report.text(plan))
            return
        with feeding(sinks, plan.out, _say):
            code = executed(plan, options, stop, as_json=as_json)
        context.exit(code)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _split(methods: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in methods.split(","))
