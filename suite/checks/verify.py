"""Replay of what was scored: a segment is its emulator seed and its actions, so returns can be had again.

This proves that these actions give this score in this emulator, not who chose them. The hashes of `checkpoints.jsonl`
are for that: training again on the same type of machine gives them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from suite.checks import reach
from suite.errors import BadData
from suite.experience.domains import Domain, require_environment
from suite.experience.envs.base import Envs
from suite.experience.playback import Begun, History, Played, PlayedOtherwise, play
from suite.records.claims import inconsistencies
from suite.records.judged_rows import of_diagnostics
from suite.records.record import FINISHED, Episode, EvaluationRow, Run
from suite.records.schedule import Stretch, stretches
from suite.records.score import by_evaluation, scored
from suite.rng import Streams
from suite.tasks import GAMES, Task, load_task


@dataclass(frozen=True, slots=True)
class Verification:
    """How many scored episodes were replayed, in how many frames, and what came out otherwise than recorded.

    `missing` says why that is not all of the run's score; "" if it is.
    """

    episodes: int
    frames: int
    mismatches: tuple[str, ...]
    missing: str = ""

    @property
    def whole(self) -> bool:
        """Whether every step that the score rests on was played again and came out the same."""
        return not self.mismatches and not self.missing


def verify(run: Run) -> Verification:
    """Replay everything that a finished run's score rests on.

    Where training is scored, that is every step from the segment of the first scored episode on to the end of the run,
    the episode that was cut off there included; else every scored evaluation episode. Of a run that diverged under an
    evaluated task nothing is scored. Raises UnfitEnvironment if the installed emulator is not the one that the run was
    recorded with, BadData if the run is unfinished or an episode's actions are missing or unreadable.
    """
    if run.status.state not in FINISHED:
        raise BadData(f"{run.path} is {run.status.state}: it has no score to verify.", "Let it finish first.")
    task = load_task(run.cell.spec.task)
    domain = require_environment(run, task)
    envs = domain.evaluation_envs(GAMES[run.cell.game], 1, 1)
    try:
        return _verify_evaluation(run, task, domain, envs) if by_evaluation(task) else _verify(run, task, domain, envs)
    finally:
        envs.close()


def _verify(run: Run, task: Task, domain: Domain, envs: Envs) -> Verification:
    counted = scored(task, run.status.frames, run.episodes)
    logs, inputs = run.actions(), domain.inputs(GAMES[run.cell.game])
    streams, end = Streams(run.cell.spec.task_key, run.cell.game, run.cell.seed), run.open_episode
    found, steps = _contradictions(run, task), 0
    left = run.open_steps if run.logs_the_end else 0
    first = counted[0].episode if counted else end
    for stretch in stretches(run.episodes, task, first, left):
        lengths = {row.episode: row.length for row in stretch.episodes}
        lengths |= {end: stretch.open_steps} if stretch.open_steps else {}
        actions = []
        for number, length in lengths.items():
            if number not in logs:
                raise BadData(f"{run.path} has no actions of episode {number}.", "Run it again.")
            actions.append(inputs.parsed(logs[number].unpack(length)))
        found += _replay(envs, streams.emulator_seed(stretch.segment), stretch, actions)
        steps += sum(lengths.values())
    missing = ""
    if run.open_steps > left:
        missing = f"its record, of an earlier version, has no actions of the last {run.open_steps} agent steps"
    return Verification(len(counted), steps * task.units_per_step, tuple(found), missing)


def _verify_evaluation(run: Run, task: Task, domain: Domain, envs: Envs) -> Verification:
    """Replay every evaluation episode that is scored."""
    counted = scored(task, run.status.frames, run.evaluation) if run.status.state == "done" else []
    found, frames = _contradictions(run, task), 0
    inputs = domain.inputs(GAMES[run.cell.game])
    for row in counted:
        actions = [inputs.parsed(row.unpack(inputs.action_bytes))]
        found += _replay(envs, row.emulator_seed, Stretch(0, [row], 0), actions)
        frames += row.length * task.units_per_step
    return Verification(len(counted), frames, tuple(found))


def _contradictions(run: Run, task: Task) -> list[str]:
    """Return in words what the record says of itself that cannot be, whatever the emulator says."""
    unreached = reach.of_unreached(run.attempt.unreached, reach.expected(run))
    found = (*inconsistencies(run, task), *of_diagnostics(run), *unreached)
    return [one.message for one in found if one.grave]


def _replay(envs: Envs, seed: int, stretch: Stretch, actions: Sequence[NDArray[Any]]) -> list[str]:
    """Return in words what differs from the record in the first episode of a segment that is replayed otherwise."""
    total, rows = 0.0, stretch.episodes
    try:
        for event in play(envs, [History(seed, actions, bool(stretch.open_steps))]):
            if isinstance(event, Begun):
                total = 0.0
                continue
            total += event.reward
            if event.episode == len(rows):
                continue  # the one that was cut off: it has no return
            recorded = rows[event.episode]
            if event.position == recorded.length - 1 and (differences := _differences(recorded, event, total)):
                return differences  # what follows may start from elsewhere
    except PlayedOtherwise as otherwise:
        if otherwise.episode == len(rows):
            return [f"the episode that was cut off at the end: {otherwise}"]
        return [f"episode {rows[otherwise.episode].episode}: {otherwise}"]
    return []


def _differences(recorded: Episode | EvaluationRow, last: Played, total: float) -> list[str]:
    """Return in words what differs between a recorded episode and its replay, after its last step."""
    differences = []
    if total != recorded.value:
        differences.append(f"episode {recorded.episode}: return {total:g}, recorded {recorded.value:g}")
    if last.end != recorded.end:
        differences.append(f"episode {recorded.episode}: {last.end or 'not over'}, recorded {recorded.end}")
    return differences
