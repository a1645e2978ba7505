"""The learners of a group's lanes, in the form that suits the device: a loop over one program, or one for all lanes.

On a CPU every lane runs the same program as if alone, so that its bits do not depend on its neighbours; lanes share
the cores through threads. On an accelerator one program serves all lanes, by a `Form` that is chosen by measurement;
there bits hold for a number of lanes and a form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, Protocol

import jax
import numpy as np
from typing_extensions import override

from suite.contracts.agent import Batch, Feedback, Learner, Trajectory
from suite.experience.observations import Observation
from suite.learning.batching import Form, crop_to, over_lanes, pad_to
from suite.learning.programs import Programs, several_updates, wait_for
from suite.rng import Streams

TOGETHER = 16
"""Updates in one call where nothing happens between them and the device is no CPU."""

Sampler = Callable[[], Any]
"""Draws what is sampled for one update; see `suite.experience.observations`."""
Chosen = Callable[[], list[Any]]
"""Waits for the device and returns the actions that it was asked for, one for each lane that was named."""


class Learners(Protocol):
    """What a part of a group needs of its lanes' learners; lanes are numbered from 0."""

    @property
    def lanes(self) -> int:
        """How many lanes there are."""
        ...

    def act(self, lanes: Sequence[int], observations: Sequence[Observation], step: int) -> Chosen:
        """Ask for the agents' actions in these lanes for their observations at an agent step.

        They are those of the parameters of now, whatever happens until they are waited for.
        """
        ...

    @property
    def together(self) -> int:
        """How many updates one call of `update_several` takes; 1 where that is not faster."""
        ...

    def update(self, updates: int, samplers: Mapping[int, Sampler]) -> None:
        """Take one gradient step in each of these lanes, the one that `updates` others went before."""
        ...

    def update_several(self, first: int, data: Mapping[int, Sequence[Any]]) -> None:
        """Take `together` gradient steps in each of these lanes, at none of which a method is due."""
        ...

    def is_calm(self, first: int, count: int) -> bool:
        """Return whether no method is due at any of `count` updates from one on."""
        ...

    def states(self, updates: int) -> int:
        """Return how many states from the replay that update needs beside its batch."""
        ...

    def sync(self) -> None:
        """Copy parameters to target networks."""
        ...

    def prepare(self, lane: int, trajectory: Trajectory) -> Batch:
        """Return the rows of an on-policy agent's next updates, on the host."""
        ...

    def feedback(self, lane: int) -> Feedback | None:
        """Return what a lane's last update reported, on the host; waits for the device."""
        ...

    def get(self, lane: int) -> Learner:
        """Return a lane's learner in the shapes of its own game."""
        ...

    def shapes(self, lane: int) -> Learner:
        """Return a lane's learner as shapes and dtypes."""
        ...

    def put(self, lane: int, learner: Learner) -> None:
        """Replace a lane's learner."""
        ...

    def measure(self, lane: int) -> dict[str, float]:
        """Return a lane's parameter norm and counts; waits for the device."""
        ...

    def close(self) -> None:
        """Release threads."""
        ...


