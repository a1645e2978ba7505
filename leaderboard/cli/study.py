"""`suite study`: the paper's figures, and anybody's own, as plans, runs, pictures and verdicts. Light at the top."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leaderboard.cli.study_figure import figure, report
from leaderboard.cli.study_options import JSON, choice_options
from suite.cli.launch.launching import launched
from suite.cli.launch.options import Launcher, launch_options
from suite.cli.training import Computing, computing_options

if TYPE_CHECKING:
    from leaderboard.studies.choice import Chosen
    from leaderboard.studies.expansion import Expanded
    from leaderboard.studies.planning import StudyPlan
    from suite.running.plan import Plan

EXAMPLES = """\b
Examples:
  suite study plan fig1
  suite study run fig1 --on classic --seeds 0-4
  suite study figure fig1 --results results.sqlite --to figures
"""

OUT = click.option(
    "--out",
    type=click.Path(path_type=Path),
    envvar="SUITE_OUT",
    default=Path("runs"),
    show_default=True,
    help="Where the runs are, and go.",
)


@click.group(epilog=EXAMPLES)
def study() -> None:
    """Every figure of the paper as a command that ends in a verdict; `suite study new` makes your own."""


@study.command("list")
@JSON
def list_(as_json: bool) -> None:
    """List the studies: the paper's figures, then the protocol's open decisions as ablations."""
    from leaderboard.studies.definition import load_study, study_names
    from leaderboard.studies.expansion import expand

    found = [load_study(name) for name in study_names()]
    rows: list[dict[str, Any]] = []
    for one in found:
        expanded = expand(one)
        rows.append(
            {
                "id": one.id,
                "figure": one.figure,
                "title": one.title,
                "summary": one.summary,
                "task": one.task,
                "configurations": len(expanded.configurations),
                "cells": expanded.size,
                "claims": [{"id": claim.id, "text": claim.text, "source": claim.source} for claim in one.claims],
            }
        )
    if as_json:
        click.echo(json.dumps({"schema": "suite.study.list/1", "studies": rows}, indent=1))
        return
    width = max(len(row["id"]) for row in rows)
    for row in rows:
        click.echo(f"{row['id']:<{width}}  {row['cells']:>5,} cells  {len(row['claims'])} claims  {row['title']}")


@study.command()
@choice_options
@OUT
@click.option(
    "--device-profile",
    metavar="FILE|NAME",
    default="xeon-core",
    show_default=True,
    help="Whose measured rates are taken; see `suite profile`.",
)
@click.option(
    "--lanes", type=click.IntRange(1, 1024), default=1, show_default=True, help="Cells of a group in the JSON document."
)
@JSON
def plan(out: Path, device_profile: str, lanes: int, as_json: bool, **choice: Any) -> None:
    """Say which cells are there and what the missing ones take.

    --json has every cell with its own command, and the groups of lanes that `suite run --cells` runs.
    """
    from leaderboard.studies.choice import choose
    from leaderboard.studies.planning import StudyPlan
    from suite.running.profiles.profile import profile_named

    chosen = choose(choice.pop("name"), choice.pop("rung"), **choice)
    made = StudyPlan(chosen.expanded, out, profile_named(device_profile), lanes)
    if as_json:
        click.echo(json.dumps(made.document(), indent=1))
        return
    for line in _plan_lines(chosen, made):
        click.echo(line)


@study.command()
@choice_options
@OUT
@computing_options
@launch_options
@click.option("--dry-run", is_flag=True, help="With --launcher slurm or ray: write its files; run nothing.")
@click.option("--json", "as_json", is_flag=True, help="Machine-readable results, one JSON object a line.")
def run(
    out: Path,
    launcher: Launcher,
    cluster: tuple[str, ...],
    shard: str | None,
    dry_run: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Run what is missing of a study, what others need first; issue it again and it goes on."""
    from leaderboard.studies.choice import choose
    from suite.cli.launch.wishes import Launch
    from suite.cli.training import executed, stop_on_signals
    from suite.errors import ExitCode, UsageError

    names = ("name", "rung", "games", "seeds", "frames", "data")
    choice = {name: options.pop(name) for name in names}
    launch = Launch.read(launcher, cluster, shard)
    if dry_run and launcher == "local":
        raise UsageError("A dry run of a study is its plan.", "Use `suite study plan`.")
    with stop_on_signals() as stop:
        chosen = choose(choice.pop("name"), choice.pop("rung"), **choice)
        computing = launch.computing(Computing(**options))
        if computing.keep != "final" and any(point.needs for point in chosen.expanded.configurations.values()):
            raise UsageError(
                f"Runs of {chosen.name} start from last checkpoints of others, which --keep {computing.keep} gives up.",
                "Leave --keep out.",
            )
        plans = _parts(chosen, out, choice["data"], computing, launch.shard)
        if launcher != "local":
            click.get_current_context().exit(
                launched(list(plans), computing, launch, stop, dry=dry_run, as_json=as_json)
            )
        code = int(ExitCode.DONE)
        for part in map(partial(_startable, chosen, out), plans):
            if part is None:
                continue
            code = max(code, executed(part, computing, stop, as_json=as_json))
            if stop.is_set():
                break
        click.get_current_context().exit(code)


