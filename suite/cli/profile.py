"""`suite profile`: profiles of devices, by which runs on them are planned elsewhere."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from suite.running.profiles.profile import Profile

EXAMPLES = """\b
Examples:
  suite profile record runs --out our-cluster.toml
  suite run --task atari40m --dry-run --device-profile our-cluster.toml
"""


@click.group(epilog=EXAMPLES)
def profile() -> None:
    """What machines have and how long configurations took there: for plans made elsewhere."""


@profile.command("list")
def list_() -> None:
    """List the profiles that come with the suite."""
    from suite.running.profiles.profile import profile_named, profile_names

    for name in profile_names():
        click.echo(f"{name:<12}  {profile_named(name).title}")


@profile.command()
@click.argument("name", metavar="FILE|NAME")
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def show(name: str, as_json: bool) -> None:
    """Print a profile."""
    from suite.running.profiles.profile import profile_named, toml

    found = profile_named(name)
    click.echo(json.dumps(found.model_dump(), indent=1) if as_json else toml(found), nl=as_json)


@profile.command()
@click.argument("runs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The TOML file to write.")
@click.option("--name", help="What it is called; default: the file's name.")
@click.option("--device-memory", type=float, metavar="GIB", help="Of a GPU, which records do not say.")
def record(runs: tuple[Path, ...], out: Path, name: str | None, device_memory: float | None) -> None:
    """Make a profile from the finished runs below RUNS, all of one machine.

    A time that several of them shared is shared out among them. Runs that more than one attempt finished say nothing of
    time and are left out.
    """
    from suite import durable
    from suite.running.profiles.profile import toml

    made = _made(runs, name or out.stem, device_memory)
    durable.replace_file(out, toml(made).encode())
    count = sum(rate.runs for rate in made.rates)
    click.echo(f"{out}: {len(made.rates)} rates from {count} runs on {made.title}.")


def _made(places: tuple[Path, ...], name: str, device_memory: float | None) -> Profile:
    from suite.errors import BadData
    from suite.records.find import find_runs
    from suite.running.profiles.measured import finished_runs, kind_of

    found = finished_runs(path for place in places for path in find_runs(place))
    kinds = {kind_of(run.attempt.hardware) for run in found}
    if len(kinds) != 1:
        said = "; ".join(sorted(", ".join(map(str, kind)) for kind in kinds)) or "no run that one attempt finished"
        raise BadData(
            f"A profile is of one machine, and {' '.join(map(str, places))} has {said}.",
            "Name directories with finished runs of one machine.",
        )
    from suite.learning.device import prepare

    prepare(1, deterministic=True)
    from suite.running.profile_of_runs import profile_of

    return profile_of(found, name, device_memory)
