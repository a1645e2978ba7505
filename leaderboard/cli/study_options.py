"""The options of several commands of `suite study`: which study, what part of it, and how it is said."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click

Command = Callable[..., None]

CHOICE = (
    click.argument("name", metavar="STUDY"),
    click.option(
        "--on", "rung", metavar="NAME", help="A rung lower: classic, minatar or smoke instead of its own task."
    ),
    click.option("--games", metavar="A,B", help="Some of its games."),
    click.option("--seeds", metavar="0-4", help="Other seeds than its own."),
    click.option("--frames", type=int, metavar="N", help="A shorter budget, in the task's unit: ranks nowhere."),
    click.option(
        "--data",
        type=click.Path(path_type=Path),
        envvar="SUITE_DATA",
        help="Directory of logged data; see `suite data`.",
    ),
)
JSON = click.option("--json", "as_json", is_flag=True, help="One JSON document.")


def choice_options(command: Command) -> Command:
    """Give a command the options that name a study and a part of it."""
    for option in reversed(CHOICE):
        command = option(command)
    return command
