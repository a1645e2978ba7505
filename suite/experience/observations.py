"""Observations as lanes and programs take them: stacked frames, arrays, or a vector of a body; and learned rewards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray
from typing_extensions import override

from suite.contracts.agent import Batch, DataPlan
from suite.experience.samples import Rows, Windows
from suite.rng import Exploration, Streams

Observation = NDArray[Any]
"""What a network is shown at one step, as it is kept on the host: see `Inputs.blank`."""
Explore = Callable[[int, float], Any]
"""Returns the random action of an agent step at an exploration rate, or None where the agent chooses."""


def clipped(reward: float, limit: float) -> float:
    """Return a reward as it is learned from: cut to [-limit, limit]."""
    return min(limit, max(-limit, reward))


class Inputs(Protocol):
    """Observations of one kind. Equal inputs share programs, so that they are compared and hashed.

    `small`: to choose an action from one takes less time than to call a program, so that lanes act in one call.
    `numbered_actions`: whether an action is one of a game's, by its number, or a vector.
    """

    small: ClassVar[bool] = False
    numbered_actions: ClassVar[bool]

    def blank(self) -> Observation:
        """Return an observation of zeros, as it is kept on the host."""
        ...

    def first(self, seen: NDArray[Any]) -> Observation:
        """Return the observation at an episode's start, from what the environment shows."""
        ...

    def next(self, before: Observation, seen: NDArray[Any], *, life_lost: bool) -> Observation:
        """Return the observation that follows another one."""
        ...

    def newest(self, observation: Observation) -> NDArray[Any]:
        """Return what the environment showed last, from the observation that it made."""
        ...

    def network(self, observation: Any) -> jax.Array:
        """Return an observation as the networks take it, with a leading axis of one."""
        ...

    def blank_data(self, plan: DataPlan) -> Any:
        """Return what is sampled for one update, all zeros, in the right shapes."""
        ...

    def batch(self, data: Any, legal: jax.Array) -> Batch:
        """Return sampled data as the batch of an update; traced."""
        ...

    def states(self, data: Any) -> jax.Array | None:
        """Return the further observations in sampled data as the networks take them; None if there are none."""
        ...

    def action(self, chosen: NDArray[Any]) -> Any:
        """Return an action as the environments take it."""
        ...

    def explorer(self, plan: DataPlan, streams: Streams, actions: int) -> Explore:
        """Return how a lane with so many actions explores."""
        ...

    def recorded(self, action: Any) -> bytes:
        """Return an action as action logs hold it, `action_bytes` long."""
        ...

    @property
    def action_bytes(self) -> int:
        """The length of a recorded action."""
        ...

    def parsed(self, actions: bytes) -> NDArray[Any]:
        """Return recorded actions as environments take them, [T] or [T, A]."""
        ...


class Numbered(Inputs):
    """What observations with numbered actions have in common: one byte an action, and epsilon-greedy exploration."""

    numbered_actions: ClassVar[bool] = True

    @override
    def explorer(self, plan: DataPlan, streams: Streams, actions: int) -> Explore:
        """Epsilon-greedy."""
        exploration = Exploration(streams)
        return lambda step, epsilon: exploration.action(step, epsilon, actions)

    @override
    def action(self, chosen: NDArray[Any]) -> int:
        return int(chosen)

    @override
    def recorded(self, action: Any) -> bytes:
        """As one byte."""
        return bytes((int(action),))

    @property
    @override
    def action_bytes(self) -> int:
        return 1

    @override
    def parsed(self, actions: bytes) -> NDArray[np.uint8]:
        """As uint8 [T]."""
        return np.frombuffer(actions, np.uint8)


@dataclass(frozen=True)
class Frames(Numbered):
    """Stacks of frames uint8 [stack, screen, screen], oldest first; actions are numbered."""

    stack: int
    screen: int

    @override
    def blank(self) -> Observation:
        return np.zeros((self.stack, self.screen, self.screen), np.uint8)

    @override
    def first(self, seen: NDArray[Any]) -> Observation:
        """Zero frames before the first one."""
        return self.next(self.blank(), seen, life_lost=False)

    @override
    def next(self, before: Observation, seen: NDArray[Any], *, life_lost: bool) -> Observation:
        """The stack moves on by a frame, emptied before if a life was lost."""
        stack = np.empty_like(before)  # a new array: the device may still be reading the old one
        stack[:-1] = 0 if life_lost else before[1:]
        stack[-1] = seen
        return stack

    @override
    def newest(self, observation: Observation) -> NDArray[Any]:
        """The last frame of the stack."""
        frame: NDArray[Any] = observation[-1]
        return frame

    @override
    def network(self, observation: Any) -> jax.Array:
        """As uint8 [1, screen, screen, stack]."""
        return jnp.moveaxis(jnp.asarray(observation), 0, -1)[None]

    @override
    def blank_data(self, plan: DataPlan) -> Windows:
        batch, numbers = plan.batch_size, np.zeros(plan.batch_size, np.float32)
        weight = np.ones(batch, np.float32) if plan.replay == "prioritized" else None
        frames = np.zeros((batch, self.stack + plan.n_step, self.screen, self.screen), np.uint8)
        return Windows(frames, np.zeros(batch, np.int32), numbers, numbers, weight)

    @override
    def batch(self, data: Windows, legal: jax.Array) -> Batch:
        """Windows [B, stack + n, screen, screen] are cut into the states at their two ends."""
        frames = jnp.asarray(data.frames)
        before, after = frames[:, : self.stack], frames[:, -self.stack :]
        return windowed(data, jnp.moveaxis(before, 1, -1), jnp.moveaxis(after, 1, -1), legal)

    @override
    def states(self, data: Windows) -> jax.Array | None:
        return None if data.states is None else jnp.moveaxis(jnp.asarray(data.states), 1, -1)


