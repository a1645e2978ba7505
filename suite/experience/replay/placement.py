"""The places where a lane's replay can live, and what it takes there."""

from __future__ import annotations

from enum import StrEnum

from suite.contracts.agent import DataPlan
from suite.experience.replay.compressed import CompressedFrames
from suite.experience.replay.device import DeviceFrames
from suite.experience.replay.frames import FrameReplay, FrameStore, HostFrames
from suite.experience.replay.prioritized import Priorities
from suite.tasks import Environment, Game

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
    if placement is Placement.DEVICE:
        store = DeviceFrames(plan.capacity, shape)
    elif placement is Placement.COMPRESSED:
        store = CompressedFrames(plan.capacity, shape)
    else:
        store = HostFrames(plan.capacity, shape)
    priorities = Priorities(plan.capacity) if plan.replay == "prioritized" else None
    return FrameReplay(plan.capacity, environment.frame_stack, store, priorities)


def replay_bytes(
    plan: DataPlan, agent_steps: int, environment: Environment, game: Game, placement: Placement
) -> tuple[int, int]:
    """Return the bytes that a lane's replay takes at its fullest in a run of `agent_steps`: (host, device).

    Compressed frames are reckoned with what the game's took in random play.
    """
    rows = min(plan.capacity, agent_steps)
    beside = rows * BESIDE_FRAME_BYTES + (PRIORITY_BYTES * plan.capacity if plan.replay == "prioritized" else 0)
    if placement is Placement.DEVICE:
        return beside, (plan.capacity + 1) * environment.screen_size**2
    frame = game.frame_bytes if placement is Placement.COMPRESSED else environment.screen_size**2
    return beside + rows * frame, 0
