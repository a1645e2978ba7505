"""Small environments with numbered actions: E of one game, stepped one after the other, episodes started by us.

An episode is a pure function of its seed and its actions: a reset to a seed forgets whatever was before. What an
environment shows is an array of one shape and type; who makes it, and from which library, is the environment's matter.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from suite.experience.envs.base import ImmediateEnvs, TimeStep


class DiscreteEnv(Protocol):
    """One environment. What it returns is never written to again."""

    def reset(self, seed: int) -> NDArray[Any]:
        """Start the episode of a seed; return what is seen first."""
        ...

    def step(self, action: int) -> tuple[NDArray[Any], float, bool]:
        """Take an action; return what is seen, the reward, and whether the episode terminated."""
        ...


class DiscreteEnvs(ImmediateEnvs):
    """E environments of one kind with `actions` actions; episodes are truncated after `cap` steps."""

    idle = 0

    def __init__(self, make: Callable[[], DiscreteEnv], actions: int, cap: int, num_envs: int) -> None:
        self.num_envs = num_envs
        self.actions = actions
        self._cap = cap
        self._members = [make() for _ in range(num_envs)]
        self._steps = [0] * num_envs

    @override
    def reset(self, seeds: Sequence[int | None], mask: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """Start an episode in each (masked) environment from its seed; return what is seen [E, ...], zeros elsewhere.

        `seeds` has one entry per environment that is reset; None is seed 0, for those that nobody looks at.
        """
        named = range(self.num_envs) if mask is None else np.flatnonzero(mask).tolist()
        first = {index: self._members[index].reset(seed or 0) for index, seed in zip(named, seeds, strict=True)}
        for index in first:
            self._steps[index] = 0
        blank = np.zeros_like(next(iter(first.values())))
        return np.stack([first.get(index, blank) for index in range(self.num_envs)])

    @override
    def step(self, actions: Sequence[Any] | NDArray[Any]) -> TimeStep:
        """Take one action in each environment."""
        seen, rewards, discounts, truncated = [], [], [], []
        for index, (member, action) in enumerate(zip(self._members, actions, strict=True)):
            observation, reward, terminated = member.step(int(action))
            self._steps[index] += 1
            seen.append(observation)
            rewards.append(reward)
            discounts.append(0.0 if terminated else 1.0)
            truncated.append(self._steps[index] >= self._cap and not terminated)
        return TimeStep(
            np.stack(seen),
            np.asarray(rewards, np.float64),
            np.asarray(discounts, np.float32),
            np.asarray(truncated, np.bool_),
        )

    @override
    def close(self) -> None:
        """Nothing is open."""
