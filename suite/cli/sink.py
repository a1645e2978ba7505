"""`suite sink`: recorded runs into TensorBoard, Weights & Biases or trackio, once or while they go on."""

from __future__ import annotations

import time
from pathlib import Path

import click

EXAMPLES = """\b
Examples:
  suite sink tensorboard runs --out boards
  suite sink wandb runs --follow
"""


@click.command(epilog=EXAMPLES)
@click.argument("name", metavar="tensorboard|trackio|wandb")
@click.argument("runs", type=click.Path(path_type=Path), envvar="SUITE_OUT", default=Path("runs"))
@click.option("--out", type=click.Path(path_type=Path), help="Where its files go; default: RUNS/sinks/NAME.")
@click.option("--follow", is_flag=True, help="Go on while runs do, until Ctrl-C.")
@click.option(
    "--every",
    type=click.FloatRange(min=0.1),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="With --follow: how often.",
)
def sink(name: str, runs: Path, out: Path | None, follow: bool, every: float) -> None:
    """Feed a sink from the runs below RUNS; issued again, it sends what is new.

    The record stays the truth: nothing is ever read back from a sink.
    """
    from suite.errors import UsageError
    from suite.records.sinks.feed import Feed
    from suite.records.sinks.known import opener_of

    if not runs.is_dir():
        raise UsageError(f"{runs} is not a directory.", "Name a directory that `suite run --out` has written.")
    place = out or runs / "sinks" / name
    feed = Feed(runs, place, opener_of(name))
    told: set[str] = set()
    try:
        while True:
            count, unread = feed.feed()
            for sentence in sorted({*unread} - told):
                click.echo(sentence, err=True)
            told |= {*unread}
            if count or not follow:
                click.echo(f"{count:,} points to {place}", err=True)
            if not follow:
                break
            time.sleep(every)
    except KeyboardInterrupt:
        if not follow:
            raise
    finally:
        feed.close()
