"""A ring of transitions: one uint8 frame stored per transition, windows gathered in one pass.

Transition t is (frame t, action t, reward t, end t); its successor frame is that of t + 1 in the same episode. Indices
are running numbers t, the slot is t modulo capacity. Rules of Dopamine's paper-era buffer: a stack never reaches into
another episode (zero frames instead), the newest n transitions and the oldest whose stack is partly overwritten are not
sampled, a terminal within a window ends the return, and a window across a truncation is not sampled, since what
followed is unknown.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import DataPlan
from suite.errors import SuiteError
from suite.experience.replay.base import Replay, Uniform
from suite.experience.replay.prioritized import MAX_REDRAWS, Priorities, importance_weights
from suite.experience.samples import Windows

PRIORITIES = "priorities/"
"""How the names of the priorities' arrays begin in a checkpoint."""
CACHE_LINE = 64


class FrameStore(Protocol):
    """uint8 frames [h, w] by slot, zeros where none was put. Puts in the order of the ring take the least memory."""

    def put(self, slot: int, frame: NDArray[np.uint8]) -> None:
        """Store a frame [h, w], in place of the one that the slot held."""

    def take(self, slots: NDArray[np.int64], missing: NDArray[np.bool_]) -> Any:
        """Return the frames of slots [B, W] in an array [B, W, h, w] of their own, on the host or on the device.

        Zeros where `missing` bool [B, M] says so of the first M of a window.
        """

    def nbytes(self) -> int:
        """Return the bytes of memory held now."""


class HostFrames:
    """Frames, or other arrays of one shape and type, as they are; the system gives the memory as it fills."""

    def __init__(self, capacity: int, shape: tuple[int, ...], dtype: str = "uint8") -> None:
        self._frames = np.zeros((capacity, *shape), dtype)
        self._used = 0
        self._batches = Recycled()

    def put(self, slot: int, frame: NDArray[Any]) -> None:
        """Copy a frame into its slot."""
        self._frames[slot] = frame
        self._used = max(self._used, slot + 1)

    def take(self, slots: NDArray[np.int64], missing: NDArray[np.bool_]) -> NDArray[Any]:
        """Gather frames in one pass, into memory that a program on the CPU reads where it is."""
        gathered = self._batches.array((*slots.shape, *self._frames.shape[1:]), self._frames.dtype)
        self._frames.take(slots, axis=0, out=gathered, mode="clip")  # with `raise` it would buffer
        blank(gathered, missing)
        return gathered

    def nbytes(self) -> int:
        """Return the bytes up to the highest slot put so far."""
        return self._frames[: self._used].nbytes


def blank(frames: NDArray[Any], missing: NDArray[np.bool_]) -> None:
    """Write zeros into the windows [B, W, ...] where `missing` bool [B, M] says so of the first M."""
    if missing.any():
        frames[:, : missing.shape[1]][missing] = 0


