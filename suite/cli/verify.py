"""`suite verify`: replay the scored episodes of runs and compare every return."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from suite.checks.verify import Verification
    from suite.records.record import Run


@click.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run and line.")
def verify(directories: tuple[Path, ...], as_json: bool) -> None:
    """Replay everything that the scores of the finished runs at or below DIR rest on.

    Proves that the recorded actions give the recorded score in the emulator, not who chose them. What comes out whole
    is written down beside the run (verified.json), so that a board ranks it. Exits with 4 if anything comes out
    otherwise, or if there is no finished run to replay.
    """
    from suite.checks.verify import Verification
    from suite.errors import BadData, of_machine, one_line
    from suite.records.find import find_runs
    from suite.records.record import FINISHED, read_run

    paths = sorted({path for directory in directories for path in find_runs(directory)})
    wrong = replayed = 0
    for path in paths:
        try:
            run = read_run(path)
            if run.status.state not in FINISHED:
                click.echo(one_line(f"skipped     {path}: {run.status.state}"), err=True)
                continue
            done = _verified(run)
        except BadData as error:
            done = Verification(0, 0, (str(error),))
        except OSError as error:
            if (unfit := of_machine(error)) is None:
                raise
            done = Verification(0, 0, (str(unfit),))
        replayed += 1
        wrong += bool(done.mismatches)
        if as_json:
            content = {"schema": "suite.verify/1", "path": str(path), **asdict(done), "whole": done.whole}
            click.echo(json.dumps(content))
        else:
            state = "differs" if done.mismatches else "in part" if done.missing else "verified"
            more = f"; {done.missing}" if done.missing else ""
            text = f"{state:<11} {path}: {done.episodes} scored episodes, {done.frames:,} frames replayed{more}"
            click.echo(one_line(text))
        for mismatch in done.mismatches:
            click.echo(f"            {one_line(mismatch)}", err=True)
    if not replayed:
        what = "no runs" if not paths else f"{len(paths)} runs, none of them finished"
        raise BadData(f"Nothing was verified: {what} there.", "Name a directory with finished runs.")
    if wrong:
        raise BadData(f"{wrong} of {len(paths)} runs do not replay as recorded (named above).", "Do not trust them.")


def _verified(run: Run) -> Verification:
    """Replay a run, and write down beside it that it came out the same, where that can be written."""
    from suite.checks.verify import verify as replay
    from suite.records.verified import content_of, write_verified

    content = content_of(run.path)
    done = replay(run)
    if done.whole:
        try:
            write_verified(run.path, content, done.episodes, done.frames)
        except OSError as error:
            click.echo(f"{run.path}: this is not written down there: {error.strerror or error}", err=True)
    return done