class LoopLearners(Learners):
    """One learner and one program call a lane, `threads` at a time, for actions and for updates."""

    def __init__(self, programs: Sequence[Programs], streams: Sequence[Streams], threads: int) -> None:
        self._programs = programs
        self._streams = streams
        self._learners = [each.init(stream) for each, stream in zip(programs, streams, strict=True)]
        self._keys = [jax.device_put(stream.key_data("act")) for stream in streams]
        self._feedback: list[Feedback | None] = [None] * len(programs)
        self._queues = jax.default_backend() != "cpu"
        shared = all(each is programs[0] for each in programs) and programs[0].inputs.small
        self._seen = np.stack([programs[0].inputs.blank()] * len(programs)) if shared else None
        workers = min(threads, len(programs))
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="learner") if workers > 1 else None

    @property
    @override
    def lanes(self) -> int:
        return len(self._programs)

    @override
    def act(self, lanes: Sequence[int], observations: Sequence[Observation], step: int) -> Chosen:
        """All lanes act in one call where observations are small, those that nobody asked for too: calls cost more.

        A CPU computes while it is asked.
        """
        action = self._programs[0].inputs.action
        if self._seen is not None:
            self._seen[list(lanes)] = observations
            together = self._programs[0].act_each(self._learners, self._seen.copy(), self._keys, step)
            return self._chosen(lambda: [action(each) for each in np.asarray(together)[list(lanes)]])

        def one(lane: int, observation: Observation) -> Any:
            chosen = self._programs[lane].act(self._learners[lane], observation, self._keys[lane], step)
            return chosen if self._queues else np.asarray(chosen)

        pool = self._pool if len(lanes) > 1 else None
        each = list(map(one, lanes, observations) if pool is None else pool.map(one, lanes, observations))
        return self._chosen(lambda: [action(np.asarray(chosen)) for chosen in each])

    def _chosen(self, wait: Chosen) -> Chosen:
        if self._queues:
            return wait
        actions = wait()
        return lambda: actions

    @override
    def update(self, updates: int, samplers: Mapping[int, Sampler]) -> None:

        def one(lane: int) -> None:
            data = samplers[lane]()
            if self._queues:
                wait_for(self._feedback[lane])  # at most one update queued: a stop must not wait for dozens
            self._learners[lane], self._feedback[lane] = self._programs[lane].update(
                self._learners[lane], self._streams[lane], updates, data
            )

        for _ in map(one, samplers) if self._pool is None else self._pool.map(one, samplers):
            pass

    @property
    @override
    def together(self) -> int:
        return TOGETHER if self._queues else 1

    @override
    def update_several(self, first: int, data: Mapping[int, Sequence[Any]]) -> None:
        for lane, rows in data.items():
            wait_for(self._feedback[lane])
            stacked = jax.tree.map(_together, *rows)
            self._learners[lane], self._feedback[lane] = self._programs[lane].update_several(
                self._learners[lane], self._streams[lane], first, stacked
            )

    @override
    def is_calm(self, first: int, count: int) -> bool:
        return not any(self._programs[0].signals(updates) for updates in range(first, first + count))

    @override
    def states(self, updates: int) -> int:
        return self._programs[0].states(updates)

    @override
    def sync(self) -> None:
        self._learners = [each.sync(learner) for each, learner in zip(self._programs, self._learners, strict=True)]

    @override
    def prepare(self, lane: int, trajectory: Trajectory) -> Batch:
        self._learners[lane], batch = self._programs[lane].prepare(self._learners[lane], trajectory)
        return batch

    @override
    def feedback(self, lane: int) -> Feedback | None:
        return jax.device_get(self._feedback[lane])  # type: ignore[no-any-return]

    @override
    def get(self, lane: int) -> Learner:
        return self._learners[lane]

    @override
    def shapes(self, lane: int) -> Learner:
        return self._programs[lane].shapes()

    @override
    def put(self, lane: int, learner: Learner) -> None:
        self._learners[lane] = learner

    @override
    def measure(self, lane: int) -> dict[str, float]:
        return self._programs[lane].measure(self._learners[lane])

    @override
    def close(self) -> None:
        if self._pool is not None:
            self._pool.shutdown()


