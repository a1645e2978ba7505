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
from suite.records.record import Episode, EvaluationRow, Run
from suite.records.schedule import by_segment
from suite.records.score import by_evaluation, scored
from suite.tasks import GAMES, Task, load_task


@dataclass(frozen=True, slots=True)
class Verification:
    """How many scored episodes were replayed, in how many frames, and what came out otherwise than recorded."""

    episodes: int
    frames: int
    mismatches: tuple[str, ...]


def verify(run: Run) -> Verification:
    """Replay every scored episode of a finished run through the emulator.

    Raises UnfitEnvironment if the installed emulator is not the one that the run was recorded with, BadData if the run
    is unfinished or an episode's actions are missing or unreadable.
    """
    if run.status.state != "done":
        raise BadData(f"{run.path} is {run.status.state}, not done: it has no score to verify.", "Let it finish first.")
    task = load_task(run.cell.spec.task)
    domain = require_environment(run, task)
    if by_evaluation(task):
        return _verify_evaluation(run, task, domain)
    counted = scored(task, run.cell.spec.frames, run.episodes)
    logs, inputs = run.actions(), domain.inputs(GAMES[run.cell.game])
    found = _contradictions(run, task)
    frames = 0
    envs = domain.evaluation_envs(GAMES[run.cell.game], 1, 1)
    try:
        for segment in segments_of(run.episodes, task, counted):
            actions = []
            for episode in segment:
                if episode.episode not in logs:
                    raise BadData(f"{run.path} has no actions of episode {episode.episode}.", "Run it again.")
                actions.append(inputs.parsed(logs[episode.episode].unpack(episode.length)))
            found += _replay(envs, segment, actions)
            frames += sum(map(len, actions)) * task.units_per_step
    finally:
        envs.close()
    return Verification(len(counted), frames, tuple(found))


def _verify_evaluation(run: Run, task: Task, domain: Domain) -> Verification:
    """Replay every evaluation episode that is scored."""
    counted = scored(task, run.cell.spec.frames, run.evaluation)
    found, frames = _contradictions(run, task), 0
    inputs = domain.inputs(GAMES[run.cell.game])
    envs = domain.evaluation_envs(GAMES[run.cell.game], 1, 1)
    try:
        for row in counted:
            found += _replay(envs, [row], [inputs.parsed(row.unpack(inputs.action_bytes))])
            frames += row.length * task.units_per_step
    finally:
        envs.close()
    return Verification(len(counted), frames, tuple(found))


def segments_of(episodes: Sequence[Episode], task: Task, counted: Sequence[Episode]) -> list[list[Episode]]:
    """Return the segments that hold scored episodes, each up to its last scored one."""
    wanted = {episode.episode for episode in counted}
    kept = []
    for segment in by_segment(episodes, task):
        last = max((index for index, row in enumerate(segment) if row.episode in wanted), default=None)
        if last is not None:
            kept.append(segment[: last + 1])
    return kept


def _contradictions(run: Run, task: Task) -> list[str]:
    """Return in words what the record says of itself that cannot be, whatever the emulator says."""
    unreached = reach.of_unreached(run, reach.expected(run))
    found = (*inconsistencies(run, task), *of_diagnostics(run), *unreached)
    return [one.message for one in found if one.grave]


def _replay(envs: Envs, episodes: Sequence[Episode | EvaluationRow], actions: Sequence[NDArray[Any]]) -> list[str]:
    """Return in words what differs from the record in the first episode of a segment that is replayed otherwise."""
    total = 0.0
    try:
        for event in play(envs, [History(episodes[0].emulator_seed, actions)]):
            if isinstance(event, Begun):
                total = 0.0
                continue
            total += event.reward
            recorded = episodes[event.episode]
            if event.position == recorded.length - 1 and (differences := _differences(recorded, event, total)):
                return differences  # what follows may start from elsewhere
    except PlayedOtherwise as otherwise:
        return [f"episode {episodes[otherwise.episode].episode}: {otherwise}"]
    return []


def _differences(recorded: Episode | EvaluationRow, last: Played, total: float) -> list[str]:
    """Return in words what differs between a recorded episode and its replay, after its last step."""
    differences = []
    if total != recorded.value:
        differences.append(f"episode {recorded.episode}: return {total:g}, recorded {recorded.value:g}")
    if last.end != recorded.end:
        differences.append(f"episode {recorded.episode}: {last.end or 'not over'}, recorded {recorded.end}")
    return differences
