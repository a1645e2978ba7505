"""Continuous control: vectors of a simulated body, one for each lane."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from typing_extensions import override

from suite.contracts.agent import DataPlan
from suite.experience.domains.base import Domain
from suite.experience.envs.mujoco import SIZES, MujocoEnvs, environment_of
from suite.experience.observations import Vectors
from suite.experience.replay.base import Replay
from suite.experience.replay.placement import Placement
from suite.experience.replay.vectors import RolloutReplay, VectorReplay, replay_bytes
from suite.tasks import Game, Task


class Continuous(Domain):
    """Simulated bodies, one for each lane."""

    mixes_games = False
    plays = True
    seconds_per_step = 9e-4
    """What SAC's loop takes for an environment step beside its update."""
    reward_clip = math.inf

    def __init__(self, task: Task) -> None:
        self.options = task.mujoco
        self.reseed_steps = self.options.reseed_steps

    @override
    def inputs(self, game: Game) -> Vectors:
        return Vectors(SIZES[self.options.version][game.name], game.actions)

    @override
    def check(self, game: Game) -> None:
        environment_of(game, self.options)

    @override
    def environment(self, game: Game) -> tuple[dict[str, Any], str]:
        """The fingerprint is of versions, model and every option."""
        return environment_of(game, self.options)

    @override
    def replay_bytes(self, plan: DataPlan, steps: int, game: Game, placement: Placement) -> tuple[int, int]:
        """The actions are there a second time, as the history."""
        capacity = plan.update_period if plan.replay == "rollout" else plan.capacity
        inputs = self.inputs(game)
        history = 4 * inputs.actions * min(capacity, steps)
        return replay_bytes(capacity, inputs.size, inputs.actions, steps) + 2 * history, 0

    @override
    def replay(self, plan: DataPlan, game: Game, seed: int, placement: Placement) -> Replay:
        """An on-policy agent's holds one trajectory."""
        inputs = self.inputs(game)
        if plan.replay == "rollout":
            return RolloutReplay(plan, inputs.size, inputs.actions)
        return VectorReplay(plan.capacity, inputs.size, inputs.actions)

    @override
    def environments(self, games: Sequence[Game], threads: int) -> MujocoEnvs:
        """The games are one."""
        return MujocoEnvs(games[0], self.options, len(games))

    @override
    def history_bytes_per_step(self, game: Game) -> int:
        """Those of an action."""
        return self.options.action_bytes(game)

    @override
    def evaluation_envs(self, game: Game, count: int, threads: int) -> MujocoEnvs:
        return MujocoEnvs(game, self.options, count)

    @override
    def execution(self, games: Sequence[Game], seeds: Sequence[int]) -> dict[str, str]:
        return {}
