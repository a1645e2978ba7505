"""`suite status`: all runs under a directory, with rate and time left, once or again and again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from rich.table import Table

Row = dict[str, Any]


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), envvar="SUITE_OUT", default=Path("runs"))
@click.option("--watch", "watching", is_flag=True, help="Again and again, until no run is left that may go on.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: how often.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON document; with --watch, one a line each time.")
def status(directory: Path, watching: bool, every: float, as_json: bool) -> None:
    """Show every run under DIRECTORY (default: ./runs, or $SUITE_OUT).

    Of a run that came to no good end it says whose doing that was: the infrastructure's, or the method's.
    """
    known: dict[Path, tuple[object, Row]] = {}
    if watching:
        from suite.cli.watching import watch

        if watch(partial(_rows, directory, known), _table, every, as_json=as_json):
            return
    rows = _rows(directory, known)
    if as_json:
        click.echo(json.dumps({"schema": "suite.status/1", "runs": rows}, indent=1))
        return
    _print_table(rows, directory)


def _rows(directory: Path, known: dict[Path, tuple[object, Row]]) -> list[Row]:
    """Return the rows of all runs; of a finished one what is `known`, as long as its status is the same file."""
    from suite.records.attempts import home
    from suite.records.find import find_runs
    from suite.records.record import FINISHED

    rows = []
    for path in find_runs(directory):
        mark = _mark(home(path) / "status.json")
        if path not in known or known[path][0] != mark or known[path][1]["state"] not in FINISHED:
            known[path] = (mark, _row(path, directory))
        rows.append(known[path][1])
    return rows


def _mark(file: Path) -> object:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _row(path: Path, directory: Path) -> Row:
    from suite.errors import BadData
    from suite.records.attempts import has_started
    from suite.records.cause import cause_of
    from suite.records.ownership import holder, is_held
    from suite.records.record import effective_state, read_cell, read_status

    place = str(path.relative_to(directory))
    if not has_started(path):
        state = "starting" if is_held(path) else "killed"
        return {"path": place, "state": state, "cause": cause_of(state), "message": "Nothing was recorded yet."}
    try:
        cell, found = read_cell(path), read_status(path)
    except BadData as error:
        return {"path": place, "state": "damaged", "cause": cause_of("damaged"), "message": str(error)}
    state = effective_state(path, found)
    rate = found.frames_per_second if state == "running" else None
    owner = holder(path, found.attempt)
    return {
        "path": place,
        "state": state,
        "cause": cause_of(state, found.cause),
        "task": cell.spec.task_key,
        "config_id": cell.config_id,
        "label": cell.spec.label,
        "game": cell.game,
        "seed": cell.seed,
        "attempt": found.attempt,
        "frames": found.frames,
        "budget_frames": found.budget_frames,
        "frames_per_second": rate,
        "eta_seconds": round((found.budget_frames - found.frames) / rate) if rate else None,
        "last_return": found.last_return,
        "score": found.summary.score if found.summary else None,
        "updated_at": found.updated_at,
        "owner": None if owner is None else owner.model_dump(include={"attempt", "host", "pid", "job", "since"}),
        "message": found.message,
    }


def _print_table(rows: list[Row], directory: Path) -> None:
    if not rows:
        click.echo(f"No runs under {directory}.")
        return
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 200  # a pipe has no width; do not fold rows
    console.print(_table(rows))
    for row in rows:
        if row["message"]:
            click.echo(f"{row['path']}: {row['message']}", err=True)


def _table(rows: list[Row]) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    numbers = ("seed", "done", "frames/s", "ETA", "return", "score")
    for heading in ("state", "task", "configuration", "game", *numbers, "owner"):
        right = heading in numbers
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "configuration")
    for row in rows:
        if "task" not in row:
            table.add_row(_state(row), "", row["path"])
        else:
            table.add_row(*_cells(row))
    return table


def _state(row: Mapping[str, Any]) -> str:
    notes = [row["cause"]] if row["cause"] else []
    notes += [f"attempt {row['attempt']}"] if row.get("attempt", 1) > 1 else []
    return f"{row['state']} ({', '.join(notes)})" if notes else str(row["state"])


def _cells(row: Row) -> tuple[str, ...]:
    from suite.durations import duration

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:,.1f}"

    return (
        _state(row),
        row["task"],
        row["label"],
        row["game"],
        str(row["seed"]),
        f"{100 * row['frames'] / row['budget_frames']:.0f} %",
        number(row["frames_per_second"]),
        "-" if row["eta_seconds"] is None else duration(row["eta_seconds"]),
        number(row["last_return"]),
        number(row["score"]),
        "" if row["owner"] is None else "{host} {pid}, since {since}".format(**row["owner"]),
    )
