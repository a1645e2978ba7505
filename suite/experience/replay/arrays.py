"""A ring of transitions of small arrays: that of frames, with a stack of one, and frames of any shape and type."""

from __future__ import annotations

from typing import Any

from suite.contracts.agent import DataPlan
from suite.experience.observations import Arrays
from suite.experience.replay.base import Uniform
from suite.experience.replay.frames import FrameReplay, HostFrames
from suite.experience.replay.placement import BESIDE_FRAME_BYTES, PRIORITY_BYTES
from suite.experience.replay.prioritized import Priorities


class ArrayReplay(FrameReplay):
    """Transitions as an agent's plan wants them: n-step returns, drawn uniformly or by priority."""

    def __init__(self, plan: DataPlan, inputs: Arrays) -> None:
        priorities = Priorities(plan.capacity) if plan.replay == "prioritized" else None
        super().__init__(plan.capacity, 1, HostFrames(plan.capacity, inputs.shape, inputs.dtype), priorities)

    def sample_states(self, count: int, uniform: Uniform) -> Any:
        """Return the observations [count, ...] of uniformly drawn transitions."""
        return super().sample_states(count, uniform)[:, 0]


def replay_bytes(plan: DataPlan, steps: int, inputs: Arrays) -> int:
    """Return the bytes that a lane's ring takes at its fullest in a run of so many steps."""
    rows = min(plan.capacity, steps)
    priorities = PRIORITY_BYTES * plan.capacity if plan.replay == "prioritized" else 0
    return rows * (inputs.blank().nbytes + BESIDE_FRAME_BYTES) + priorities
