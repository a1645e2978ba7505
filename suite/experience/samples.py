"""Samples: what a replay or a log hands out for one update, on the host."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import Batch


class Windows(NamedTuple):
    """B sampled windows: frames uint8 [B, stack + n, height, width], zero before an episode's first; see `Batch`.

    `weight` is None if all weigh the same. `frames` may also be what the store gives in an array's place. `states`:
    further states uint8 [S, stack, height, width], where a method asks for them.
    """

    frames: Any
    a_tm1: NDArray[np.int32]
    r_t: NDArray[np.float32]
    discount_t: NDArray[np.float32]
    weight: NDArray[np.float32] | None = None
    states: Any = None


class Rows(NamedTuple):
    """Sampled transitions of vectors: `batch` as in `Batch`, on the host; `states` float32 [S, D] for methods."""

    batch: Batch
    states: Any = None
