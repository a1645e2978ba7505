"""MuJoCo's tasks of Gymnasium: E environments of one kind, actions in [-1, 1], episodes started by us.

An episode is a pure function of its seed and its actions: a reset to a seed forgets whatever was before. Observations
are handed on as float32; the physics runs in float64.
"""

from __future__ import annotations

import hashlib
import json
import logging
import warnings
from collections.abc import Sequence
from functools import cache
from importlib import import_module, metadata
from pathlib import Path
from typing import Any, cast

import gymnasium
import mujoco
import numpy as np
from gymnasium.spaces import Box
from numpy.typing import NDArray
from typing_extensions import override

from suite.errors import UnfitEnvironment
from suite.experience.envs.base import ImmediateEnvs, TimeStep
from suite.tasks import Game, MujocoEnvironment
from suite.tasks.environments import fingerprint, mujoco_options

LOG = logging.getLogger(__name__)
mujoco.set_mju_user_warning(LOG.debug)  # else it prints, and writes MUJOCO_LOG.TXT where one stands

SIZES = {
    "v4": {"HalfCheetah": 17, "Hopper": 11, "Walker2d": 17, "Ant": 27, "Humanoid": 376},
    "v5": {"HalfCheetah": 17, "Hopper": 11, "Walker2d": 17, "Ant": 105, "Humanoid": 348},
}
"""Observation sizes, so that nobody needs an environment to know them; each environment is checked against them."""


class MujocoEnv:
    """One environment. Actions are float32 [A]; what is outside [-1, 1] is clipped, then scaled to its own bounds."""

    def __init__(self, game: Game, options: MujocoEnvironment) -> None:
        self.actions = game.actions
        self._limit = options.max_episode_steps
        self._steps = 0
        self._env: Any = _make(f"{game.name}-{options.version}")
        space, observations = cast(Box, self._env.action_space), cast(Box, self._env.observation_space)
        expected = (game.actions,), (SIZES[options.version][game.name],)
        if (space.shape, observations.shape) != expected:
            raise UnfitEnvironment(
                f"{game.name}-{options.version} has actions {space.shape} and observations {observations.shape} here; "
                f"the task expects {expected[0]} and {expected[1]}.",
                "Install the gymnasium and mujoco versions of the lock file.",
            )
        self._middle = (space.high.astype(np.float64) + space.low) / 2
        self._half = (space.high.astype(np.float64) - space.low) / 2

    @property
    def body(self) -> Any:
        """Gymnasium's environment: its `model`, its `data`, and `dt`, the seconds of a step."""
        return self._env

    def reset(self, seed: int) -> NDArray[np.float32]:
        """Start the episode of a seed; return its first observation [D]."""
        self._steps = 0
        observation, _ = self._env.reset(seed=seed)
        return np.asarray(observation, np.float32)

    def step(self, action: NDArray[Any]) -> tuple[NDArray[np.float32], float, bool, bool]:
        """Take an action; return what is observed, the reward, whether it terminated and whether it was truncated."""
        scaled = self._middle + self._half * np.clip(np.asarray(action, np.float64), -1.0, 1.0)
        observation, reward, terminated, _, _ = self._env.step(scaled)
        self._steps += 1
        truncated = self._steps >= self._limit and not terminated
        return np.asarray(observation, np.float32), float(reward), bool(terminated), truncated

    def close(self) -> None:
        """Release the physics."""
        self._env.close()


class MujocoEnvs(ImmediateEnvs):
    """E environments of one kind, stepped one after the other: an update takes a hundred times as long as a step."""

    def __init__(self, game: Game, options: MujocoEnvironment, num_envs: int) -> None:
        self.num_envs = num_envs
        self.actions = game.actions
        self.idle: Any = np.zeros(game.actions, np.float32)
        self._members = [MujocoEnv(game, options) for _ in range(num_envs)]
        self._size = SIZES[options.version][game.name]

    @property
    def bodies(self) -> list[Any]:
        """The body of each environment."""
        return [member.body for member in self._members]

    @override
    def reset(self, seeds: Sequence[int | None], mask: NDArray[np.bool_] | None = None) -> NDArray[np.float32]:
        """Start an episode in each (masked) environment from its seed; return observations [E, D].

        `seeds` has one entry per environment that is reset; None is seed 0, for those that nobody looks at.
        """
        named = range(self.num_envs) if mask is None else np.flatnonzero(mask).tolist()
        observations = np.zeros((self.num_envs, self._size), np.float32)
        for index, seed in zip(named, seeds, strict=True):
            observations[index] = self._members[index].reset(seed or 0)
        return observations

    @override
    def step(self, actions: Sequence[Any] | NDArray[Any]) -> TimeStep:
        """Take one action [A] in each environment."""
        answers = [env.step(action) for env, action in zip(self._members, actions, strict=True)]
        return TimeStep(
            np.stack([answer[0] for answer in answers]),
            np.asarray([answer[1] for answer in answers], np.float64),
            np.asarray([0.0 if answer[2] else 1.0 for answer in answers], np.float32),
            np.asarray([answer[3] for answer in answers], np.bool_),
        )

    @override
    def close(self) -> None:
        """Release the physics."""
        for env in self._members:
            env.close()


@cache
def environment_of(game: Game, options: MujocoEnvironment) -> tuple[dict[str, Any], str]:
    """Return all that an environment is made of, and a fingerprint of what results depend on."""
    spec = gymnasium.spec(f"{game.name}-{options.version}")
    env = _make(f"{game.name}-{options.version}")
    model = Path(env.fullpath)
    environment: dict[str, Any] = {
        **mujoco_options(options, game),
        "options": json.dumps(spec.kwargs, sort_keys=True, default=str),
        "frame_skip": int(env.frame_skip),
        "model_sha256": hashlib.sha256(model.read_bytes()).hexdigest(),
        "mujoco": metadata.version("mujoco"),
        "gymnasium": metadata.version("gymnasium"),
    }
    env.close()
    return environment, fingerprint(environment)


def _make(name: str) -> Any:
    """Make an environment without wrappers: checks, limits and seeds are ours."""
    try:
        spec = gymnasium.spec(name)
        module, _, attribute = str(spec.entry_point).partition(":")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            kind = getattr(import_module(module), attribute)
            return kind(**spec.kwargs)
    except (ImportError, gymnasium.error.Error, AttributeError, OSError) as error:
        raise UnfitEnvironment(f"{name} cannot be made: {error}", 'Install "gymnasium[mujoco]".') from error