@dataclass(frozen=True)
class Arrays(Numbered):
    """Arrays of one shape and type, each all that is seen of a state; actions are numbered."""

    small: ClassVar[bool] = True
    shape: tuple[int, ...]
    dtype: str

    @override
    def blank(self) -> Observation:
        return np.zeros(self.shape, self.dtype)

    @override
    def first(self, seen: NDArray[Any]) -> Observation:
        return seen

    @override
    def next(self, before: Observation, seen: NDArray[Any], *, life_lost: bool) -> Observation:
        return seen

    @override
    def newest(self, observation: Observation) -> NDArray[Any]:
        """The array."""
        return observation

    @override
    def network(self, observation: Any) -> jax.Array:
        """As it is, [1, ...]."""
        return jnp.asarray(observation)[None]

    @override
    def blank_data(self, plan: DataPlan) -> Windows:
        batch, numbers = plan.batch_size, np.zeros(plan.batch_size, np.float32)
        weight = np.ones(batch, np.float32) if plan.replay == "prioritized" else None
        arrays = np.zeros((batch, 1 + plan.n_step, *self.shape), self.dtype)
        return Windows(arrays, np.zeros(batch, np.int32), numbers, numbers, weight)

    @override
    def batch(self, data: Windows, legal: jax.Array) -> Batch:
        """Windows [B, 1 + n, ...] have the states at their two ends."""
        arrays = jnp.asarray(data.frames)
        return windowed(data, arrays[:, 0], arrays[:, -1], legal)

    @override
    def states(self, data: Windows) -> jax.Array | None:
        return None if data.states is None else jnp.asarray(data.states)


def windowed(data: Windows, s_tm1: jax.Array, s_t: jax.Array, legal: jax.Array) -> Batch:
    """Return the batch of sampled windows, given the states at their two ends."""
    return Batch(
        s_tm1=s_tm1,
        a_tm1=jnp.asarray(data.a_tm1),
        r_t=jnp.asarray(data.r_t),
        discount_t=jnp.asarray(data.discount_t),
        s_t=s_t,
        weight=jnp.ones(s_tm1.shape[0], jnp.float32) if data.weight is None else jnp.asarray(data.weight),
        legal=jnp.asarray(legal),
    )


@dataclass(frozen=True)
class Vectors(Inputs):
    """Vectors float32 [size]; actions are vectors of `actions` numbers in [-1, 1]. `extra`: see `Batch`, per row."""

    size: int
    actions: int
    extra: tuple[str, ...] = ()

    numbered_actions: ClassVar[bool] = False

    @override
    def blank(self) -> Observation:
        return np.zeros(self.size, np.float32)

    @override
    def first(self, seen: NDArray[Any]) -> Observation:
        return seen

    @override
    def next(self, before: Observation, seen: NDArray[Any], *, life_lost: bool) -> Observation:
        return seen

    @override
    def newest(self, observation: Observation) -> NDArray[Any]:
        """The vector."""
        return observation

    @override
    def network(self, observation: Any) -> jax.Array:
        """As float32 [1, size]."""
        return jnp.asarray(observation)[None]

    @override
    def blank_data(self, plan: DataPlan) -> Rows:
        size = plan.batch_size
        numbers = np.zeros(size, np.float32)
        observations, actions = np.zeros((size, self.size), np.float32), np.zeros((size, self.actions), np.float32)
        extra: Any = dict.fromkeys(self.extra, numbers) if self.extra else ()
        legal: Any = np.ones(self.actions, np.bool_)
        return Rows(Batch(observations, actions, numbers, numbers, observations, numbers + 1, legal, extra))  # type: ignore[arg-type]

    @override
    def batch(self, data: Rows, legal: jax.Array) -> Batch:
        batch: Batch = jax.tree.map(jnp.asarray, data.batch)
        return batch

    @override
    def states(self, data: Rows) -> jax.Array | None:
        return None if data.states is None else jnp.asarray(data.states)

    @override
    def explorer(self, plan: DataPlan, streams: Streams, actions: int) -> Explore:
        """Uniform in the warm-up, as the agent chooses after it."""

        def explore(step: int, epsilon: float) -> NDArray[np.float32] | None:
            return (
                None if step > plan.warm_up else (2 * streams.uniform("explore", step, actions) - 1).astype(np.float32)
            )

        return explore

    @override
    def action(self, chosen: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(chosen, np.float32)

    @override
    def recorded(self, action: Any) -> bytes:
        """As little-endian float32."""
        return np.asarray(action, "<f4").tobytes()

    @property
    @override
    def action_bytes(self) -> int:
        return 4 * self.actions

    @override
    def parsed(self, actions: bytes) -> NDArray[np.float32]:
        """As float32 [T, A]."""
        return np.frombuffer(actions, "<f4").reshape(-1, self.actions)
