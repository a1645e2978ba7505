"""`suite data`: logs for offline training. What a directory holds, whether it is sound, and samples of it."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from suite.cli.signals import stopping_signals
from suite.cli.training import Computing, computing_options, executed, planned, stop_on_signals
from suite.monitor import Monitor

if TYPE_CHECKING:
    from suite.experience.logs.layout import Place
    from suite.experience.logs.manifest import Manifest
    from suite.experience.logs.sample import SamplePlan

SECONDS_BETWEEN_LINES = 10.0
DIRECTORY = click.Path(path_type=Path, file_okay=False)
as_json_option = click.option("--json", "as_json", is_flag=True, help="One JSON object a line.")


@click.group()
def data() -> None:
    """Logged runs for offline training, in the layout of the DQN Replay Dataset: DIR/{Game}/{run}/replay_logs.

    `import` takes a log from elsewhere, `generate` makes one, `sample` draws the share of it that is trained on.
    """


@data.command()
@click.argument("directory", metavar="DIR", type=DIRECTORY)
@as_json_option
def info(directory: Path, as_json: bool) -> None:
    """Show what DIR holds: runs, checkpoints, rows, bytes, what is missing, and the size of each reading's sample.

    Reads little: only `suite data verify` finds what is damaged.
    """
    from suite.experience.logs.info import describe, lines
    from suite.experience.logs.layout import find_places

    for place in _some(find_places(directory), directory):
        document = describe(place)
        click.echo(json.dumps({"schema": "suite.data.info/1", **document}) if as_json else "\n".join(lines(document)))


@data.command()
@click.argument("directory", metavar="DIR", type=DIRECTORY)
@as_json_option
def verify(directory: Path, as_json: bool) -> None:
    """Read all files of DIR, check them and their manifests and samples. Exits with 4 if something is wrong."""
    from suite.errors import BadData
    from suite.experience.logs.build import verify_samples
    from suite.experience.logs.layout import find_places
    from suite.experience.logs.manifest import verify_run

    wrong = 0
    places = _some(find_places(directory), directory)
    with _watching() as monitor:
        for place in places:
            try:
                problems = [*verify_run(place, monitor), *verify_samples(place, monitor)]
            except BadData as error:
                problems = [str(error)]
            wrong += bool(problems)
            if as_json:
                document = {"game": place.game, "run": place.run, "problems": problems}
                click.echo(json.dumps({"schema": "suite.data.verify/1", **document}))
            else:
                click.echo(f"{'damaged' if problems else 'sound':<11} {place.name}")
            for problem in problems:
                click.echo(f"            {problem}", err=True)
    if wrong:
        raise BadData(f"{wrong} of {len(places)} logged runs are not sound (named above).", "Do not train on them.")


@data.command("import")
@click.argument("source", metavar="SRC", type=DIRECTORY)
@click.option("--out", type=DIRECTORY, required=True, help="The data directory; SRC itself to write manifests only.")
@click.option("--source", "word", metavar="WORD", help="Where the data are from, in one word. [default: dqn-replay]")
@as_json_option
def import_(source: Path, out: Path, word: str | None, as_json: bool) -> None:
    """Check the logged runs in SRC, copy them into a data directory, and write their manifests.

    Issue the same command again after it was stopped or killed: it goes on with the checkpoint that is missing.
    """
    import re

    from suite.errors import UsageError
    from suite.experience.logs.layout import Place, find_places
    from suite.experience.logs.manifest import import_run

    if word is not None and not re.fullmatch("[a-z0-9][a-z0-9-]{0,63}", word):
        raise UsageError(f"--source {word!r} is no word.", "Use lower-case letters, digits and -.")
    with _watching() as monitor:
        for place in _some(find_places(source.resolve()), source):
            manifest = import_run(place, Place(out.resolve(), place.game, place.run), word, monitor)
            _tell_manifest("imported", manifest, as_json)


@data.command()
@click.option("--game", "games", required=True, metavar="A,B|all", help="Games of the task.")
@click.option("--runs", default="1", show_default=True, metavar="1-5", help="Runs to log; run r has the seed r - 1.")
@click.option("--frames", type=int, metavar="N", help="A shorter budget than the task's.")
@click.option("--out", type=DIRECTORY, required=True, help="The data directory; the runs go into its folder runs.")
@click.option("--rows-per-checkpoint", type=click.IntRange(min=100), default=1_000_000, show_default=True, metavar="N")
@click.option("--task", default="dqn-replay", show_default=True, metavar="NAME", help="A task meant for logs.")
@click.option("--network", metavar="NAME", help="As in `suite run`.")
@click.option("--set", "settings", multiple=True, metavar="PATH=VALUE", help="As in `suite run`.")
@computing_options
@as_json_option
def generate(
    games: str,
    runs: str,
    frames: int | None,
    out: Path,
    rows_per_checkpoint: int,
    task: str,
    network: str | None,
    settings: tuple[str, ...],
    as_json: bool,
    **computing: Any,
) -> None:
    """Train a DQN and log what it sees, in the layout of the DQN Replay Dataset.

    First `suite run` trains into the folder runs of the data directory; then the recorded actions are played again and
    their frames written. Issue the same command again after it was stopped or killed: it goes on.
    """
    from suite.experience.generate import build_logs
    from suite.running.request import Request, parse_games, resolve
    from suite.tasks import load_task
    from suite.tasks.configuration import Cell

    seeds = [run - 1 for run in _numbers("--runs", runs)]
    options, runs_out = Computing(**computing), out / "runs"
    with stop_on_signals() as stop:
        resolved = resolve(Request(task, network=network, settings=settings, frames=frames))
        plan = planned(resolved, games, ",".join(map(str, seeds)), runs_out, None, options)
        if code := executed(plan, options, stop, as_json=as_json):
            click.get_current_context().exit(code)
    with _watching() as monitor:
        for seed in seeds:
            for name in parse_games(games, load_task(task)):
                path = runs_out / Cell(resolved[0].spec, name, seed).path
                _tell_manifest("generated", build_logs(path, out, rows_per_checkpoint, monitor), as_json)


@data.command()
@click.argument("directory", metavar="DIR", type=DIRECTORY)
@click.option("--game", "games", default="all", show_default=True, metavar="A,B|all", help="Games in DIR.")
@click.option("--run", "runs", metavar="1-5", help="Runs of each; default: all that are there.")
@click.option(
    "--reading",
    type=click.Choice(["blocks", "transitions", "episodes", "checkpoints"]),
    default="blocks",
    show_default=True,
    help="Random blocks of 1,000 rows, random rows, the first episodes, or the first rows of each checkpoint.",
)
@click.option("--fraction", type=float, default=0.05, show_default=True, help="The share of each checkpoint.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what is drawn.")
@click.option("--n-step", type=click.IntRange(1, 100), default=1, show_default=True, help="Longest return to serve.")
@click.option("--dry-run", is_flag=True, help="Print what it would take; build nothing.")
@as_json_option
def sample(
    directory: Path,
    games: str,
    runs: str | None,
    reading: Any,
    fraction: float,
    seed: int,
    n_step: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Gather the sample of logged runs that training maps, into DIR/{Game}/{run}/samples.

    Says first how many distinct frames and bytes it takes. Issue the same command again after it was stopped or killed:
    it goes on with the checkpoint that is missing.
    """
    from suite.experience.logs.build import build
    from suite.experience.logs.manifest import read_manifest
    from suite.experience.logs.sample import Selection, make_plan, sample_path

    selection = Selection(reading, fraction, seed, n_step)
    with _watching() as monitor:
        for place in _chosen(directory, games, runs):
            plan = make_plan(place, read_manifest(place), selection)
            click.echo(
                f"{place.name}: {plan.drawn:,} rows drawn, {plan.frames:,} distinct frames, "
                f"{plan.bytes / 2**30:,.2f} GiB",
                err=True,
            )
            if not dry_run:
                build(plan, monitor)
            path = sample_path(place, selection)
            if as_json:
                click.echo(json.dumps(_sample_document(plan, path, built=not dry_run)))
            else:
                click.echo(f"{'would build' if dry_run else 'built':<11} {path}: {plan.identity}")


