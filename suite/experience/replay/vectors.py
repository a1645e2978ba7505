"""A ring of transitions of vectors: every observation is stored once, an episode's last one beside the ring.

Transition t is (observation t, action t, reward t, end t); what followed is observation t + 1, or where the episode
ended its last observation. Indices are running numbers t, the slot is t modulo capacity + 1, since the observation that
follows the newest transition is there too.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import Batch, DataPlan, Trajectory
from suite.errors import SuiteError
from suite.experience.replay.base import Replay, Uniform
from suite.experience.samples import Rows
from suite.rng import Draw


class _Ring(Replay):
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
        self, shown: NDArray[Any], action: Any, reward: float, seen: NDArray[Any], *, terminal: bool, truncated: bool
    ) -> None:
        """Append a transition: what was acted on, and what came of it."""
        self.write(self.added, shown, action, reward, seen, terminal=terminal, truncated=truncated)
        self.added += 1

    def write(
        self,
        index: int,
        shown: NDArray[Any],
        action: Any,
        reward: float,
        seen: NDArray[Any],
        *,
        depth: int = 0,
        terminal: bool,
        truncated: bool,
    ) -> None:
        """Fill the slot of a running number: in order by `add`, in any order when a ring is rebuilt."""
        slots = len(self._rewards)
        slot, after = index % slots, (index + 1) % slots
        self._observations[slot], self._actions[slot] = shown, action
        self._rewards[slot], self._terminal[slot] = reward, terminal
        self._ended[slot] = terminal or truncated
        self._last.pop(slot, None)
        if terminal or truncated:
            self._last[slot] = seen.copy()
        else:
            self._observations[after] = seen

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


class VectorReplay(_Ring):
    """Transitions drawn uniformly with replacement; `size` is that of an observation, `actions` that of an action."""

    def sample(self, plan: DataPlan, uniform: Uniform) -> Rows:
        """Return a plan's next batch of transitions."""
        return Rows(self.gather(self._draw(plan.batch_size, uniform), plan.gamma))

    def sample_states(self, count: int, uniform: Uniform) -> NDArray[np.float32]:
        """Return the observations float32 [count, D] of uniformly drawn transitions."""
        states: NDArray[np.float32] = self._observations[self._draw(count, uniform) % len(self._rewards)]
        return states

    def inspected(self, plan: DataPlan, count: int, uniform: Uniform) -> Rows:
        """Return uniformly drawn transitions."""
        return Rows(self.gather(self._draw(count, uniform), plan.gamma))

    def _draw(self, count: int, uniform: Uniform) -> NDArray[np.int64]:
        low = max(0, self.added - self.capacity)
        if self.added == low:
            raise SuiteError("The replay holds no transition.", "Raise agent.warm_up.")
        indices: NDArray[np.int64] = low + (uniform(0)[:count] * (self.added - low)).astype(np.int64)
        return indices


class RolloutReplay(_Ring):
    """The newest trajectory of an on-policy agent, from which its updates come in passes over prepared rows."""

    def __init__(self, plan: DataPlan, size: int, actions: int) -> None:
        super().__init__(plan.update_period, size, actions)
        self._gamma = plan.gamma
        self._prepared: Batch | None = None
        self._order: NDArray[np.int64] = np.empty(0, np.int64)

    def prepare(self, rows_of: Callable[[Trajectory], Batch]) -> None:
        """Set the rows of the next updates, as the agent computes them from the trajectory."""
        self._prepared = rows_of(self.trajectory())._replace(legal=())  # type: ignore[arg-type]

    def trajectory(self) -> Trajectory:
        """Return the newest `capacity` transitions."""
        indices = np.arange(self.added - self.capacity, self.added)
        batch = self.gather(indices, self._gamma)
        ended: Any = self._ended[indices % len(self._ended)]
        return Trajectory(batch.s_tm1, batch.a_tm1, batch.r_t, batch.discount_t, batch.s_t, ended)

    def sample(self, plan: DataPlan, draw: Draw) -> Rows:
        """Return the batch of an update: each pass over the rows has a random order of its own, cut into batches."""
        assert self._prepared is not None
        one_pass, position = divmod(draw.update, self.capacity // plan.batch_size)
        if position == 0 or len(self._order) == 0:
            self._order = np.argsort(draw.streams.uniform("order", one_pass, self.capacity), kind="stable")
        rows = self._order[position * plan.batch_size : (position + 1) * plan.batch_size]
        taken: Batch = jax.tree.map(lambda leaf: leaf[rows], self._prepared)
        return Rows(taken._replace(legal=self._legal))

    def sample_states(self, count: int, uniform: Uniform) -> NDArray[np.float32]:
        """Return observations float32 [count, D] of the trajectory, as the agent prepared them for its network."""
        assert self._prepared is not None
        prepared: NDArray[np.float32] = np.asarray(self._prepared.s_tm1)
        return prepared[(uniform(0)[:count] * len(prepared)).astype(np.int64)]

    def inspected(self, plan: DataPlan, count: int, uniform: Uniform) -> Rows:
        """Return uniformly drawn rows of the trajectory as the agent prepared them."""
        assert self._prepared is not None
        rows = (uniform(0)[:count] * self.capacity).astype(np.int64)
        taken: Batch = jax.tree.map(lambda leaf: leaf[rows], self._prepared)
        return Rows(taken._replace(legal=self._legal))


def replay_bytes(capacity: int, size: int, actions: int, steps: int) -> int:
    """Return the bytes that a ring takes at its fullest in a run of so many steps; numbers are taken as it fills."""
    rows = min(capacity, steps) + 1
    return rows * (4 * size + 4 * actions + 4 + 1 + 1)
