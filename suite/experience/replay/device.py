"""The frames of a ring in the accelerator's memory: what is sampled never crosses the bus."""

from __future__ import annotations

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

STAGED = 16
"""New frames wait on the host until so many are there or some are sampled: one upload for several agent steps."""


class DeviceFrames:
    """One uint8 array [capacity + 1, h, w] on the device; the last row takes what fills up an upload."""

    def __init__(self, capacity: int, shape: tuple[int, int]) -> None:
        self._frames = jnp.zeros((capacity + 1, *shape), jnp.uint8)
        self._capacity = capacity
        self._staged = np.zeros((STAGED, *shape), np.uint8)
        self._slots = np.full(STAGED, capacity, np.int32)
        self._count = 0

    def put(self, slot: int, frame: NDArray[np.uint8]) -> None:
        """Fill a slot with a frame [h, w]."""
        if self._count == STAGED or slot in self._slots[: self._count]:
            self._frames = _write(self._frames, *self._uploaded())
        self._staged[self._count], self._slots[self._count] = frame, slot
        self._count += 1

    def take(self, slots: NDArray[np.int64], missing: NDArray[np.bool_]) -> jax.Array:
        """Return windows [B, W, h, w], on the device: what waits is written and the windows are read in one call."""
        windows: jax.Array
        self._frames, windows = _write_and_take(self._frames, *self._uploaded(), slots.astype(np.int32), missing)
        return windows

    def nbytes(self) -> int:
        """Return the bytes held on the device."""
        return int(self._frames.nbytes)

    def _uploaded(self) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
        """Return the slots and frames that waited, in arrays of their own; none waits any longer."""
        waiting = self._slots.copy(), self._staged.copy()
        self._slots[:] = self._capacity
        self._count = 0
        return waiting


def take(frames: jax.Array, rows: NDArray[np.int32]) -> jax.Array:
    """Return the rows [B, W] of an array [N, h, w] that is on the device."""
    taken: jax.Array = _take(frames, rows)
    return taken


@partial(jax.jit, donate_argnums=0)
def _write(frames: jax.Array, slots: jax.Array, new: jax.Array) -> jax.Array:
    return frames.at[slots].set(new)


@partial(jax.jit, donate_argnums=0)
def _write_and_take(
    frames: jax.Array, slots: jax.Array, new: jax.Array, rows: jax.Array, missing: jax.Array
) -> tuple[jax.Array, jax.Array]:
    frames = frames.at[slots].set(new)
    windows = frames[rows]
    whole = jnp.pad(missing, ((0, 0), (0, windows.shape[1] - missing.shape[1])))
    return frames, jnp.where(whole[:, :, None, None], jnp.uint8(0), windows)


@jax.jit
def _take(frames: jax.Array, rows: jax.Array) -> jax.Array:
    return frames[rows]
