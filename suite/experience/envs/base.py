"""Environments of one kind as lanes need them: E actions in, E observations and rewards out, a step at a time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from typing_extensions import override


class TimeStep(NamedTuple):
    """What E environments answer. `discount` is 0 at game over, `truncated` is set where the frame cap cut in.

    `life_lost` is set where a life was lost and the game goes on, if the task has that end an episode for learning.
    """

    observation: NDArray[Any]  # uint8 [E, height, width], the newest frame, or float32 [E, D]
    reward: NDArray[Any]  # [E], raw, as exact as the environment gives it
    discount: NDArray[np.float32]  # [E]
    truncated: NDArray[np.bool_]  # [E]
    life_lost: NDArray[np.bool_] | None = None  # [E], None where no task asks


class Envs(ABC):
    """`num_envs` environments; an ended episode goes nowhere until it is reset.

    `actions`: the number of discrete actions, or of an action's dimensions. `idle`: an action for an environment that
    nobody looks at.
    """

    num_envs: int
    actions: int
    idle: Any

    @abstractmethod
    def reset(self, seeds: Sequence[int | None], mask: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """Start an episode in each environment (that `mask` names), from a seed or None; return what is seen [E, ...].

        The first reset ever must be of all environments, each with a seed.
        """

    @abstractmethod
    def send(self, actions: Sequence[Any] | NDArray[Any]) -> None:
        """Begin to take one action in each environment."""

    @abstractmethod
    def receive(self) -> TimeStep:
        """Return what the actions sent led to, waiting for the environments."""

    def step(self, actions: Sequence[Any] | NDArray[Any]) -> TimeStep:
        """Take one action in each environment."""
        self.send(actions)
        return self.receive()

    @abstractmethod
    def close(self) -> None:
        """Release what the environments hold."""


class ImmediateEnvs(Envs):
    """Environments that are stepped when they are waited for: their steps are too short to be handed to a thread."""

    _sent: Sequence[Any] | NDArray[Any] = ()

    @override
    def send(self, actions: Sequence[Any] | NDArray[Any]) -> None:
        self._sent = actions

    @override
    def receive(self) -> TimeStep:
        return self.step(self._sent)

    @override
    @abstractmethod
    def step(self, actions: Sequence[Any] | NDArray[Any]) -> TimeStep: ...