def _sample_document(plan: SamplePlan, path: Path, built: bool) -> dict[str, Any]:
    return {
        "schema": "suite.data.sample/1",
        "game": plan.place.game,
        "run": plan.place.run,
        "identity": plan.identity,
        "index_sha256": plan.index_sha256,
        "drawn": plan.drawn,
        "frames": plan.frames,
        "bytes": plan.bytes,
        "path": str(path),
        "built": built,
    }


def _tell_manifest(word: str, manifest: Manifest, as_json: bool) -> None:
    summary = {"checkpoints": len(manifest.checkpoints), "rows": manifest.rows, "bytes": manifest.bytes}
    if as_json:
        document = {"game": manifest.game, "run": manifest.run, "source": manifest.source, **summary}
        click.echo(json.dumps({"schema": f"suite.data.{word}/1", **document}))
    else:
        click.echo(
            f"{word:<11} {manifest.game} run {manifest.run}: {len(manifest.checkpoints)} checkpoint(s), "
            f"{manifest.rows:,} rows, {manifest.bytes / 2**20:,.1f} MiB, source {manifest.source}"
        )


def _some(places: list[Place], directory: Path) -> list[Place]:
    from suite.errors import UsageError

    if not places:
        raise UsageError(f"{directory} holds no logged run.", "One is a directory {Game}/{run}/replay_logs in it.")
    return places


