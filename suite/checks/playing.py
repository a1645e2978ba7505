"""A finished run's policy played anew, and its scored episodes played again, with what the environment showed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import BadData, UsageError
from suite.experience.domains import require_environment
from suite.experience.envs.base import Envs
from suite.experience.observations import Inputs
from suite.experience.playback import History, Played, play
from suite.learning.policy import Policy
from suite.records.policy_file import final_policy
from suite.records.record import Episode, EvaluationRow, Run
from suite.records.schedule import by_segment
from suite.records.score import by_evaluation, scored
from suite.rng import Exploration, Streams
from suite.tasks import GAMES, Task, load_task

STREAM = "evaluate"
"""The stream of random numbers of these episodes: none that training or its evaluations draw from."""

EPSILON = 0.001
"""The share of random actions where the task has no evaluation of its own: Dopamine's."""

Watch = Callable[[Envs, NDArray[Any]], None]
"""Is shown an environment, the first and only one, and what it shows, at an episode's start and after every action."""


@dataclass(frozen=True, slots=True)
class PlayedEpisode:
    """An episode of the final policy: its unclipped return, its agent steps, and how it ended."""

    number: int
    raw_return: float
    length: int
    end: str
    emulator_seed: int


def epsilon_of(task: Task) -> float:
    """Return the share of random actions with which a task's policies are evaluated."""
    if task.evaluation is not None:
        return task.evaluation.epsilon
    return EPSILON if task.environment.numbered_actions else 0.0


def play_policy(run: Run, episodes: int, epsilon: float, watch: Watch | None = None) -> Iterator[PlayedEpisode]:
    """Yield episodes of a finished run's greedy policy, each from a seed of its own: the same ones every time.

    Raises BadData for an unfinished run, UnfitEnvironment where its environment is another one here.
    """
    task, game = load_task(run.cell.spec.task), GAMES[run.cell.game]
    domain = require_environment(run, task)
    exported = final_policy(run)
    policy = Policy(exported.spec, game, exported.params)
    streams = Streams(run.cell.spec.task_key, game.name, run.cell.seed)
    envs = domain.evaluation_envs(game, 1, 1)
    try:
        for number in range(episodes):
            seed = streams.emulator_seed(number, STREAM)
            exploration = Exploration(streams, f"{STREAM}/{number}")

            def choose(step: int, observation: Any, exploration: Exploration = exploration) -> Any:
                explored = exploration.action(step, epsilon, game.actions) if epsilon > 0 else None
                return policy.act(observation) if explored is None else explored

            total, length, end = _episode(envs, domain.inputs(game), seed, choose, watch)
            yield PlayedEpisode(number, total, length, end, seed)
    finally:
        envs.close()


def _episode(
    envs: Envs, inputs: Inputs, seed: int, choose: Callable[[int, Any], Any], watch: Watch | None
) -> tuple[float, int, str]:
    """Play one episode; return its return, its length and how it ended."""
    seen = envs.reset([seed])[0]
    observation, total, length = inputs.first(seen), 0.0, 0
    while True:
        if watch is not None:
            watch(envs, np.array(seen))
        answer = envs.step([choose(length, observation)])
        total, length, seen = total + float(answer.reward[0]), length + 1, answer.observation[0]
        truncated, terminal = bool(answer.truncated[0]), bool(answer.discount[0] == 0)
        if truncated or terminal:
            if watch is not None:
                watch(envs, np.array(seen))
            return total, length, "truncated" if truncated else "terminated"
        lost = answer.life_lost is not None and bool(answer.life_lost[0])
        observation = inputs.next(observation, seen, life_lost=lost)


def play_scored(run: Run, number: int, watch: Watch) -> float:
    """Play a scored episode again from its recorded actions; return its return, which is the recorded one.

    Raises UsageError where the run has no such scored episode, BadData where it comes out otherwise.
    """
    task, game = load_task(run.cell.spec.task), GAMES[run.cell.game]
    domain = require_environment(run, task)
    inputs = domain.inputs(game)
    evaluated = by_evaluation(task)
    counted = scored(task, run.cell.spec.frames, run.evaluation if evaluated else run.episodes)
    if number not in [row.episode for row in counted]:
        shown = ", ".join(str(row.episode) for row in counted[:8])
        raise UsageError(f"{run.path} has no scored episode {number}.", f"It has {shown or 'none'}, and so on.")
    rows: list[Episode] | list[EvaluationRow]
    if evaluated:
        rows = [[row for row in run.evaluation if row.episode == number][-1]]
        actions = [inputs.parsed(row.unpack(inputs.action_bytes)) for row in rows]
    else:
        segment = next(part for part in by_segment(run.episodes, task) if any(row.episode == number for row in part))
        rows = segment[: [row.episode for row in segment].index(number) + 1]
        logs = run.actions()
        actions = [inputs.parsed(logs[row.episode].unpack(row.length)) for row in rows]
    envs = domain.evaluation_envs(game, 1, 1)
    total = 0.0
    try:
        for event in play(envs, [History(rows[0].emulator_seed, actions)]):
            if event.episode == len(rows) - 1:
                watch(envs, np.array(event.seen))
                total += event.reward if isinstance(event, Played) else 0.0
    finally:
        envs.close()
    if total != rows[-1].value:
        raise BadData(f"Episode {number} gives {total:g}, not the recorded {rows[-1].value:g}.", "See `suite verify`.")
    return total
