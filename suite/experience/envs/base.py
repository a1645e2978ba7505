"""Environments of one kind as lanes need them: E actions in, E observations and rewards out, a step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class TimeStep(NamedTuple):
    """What E environments answer. `discount` is 0 at game over, `truncated` is set where the frame cap cut in.

    `life_lost` is set where a life was lost and the game goes on, if the task has that end an episode for learning.
    """

    observation: NDArray[Any]  # uint8 [E, height, width], the newest frame, or float32 [E, D]
    reward: NDArray[Any]  # [E], raw, as exact as the environment gives it
    discount: NDArray[np.float32]  # [E]
    truncated: NDArray[np.bool_]  # [E]
    life_lost: NDArray[np.bool_] | None = None  # [E], None where no task asks


class Envs(Protocol):
    """E environments; an ended episode goes nowhere until it is reset."""

    @property
    def num_envs(self) -> int:
        """The number of environments."""
        ...

    @property
    def actions(self) -> int:
        """The number of discrete actions, or of an action's dimensions."""
        ...

    @property
    def idle(self) -> Any:
        """An action for an environment that nobody looks at."""
        ...

    def reset(self, seeds: Sequence[int | None], mask: NDArray[np.bool_] | None = None) -> NDArray[Any]:
        """Start an episode in each environment (that `mask` names), from a seed or None; return what is seen [E, ...].

        The first reset ever must be of all environments, each with a seed.
        """
        ...

    def step(self, actions: Sequence[Any] | NDArray[Any]) -> TimeStep:
        """Take one action in each environment."""
        ...

    def close(self) -> None:
        """Release what the environments hold."""
        ...
