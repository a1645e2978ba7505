"""The small fixed set of compiled programs of one configuration: init, act, update, sync, measure.

The host knows the step number and picks the program; signals, counts and keys are arguments, so that nothing is
compiled twice. An update with due signals is a program of its own, traced once for each set of methods that is due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from suite.agent import Agent, Batch, Feedback, Learner
from suite.method import (
    Method,
    Signal,
    View,
    adopt,
    due_examples,
    due_signals,
    gradient_step,
    init_learner,
    wrap_optimizer,
)
from suite.replay.frames import Windows
from suite.rng import Streams


class Programs:
    """The compiled side of a configuration for one number of actions; shared by all lanes that run it.

    `traced_act` and `traced_update` are what is compiled, for those who compile them for many lanes at a time.
    """

    def __init__(self, agent: Agent, methods: Sequence[Method], stack: int, screen: int, actions: int) -> None:
        self.plan = agent.plan
        self.stack = stack
        self.screen = screen
        self.actions = actions
        self._agent = agent
        self._methods = tuple(methods)
        self._optimizer = wrap_optimizer(agent.optimizer, self._methods)
        self._legal = jnp.ones(actions, jnp.bool_)
        self._init = jax.jit(self._traced_init)
        self._act = jax.jit(self.traced_act)
        self._evaluate = jax.jit(jax.vmap(self._traced_evaluate, in_axes=(None, 0, None, 0, 0)))
        self._update = jax.jit(self.traced_update, donate_argnums=0)
        self._sync = jax.jit(lambda params: jax.tree.map(jnp.copy, params))
        self._measure = jax.jit(self._traced_measure)

    def init(self, streams: Streams) -> Learner:
        """Return the learner that a cell starts from."""
        learner: Learner = self._init(_key(streams, "init"))
        return learner

    def act(self, learner: Learner, frames: NDArray[np.uint8], key_data: jax.Array, step: int) -> int:
        """Return the greedy action for a stack of frames uint8 [stack, height, width] at an agent step."""
        return int(np.asarray(self._act(learner.params, frames, self._legal, key_data, np.uint32(step))))

    def evaluate(
        self,
        learner: Learner,
        frames: NDArray[np.uint8],
        key_data: NDArray[np.uint32],
        steps: NDArray[np.uint32],
    ) -> NDArray[np.int32]:
        """Return the greedy actions int32 [E] of E episodes for uint8 [E, stack, height, width]; key_data is [E, 2]."""
        return np.asarray(self._evaluate(learner.params, frames, self._legal, key_data, steps))

    def signals(self, updates: int) -> dict[str, Signal]:
        """Return what is due at the update that `updates` others went before."""
        return due_signals(self._methods, updates)

    def states(self, updates: int) -> int:
        """Return how many states from the replay that update needs beside its batch."""
        return max((method.states for method in self._methods if updates in method.due), default=0)

    @property
    def sources(self) -> dict[str, str]:
        """The runs that a fresh learner takes something over from: method id to config_id."""
        return {method.id: method.source for method in self._methods if method.source}

    def adopt(self, learner: Learner, arrays: Mapping[str, Mapping[str, NDArray[Any]]]) -> Learner:
        """Return a fresh learner with what its methods take over from their sources' last checkpoints."""
        return adopt(learner, self._methods, arrays)

    def update(self, learner: Learner, streams: Streams, updates: int, windows: Windows) -> tuple[Learner, Feedback]:
        """Return the learner after one gradient step; the given one is consumed. May not wait for the device."""
        result: tuple[Learner, Feedback] = self._update(
            learner, streams.key_data("update"), np.uint32(updates), windows, self._legal, self.signals(updates)
        )
        return result

    def sync(self, learner: Learner) -> Learner:
        """Return the learner with a fresh copy of its parameters as the target network."""
        return learner._replace(target_params=self._sync(learner.params))

    def measure(self, learner: Learner) -> dict[str, float]:
        """Return parameter norm and counts; waits for the device."""
        return {name: float(value) for name, value in jax.device_get(self._measure(learner)).items()}

    def shapes(self) -> Learner:
        """Return the learner as shapes and dtypes."""
        shapes: Learner = jax.eval_shape(self._init, jax.random.key(0))
        return shapes

    def compile(self, total_updates: int, evaluations: int = 0) -> None:
        """Compile everything that a run of `total_updates` will call, so that nothing is compiled while it goes on.

        `evaluations`: how many evaluation episodes are played at a time, if any.
        """
        streams, windows = Streams("", "", 0), self.blank_windows()
        learner = self.init(streams)
        stack = windows.frames[0, : self.stack]
        self.act(learner, stack, jnp.zeros(2, jnp.uint32), 0)
        if evaluations:
            keys, steps = np.zeros((evaluations, 2), np.uint32), np.zeros(evaluations, np.uint32)
            self.evaluate(learner, np.broadcast_to(stack, (evaluations, *stack.shape)).copy(), keys, steps)
        for updates in due_examples(self._methods, total_updates):
            own = windows._replace(states=self._blank_states(updates))
            learner, feedback = self.update(learner, streams, updates, own)
            wait_for(feedback)
        self.measure(self.sync(learner))

    def _blank_states(self, updates: int) -> NDArray[np.uint8] | None:
        count = self.states(updates)
        return np.zeros((count, self.stack, self.screen, self.screen), np.uint8) if count else None

    def cost(self) -> tuple[float, float]:
        """Return the floating-point operations of one update and of one action, from the compiler's own count."""
        update, act = self._lowered()
        return _flops(update.cost_analysis()), _flops(act.cost_analysis())

    @cached_property
    def _scratch_bytes(self) -> int:
        update, _ = self._lowered()
        analysis = update.compile().memory_analysis()
        return 0 if analysis is None else int(analysis.temp_size_in_bytes)

    def training_bytes(self) -> int:
        """Return the memory of a learner and of an update of it, from the compiler; compiles it."""
        windows = sum(leaf.nbytes for leaf in jax.tree.leaves(self.blank_windows()))
        return int(2 * self.learner_bytes() + 2 * windows) + self._scratch_bytes

    def learner_bytes(self) -> int:
        """Return the memory of a learner."""
        return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(self.shapes()))

    def blank_windows(self) -> Windows:
        """Return a batch of windows of the right shapes, all zero."""
        screen, batch, window = self.screen, self.plan.batch_size, self.stack + self.plan.n_step
        numbers = np.zeros(batch, np.float32)
        weight = np.ones(batch, np.float32) if self.plan.replay == "prioritized" else None
        frames = np.zeros((batch, window, screen, screen), np.uint8)
        return Windows(frames, np.zeros(batch, np.int32), numbers, numbers, weight)

    def _lowered(self) -> tuple[Any, Any]:
        learner, windows = self.shapes(), self.blank_windows()
        update = self._update.lower(learner, np.zeros(2, np.uint32), np.uint32(0), windows, self._legal, {})
        key_data = np.zeros(2, np.uint32)
        act = self._act.lower(learner.params, windows.frames[0, : self.stack], self._legal, key_data, np.uint32(0))
        return update, act

    def _traced_init(self, key: jax.Array) -> Learner:
        params_key, methods_key = jax.random.split(key)
        observation = jnp.zeros((1, self.screen, self.screen, self.stack), jnp.uint8)
        params = self._agent.init(params_key, observation)
        return init_learner(params, self._optimizer, self._methods, methods_key)

    def traced_act(
        self, params: Any, frames: jax.Array, legal: jax.Array, key_data: jax.Array, step: jax.Array
    ) -> jax.Array:
        """Return the greedy action, an int32 scalar, for frames uint8 [stack, height, width] and legal bool [A]."""
        return _first_action(self._agent.act, params, frames, legal, key_data, step)

    def _traced_evaluate(
        self, params: Any, frames: jax.Array, legal: jax.Array, key_data: jax.Array, step: jax.Array
    ) -> jax.Array:
        return _first_action(self._agent.evaluate or self._agent.act, params, frames, legal, key_data, step)

    def traced_update(
        self,
        learner: Learner,
        key_data: jax.Array,
        count: jax.Array,
        windows: Windows,
        legal: jax.Array,
        signals: dict[str, Signal],
    ) -> tuple[Learner, Feedback]:
        """Return the learner after the update that `count` others went before; legal is bool [A]."""
        agent_key, method_key = jax.random.split(jax.random.fold_in(jax.random.wrap_key_data(key_data), count))
        batch = transitions(windows, self.stack, legal)
        states = None if windows.states is None else jnp.moveaxis(jnp.asarray(windows.states), 1, -1)

        def view(gradients: Any) -> View:
            return View(
                batch,
                gradients,
                states,
                fresh=lambda key: self._agent.init(key, batch.s_tm1[:1]),
                activations=self._agent.activations,
            )

        apply_gradients = gradient_step(self._optimizer, self._methods, signals, method_key, view)
        return self._agent.update(learner, batch, agent_key, apply_gradients)

    def _traced_measure(self, learner: Learner) -> dict[str, jax.Array]:
        leaves = jax.tree.leaves(learner.params)
        total = sum(leaf.size for leaf in leaves)
        kept, masked_size = _masked(self._methods, learner)
        squares = sum(jnp.sum(jnp.square(leaf)) for leaf in leaves)
        kernels = sum(leaf.size for leaf in leaves if leaf.ndim > 1)
        return {
            "parameter_norm": jnp.sqrt(squares),
            "parameters": jnp.asarray(total),
            "active_parameters": total - masked_size + kept,
            "sparsity": (masked_size - kept) / kernels,
        }


