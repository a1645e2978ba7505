"""`suite status`: all runs under a directory, with rate and time left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), envvar="SUITE_OUT", default=Path("runs"))
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def status(directory: Path, as_json: bool) -> None:
    """Show every run under DIRECTORY (default: ./runs, or $SUITE_OUT)."""
    from suite.records.find import find_runs

    rows = [_row(path, directory) for path in find_runs(directory)]
    if as_json:
        click.echo(json.dumps({"schema": "suite.status/1", "runs": rows}, indent=1))
        return
    _print_table(rows, directory)


def _row(path: Path, directory: Path) -> dict[str, Any]:
    from suite.errors import BadData
    from suite.records.attempts import has_started
    from suite.records.ownership import holder, is_held
    from suite.records.record import effective_state, read_cell, read_status

    place = str(path.relative_to(directory))
    if not has_started(path):
        state = "starting" if is_held(path) else "killed"
        return {"path": place, "state": state, "message": "Nothing was recorded yet."}
    try:
        cell, found = read_cell(path), read_status(path)
    except BadData as error:
        return {"path": place, "state": "damaged", "message": str(error)}
    state = effective_state(path, found)
    rate = found.frames_per_second if state == "running" else None
    owner = holder(path, found.attempt)
    return {
        "path": place,
        "state": state,
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


def _print_table(rows: list[dict[str, Any]], directory: Path) -> None:
    if not rows:
        click.echo(f"No runs under {directory}.")
        return
    from rich.console import Console
    from rich.table import Table

    console = Console()
    if not console.is_terminal:
        console.width = 200  # a pipe has no width; do not fold rows
    table = Table(box=None, pad_edge=False, header_style="bold")
    numbers = ("seed", "done", "frames/s", "ETA", "return", "score")
    for heading in ("state", "task", "configuration", "game", *numbers, "owner"):
        right = heading in numbers
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading != "configuration")
    for row in rows:
        if "task" not in row:
            table.add_row(row["state"], "", row["path"])
        else:
            table.add_row(*_cells(row))
    console.print(table)
    for row in rows:
        if row["message"]:
            click.echo(f"{row['path']}: {row['message']}", err=True)


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    from suite.durations import duration

    def number(value: float | None) -> str:
        return "-" if value is None else f"{value:,.1f}"

    state = row["state"] if row["attempt"] == 1 else f"{row['state']} (attempt {row['attempt']})"
    return (
        state,
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
