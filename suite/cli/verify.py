"""`suite verify`: replay the scored episodes of runs and compare every return."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import click


@click.command()
@click.argument("directories", metavar="DIR...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a run and line.")
def verify(directories: tuple[Path, ...], as_json: bool) -> None:
    """Replay every scored episode of the finished runs at or below DIR.

    Proves that the recorded actions give the recorded score in the emulator, not who chose them. Exits with 4 if a
    return comes out otherwise, or if there is no finished run to replay.
    """
    from suite.checks.verify import Verification
    from suite.checks.verify import verify as replay
    from suite.errors import BadData, of_machine, one_line
    from suite.records.find import find_runs
    from suite.records.record import read_run

    paths = sorted({path for directory in directories for path in find_runs(directory)})
    wrong = replayed = 0
    for path in paths:
        try:
            run = read_run(path)
            if run.status.state != "done":
                click.echo(one_line(f"skipped     {path}: {run.status.state}"), err=True)
                continue
            done = replay(run)
        except BadData as error:
            done = Verification(0, 0, (str(error),))
        except OSError as error:
            if (unfit := of_machine(error)) is None:
                raise
            done = Verification(0, 0, (str(unfit),))
        replayed += 1
        wrong += bool(done.mismatches)
        if as_json:
            click.echo(json.dumps({"schema": "suite.verify/1", "path": str(path), **asdict(done)}))
        else:
            state = "differs" if done.mismatches else "verified"
            text = f"{state:<11} {path}: {done.episodes} scored episodes, {done.frames:,} frames replayed"
            click.echo(one_line(text))
        for mismatch in done.mismatches:
            click.echo(f"            {one_line(mismatch)}", err=True)
    if not replayed:
        what = "no runs" if not paths else f"{len(paths)} runs, none of them finished"
        raise BadData(f"Nothing was verified: {what} there.", "Name a directory with finished runs.")
    if wrong:
        raise BadData(f"{wrong} of {len(paths)} runs do not replay as recorded (named above).", "Do not trust them.")