def _first_action(
    act: Any, params: Any, frames: jax.Array, legal: jax.Array, key_data: jax.Array, step: jax.Array
) -> jax.Array:
    key = jax.random.fold_in(jax.random.wrap_key_data(key_data), step)
    actions: jax.Array = act(params, jnp.moveaxis(frames, 0, -1)[None], legal, key)
    return actions[0]


def wait_for(tree: Any) -> None:
    """Return once all arrays of a tree are computed."""
    for leaf in jax.tree.leaves(tree):
        leaf.block_until_ready()


def transitions(windows: Windows, stack: int, legal: jax.Array) -> Batch:
    """Cut sampled windows [B, stack + n, height, width] into the states at their two ends."""
    frames = jnp.asarray(windows.frames)
    return Batch(
        s_tm1=jnp.moveaxis(frames[:, :stack], 1, -1),
        a_tm1=jnp.asarray(windows.a_tm1),
        r_t=jnp.asarray(windows.r_t),
        discount_t=jnp.asarray(windows.discount_t),
        s_t=jnp.moveaxis(frames[:, -stack:], 1, -1),
        weight=jnp.ones(frames.shape[0], jnp.float32) if windows.weight is None else jnp.asarray(windows.weight),
        legal=jnp.asarray(legal),
    )


def _masked(methods: Sequence[Method], learner: Learner) -> tuple[jax.Array, int]:
    """Return the weights that every mask lets live, and the size of all masked tensors."""
    combined: dict[Any, jax.Array] = {}
    for method in methods:
        masks = method.masks(learner.methods[method.id])
        for path, mask in jax.tree_util.tree_leaves_with_path(masks):
            combined[path] = combined[path] & mask if path in combined else mask
    kept = jnp.asarray(0)
    for mask in combined.values():
        kept = kept + jnp.sum(mask, dtype=jnp.int32)
    return kept, sum(mask.size for mask in combined.values())


def _key(streams: Streams, name: str) -> jax.Array:
    key: jax.Array = jax.random.wrap_key_data(jnp.asarray(streams.key_data(name)))
    return key


def _flops(analysis: Any) -> float:
    table = analysis[0] if isinstance(analysis, list) else analysis
    return float((table or {}).get("flops", 0.0))