@study.command()
@choice_options
@OUT
@JSON
def status(out: Path, as_json: bool, **choice: Any) -> None:
    """Say how far a study is, and which cells were run for it and no longer belong to it."""
    from leaderboard.studies.choice import choose
    from leaderboard.studies.memory import strays
    from leaderboard.studies.planning import StudyPlan

    chosen = choose(choice.pop("name"), choice.pop("rung"), **choice)
    made = StudyPlan(chosen.expanded, out)
    left = strays(chosen.expanded, out)
    states = {name: made.states_of(name) for name in chosen.expanded.configurations}
    if as_json:
        document = {"schema": "suite.study.status/1", "study": chosen.name, "configurations": states, "strays": left}
        click.echo(json.dumps(document, indent=1))
        return
    for name, counts in states.items():
        point = chosen.expanded.configurations[name]
        click.echo(f"{name}  {_coordinates(point)}: {_said(counts)}")
    for line in _stray_lines(left):
        click.echo(line)


@study.command()
@click.argument("name", metavar="NAME")
@click.option("--task", required=True, metavar="NAME", help="The task.")
@click.option("--agent", "agents", default="dqn", show_default=True, metavar="A,B", help="Agents.")
@click.option("--network", default="impala", show_default=True, metavar="NAME", help="The network.")
@click.option("--width", "widths", metavar="1,3,5", help="Widths.")
@click.option(
    "--method", "methods", default="dense,magnitude_pruning", show_default=True, metavar="A,B", help="Methods."
)
@click.option(
    "--set", "settings", multiple=True, metavar="PATH=A,B", help="Values of a setting; a grid of all of them."
)
@click.option("--file", type=click.Path(path_type=Path), help="Where to write it; default: NAME.toml here.")
def new(
    name: str,
    task: str,
    agents: str,
    network: str,
    widths: str | None,
    methods: str,
    settings: tuple[str, ...],
    file: Path | None,
) -> None:
    """Write a study of your own: a grid of cells, a picture, and a claim to begin with."""
    from leaderboard.studies.blank import blank_study
    from leaderboard.studies.definition import parse_study
    from leaderboard.studies.expansion import expand
    from suite import durable
    from suite.errors import UsageError

    path = file or Path(f"{name}.toml")
    if path.exists():
        raise UsageError(f"{path} is already there.", "Choose another name, or give --file.")
    text = blank_study(name, task, agents, network, widths, methods, settings)
    made = expand(parse_study(text, str(path)))
    durable.replace_file(path, text.encode())
    click.echo(f"{path}: {len(made.configurations)} configurations, {made.size:,} cells. Next: suite study plan {path}")