class StackedLearners(Learners):
    """All lanes' learners as one tree with a leading lane axis, heads padded to the largest number of actions.

    Acting, ordinary updates and syncs serve all lanes at once. Updates at which a method is due are rare and differ
    by game, so that each lane takes them by its own program, in its own shapes. `wide`: the programs of the most
    actions, where others than these lanes' share what is compiled.
    """

    def __init__(
        self, programs: Sequence[Programs], streams: Sequence[Streams], form: Form, wide: Programs | None = None
    ) -> None:
        self._programs = programs
        self._streams = streams
        self._wide = wide or max(programs, key=lambda each: each.actions)
        self._narrow = [each.shapes() for each in programs]
        self._shapes = self._wide.shapes()
        legal = np.arange(self._wide.actions) < np.asarray([[each.actions] for each in programs])
        self._legal = jax.device_put(legal)
        self._keys = np.stack([stream.key_data("update") for stream in streams])
        self._act_keys = jax.device_put(np.stack([stream.key_data("act") for stream in streams]))
        learners = [each.init(stream) for each, stream in zip(programs, streams, strict=True)]
        self._stacked: Learner = _stack([pad_to(self._shapes, learner) for learner in learners])
        self._feedback: list[Feedback | None] = [None] * len(programs)
        self._all_feedback: Feedback | None = None
        self._act, self._update, self._several = _for_lanes(self._wide, len(programs), form)
        self._take = jax.jit(_lane_of)
        self._set = jax.jit(_with_lane, donate_argnums=0)

    @property
    @override
    def lanes(self) -> int:
        return len(self._programs)

    @override
    def act(self, lanes: Sequence[int], observations: Sequence[Observation], step: int) -> Chosen:
        inputs, named = self._wide.inputs, list(lanes)
        everyone = np.stack([inputs.blank()] * len(self._programs))
        everyone[named] = observations
        acting = self._wide.acting(self._stacked)
        actions = self._act(acting, everyone, self._legal, self._act_keys, np.uint32(step))
        return lambda: [inputs.action(action) for action in np.asarray(actions)[named]]

    @override
    def update(self, updates: int, samplers: Mapping[int, Sampler]) -> None:
        if self._wide.signals(updates):
            for lane, sample in samplers.items():
                learner, feedback = self._programs[lane].update(self.get(lane), self._streams[lane], updates, sample())
                self.put(lane, learner)
                self._feedback[lane] = feedback
            self._all_feedback = None
            return
        blank = self._wide.blank_data()
        data = [samplers[lane]() if lane in samplers else blank for lane in range(len(self._programs))]
        wait_for(self._all_feedback)  # at most one update queued
        stacked = jax.tree.map(_together, *data)
        self._stacked, self._all_feedback = self._update(
            self._stacked, self._keys, np.uint32(updates), stacked, self._legal
        )

    @property
    @override
    def together(self) -> int:
        return TOGETHER

    @override
    def update_several(self, first: int, data: Mapping[int, Sequence[Any]]) -> None:
        blank = [self._wide.blank_data()] * self.together
        each = [jax.tree.map(_together, *data.get(lane, blank)) for lane in range(len(self._programs))]
        wait_for(self._all_feedback)
        stacked = jax.tree.map(partial(_together, axis=1), *each)
        self._stacked, self._all_feedback = self._several(
            self._stacked, self._keys, np.uint32(first), stacked, self._legal
        )

    @override
    def is_calm(self, first: int, count: int) -> bool:
        return not any(self._wide.signals(updates) for updates in range(first, first + count))

    @override
    def states(self, updates: int) -> int:
        return self._wide.states(updates)

    @override
    def sync(self) -> None:
        self._stacked = self._wide.sync(self._stacked)

    @override
    def prepare(self, lane: int, trajectory: Trajectory) -> Batch:
        learner, batch = self._programs[lane].prepare(self.get(lane), trajectory)
        self.put(lane, learner)
        return batch

    @override
    def feedback(self, lane: int) -> Feedback | None:
        if self._all_feedback is not None:
            everyone = jax.device_get(self._all_feedback)
            return jax.tree.map(lambda leaf: leaf[lane], everyone)  # type: ignore[no-any-return]
        return jax.device_get(self._feedback[lane])  # type: ignore[no-any-return]

    @override
    def get(self, lane: int) -> Learner:
        return crop_to(self._narrow[lane], self._take(self._stacked, lane))  # type: ignore[no-any-return]

    @override
    def shapes(self, lane: int) -> Learner:
        return self._narrow[lane]

    @override
    def put(self, lane: int, learner: Learner) -> None:
        self._stacked = self._set(self._stacked, pad_to(self._shapes, learner), lane)

    @override
    def measure(self, lane: int) -> dict[str, float]:
        return self._programs[lane].measure(self.get(lane))

    @override
    def close(self) -> None:
        """Nothing is open."""


@lru_cache(maxsize=4)
def _for_lanes(programs: Programs, lanes: int, form: Form) -> tuple[Any, Any, Any]:
    """Return what chooses actions, takes an update and takes several, for so many lanes; the same for equal parts."""

    def ordinary_update(
        learner: Learner, key_data: jax.Array, count: jax.Array, data: Any, legal: jax.Array
    ) -> tuple[Learner, Feedback]:
        return programs.traced_update(learner, key_data, count, data, legal, {})

    act = jax.jit(over_lanes(programs.traced_act, lanes, form, shared=(4,)))
    update = over_lanes(ordinary_update, lanes, form, shared=(2,))
    return act, jax.jit(update, donate_argnums=0), jax.jit(several_updates(update), donate_argnums=0)


def _together(*arrays: Any, axis: int = 0) -> Any:
    """Stack arrays where they are: on the host, or on the device if any is there."""
    on_device = any(isinstance(array, jax.Array) for array in arrays)
    return _stacked(arrays, axis) if on_device else np.stack(arrays, axis)


@partial(jax.jit, static_argnums=1)
def _stacked(arrays: Sequence[jax.Array], axis: int) -> jax.Array:
    return jax.numpy.stack(arrays, axis)  # in one call: outside a program it is one for each array


def _lane_of(stacked: Any, lane: jax.Array) -> Any:
    return jax.tree.map(lambda leaf: leaf[lane], stacked)


def _with_lane(stacked: Any, one: Any, lane: jax.Array) -> Any:
    return jax.tree.map(lambda all_lanes, own: all_lanes.at[lane].set(own), stacked, one)


def _stack(trees: Sequence[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jax.numpy.stack(leaves), *trees)
