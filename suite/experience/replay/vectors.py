"""A ring of transitions of vectors: every observation is stored once, an episode's last one beside the ring.

Transition t is (observation t, action t, reward t, end t); what followed is observation t + 1, or where the episode
ended its last observation. Indices are running numbers t, the slot is t modulo capacity + 1, since the observation that
follows the newest transition is there too.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import Batch, DataPlan
from suite.errors import SuiteError
from suite.experience.replay.frames import Uniform
from suite.experience.samples import Rows


class VectorReplay:
    """The ring and its counter `added`; `size` is that of an observation, `actions` that of an action."""

    def __init__(self, capacity: int, size: int, actions: int) -> None:
        self.capacity = capacity
        self.added = 0
        slots = capacity + 1
        self._observations = np.zeros((slots, size), np.float32)
        self._actions = np.zeros((slots, actions), np.float32)
        self._rewards = np.zeros(slots, np.float32)
        self._terminal = np.zeros(slots, np.bool_)
        self._ended = np.zeros(slots, np.bool_)
        self._last: dict[int, NDArray[np.float32]] = {}  # by slot, where an episode ended
        self._legal: Any = np.ones(actions, np.bool_)

    def add(
        self,
        observation: NDArray[np.float32],
        action: NDArray[np.float32],
        reward: float,
        following: NDArray[np.float32],
        *,
        terminal: bool,
        truncated: bool,
    ) -> None:
        """Append a transition: what was acted on, and what came of it."""
        slots = len(self._rewards)
        slot, after = self.added % slots, (self.added + 1) % slots
        self._observations[slot], self._actions[slot] = observation, action
        self._rewards[slot], self._terminal[slot] = reward, terminal
        self._ended[slot] = terminal or truncated
        self._last.pop(slot, None)
        if terminal or truncated:
            self._last[slot] = following.copy()
        else:
            self._observations[after] = following
        self.added += 1

    def sample(self, plan: DataPlan, uniform: Uniform) -> Rows:
        """Return a batch of transitions drawn uniformly with replacement."""
        return Rows(self.gather(self._draw(plan.batch_size, uniform), plan.gamma))

    def sample_states(self, count: int, uniform: Uniform) -> NDArray[np.float32]:
        """Return the observations float32 [count, D] of uniformly drawn transitions."""
        states: NDArray[np.float32] = self._observations[self._draw(count, uniform) % len(self._rewards)]
        return states

    def gather(self, indices: NDArray[np.int64], gamma: float) -> Batch:
        """Return the transitions at these running numbers, in fresh arrays on the host."""
        slots = indices % len(self._rewards)
        following = self._observations[(slots + 1) % len(self._rewards)]
        for row in np.flatnonzero(self._ended[slots]):
            following[row] = self._last[int(slots[row])]
        fields: Any = (
            self._observations[slots],
            self._actions[slots],
            self._rewards[slots],
            np.where(self._terminal[slots], np.float32(0), np.float32(gamma)),
            following,
            np.ones(len(slots), np.float32),
            self._legal,
        )
        return Batch(*fields)

    def ended(self, indices: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Return whether the episode ended with each of these transitions."""
        ended: NDArray[np.bool_] = self._ended[indices % len(self._rewards)]
        return ended

    def _draw(self, count: int, uniform: Uniform) -> NDArray[np.int64]:
        low = max(0, self.added - self.capacity)
        if self.added == low:
            raise SuiteError("The replay holds no transition.", "Raise agent.warm_up.")
        indices: NDArray[np.int64] = low + (uniform(0)[:count] * (self.added - low)).astype(np.int64)
        return indices


def replay_bytes(capacity: int, size: int, actions: int, steps: int) -> int:
    """Return the bytes that a ring takes at its fullest in a run of so many steps; numbers are taken as it fills."""
    rows = min(capacity, steps) + 1
    return rows * (4 * size + 4 * actions + 4 + 1 + 1)
