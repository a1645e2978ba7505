"""`suite demo`: a real small training, dense against pruned, that ends with a rendered leaderboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("demo"), show_default=True, help="Where it goes.")
def demo(out: Path) -> None:
    """Train DQN, dense and pruned, on two Atari games for 16,000 frames each, replay it, and render the leaderboard."""
    runs, database, site = out / "runs", out / "results.sqlite", out / "site"
    click.echo("1/4 train: the task `smoke`, Nature CNN, dense and magnitude pruning, two games, two seeds", err=True)
    _suite(
        "run",
        *("--task", "smoke", "--network", "nature_cnn"),
        *("--method", "dense,magnitude_pruning", "--out", str(runs)),
    )
    click.echo("2/4 verify: play again what is scored, without which nothing is ranked", err=True)
    _suite("verify", str(runs))
    click.echo("3/4 collect: results into SQLite, beside Dopamine's published curves", err=True)
    _suite("leaderboard", "ingest", str(runs), "--db", str(database))
    click.echo("4/4 render: the leaderboard", err=True)
    _suite("leaderboard", "build", "--db", str(database), "--out", str(site))
    click.echo(f"Open {(site / 'index.html').resolve()}")


def _suite(*arguments: str) -> None:
    """Run another subcommand of this command; its exit code, unless 0, becomes ours."""
    context = click.get_current_context()
    code: object = _main(context.find_root().command, arguments)
    if isinstance(code, int) and code != 0:
        context.exit(code)


def _main(group: click.Command, arguments: Sequence[str]) -> object:
    return group.main(args=list(arguments), prog_name="suite", standalone_mode=False)
