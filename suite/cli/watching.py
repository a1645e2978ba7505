"""The watch of runs: their states shown again and again, until none is left that may go on. Takes no lock."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import click

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Row = dict[str, Any]
Draw = Callable[[list[Row]], "Table"]

GOING = ("running", "starting", "interrupted", "killed")
"""States that are not the last word: what was interrupted or killed goes on when the same command is issued again."""


class View(Protocol):
    """What is shown of the runs at one time."""

    def show(self, rows: list[Row]) -> None:
        """Show them."""
        ...


def watch(rows: Callable[[], list[Row]], draw: Draw, every: float, *, as_json: bool) -> bool:
    """Show rows every so many seconds, until none may go on or Ctrl-C comes; return whether all has been shown.

    On a terminal the table stays in its place; elsewhere a line is written whenever the counts have changed. Both are
    on standard error; JSON, a line each time, is on standard output.
    """
    from rich.console import Console
    from rich.live import Live

    console = Console(stderr=True)
    try:
        if as_json:
            _follow(rows, _JsonLines(), every)
        elif console.is_terminal:
            with Live(console=console, auto_refresh=False) as live:
                _follow(rows, _Screen(lambda table: live.update(table, refresh=True), draw, console), every)
        else:
            _follow(rows, _Lines(), every)
            return False  # the table comes once, at the end
    except KeyboardInterrupt:
        return True
    return True


def _follow(rows: Callable[[], list[Row]], view: View, every: float) -> None:
    while True:
        found = rows()
        view.show(found)
        if found and not any(row["state"] in GOING for row in found):
            return
        time.sleep(every)


def summary(rows: Sequence[Row]) -> str:
    """Return how many runs have each state, and whose doing it was: `3 runs: 2 done, 1 failed (method)`."""
    if not rows:
        return "no runs yet"
    labels = (row["state"] + (f" ({row['cause']})" if row["cause"] else "") for row in rows)
    counts = ", ".join(f"{count} {label}" for label, count in sorted(Counter(labels).items()))
    return f"{len(rows)} run{'s' if len(rows) > 1 else ''}: {counts}"


class _JsonLines:
    def show(self, rows: list[Row]) -> None:
        click.echo(json.dumps({"schema": "suite.status/1", "runs": rows}))


class _Lines:
    def __init__(self) -> None:
        self._last = ""

    def show(self, rows: list[Row]) -> None:
        text = summary(rows)
        if text != self._last:
            click.echo(text, err=True)
        self._last = text


class _Screen:
    """The table as far as it fits, those first that may go on, with the counts below it."""

    def __init__(self, update: Callable[[Table], None], draw: Draw, console: Console) -> None:
        self._update = update
        self._draw = draw
        self._console = console

    def show(self, rows: list[Row]) -> None:
        room = max(1, self._console.height - 4)
        first = sorted(rows, key=lambda row: GOING.index(row["state"]) if row["state"] in GOING else len(GOING))
        table = self._draw(first[:room])
        hidden = len(rows) - room
        table.caption = summary(rows) + (f"; {hidden} not shown" if hidden > 0 else "")
        table.caption_justify = "left"
        self._update(table)
