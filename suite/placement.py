"""Where a lane's replay lives, and what it takes there."""

from __future__ import annotations

from enum import StrEnum

from suite.agent import DataPlan
from suite.replay.frames import FrameReplay
from suite.replay.prioritized import Priorities
from suite.replay.stores import CompressedFrames, FrameStore, HostFrames
from suite.tasks import Environment

COMPRESSED_FRAME_BYTES = 2_600
"""What one frame of 84 x 84 is reckoned with when it is compressed: the worst of 60 games in random play took 2,524
bytes (UpNDown), the mean was 1,024, of 7,056."""
BESIDE_FRAME_BYTES = 4 + 4 + 1 + 1 + 1  # action, reward, terminal, truncated, depth
PRIORITY_BYTES = 2 * 8 * 2  # a tree of float64, at most four times as many nodes as transitions


class Placement(StrEnum):
    """`host`: raw frames in host memory. `compressed`: losslessly compressed there. `device`: raw in device memory."""

    DEVICE = "device"
    HOST = "host"
    COMPRESSED = "compressed"


def make_replay(plan: DataPlan, environment: Environment, placement: Placement) -> FrameReplay:
    """Return a lane's empty replay; memory is taken as it fills."""
    shape = (environment.screen_size, environment.screen_size)
    store: FrameStore
    if placement is Placement.COMPRESSED:
        store = CompressedFrames(plan.capacity, shape)
    else:
        store = HostFrames(plan.capacity, shape)
    priorities = Priorities(plan.capacity) if plan.replay == "prioritized" else None
    return FrameReplay(plan.capacity, environment.frame_stack, store, priorities)


def replay_bytes(plan: DataPlan, agent_steps: int, environment: Environment, placement: Placement) -> int:
    """Return the bytes that a lane's replay takes once `agent_steps` transitions, or all it holds, are there."""
    rows = min(plan.capacity, agent_steps)
    pixels = environment.screen_size**2
    frame = min(pixels, COMPRESSED_FRAME_BYTES) + 6 if placement is Placement.COMPRESSED else pixels
    return rows * (frame + BESIDE_FRAME_BYTES) + (PRIORITY_BYTES * plan.capacity if plan.replay == "prioritized" else 0)
