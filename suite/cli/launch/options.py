"""The options of `suite run` and `suite study run` that say who runs the cells. Light: help reads it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import click

Command = Callable[..., None]
Launcher = Literal["local", "slurm", "ray"]

OPTIONS = (
    click.option(
        "--launcher",
        type=click.Choice(["local", "slurm", "ray"]),
        default="local",
        show_default=True,
        help="Who runs the groups of lanes: this process, job arrays of Slurm, or tasks of Ray; see docs/clusters.md.",
    ),
    click.option(
        "--cluster",
        multiple=True,
        metavar="KEY=VALUE",
        help="What Slurm or Ray is asked for, in place of what the plan says: cpus, gpus, memory (GiB), "
        "time (minutes), partition, ...",
    ),
    click.option("--shard", metavar="i/n", help="One of n shares of the cells, such as 1/4, for machines apart."),
)


def launch_options(command: Command) -> Command:
    """Give a command the options that `Launch` is made of."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command
