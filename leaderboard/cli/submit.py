"""`suite submit`: pack runs into a bundle, check a bundle, print the schemas. Imports nothing heavy at the top."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import click

if TYPE_CHECKING:
    from leaderboard.bundles.rerun import Rerun

_FILE = click.Path(dir_okay=False, path_type=Path)
_RUNS = click.Path(path_type=Path)
_SCHEMAS = ("submission", "manifest", "environment", "run", "card", "attest", "report")


PACK_EXAMPLES = """\b
Examples:
  suite submit pack runs/atari40m@1/0123456789abcdef --out bundle.zip
  suite submit pack runs-a runs-b --toml me.toml --out bundle.zip
  suite submit pack runs/atari40m@1/0123456789abcdef --task atari60 --out bundle.zip
"""

CHECK_EXAMPLES = """\b
Examples:
  suite submit check bundle.zip
  suite submit check bundle.zip --replay --report report.json
  suite submit check bundle.zip --replay --minutes 40
  suite submit check bundle.zip --db results.sqlite
"""


RERUN_EXAMPLES = """\b
Examples:
  suite submit rerun bundle.zip
  suite submit rerun bundle.zip --cells 2 --until 3 --out again
"""


@click.group()
def submit() -> None:
    """Make a submission of finished runs, check one, and train cells of it again."""


@submit.command(epilog=PACK_EXAMPLES)
@click.argument("runs", metavar="RUNS...", nargs=-1, required=True, type=_RUNS)
@click.option("--out", type=_FILE, required=True, metavar="BUNDLE.zip", help="The bundle to make or replace.")
@click.option(
    "--task", "task_name", metavar="NAME", help="Whose games it must have, where several tasks share these cells."
)
@click.option("--toml", type=_FILE, help="Who submits what; default: submission.toml beside the bundle.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def pack(runs: tuple[Path, ...], out: Path, task_name: str | None, toml: Path | None, as_json: bool) -> None:
    """Pack every run at or below RUNS into one bundle.

    Without a submission.toml, a template is written beside the bundle, to be filled in. The same runs and the same
    file give the same bytes. All runs are of one task, and finished. Actions are left out where they would make the
    bundle larger than 20 MB.
    """
    from leaderboard.bundles.check import plural
    from leaderboard.bundles.pack import directories_of
    from leaderboard.bundles.pack import pack as run
    from leaderboard.bundles.template import read_submission
    from suite.errors import UsageError

    if out.suffix != ".zip":
        raise UsageError(f"{out} is no name for a bundle.", "Give --out a name that ends in .zip.")
    directories_of(runs)  # a wrong path is said before there is a template to fill in
    out.parent.mkdir(parents=True, exist_ok=True)
    done = run(runs, read_submission(toml, out), out, task_name)
    for remark in done.remarks:
        click.echo(remark, err=True)
    if as_json:
        content = {"schema": "leaderboard.submit.pack/1", "bundle": str(done.path), "size_bytes": done.size}
        click.echo(json.dumps(content | {"sha256": done.sha256, "runs": done.runs, "actions": done.with_actions}))
    else:
        click.echo(
            f"bundle: {done.path} ({plural(done.runs, 'run')}, {done.size / 1e6:,.2f} MB, SHA-256 {done.sha256[:16]})"
        )
        click.echo(f"Check it with: suite submit check {done.path}", err=True)


@submit.command(epilog=CHECK_EXAMPLES)
@click.argument("bundle", metavar="BUNDLE.zip", type=_FILE)
@click.option("--replay", is_flag=True, help="Run everything that is scored through the emulator again, too.")
@click.option(
    "--minutes",
    type=click.FloatRange(0, min_open=True),
    help="How long --replay may take; runs are drawn by lot, and what it reaches is a sample.",
)
@click.option("--db", type=_FILE, metavar="FILE", help="Also look for copies of the runs in this results database.")
@click.option("--report", type=_FILE, metavar="report.json", help="Write everything that was found to a file.")
@click.option("--json", "as_json", is_flag=True, help="Print the report as one JSON object.")
def check(
    bundle: Path, replay: bool, minutes: float | None, db: Path | None, report: Path | None, as_json: bool
) -> None:
    """Recompute everything that a bundle claims, and say what does not hold.

    Nothing in the bundle is believed, executed or extracted. Exits with 4 if there is an error, with 0 if there are
    only points for review and notes.
    """
    from leaderboard.bundles.check import check_bundle, plural, table
    from suite.durable import replace_file
    from suite.errors import BadData, UsageError

    if not bundle.exists():
        raise UsageError(f"{bundle} is not there.", "Name a bundle that `suite submit pack` wrote.")
    if minutes is not None and not replay:
        raise UsageError("--minutes says how long --replay may take.", "Give --replay too.")
    compare = None
    if db is not None:
        from leaderboard.store.comparison import find_copies

        compare = partial(find_copies, db)
    done = check_bundle(
        bundle,
        replay=replay,
        seconds=None if minutes is None else 60 * minutes,
        compare=compare,
        progress=lambda line: click.echo(line, err=True),
    )
    if report is not None:
        report.parent.mkdir(parents=True, exist_ok=True)
        replace_file(report, done.to_json())
    click.echo(done.to_json() if as_json else table(done))
    if errors := done.count("error"):
        raise BadData(f"{plural(errors, 'error')}: this bundle cannot be submitted.", "Each error says what to do.")


@submit.command(epilog=RERUN_EXAMPLES)
@click.argument("bundle", metavar="BUNDLE.zip", type=_FILE)
@click.option("--cells", type=click.IntRange(1, 1024), default=1, show_default=True, help="How many cells are drawn.")
@click.option(
    "--until",
    type=click.IntRange(1, 10_000),
    default=1,
    show_default=True,
    metavar="CHECKPOINT",
    help="Which recorded checkpoint of a cell is reached, the first being 1.",
)
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads of a CPU program; default: as recorded.")
@click.option("--data", type=_RUNS, envvar="SUITE_DATA", help="Directory of logged data, for offline tasks.")
@click.option("--out", type=_RUNS, help="Keep what is trained in this folder; by default nothing is kept.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def rerun(
    bundle: Path, cells: int, until: int, threads: int | None, data: Path | None, out: Path | None, as_json: bool
) -> None:
    """Draw cells of a bundle and train them again up to a recorded checkpoint: are its hashes the same?

    Do it with the recorded commit or image, on the recorded type of machine: what differs here is said. Exits with 4 if
    a hash comes out otherwise. What came out the same is printed as lines for attest.toml.
    """
    import tempfile

    from leaderboard.bundles.bundle import open_bundle
    from leaderboard.bundles.check import check_bundle
    from leaderboard.bundles.rerun import reruns, trainer
    from suite.errors import BadData, UsageError

    if not bundle.exists():
        raise UsageError(f"{bundle} is not there.", "Name a bundle that `suite submit pack` wrote.")
    if errors := check_bundle(bundle).count("error"):
        raise BadData(f"{bundle} has errors: {errors}.", f"See `suite submit check {bundle}`.")
    with tempfile.TemporaryDirectory(prefix="suite-rerun-") as folder, open_bundle(bundle) as opened:
        place, train = Path(folder) if out is None else out, trainer(threads, data)
        found = reruns(opened, cells, until, place, train, lambda line: click.echo(line, err=True))
    if as_json:
        rows = [asdict(one) | {"same": one.same} for one in found]
        click.echo(json.dumps({"schema": "leaderboard.submit.rerun/1", "bundle": str(bundle), "cells": rows}))
    else:
        for one in found:
            _say(one)
    if wrong := [one for one in found if not one.same]:
        raise BadData(
            f"{len(wrong)} of {len(found)} cells did not come out as recorded.",
            "Where the machine or versions differ from the record, repeat it there; else do not trust the bundle.",
        )


def _say(one: Rerun) -> None:
    """Print what came of a cell."""
    cell = f"{one.config_id} {one.game} seed {one.seed}"
    for difference in one.differences:
        click.echo(f"{cell}: {difference}", err=True)
    if one.same:
        click.echo(
            f"same: {cell}: the hashes of {len(one.steps)} checkpoints, to agent step {one.steps[-1]:,}", err=True
        )
        click.echo(one.attestation())
    else:
        click.echo(f"differs: {cell}: first at agent step {one.differs_at or 0:,}")


@submit.command()
@click.argument("name", type=click.Choice(_SCHEMAS))
def schema(name: str) -> None:
    """Print the JSON Schema of one kind of file."""
    from leaderboard.bundles.schema import json_schema

    click.echo(json.dumps(json_schema(name), indent=2))


@submit.command()
@click.argument("report", metavar="report.json", type=click.File("rb"))
def comment(report: BinaryIO) -> None:
    """Print a report as a Markdown comment for a pull request; `-` reads it from standard input.

    The report is taken as something from outside: bounded, read strictly, and escaped.
    """
    from leaderboard.bundles.comment import REPORT_BYTES
    from leaderboard.bundles.comment import comment as run
    from leaderboard.bundles.findings import Rejected
    from suite.errors import BadData

    try:
        click.echo(run(report.read(REPORT_BYTES + 1)), nl=False)
    except Rejected as error:
        raise BadData(error.problem, "Name what `suite submit check --report FILE` wrote.") from error
