"""`suite plan`: which runs tell the most next. Imports nothing heavy at the top."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leaderboard.cli.options import database_option

if TYPE_CHECKING:
    from leaderboard.board.entries import Competitor
    from leaderboard.statistics.planning import Candidate, Plan, PlannedCell

EXAMPLES = """\b
Examples:
  suite plan --task atari40m --detect 0.10 --power 0.8
  suite plan --task atari40m --entry "dqn impala dense" --limit 5 --json
"""

_WHY = {"game": "no result yet", "seed": "a seed of the task", "precision": "precision"}
_BASIS = {"own": "its own runs", "pooled": "runs of all entries", "assumed": "assumed: 2 % error at 5 seeds"}


@click.command(epilog=EXAMPLES)
@database_option
@click.option("--task", metavar="NAME", help="The task; needed where the database has runs of several.")
@click.option("--entry", "names", metavar="NAME", multiple=True, help="Plan for this entry only; repeatable.")
@click.option(
    "--detect",
    type=click.FloatRange(0, min_open=True),
    default=0.1,
    show_default=True,
    help="The difference to find, as a share of an entry's score.",
)
@click.option(
    "--power",
    type=click.FloatRange(0.05, 0.999),
    default=0.8,
    show_default=True,
    help="The probability with which to find it.",
)
@click.option("--limit", type=click.IntRange(1, 1_000), default=20, show_default=True, help="Cells to list.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def plan(
    db: Path, task: str | None, names: tuple[str, ...], detect: float, power: float, limit: int, as_json: bool
) -> None:
    """List the runs to make next, by what they add per hour, with the command of each.

    Games without a result come first, then the task's own seeds, then the seeds that bring every entry's error down to
    where a difference of the size of --detect is found. Variances are those of the runs in the database.
    """
    board, chosen = _chosen(db, task, names)
    made = _plan(board, chosen, detect=detect, power=power, limit=limit)
    labels = {item.configuration.config_id: item for item in chosen}
    if as_json:
        click.echo(json.dumps(_document(labels, made, detect, power)))
        return
    for line in _lines(labels, made, detect, power):
        click.echo(line)


def _chosen(db: Path, task: str | None, names: Sequence[str]) -> tuple[list[Competitor], list[Competitor]]:
    """Return all entries of the task's full budget, and those of them to plan for: run here, and named if any is."""
    from leaderboard.board.entries import find, read_boards
    from suite.errors import UsageError

    boards = read_boards(db, task)
    if task is None:
        boards = {name: items for name, items in boards.items() if any(item.entry.command for item in items)}
    if len(boards) > 1:
        raise UsageError(f"The database has runs of several tasks: {', '.join(boards)}.", "Say which with --task.")
    board = [
        item for items in boards.values() for item in items if not item.configuration.shortened or item.entry.published
    ]
    wanted = {item.configuration.config_id for name in names for item in find([name], boards)}
    chosen = [item for item in board if item.entry.command and (not names or item.configuration.config_id in wanted)]
    if not chosen:
        raise UsageError(
            f"{db} has no entry of a full budget that was run here{' under these names' if names else ''}.",
            f"Start one with `suite run --task {task or 'NAME'}`, then ingest it.",
        )
    return board, chosen


def _plan(board: Sequence[Competitor], chosen: Sequence[Competitor], **options: Any) -> Plan:
    from leaderboard.statistics.planning import next_cells
    from suite.tasks import GAMES

    task = chosen[0].task
    scaled = [name for name in task.games if GAMES[name].normalizable]
    planned = {item.configuration.config_id: _candidate(item) for item in chosen}
    others = {
        item.configuration.config_id: item.scores for item in board if item.configuration.config_id not in planned
    }
    return next_cells(planned, scaled or task.games, task.default_seeds, others=others, **options)


def _candidate(item: Competitor) -> Candidate:
    from leaderboard.statistics.planning import Candidate

    seeds: dict[str, set[int]] = {}
    seconds: dict[str, list[float]] = {}
    for run in item.runs:
        if run.finished or run.state == "running":
            seeds.setdefault(run.game, set()).add(run.seed)
        if run.state == "done" and run.wall_seconds is not None:
            seconds.setdefault(run.game, []).append(run.wall_seconds)
    return Candidate(
        scores=item.scores,
        seeds={name: frozenset(found) for name, found in seeds.items()},
        hours={name: sum(found) / len(found) / 3600 for name, found in seconds.items()},
    )


def _lines(labels: Mapping[str, Competitor], made: Plan, detect: float, power: float) -> Iterator[str]:
    """Yield a line of what each entry needs, then the cells with their commands."""
    width = max(len(item.label) for item in labels.values())
    if any(need.target for need in made.needs.values()):
        yield f"To find a difference of {100 * detect:g} % between two entries with power {power:g}:"
        yield f"{'entry':<{width}}  {'error now':>9}  {'needed':>7}  {'seeds a game':>12}  variances from"
        for key, need in made.needs.items():
            now = "-" if need.error is None else f"{need.error:.4f}"
            seeds = str(need.seeds or ("unknown" if need.error == 0 else "> 1,000"))
            yield f"{labels[key].label:<{width}}  {now:>9}  {need.target:>7.4f}  {seeds:>12}  {_BASIS[need.basis]}"
        if any(need.error == 0 for need in made.needs.values()):
            yield "error 0: no two runs of a game differ, which says nothing about their spread"
    else:
        yield "These games have no common scale, or no result yet: nothing but the task's own seeds can be planned."
    if not made.cells:
        yield "\nNothing more to start: every run is done or under way."
        return
    total = sum(cell.hours or 0.0 for cell in made.cells)
    rest = "" if made.complete else "; more follow (--limit)"
    yield f"\n{len(made.cells)} cells, about {total:.1f} device hours, the most useful first{rest}"
    for cell in made.cells:
        hours = "unknown time" if cell.hours is None else f"{cell.hours:.2f} h"
        gain = f", {100 * cell.gain:.1f} % of the variance allowed" if cell.gain else ""
        yield f"# {_WHY[cell.reason]}, {hours}{gain} ({_BASIS[cell.basis]})"
        yield _command(labels[cell.entry], cell)


def _command(item: Competitor, cell: PlannedCell) -> str:
    return f"{item.entry.command} --games {cell.game} --seeds {cell.seed}"


def _document(labels: Mapping[str, Competitor], made: Plan, detect: float, power: float) -> dict[str, Any]:
    """Return the plan as plain values; entries stand under their ids."""
    from dataclasses import asdict

    return {
        "schema": "leaderboard.plan/1",
        "task": next(iter(labels.values())).task.key,
        "detect": detect,
        "power": power,
        "complete": made.complete,
        "entries": {key: {"label": labels[key].label, **asdict(need)} for key, need in made.needs.items()},
        "cells": [asdict(cell) | {"command": _command(labels[cell.entry], cell)} for cell in made.cells],
    }
