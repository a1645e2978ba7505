"""The replay of a lane: transitions as they come, a trajectory at a time, or a log that is there already."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import Batch, DataPlan, Trajectory
from suite.rng import Draw

Uniform = Callable[[int], NDArray[np.float64]]
"""`uniform(k)` gives the k-th set of B numbers in [0, 1): 0 for the draw, then one for each redraw."""


class Replay(ABC):
    """A source of samples. What a kind of replay has no use for, it leaves undone.

    Transitions have running numbers from 0 on; the ring holds the last `capacity` of the `added` ones.
    """

    capacity = 0
    added = 0

    def add(
        self, shown: NDArray[Any], action: Any, reward: float, seen: NDArray[Any], *, terminal: bool, truncated: bool
    ) -> None:
        """Append a transition: what the environment showed, the action, and what came of it."""

    def write(
        self,
        index: int,
        shown: NDArray[Any],
        action: Any,
        reward: float,
        seen: NDArray[Any],
        *,
        depth: int,
        terminal: bool,
        truncated: bool,
    ) -> None:
        """Fill the place of a running number, in any order, as `add` would have; `depth`: steps of its life before."""

    @abstractmethod
    def sample(self, plan: DataPlan, draw: Draw) -> Any:
        """Return a plan's next batch."""

    @abstractmethod
    def sample_states(self, count: int, uniform: Uniform) -> Any:
        """Return the observations [count, ...] of uniformly drawn transitions."""

    @abstractmethod
    def inspected(self, plan: DataPlan, count: int, uniform: Uniform) -> Any:
        """Return `count` transitions as a batch has them, uniformly drawn, for diagnostics; nothing changes by it."""

    def reprioritize(self, priorities: NDArray[np.float64]) -> None:
        """Set the priorities of the batch that was sampled last."""

    def prepare(self, rows_of: Callable[[Trajectory], Batch]) -> None:
        """Have an on-policy agent's rows computed from the trajectory that is complete."""

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return what a checkpoint must hold beside the actions from which transitions are had again."""
        return {}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take back what `arrays` returned."""
