"""Classic control: Gymnasium's cart and pole, acrobot and mountain car, their observations scaled to [-1, 1].

The environments' own classes are made, without `gymnasium.make` and its wrappers: limits and seeds are ours, and nobody
is told at every start that CartPole-v0, the published one, has a successor.
"""

from __future__ import annotations

from importlib import import_module, metadata
from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium.spaces import Box, Discrete
from numpy.typing import NDArray

from suite.errors import UnfitEnvironment
from suite.tasks import ClassicEnvironment, Game
from suite.tasks.environments import classic_options, fingerprint


class ClassicEnv:
    """One environment; observations are float32 [D]."""

    def __init__(self, game: Game, options: ClassicEnvironment) -> None:
        name = options.names[game.name]
        low, high = (np.asarray(bound, np.float32) for bound in options.bounds[game.name])
        self._env: Any = _make(name)
        self._low, self._range = low, high - low
        expected = (low.shape, game.actions)
        found = (cast(Box, self._env.observation_space).shape, int(cast(Discrete, self._env.action_space).n))
        if found != expected:
            raise UnfitEnvironment(
                f"{name} has observations {found[0]} and {found[1]} actions here; the task expects {expected[0]} and "
                f"{expected[1]}.",
                "Install the gymnasium version of the lock file.",
            )

    def reset(self, seed: int) -> NDArray[np.float32]:
        """Start the episode of a seed; return its first observation."""
        observation, _ = self._env.reset(seed=seed)
        return self._scaled(observation)

    def step(self, action: int) -> tuple[NDArray[np.float32], float, bool]:
        """Take an action; return what is observed, the reward, and whether the episode terminated."""
        observation, reward, terminated, _, _ = self._env.step(action)
        return self._scaled(observation), float(reward), bool(terminated)

    def _scaled(self, observation: NDArray[np.float32]) -> NDArray[np.float32]:
        scaled: NDArray[np.float32] = np.float32(2) * ((observation - self._low) / self._range) - np.float32(1)
        return scaled


def environment_of(game: Game, options: ClassicEnvironment) -> tuple[dict[str, Any], str]:
    """Return all that an environment is made of, and a fingerprint of what results depend on."""
    ClassicEnv(game, options)
    environment = {**classic_options(options, game), "gymnasium": metadata.version("gymnasium")}
    return environment, fingerprint(environment)


def _make(name: str) -> Any:
    try:
        spec = gymnasium.spec(name)
        module, _, attribute = str(spec.entry_point).partition(":")
        return getattr(import_module(module), attribute)(**spec.kwargs)
    except (ImportError, gymnasium.error.Error, AttributeError) as error:
        raise UnfitEnvironment(f"{name} cannot be made: {error}", "Install gymnasium.") from error
