"""`suite demo`: a real small training, dense against pruned, that ends with a rendered leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

RESULTS = Path("results")
"""Where a clone has the results that were run with this code, as a results repository: see `_is_laid_out`."""


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Where it goes.")
@click.option(
    "--frames",
    type=click.IntRange(min=1),
    default=30_000,
    show_default=True,
    help="Steps of a training; fewer rank nowhere.",
)
def demo(out: Path, frames: int) -> None:
    """Train DQN, dense and pruned, on two tasks of classic control and a moment of Atari, and render the leaderboard.

    Where the folder `results` of a clone is at hand, its results stand on the same board.
    """
    runs, database, site = out / "runs", out / "results.sqlite", out / "site"
    _say(f"1/4 train: the task `classic`, {frames:,} steps of CartPole and Acrobot, dense and pruned, two seeds")
    classic = ("--task", "classic", "--games", "CartPole,Acrobot", "--seeds", "0-1", "--frames", str(frames))
    how = ("--method", "dense,magnitude_pruning", "--checkpoint-every", "30000", "--keep", "none")
    watched = ("--inspect-every", "10000")
    _suite("run", *classic, *how, *watched, "--out", str(runs))
    _say("2/4 emulate: the task `smoke`, 4,000 frames of Breakout, and all that is scored played again")
    atari = ("--task", "smoke", "--games", "Breakout", "--seeds", "0", "--frames", "4000", "--network", "nature_cnn")
    _suite("run", *atari, "--keep", "none", "--inspect-every", "0", "--out", str(runs))
    _suite("verify", str(runs))
    _say("3/4 collect: results into SQLite")
    beside = [str(RESULTS)] if _is_laid_out(RESULTS) else []
    _suite("leaderboard", "ingest", str(runs), *beside, "--no-references", "--db", str(database))
    _say("4/4 render: the leaderboard")
    _suite("leaderboard", "build", "--db", str(database), "--out", str(site))
    click.echo(f"Open {(site / 'index.html').resolve()}")


def _is_laid_out(folder: Path) -> bool:
    """Return whether a folder is a results repository, and not any other folder of somebody's results."""
    return (folder / "arrivals.txt").is_file() and (folder / "submissions").is_dir()


def _say(text: str) -> None:
    click.echo(text, err=True)


def _suite(*arguments: str) -> None:
    """Run another subcommand of this command; its exit code, unless 0, becomes ours."""
    context = click.get_current_context()
    code: object = _main(context.find_root().command, arguments)
    if isinstance(code, int) and code != 0:
        context.exit(code)


def _main(group: click.Command, arguments: Sequence[str]) -> object:
    return group.main(args=list(arguments), prog_name="suite", standalone_mode=False)
