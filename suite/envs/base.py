"""What the runner needs of E environments of one kind: numbered discrete actions, one frame and one reward a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray


class TimeStep(NamedTuple):
    """What E environments answer. `discount` is 0 at game over, `truncated` is set where the frame cap cut in.

    `life_lost` is set where a life was lost and the game goes on, if the task has that end an episode for learning.
    """

    observation: NDArray[np.uint8]  # [E, height, width], the newest frame
    reward: NDArray[np.float32]  # [E], raw
    discount: NDArray[np.float32]  # [E]
    truncated: NDArray[np.bool_]  # [E]
    life_lost: NDArray[np.bool_] | None = None  # [E], None where no task asks


class Envs(Protocol):
    """E environments; an ended episode goes nowhere until it is reset to a seed."""

    @property
    def actions(self) -> int:
        """The number of discrete actions."""
        ...

    def reset(self, seeds: Sequence[int | None], mask: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
        """Start an episode in each environment (that `mask` names), from a seed or None; return frames [E, h, w]."""
        ...

    def send(self, actions: NDArray[np.int64]) -> None:
        """Begin to take one action in each environment."""
        ...

    def receive(self) -> TimeStep:
        """Return what the actions sent led to."""
        ...

    def close(self) -> None:
        """Release what the environments hold."""
        ...
