"""A sum tree over priorities: set and find many leaves at once, level by level.

Dopamine's paper-era tree moves every ancestor by the leaf's difference, so its sums depend on the order of all earlier
changes. Here a parent is always left + right in float64: the tree is a function of its leaves alone, and one rebuilt
from a checkpoint is equal to the bit.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from suite.errors import SuiteError


class SumTree:
    """A complete binary tree over `capacity` float64 priorities, zero at first; slots are in [0, capacity)."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._depth = (capacity - 1).bit_length()
        self._width = 1 << self._depth  # leaves, those past the capacity always zero
        self._nodes = np.zeros(2 * self._width)  # the children of node k are 2k and 2k + 1, the root is node 1
        self._pairs = self._nodes.reshape(self._width, 2)  # a view: the children of k in row k

    @classmethod
    def from_leaves(cls, leaves: NDArray[np.float64]) -> SumTree:
        """Build the tree of these priorities [capacity]."""
        _check(leaves)
        tree = cls(len(leaves))
        tree._nodes[tree._width : tree._width + tree.capacity] = leaves
        for level in reversed(range(tree._depth)):
            first, end = 1 << level, 2 << level
            tree._nodes[first:end] = tree._pairs[first:end, 0] + tree._pairs[first:end, 1]
        return tree

    @property
    def total(self) -> float:
        """The sum of all priorities."""
        return float(self._nodes[1])

    def leaves(self) -> NDArray[np.float64]:
        """Return a copy of the priorities [capacity]."""
        return self._nodes[self._width : self._width + self.capacity].copy()

    def get(self, slots: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the priorities [N] of these slots [N]."""
        return self._nodes[self._width + slots]

    def set(self, slots: NDArray[np.int64], priorities: NDArray[np.float64]) -> None:
        """Set the priorities [N] of these slots [N]; the last of a repeated slot wins, as NumPy assigns."""
        _check(priorities)
        nodes = slots + self._width
        self._nodes[nodes] = priorities
        for _ in range(self._depth):
            nodes >>= 1  # slots with a common ancestor write the same sum to it
            children = self._pairs.take(nodes, axis=0)
            self._nodes[nodes] = children[:, 0] + children[:, 1]

    def find(self, masses: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the slot [B] in whose interval of the running sum over slots each mass [B] of [0, total) lies.

        A slot of priority zero is never returned: a mass that rounding puts past the last positive priority of a
        subtree (the total itself lies past all) belongs to that one.
        """
        if not self.total > 0:
            raise SuiteError("No transition has a priority above zero; nothing can be sampled.")
        rest = masses.astype(np.float64)
        nodes = np.ones(len(masses), np.int64)
        for _ in range(self._depth):
            nodes += nodes
            left = self._nodes.take(nodes)
            goes_right = rest >= left
            rest -= left * goes_right
            nodes += goes_right
        empty = self._nodes.take(nodes) == 0
        slots = nodes - self._width
        if empty.any():
            positive = np.flatnonzero(self._nodes[self._width :])
            before = np.searchsorted(positive, slots[empty]) - 1
            slots[empty] = positive[np.maximum(before, 0)]
        return slots


def _check(priorities: NDArray[np.float64]) -> None:
    if not ((priorities >= 0) & (priorities < np.inf)).all():
        raise SuiteError("A priority is negative, infinite or not a number.", "Has the training diverged?")
