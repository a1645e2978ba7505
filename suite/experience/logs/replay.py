"""A sample of logged data as a replay: nothing is added, and every update draws from the same transitions."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import DataPlan
from suite.experience.logs.dataset import OfflineData
from suite.experience.replay.base import Replay, Uniform
from suite.experience.replay.device import take
from suite.experience.samples import Windows


class LoggedReplay(Replay):
    """A sample; with all of its `frames` in the accelerator's memory, what is drawn never crosses the bus."""

    def __init__(self, data: OfflineData, frames: Any = None) -> None:
        self._data = data
        self._frames = frames
        self._take = None if frames is None else self._from_device

    def sample(self, plan: DataPlan, draw: Uniform) -> Windows:
        """Return a plan's next batch of windows, drawn uniformly with replacement."""
        return self._data.sample(plan, draw, self._take)

    def sample_states(self, count: int, uniform: Uniform) -> Any:
        """Return the stacks uint8 [count, stack, height, width] of uniformly drawn transitions."""
        return self._data.sample_states(count, uniform, self._take)

    def inspected(self, plan: DataPlan, count: int, uniform: Uniform) -> Windows:
        """Return windows of uniformly drawn transitions."""
        return self._data.sample(plan, uniform, self._take)

    def _from_device(self, rows: NDArray[np.int64]) -> Any:
        return take(self._frames, rows.astype(np.int32))


@cache
def frames_on_device(path: Path) -> Any:
    """Return all frames of a sample in the accelerator's memory, once for all lanes."""
    return jax.device_put(OfflineData.open(path).all_frames())