def aligned(shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[Any]:
    """Return an uninitialized array that begins on a cache line: one that does not, jax copies at every call."""
    size = math.prod(shape) * np.dtype(dtype).itemsize
    memory = np.empty(size + CACHE_LINE, np.uint8)
    begin = -memory.ctypes.data % CACHE_LINE
    array: NDArray[Any] = memory[begin : begin + size].view(dtype).reshape(shape)
    return array


def _references(array: NDArray[Any]) -> int:
    return sys.getrefcount(array.base)


UNUSED = _references(aligned((1,)))
"""References to the memory of an array that nobody else holds, nor a view of it."""


class Recycled:
    """Aligned arrays, each given out again once nobody holds it or a view of it: new memory costs its page faults."""

    def __init__(self) -> None:
        self._arrays: list[NDArray[Any]] = []

    def array(self, shape: tuple[int, ...], dtype: Any = np.uint8) -> NDArray[Any]:
        """Return an uninitialized array that begins on a cache line."""
        for array in self._arrays:
            if array.shape == shape and array.dtype == dtype and _references(array) == UNUSED:
                return array.view()
        self._arrays = [*self._arrays[-1:], aligned(shape, dtype)]
        return self._arrays[-1].view()


class FrameReplay(Replay):
    """The ring and its counter `added`. Where frames live is the store's business, what is drawn the priorities'."""

    def __init__(self, capacity: int, stack: int, store: FrameStore, priorities: Priorities | None = None) -> None:
        self.capacity = capacity
        self.stack = stack
        self.store = store
        self.priorities = priorities
        self.actions = np.zeros(capacity, np.int32)
        self.rewards = np.zeros(capacity, np.float32)
        self.terminal = np.zeros(capacity, np.bool_)
        self.truncated = np.zeros(capacity, np.bool_)
        self.depth = np.zeros(capacity, np.uint8)  # frames of the same episode before this one, at most stack - 1
        self.added = 0
        self._truncations = 0  # slots of `truncated` that are set
        self._drawn: NDArray[np.int64] = np.empty(0, np.int64)

    def add(
        self,
        shown: NDArray[Any],
        action: Any,
        reward: float,
        seen: NDArray[Any] | None = None,
        *,
        terminal: bool,
        truncated: bool,
    ) -> None:
        """Append a transition: the frame that was acted on, and what came of it (reward already clipped)."""
        before = (self.added - 1) % self.capacity
        begins = self.added == 0 or self.terminal[before] or self.truncated[before]
        depth = 0 if begins else int(self.depth[before]) + 1
        self.write(self.added, shown, action, reward, seen, depth=depth, terminal=terminal, truncated=truncated)
        self.added += 1

    def write(
        self,
        index: int,
        shown: NDArray[Any],
        action: Any,
        reward: float,
        seen: NDArray[Any] | None = None,
        *,
        depth: int,
        terminal: bool,
        truncated: bool,
    ) -> None:
        """Fill the slot of a running number: in order by `add`, in any order when a ring is rebuilt."""
        slot = index % self.capacity
        self._truncations += int(truncated) - int(self.truncated[slot])
        self.store.put(slot, shown)
        self.actions[slot] = action
        self.rewards[slot] = reward
        self.terminal[slot] = terminal
        self.truncated[slot] = truncated
        self.depth[slot] = min(depth, self.stack - 1)

    def valid_range(self, n_step: int) -> tuple[int, int]:
        """Return the running numbers [low, high) that may be sampled, truncated windows still among them."""
        overwritten = self.added - self.capacity
        low = overwritten + self.stack - 1 if overwritten > 0 else 0
        return low, self.added - n_step

    def sample(self, plan: DataPlan, uniform: Uniform) -> Windows:
        """Return a plan's next batch of windows, with importance weights if its replay is prioritized."""
        if self.priorities is None:
            self._drawn = self.sample_indices(plan.n_step, uniform)
            return self.gather(self._drawn, plan.n_step, plan.gamma)
        self._require_some(plan.n_step)
        self.priorities.add_until(self.added)
        self._drawn, masses = self.priorities.sample(
            plan.batch_size, uniform, lambda indices: self._invalid(indices, plan.n_step), self.added
        )
        windows = self.gather(self._drawn, plan.n_step, plan.gamma)
        return windows._replace(weight=importance_weights(masses, plan.importance_exponent))

    def sample_states(self, count: int, uniform: Uniform) -> Any:
        """Return the stacks uint8 [count, stack, height, width] of uniformly drawn transitions."""
        return self.gather(self.sample_indices(1, uniform), 1, 1.0).frames[:, : self.stack]

    def inspected(self, plan: DataPlan, count: int, uniform: Uniform) -> Windows:
        """Return windows of uniformly drawn transitions, all of the same weight."""
        windows = self.gather(self.sample_indices(plan.n_step, uniform), plan.n_step, plan.gamma)
        return windows if self.priorities is None else windows._replace(weight=np.ones(count, np.float32))

    def reprioritize(self, priorities: NDArray[np.float64]) -> None:
        """Set the priorities of the batch that was sampled last."""
        assert self.priorities is not None
        self.priorities.update(self._drawn, priorities)

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the priorities, if there are any, every transition entered."""
        if self.priorities is None:
            return {}
        self.priorities.add_until(self.added)
        return {PRIORITIES + name: array for name, array in self.priorities.arrays().items()}

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take the priorities back, if there are any."""
        if self.priorities is not None:
            own = {name: array for name, array in arrays.items() if name.startswith(PRIORITIES)}
            self.priorities.restore({name.removeprefix(PRIORITIES): array for name, array in own.items()})

    def sample_indices(self, n_step: int, uniform: Uniform) -> NDArray[np.int64]:
        """Return valid running numbers [B] for B uniform ones, drawn with replacement; a rejected one is redrawn."""
        low, high = self._require_some(n_step)
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
        slots = indices % self.capacity
        missing = -offsets[: self.stack - 1] > self.depth[slots, None]
        frames = self.store.take((indices[:, None] + offsets) % self.capacity, missing)
        if n_step == 1:  # what follows, without its sums
            discounts = np.where(self.terminal[slots], np.float32(0), np.float32(gamma))
            return Windows(frames, self.actions[slots], self.rewards[slots], discounts)
        steps = (indices[:, None] + np.arange(n_step)) % self.capacity
        alive = np.cumprod(~self.terminal[steps], axis=1, dtype=np.float64)
        before = np.concatenate([np.ones((len(indices), 1)), alive[:, :-1]], axis=1)
        returns = (self.rewards[steps] * before * gamma ** np.arange(n_step)).sum(axis=1)
        return Windows(
            frames,
            self.actions[slots],
            returns.astype(np.float32),
            (alive[:, -1] * gamma**n_step).astype(np.float32),
        )

    def nbytes(self) -> int:
        """Return the memory that the ring holds now."""
        arrays = (self.actions, self.rewards, self.terminal, self.truncated, self.depth)
        return self.store.nbytes() + sum(array.nbytes for array in arrays)

    def _require_some(self, n_step: int) -> tuple[int, int]:
        low, high = self.valid_range(n_step)
        if high <= low:
            raise SuiteError(f"The replay holds {self.added} transitions, too few to sample a window of {n_step}.")
        return low, high

    def _invalid(self, indices: NDArray[np.int64], n_step: int) -> NDArray[np.bool_]:
        low, high = self.valid_range(n_step)
        invalid: NDArray[np.bool_] = (indices < low) | (indices >= high) | self._crosses_truncation(indices, n_step)
        return invalid

    def _crosses_truncation(self, indices: NDArray[np.int64], n_step: int) -> NDArray[np.bool_]:
        if not self._truncations:
            return np.zeros(len(indices), np.bool_)
        steps = (indices[:, None] + np.arange(n_step)) % self.capacity
        truncated = self.truncated[steps]
        ended_before = np.cumsum(self.terminal[steps], axis=1) - self.terminal[steps] > 0
        crosses: NDArray[np.bool_] = (truncated & ~ended_before).any(axis=1)
        return crosses
