"""A logged run of our own: the actions that a run recorded, played again in the emulator and written as a log.

The run is an ordinary one, of a task whose score window is its whole budget: so its actions.jsonl holds the actions of
all finished episodes, and a segment of these is a function of its emulator seed (see `suite.experience.envs.atari`).
Rows are the run's agent steps and three rows of padding before every episode. The log has as many rows as the budget
has agent steps, whatever the game: rows beyond are left out, and where the unfinished last episode is missed, the last
checkpoint is not full.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import numpy as np

from suite import durable
from suite.errors import BadData, UsageError
from suite.experience.domains import require_environment
from suite.experience.envs.atari import AtariEnvs
from suite.experience.logs.files import exclusive, unwritable
from suite.experience.logs.layout import PADDING, SCREEN, Place, Row, write_checkpoint
from suite.experience.logs.manifest import Generated, Manifest, find_manifest, manifest_path, write_manifest
from suite.experience.observations import clipped
from suite.experience.playback import Begun, History, PlayedOtherwise, play
from suite.monitor import SILENT, Monitor
from suite.records.record import Episode, Run, read_run
from suite.records.schedule import by_segment
from suite.tasks import GAMES, Task, load_task

ROWS_BETWEEN_LINES = 1_000


def build_logs(run_path: Path, out: Path, rows_per_checkpoint: int = 1_000_000, monitor: Monitor = SILENT) -> Manifest:
    """Write the log of a finished run into a data directory, as the run number seed + 1 of its game.

    What an earlier call has written is not written again: it goes on with the checkpoint that is missing. Raises
    BadData if the run is unfinished or lacks actions, UnfitEnvironment if the emulator is another one than the run's.
    """
    run = read_run(run_path)
    task = load_task(run.cell.spec.task)
    actions = _recorded_actions(run)
    require_environment(run, task)
    place = Place(out, run.cell.game, run.cell.seed + 1)
    capacities = checkpoint_capacities(task.agent_steps(run.cell.spec.frames), rows_per_checkpoint)
    fresh = Manifest(
        source=f"generated-{run.cell.config_id}",
        game=place.game,
        run=place.run,
        generated=Generated(
            task=run.cell.spec.task_key,
            config_id=run.cell.config_id,
            seed=run.cell.seed,
            spec=run.cell.spec,
            environment_fingerprint=run.attempt.environment_fingerprint,
            capacities=capacities,
        ),
    )
    total = min(sum(capacities), sum(row.length + PADDING for row in run.episodes))
    with exclusive(place.folder):
        manifest = _begun(place, fresh)
        if manifest.complete:
            return manifest
        with unwritable(place.logs):
            durable.make_directory(place.logs)
        before, ends = manifest.rows, _unmarked_ends(run.episodes)
        with closing(_rows(run, task, actions, before, _Counting(monitor, place, total))) as rows:
            for suffix in range(len(manifest.checkpoints), len(capacities)):
                if before >= total:
                    break
                own = islice(rows, total - before)
                checkpoint = write_checkpoint(place.logs, suffix, capacities[suffix], before, own)
                last = before + checkpoint.rows - 1
                truncated = tuple(end - before for end in ends if before <= end < last)
                manifest = manifest.with_checkpoint(checkpoint.model_copy(update={"truncated": truncated}))
                write_manifest(place, manifest)
                before += checkpoint.rows
        manifest = manifest.model_copy(update={"complete": True})
        write_manifest(place, manifest)
    return manifest


class _Counting(Monitor):
    """Says how many rows there are, now and then."""

    def __init__(self, monitor: Monitor, place: Place, total: int) -> None:
        self._monitor = monitor
        self._place = place
        self._total = total

    def tick(self, done: int = 0, total: int = 0) -> None:
        """Hear the number of rows."""
        if done % ROWS_BETWEEN_LINES == 0:
            self._monitor.say(f"{self._place.name}: row {done:,} of {self._total:,} played again and written")


def checkpoint_capacities(steps: int, rows_per_checkpoint: int) -> tuple[int, ...]:
    """Return the capacities of a log's checkpoints: they add up to `steps`, less a rest too small for one."""
    if rows_per_checkpoint <= PADDING:
        raise UsageError(f"{rows_per_checkpoint} rows are no checkpoint.", f"Give more than {PADDING}.")
    whole, rest = divmod(steps, rows_per_checkpoint)
    return (rows_per_checkpoint,) * whole + ((rest,) if rest > PADDING else ())


