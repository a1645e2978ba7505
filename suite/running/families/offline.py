"""Lanes on logged data: nothing is played but evaluation episodes, and nothing is rebuilt."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import DataPlan
from suite.experience.domains.offline import Offline
from suite.experience.logs.dataset import OfflineData
from suite.experience.replay.device import take
from suite.experience.replay.placement import Placement
from suite.experience.samples import Windows
from suite.rng import Sampling, Streams
from suite.running.families.base import Setup
from suite.running.group import OfflineGroup


def start(domain: Offline, setup: Setup) -> OfflineGroup:
    """Return the lanes, begun or brought to their checkpoints."""
    opened = [domain.open(game, seed) for game, seed in zip(setup.games, setup.seeds, strict=True)]
    on_device = setup.placement is Placement.DEVICE
    lanes = [
        OfflineLane(
            setup.plan,
            streams,
            _on_device(data.path) if on_device else data,
            0 if saved is None else saved.state.agent_step,
        )
        for streams, data, saved in zip(setup.streams, opened, setup.saved, strict=True)
    ]
    return OfflineGroup(setup.plan, lanes, setup.learners)


class OfflineLane:
    """One cell's host side: `step` counts updates. There is nothing to rebuild: the log stays where it is."""

    episodes = 0
    segments = 0
    chain = b""

    def __init__(self, plan: DataPlan, streams: Streams, data: OfflineData | DeviceData, step: int) -> None:
        self.step = step
        self.streams = streams
        self._plan = plan
        self._data = data
        self._sampling = Sampling(streams, plan.batch_size)

    def saved(self) -> tuple[dict[str, NDArray[Any]], tuple[tuple[int, ...], ...]]:
        """See `AnyLane`."""
        return {}, ()

    def sample(self, updates: int) -> Windows:
        """See `AnyLane`."""
        return self._data.sample(self._plan, lambda redraw: self._sampling.draw(updates, redraw))

    def sample_states(self, updates: int, count: int) -> Any:
        """See `AnyLane`."""
        return self._data.sample_states(count, lambda redraw: self.streams.uniform("states", updates, count))


class DeviceData:
    """A sample whose frames are in the accelerator's memory, for all lanes: what is drawn never crosses the bus."""

    def __init__(self, data: OfflineData) -> None:
        self._data = data
        self._frames = jax.device_put(data.all_frames())

    def sample(self, plan: DataPlan, uniform: Any) -> Windows:
        """See `OfflineData`."""
        return self._data.sample(plan, uniform, self._take)

    def sample_states(self, count: int, uniform: Any) -> Any:
        """See `OfflineData`."""
        return self._data.sample_states(count, uniform, self._take)

    def _take(self, rows: NDArray[np.int64]) -> Any:
        return take(self._frames, rows.astype(np.int32))


@cache
def _on_device(path: Path) -> DeviceData:
    return DeviceData(OfflineData.open(path))