def _parts(
    chosen: Chosen, out: Path, data: Path | None, computing: Computing, shard: tuple[int, int] | None
) -> Iterator[Plan]:
    """Yield the plans of a study, or of a share of it, those that others need first."""
    from leaderboard.studies.memory import remember, strays
    from suite.cli.training import planned
    from suite.running.groups import share

    expanded = chosen.expanded
    for line in _stray_lines(strays(expanded, out)):
        click.echo(line, err=True)
    points = list(expanded.configurations.values())
    games, seeds = ",".join(expanded.games), ",".join(map(str, expanded.seeds))
    mine = None if shard is None else share(_row(expanded), *shard)
    for number, stage in enumerate(sorted({(point.stage, point.resolved.spec.dataset or "") for point in points})):
        part = [point for point in points if (point.stage, point.resolved.spec.dataset or "") == stage]
        made = planned([point.resolved for point in part], games, seeds, out, data, computing)
        if number == 0:
            remember(expanded, out)
        yield made if mine is None else made.only(mine)


def _row(expanded: Expanded) -> list[tuple[str, list[str]]]:
    """Return the paths of a study's cells with those that each needs, configuration by configuration."""
    order = {name: number for number, name in enumerate(expanded.configurations)}
    cells = sorted(expanded.cells(), key=lambda item: order[item[0].config_id])
    return [(cell.path, point.needed(cell.game, cell.seed)) for point, cell in cells]


def _startable(chosen: Chosen, out: Path, made: Plan) -> Plan | None:
    """Return a plan without the cells that wait for runs which are not finished; None if only such are missing."""
    from suite.records.record import FINISHED, existing_state

    configurations = chosen.expanded.configurations
    waiting = {
        job.cell.path
        for job in made.jobs
        for needed in [configurations[job.cell.spec.config_id].needed(job.cell.game, job.cell.seed)]
        if not all(existing_state(out / path) in FINISHED for path in needed)
    }
    if waiting:
        click.echo(f"{len(waiting)} cells wait for runs that are not finished.", err=True)
    jobs = tuple(job for job in made.jobs if job.cell.path not in waiting)
    return dataclasses.replace(made, jobs=jobs) if jobs or not made.jobs else None


def _plan_lines(chosen: Chosen, made: StudyPlan) -> Iterator[str]:
    from leaderboard.studies.memory import strays

    expanded, document = chosen.expanded, made.document()
    yield f"{chosen.name}: {chosen.original.title}"
    yield chosen.original.summary
    yield f"task    {expanded.task.key}, {len(expanded.games)} games, seeds {', '.join(map(str, expanded.seeds))}"
    yield f"cells   {document['cells_total']:,}, {document['cells_missing']:,} without a result below {made.out}"
    if expanded.task.data is not None and not any(p.request.data for p in expanded.points):
        yield "data    give --data DIR: which rows are drawn is part of what the cells are"
    yield f"steps   {document['gradient_steps_missing']:,} gradient steps are missing"
    if made.device is not None:
        unknown = document["cells_without_rate"]
        rest = f"; {unknown:,} cells have no measured rate there" if unknown else ""
        yield f"time    {document['device_hours_missing']:,.1f} hours of {made.device.title}{rest}"
        yield f"        measured: {made.device.source}"
    yield ""
    for item in document["configurations"]:
        point = expanded.configurations[item["config_id"]]
        hours = "" if item["hours"] is None else f", {item['hours']:,.2f} h"
        waits = f", after {', '.join(item['needs'])}" if item["needs"] else ""
        yield f"{item['config_id']}  {_coordinates(point)}: {_said(made.states_of(item['config_id']))}"
        yield (
            f"  a cell: {item['gradient_steps']:,} gradient steps, {item['lane_bytes'] / 2**30:.2f} GiB of replay and "
            f"learner{hours}{waits}"
        )
    for text in (*chosen.original.inferred, *(() if chosen.mapped is None else chosen.mapped.notes)):
        yield f"note    {text}"
    yield from _stray_lines(strays(expanded, made.out))


def _stray_lines(left: list[str]) -> Iterator[str]:
    if left:
        yield f"{len(left)} cells were run for an earlier form of this study and no longer belong to it; they stay:"
        yield from (f"  {path}" for path in left)


def _said(states: Counter[str]) -> str:
    return ", ".join(f"{count} {state}" for state, count in sorted(states.items()))


def _coordinates(point: Any) -> str:
    from suite.contracts.card import written

    return ", ".join(
        f"{value}" if path in ("arm", "agent", "network") else f"{path.rpartition('.')[2]} {written(value)}"
        for path, value in point.coordinates.items()
    )


study.add_command(figure)
study.add_command(report)
