"""`suite evaluate` and `suite video`: the final policy of a run played, and what that looks like."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from suite.experience.envs.base import Envs
    from suite.records.record import Run

RUN = click.argument("path", metavar="RUN", type=click.Path(path_type=Path))
EPSILON = click.option("--epsilon", type=click.FloatRange(0, 1), help="Random actions; default: the task's evaluation.")


@click.command()
@RUN
@click.option("--episodes", type=click.IntRange(1, 100_000), default=10, show_default=True, metavar="N")
@EPSILON
@click.option("--json", "as_json", is_flag=True, help="One JSON document.")
def evaluate(path: Path, episodes: int, epsilon: float | None, as_json: bool) -> None:
    """Play the final policy of the finished run at RUN: the same N episodes every time, none of them of its training.

    What comes out is no score of the run, which its own record holds.
    """
    run = _run(path)
    from suite.checks.playing import epsilon_of, play_policy
    from suite.tasks import load_task

    share = epsilon_of(load_task(run.cell.spec.task)) if epsilon is None else epsilon
    found = []
    for one in play_policy(run, episodes, share):
        found.append(one)
        if not as_json:
            click.echo(
                f"episode {one.number:>3}  return {one.raw_return:>10,.2f}  {one.length:,} agent steps  {one.end}"
            )
    mean = sum(one.raw_return for one in found) / len(found)
    if as_json:
        document = {
            "schema": "suite.evaluate/1",
            "config_id": run.cell.config_id,
            "game": run.cell.game,
            "seed": run.cell.seed,
            "epsilon": share,
            "mean_return": mean,
            "episodes": [
                {"episode": one.number, "return": one.raw_return, "length": one.length, "end": one.end} for one in found
            ],
        }
        click.echo(json.dumps(document))
        return
    click.echo(f"{run.cell.spec.label} on {run.cell.game}, seed {run.cell.seed}: mean return {mean:,.2f}")


@click.command()
@RUN
@click.option("--out", type=click.Path(path_type=Path), required=True, metavar="FILE.mp4", help="Where the film goes.")
@click.option("--episode", type=int, metavar="N", help="A scored episode, again from its actions; default: anew.")
@EPSILON
def video(path: Path, out: Path, episode: int | None, epsilon: float | None) -> None:
    """Make a film of the run at RUN: its final policy played anew, or a scored episode played again."""
    run = _run(path)
    from suite.checks.cameras import camera_of
    from suite.checks.film import Film
    from suite.checks.playing import epsilon_of, play_policy, play_scored
    from suite.errors import UsageError
    from suite.tasks import GAMES, load_task

    task = load_task(run.cell.spec.task)
    if out.suffix != ".mp4":
        raise UsageError(f"{out} is no name of a film.", "Let it end in .mp4.")
    camera = camera_of(task, GAMES[run.cell.game])
    with Film(out) as film:

        def watch(envs: Envs, seen: NDArray[Any]) -> None:
            film.add(camera.picture(envs, seen), camera.rate(envs))

        if episode is not None:
            total = play_scored(run, episode, watch)
        else:
            total = next(play_policy(run, 1, epsilon_of(task) if epsilon is None else epsilon, watch)).raw_return
    click.echo(f"{out}: {film.pictures:,} pictures, return {total:,.2f}")


def _run(path: Path) -> Run:
    from suite.errors import UsageError
    from suite.learning.device import prepare
    from suite.records.find import find_runs
    from suite.records.record import read_run

    found = find_runs(path)
    if len(found) != 1:
        raise UsageError(f"{path} holds {len(found)} runs, not one.", "Name the directory of one run: .../GAME/seed-N.")
    prepare(1, deterministic=True)
    return read_run(found[0])
