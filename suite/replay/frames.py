"""A ring of frames on the host: one uint8 frame per transition, windows gathered in one pass.

Transition t is (frame t, action t, reward t, end t); its successor frame is that of t + 1 in the same episode. Indices
are running numbers t, the slot is t modulo capacity. Rules of Dopamine's paper-era buffer: a stack never reaches into
another episode (zero frames instead), the newest n transitions and the oldest whose stack is partly overwritten are not
sampled, a terminal within a window ends the return, and a window across a truncation is not sampled, since what
followed is unknown.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from suite.errors import SuiteError

MAX_REDRAWS = 100


class Windows(NamedTuple):
    """B sampled windows: frames uint8 [B, stack + n, height, width], zero before an episode's first; see `Batch`."""

    frames: NDArray[np.uint8]
    a_tm1: NDArray[np.int32]
    r_t: NDArray[np.float32]
    discount_t: NDArray[np.float32]


@dataclass(slots=True)
class FrameReplay:
    """The ring and its cursor. `depth` is the frames of the same episode before this one, at most stack - 1."""

    stack: int
    frames: NDArray[np.uint8]
    actions: NDArray[np.int32]
    rewards: NDArray[np.float32]
    terminal: NDArray[np.bool_]
    truncated: NDArray[np.bool_]
    depth: NDArray[np.uint8]
    added: int = 0

    @classmethod
    def empty(cls, capacity: int, frame_shape: tuple[int, int], stack: int) -> FrameReplay:
        """Return an empty ring for `capacity` transitions; memory is taken as it fills."""
        return cls(
            stack,
            np.zeros((capacity, *frame_shape), np.uint8),
            np.zeros(capacity, np.int32),
            np.zeros(capacity, np.float32),
            np.zeros(capacity, np.bool_),
            np.zeros(capacity, np.bool_),
            np.zeros(capacity, np.uint8),
        )

    @property
    def capacity(self) -> int:
        """The number of transitions that the ring holds."""
        return len(self.actions)

    def add(self, frame: NDArray[np.uint8], action: int, reward: float, *, terminal: bool, truncated: bool) -> None:
        """Append a transition: the frame that was acted on, and what came of it (reward already clipped)."""
        slot, before = self.added % self.capacity, (self.added - 1) % self.capacity
        begins = self.added == 0 or self.terminal[before] or self.truncated[before]
        self.depth[slot] = 0 if begins else min(int(self.depth[before]) + 1, self.stack - 1)
        self.frames[slot] = frame
        self.actions[slot] = action
        self.rewards[slot] = reward
        self.terminal[slot] = terminal
        self.truncated[slot] = truncated
        self.added += 1

    def valid_range(self, n_step: int) -> tuple[int, int]:
        """Return the running numbers [low, high) that may be sampled, truncated windows still among them."""
        overwritten = self.added - self.capacity
        low = overwritten + self.stack - 1 if overwritten > 0 else 0
        return low, self.added - n_step

    def sample_indices(
        self, batch_size: int, n_step: int, uniform: Callable[[int], NDArray[np.float64]]
    ) -> NDArray[np.int64]:
        """Return uniform valid running numbers [B], drawn with replacement.

        `uniform(k)` gives the k-th set of B numbers in [0, 1); a rejected index is redrawn from the next set.
        """
        low, high = self.valid_range(n_step)
        if high <= low:
            raise SuiteError(f"The replay holds {self.added} transitions, too few to sample a window of {n_step}.")
        indices = low + (uniform(0) * (high - low)).astype(np.int64)
        for redraw in range(1, MAX_REDRAWS):
            invalid = self._crosses_truncation(indices, n_step)
            if not invalid.any():
                return indices
            indices = np.where(invalid, low + (uniform(redraw) * (high - low)).astype(np.int64), indices)
        raise SuiteError("The replay holds almost nothing but truncated windows.", "Raise agent.warm_up.")

    def gather(self, indices: NDArray[np.int64], n_step: int, gamma: float) -> Windows:
        """Return the windows at these running numbers, in fresh arrays."""
        offsets = np.arange(1 - self.stack, n_step + 1)
        frames = self.frames.take((indices[:, None] + offsets) % self.capacity, axis=0)
        missing = -offsets[: self.stack - 1] > self.depth[indices % self.capacity, None]
        frames[:, : self.stack - 1][missing] = 0
        steps = (indices[:, None] + np.arange(n_step)) % self.capacity
        alive = np.cumprod(~self.terminal[steps], axis=1, dtype=np.float64)
        before = np.concatenate([np.ones((len(indices), 1)), alive[:, :-1]], axis=1)
        returns = (self.rewards[steps] * before * gamma ** np.arange(n_step)).sum(axis=1)
        return Windows(
            frames,
            self.actions[indices % self.capacity],
            returns.astype(np.float32),
            (alive[:, -1] * gamma**n_step).astype(np.float32),
        )

    def _crosses_truncation(self, indices: NDArray[np.int64], n_step: int) -> NDArray[np.bool_]:
        steps = (indices[:, None] + np.arange(n_step)) % self.capacity
        ended_before = np.cumsum(self.terminal[steps], axis=1) - self.terminal[steps] > 0
        crosses: NDArray[np.bool_] = (self.truncated[steps] & ~ended_before).any(axis=1)
        return crosses

    def nbytes(self) -> int:
        """Return the memory that a full ring takes."""
        arrays = (self.frames, self.actions, self.rewards, self.terminal, self.truncated, self.depth)
        return sum(array.nbytes for array in arrays)