def _begun(place: Place, fresh: Manifest) -> Manifest:
    """Return the manifest to go on from; UsageError if what is there is another log."""
    found = find_manifest(place)
    if found is None:
        return fresh
    if (found.source, found.generated) != (fresh.source, fresh.generated):
        raise UsageError(
            f"{manifest_path(place)} is that of another log.", "Choose another --out, or move that directory away."
        )
    return found


def _recorded_actions(run: Run) -> dict[int, bytes]:
    """Return the actions of all episodes, by number."""
    if run.status.state != "done":
        raise BadData(f"{run.path} is {run.status.state}, not done.", "Let it finish first.")
    logs = run.actions()
    if missing := [row.episode for row in run.episodes if row.episode not in logs]:
        raise BadData(
            f"{run.path} has no actions of episode {missing[0]}: its task keeps those of the last episodes only.",
            "Run a task that is meant for logs, as dqn-replay is.",
        )
    if not run.episodes:
        raise BadData(f"{run.path} has no finished episode.", "Run it for longer.")
    return {row.episode: logs[row.episode].unpack(row.length) for row in run.episodes}


def _unmarked_ends(episodes: Sequence[Episode]) -> list[int]:
    """Return the rows of the log at which a time limit ended an episode."""
    ends, row = [], 0
    for episode in episodes:
        row += PADDING + episode.length
        if episode.end == "truncated":
            ends.append(row - 1)
    return ends


def _rows(run: Run, task: Task, actions: dict[int, bytes], first: int, monitor: Monitor) -> Generator[Row, None, None]:
    """Yield the rows of the log from row `first` on; segments that end before it are not played."""
    envs = AtariEnvs(GAMES[run.cell.game], task.atari)
    row = 0
    try:
        for segment in by_segment(run.episodes, task):
            end = row + sum(episode.length + PADDING for episode in segment)
            if end > first:
                played = _play(envs, segment, actions, task.atari.reward_clip, run.path)
                for number, item in enumerate(played, start=row):
                    if number >= first:
                        monitor.tick(number)
                        yield item
            row = end
    finally:
        envs.close()


def _play(
    envs: AtariEnvs, segment: Sequence[Episode], actions: dict[int, bytes], clip: float, path: Path
) -> Iterator[Row]:
    """Yield the rows of a segment; BadData if an episode does not end as it was recorded."""
    padding = Row(np.zeros((SCREEN, SCREEN), np.uint8), 0, 0.0, False)
    recorded = [np.frombuffer(actions[episode.episode], np.uint8) for episode in segment]
    total = 0.0
    try:
        for event in play(envs, [History(segment[0].emulator_seed, recorded)]):
            if isinstance(event, Begun):
                total = 0.0
                yield from [padding] * PADDING
                continue
            total += event.reward
            episode = segment[event.episode]
            if event.position == episode.length - 1 and (event.end, total) != (episode.end, episode.value):
                raise _otherwise(path, episode)
            yield Row(event.shown, int(event.action), clipped(event.reward, clip), event.terminal)
    except PlayedOtherwise as otherwise:
        raise _otherwise(path, segment[otherwise.episode]) from otherwise


def _otherwise(path: Path, episode: Episode) -> BadData:
    return BadData(
        f"Episode {episode.episode} of {path} comes out otherwise when it is played again.",
        "See what `suite verify` says of that run.",
    )
