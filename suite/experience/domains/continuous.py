"""Continuous control: vectors of a simulated body, one for each lane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from suite.contracts.agent import DataPlan
from suite.experience.envs.mujoco import SIZES, MujocoEnvs, environment_of
from suite.experience.observations import Vectors
from suite.experience.replay.base import Replay
from suite.experience.replay.placement import Placement
from suite.experience.replay.vectors import RolloutReplay, VectorReplay, replay_bytes
from suite.tasks import Game, Task


class Continuous:
    """See `Domain`."""

    mixes_games = False
    plays = True
    reseed_steps = 1  # a body is given a seed for every episode
    reward_clip = math.inf

    def __init__(self, task: Task) -> None:
        self.options = task.mujoco

    def inputs(self, game: Game) -> Vectors:
        """See `Domain`."""
        return Vectors(SIZES[self.options.version][game.name], game.actions)

    def check(self, game: Game) -> None:
        """See `Domain`."""
        environment_of(game, self.options)

    def environment(self, game: Game) -> tuple[dict[str, Any], str]:
        """See `Domain`; the fingerprint is of versions, model and every option."""
        return environment_of(game, self.options)

    def replay_bytes(self, plan: DataPlan, steps: int, game: Game, placement: Placement) -> tuple[int, int]:
        """See `Domain`; the actions are there a second time, as the history."""
        capacity = plan.update_period if plan.replay == "rollout" else plan.capacity
        inputs = self.inputs(game)
        history = 4 * inputs.actions * min(capacity, steps)
        return replay_bytes(capacity, inputs.size, inputs.actions, steps) + 2 * history, 0

    def replay(self, plan: DataPlan, game: Game, seed: int, placement: Placement) -> Replay:
        """See `Domain`; an on-policy agent's holds one trajectory."""
        inputs = self.inputs(game)
        if plan.replay == "rollout":
            return RolloutReplay(plan, inputs.size, inputs.actions)
        return VectorReplay(plan.capacity, inputs.size, inputs.actions)

    def environments(self, games: Sequence[Game], threads: int) -> MujocoEnvs:
        """See `Domain`; the games are one."""
        return MujocoEnvs(games[0], self.options, len(games))

    def evaluation_envs(self, game: Game, count: int, threads: int) -> MujocoEnvs:
        """See `Domain`."""
        return MujocoEnvs(game, self.options, count)

    def execution(self, games: Sequence[Game], seeds: Sequence[int]) -> dict[str, str]:
        """See `Domain`."""
        return {}
