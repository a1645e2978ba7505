"""Replay of what was scored: a segment is its emulator seed and its actions, so returns can be had again.

This proves that these actions give this score in this emulator, not who chose them. The hashes of `checkpoints.jsonl`
are for that: training again on the same type of machine gives them again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import BadData
from suite.experience.domains import Domain, require_environment
from suite.experience.envs.base import Envs
from suite.records.claims import inconsistencies
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
    logs = run.actions()
    found = _contradictions(run, task)
    frames = 0
    envs = domain.evaluation_envs(GAMES[run.cell.game], 1, 1)
    try:
        for segment in _segments(run.episodes, task, counted):
            actions = []
            for episode in segment:
                if episode.episode not in logs:
                    raise BadData(f"{run.path} has no actions of episode {episode.episode}.", "Run it again.")
                actions.append(logs[episode.episode].unpack(episode.length))
            found += _replay(envs, segment, actions)
            frames += sum(map(len, actions)) * task.frame_skip
    finally:
        envs.close()
    return Verification(len(counted), frames, tuple(found))


def _verify_evaluation(run: Run, task: Task, domain: Domain) -> Verification:
    """Replay every evaluation episode that is scored."""
    counted = scored(task, run.cell.spec.frames, run.evaluation)
    found, frames = _contradictions(run, task), 0
    inputs = domain.inputs(GAMES[run.cell.game])
    width = len(inputs.recorded(np.zeros(GAMES[run.cell.game].actions if task.family == "continuous" else ())))
    envs = domain.evaluation_envs(GAMES[run.cell.game], 1, 1)
    try:
        for row in counted:
            envs.reset([row.emulator_seed])
            found += _replay_episode(envs, row, _unpacked(task, row.unpack(width), width))
            frames += row.length * task.frame_skip
    finally:
        envs.close()
    return Verification(len(counted), frames, tuple(found))


def _unpacked(task: Task, actions: bytes, width: int) -> NDArray[Any]:
    """Return actions as environments take them, one row each."""
    if task.family == "continuous":
        return np.frombuffer(actions, "<f4").reshape(-1, width // 4)
    return np.frombuffer(actions, np.uint8)


def _segments(episodes: Sequence[Episode], task: Task, counted: Sequence[Episode]) -> list[list[Episode]]:
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
    return [found.message for found in inconsistencies(run, task) if found.grave]


def _replay(envs: Envs, segment: Sequence[Episode], actions: Sequence[bytes]) -> list[str]:
    """Return in words what differs from the record in the first episode of a segment that is replayed otherwise."""
    seed: int | None = segment[0].emulator_seed
    for episode, own in zip(segment, actions, strict=True):
        envs.reset([seed])
        seed = None
        if differences := _replay_episode(envs, episode, np.frombuffer(own, np.uint8)):
            return differences  # what follows may start from elsewhere
    return []


def _replay_episode(envs: Envs, episode: Episode | EvaluationRow, actions: NDArray[Any]) -> list[str]:
    """Return in words what differs between a recorded episode and its replay, which starts at once."""
    total, ended = 0.0, None
    for step, action in enumerate(actions, start=1):
        if action.ndim == 0 and action >= envs.actions:
            return [f"episode {episode.episode}: action {action} does not exist"]
        envs.send(action[None])
        answer = envs.receive()
        total += float(answer.reward[0])
        ended = "truncated" if answer.truncated[0] else "terminated" if answer.discount[0] == 0 else None
        if ended is not None and step < len(actions):
            return [f"episode {episode.episode}: over after {step} agent steps, not {episode.length}"]
    differences = []
    if total != episode.value:
        differences.append(f"episode {episode.episode}: return {total:g}, recorded {episode.value:g}")
    if ended != episode.end:
        differences.append(f"episode {episode.episode}: {ended or 'not over'}, recorded {episode.end}")
    return differences
