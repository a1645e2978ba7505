"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path

import click

database_option = click.option(
    "--db",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("results.sqlite"),
    show_default=True,
    help="The results database.",
)
