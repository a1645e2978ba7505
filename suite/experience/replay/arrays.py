"""A ring of transitions of small arrays: that of frames, with a stack of one, and a store of any shape and type."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import DataPlan
from suite.experience.observations import Arrays
from suite.experience.replay.base import Uniform
from suite.experience.replay.frames import FrameReplay
from suite.experience.replay.placement import BESIDE_FRAME_BYTES, PRIORITY_BYTES
from suite.experience.replay.prioritized import Priorities


class HostArrays:
    """Observations as they are; the system gives the memory as it fills."""

    def __init__(self, capacity: int, inputs: Arrays) -> None:
        self._arrays = np.zeros((capacity, *inputs.shape), inputs.dtype)

    def put(self, slot: int, frame: NDArray[Any]) -> None:
        """Copy an observation into its slot."""
        self._arrays[slot] = frame

    def take(self, slots: NDArray[np.int64]) -> NDArray[Any]:
        """Return the observations of slots [B, W] in an array [B, W, ...] of their own."""
        return self._arrays[slots]

    def nbytes(self) -> int:
        """Return the bytes of the whole ring."""
        return self._arrays.nbytes


class ArrayReplay(FrameReplay):
    """Transitions as an agent's plan wants them: n-step returns, drawn uniformly or by priority."""

    def __init__(self, plan: DataPlan, inputs: Arrays) -> None:
        priorities = Priorities(plan.capacity) if plan.replay == "prioritized" else None
        super().__init__(plan.capacity, 1, HostArrays(plan.capacity, inputs), priorities)

    def sample_states(self, count: int, uniform: Uniform) -> Any:
        """Return the observations [count, ...] of uniformly drawn transitions."""
        return super().sample_states(count, uniform)[:, 0]


def replay_bytes(plan: DataPlan, steps: int, inputs: Arrays) -> int:
    """Return the bytes that a lane's ring takes at its fullest in a run of so many steps."""
    rows = min(plan.capacity, steps)
    priorities = PRIORITY_BYTES * plan.capacity if plan.replay == "prioritized" else 0
    return rows * (inputs.blank().nbytes + BESIDE_FRAME_BYTES) + priorities
