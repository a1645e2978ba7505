"""Priorities beside a ring of frames: one for each transition, and draws in proportion to them.

Rules of Dopamine's paper-era buffer (google/dopamine `replay_memory/sum_tree.py`, `prioritized_replay_buffer.py`): a
priority is itself the sampling mass; a new transition enters with the largest priority ever recorded, 1 at the start;
a batch of B takes one draw from each of B equal parts of the mass; an index that may not be sampled is redrawn from the
whole mass, outside the strata.

Nothing is done when a transition is added. The runner calls `update` with the priorities of the draw before, then
`add_until`, then `sample`: all transitions since that draw then enter with the maximum that its update left, and those
that took the slot of a drawn one replace its priority - as if each call had come at once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import BadData, SuiteError
from suite.experience.replay.sum_tree import SumTree

MAX_REDRAWS = 100


class Priorities:
    """The priorities of a ring of `capacity` transitions; indices are running numbers t, kept in slot t % capacity."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.added = 0
        self.maximum = 1.0
        self._tree = SumTree(capacity)

    def add_until(self, added: int) -> None:
        """Enter the transitions [self.added, added) with the largest priority recorded so far."""
        if added < self.added:
            raise SuiteError(f"The priorities already hold {self.added} transitions; the ring counts {added}.")
        new = np.arange(max(self.added, added - self.capacity), added)
        self._tree.set(new % self.capacity, np.full(len(new), self.maximum))
        self.added = added

    def update(self, indices: NDArray[np.int64], priorities: NDArray[np.float64]) -> None:
        """Set the priorities [B] of the running numbers [B] of the last draw; of a repeated one the last wins."""
        if len(indices) == 0:
            return
        if indices.min() < self.added - self.capacity or indices.max() >= self.added:
            raise SuiteError("A priority came for a transition that is gone or not yet entered: update before adding.")
        self._tree.set(indices % self.capacity, priorities)
        self.maximum = max(self.maximum, float(priorities.max()))

    def sample(
        self,
        batch_size: int,
        uniform: Callable[[int], NDArray[np.float64]],
        invalid: Callable[[NDArray[np.int64]], NDArray[np.bool_]],
        added: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Return running numbers [B], drawn with replacement, and their priorities [B]; `added` is the ring's counter.

        `uniform(k)` gives the k-th set of B numbers in [0, 1): set 0 places one draw in each part of the mass, a draw
        that `invalid` rejects is made again with its number of the next set.
        """
        if added != self.added:
            raise SuiteError(f"The priorities hold {self.added} transitions, the ring {added}: add before sampling.")
        slots = self._tree.find((np.arange(batch_size) + uniform(0)) / batch_size * self._tree.total)
        rejected = invalid(self._newest(slots))
        for redraw in range(1, MAX_REDRAWS):
            if not rejected.any():
                return self._newest(slots), self._tree.get(slots)
            slots = np.where(rejected, self._tree.find(uniform(redraw) * self._tree.total), slots)
            rejected = invalid(self._newest(slots))
        raise SuiteError("Almost all of the priority lies on transitions that may not be sampled.")

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return copies of all that a checkpoint must hold: leaves float64 [capacity], maximum and added, scalars."""
        return {
            "leaves": self._tree.leaves(),
            "maximum": np.asarray(self.maximum, np.float64),
            "added": np.asarray(self.added, np.int64),
        }

    def restore(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Become equal, to the bit, to the priorities whose `arrays` these are."""
        leaves = arrays["leaves"]
        if leaves.shape != (self.capacity,):
            raise BadData(f"The saved priorities have shape {leaves.shape}; this replay holds {self.capacity}.")
        self._tree = SumTree.from_leaves(leaves)
        self.maximum = float(arrays["maximum"])
        self.added = int(arrays["added"])

    def _newest(self, slots: NDArray[np.int64]) -> NDArray[np.int64]:
        newest = self.added - 1
        return newest - (newest - slots) % self.capacity


def importance_weights(priorities: NDArray[np.float64], exponent: float) -> NDArray[np.float32]:
    """Return the weights [B] of a batch's losses, (p + 1e-10) ** -exponent over the largest; Dopamine's is 0.5."""
    weights = (priorities + 1e-10) ** -exponent
    relative: NDArray[np.float32] = (weights / weights.max()).astype(np.float32)
    return relative