def _chosen(directory: Path, games: str, runs: str | None) -> list[Place]:
    """Return the logged runs that were asked for; UsageError names one that is not there."""
    from suite.errors import UsageError, unknown_name
    from suite.experience.logs.layout import find_places

    places = _some(find_places(directory), directory)
    there = {place.game for place in places}
    names = sorted(there) if games == "all" else [name.strip() for name in games.split(",")]
    for name in names:
        if name not in there:
            raise unknown_name("game in this directory", name, there)
    wanted = None if runs is None else _numbers("--run", runs)
    chosen = [place for place in places if place.game in names and (wanted is None or place.run in wanted)]
    for name in names:
        for run in wanted or ():
            if not any((place.game, place.run) == (name, run) for place in chosen):
                raise UsageError(f"{directory} holds no run {run} of {name}.", "See `suite data info`.")
    return chosen


def _numbers(option: str, text: str) -> tuple[int, ...]:
    """Return the run numbers in a list such as `1-5`."""
    from suite.errors import UsageError
    from suite.running.request import parse_seeds

    try:
        numbers = parse_seeds(text)
    except UsageError:
        numbers = (0,)
    if min(numbers) < 1:
        raise UsageError(f"{option} {text!r} cannot be read.", "Give run numbers from 1, such as 1 or 1-5.")
    return numbers


class _Lines(Monitor):
    """Prints a line of progress now and then to standard error."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def say(self, text: str) -> None:
        """Print the line, unless the last one was just now."""
        if time.monotonic() - self._last >= SECONDS_BETWEEN_LINES:
            self._last = time.monotonic()
            with contextlib.suppress(OSError):  # nobody reads on
                click.echo(text, err=True)


@contextlib.contextmanager
def _watching() -> Iterator[Monitor]:
    """Yield what prints progress. A signal ends the work, whatever it is at.

    Every file is whole or not there at any moment, so that nothing needs to be brought to an end first.
    """
    from suite.experience.logs.files import Interrupted

    def interrupt(number: int) -> None:
        raise Interrupted("Interrupted.", "Issue the same command again to go on.")

    with stopping_signals(interrupt):
        yield _Lines()
