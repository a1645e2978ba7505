"""Continuous control: a simulated body for each lane, its transitions or trajectory, rebuilt from actions."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from suite.agent import DataPlan
from suite.envs.mujoco import SIZES, MujocoEnvs, environment_of
from suite.envs.several import SeveralEnvs
from suite.families.base import Setup
from suite.group import Group
from suite.inputs import Vectors
from suite.lane import ACTIONS
from suite.placement import Placement
from suite.replay.vectors import replay_bytes
from suite.tasks import Game, Task
from suite.vector_lane import VectorLane


class Continuous:
    """See `Family`."""

    mixes_games = False

    def __init__(self, task: Task) -> None:
        self._options = task.mujoco

    def inputs(self, game: Game) -> Vectors:
        """See `Family`."""
        return Vectors(SIZES[self._options.version][game.name], game.actions)

    def check(self, game: Game) -> None:
        """See `Family`."""
        environment_of(game, self._options)

    def environment(self, game: Game) -> tuple[dict[str, Any], str]:
        """See `Family`; the fingerprint is of versions, model and every option."""
        return environment_of(game, self._options)

    def replay_bytes(self, plan: DataPlan, steps: int, game: Game, placement: Placement) -> tuple[int, int]:
        """See `Family`; the actions are there a second time, as the history."""
        capacity = plan.update_period if plan.replay == "rollout" else plan.capacity
        inputs = self.inputs(game)
        history = 4 * inputs.actions * min(capacity, steps)
        return replay_bytes(capacity, inputs.size, inputs.actions, steps) + 2 * history, 0

    def start(self, setup: Setup) -> Group:
        """See `Family`."""
        inputs = self.inputs(setup.games[0])
        lanes = [VectorLane(setup.plan, streams, inputs) for streams in setup.streams]
        envs = MujocoEnvs(setup.games[0], self._options, len(lanes))
        idle = np.zeros(inputs.actions, np.float32)
        for index, (lane, saved) in enumerate(zip(lanes, setup.saved, strict=True)):
            if saved is not None:
                lane.restore(
                    saved.state.agent_step,
                    saved.state.episodes,
                    [length for (length,) in saved.state.lengths],
                    saved.arrays[ACTIONS],
                    bytes.fromhex(saved.state.chain),
                    envs.members[index],
                    partial(setup.look, index),
                )
        group = Group(setup.plan, lanes, setup.learners, SeveralEnvs(setup.games, lambda game, count: envs, idle))
        if setup.saved[0] is None:
            group.begin()
        return group

    def evaluation_envs(self, game: Game, count: int, threads: int) -> MujocoEnvs:
        """See `Family`."""
        return MujocoEnvs(game, self._options, count)

    def execution(self, games: Sequence[Game], seeds: Sequence[int]) -> dict[str, str]:
        """See `Family`."""
        return {}
