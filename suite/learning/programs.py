"""The small fixed set of compiled programs of one configuration: init, act, update, sync, measure.

The host knows the step number and picks the program; signals, counts and keys are arguments, so that nothing is
compiled twice. An update with due signals is a program of its own, traced once for each set of methods that is due.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import repeat
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy.typing import NDArray

from suite.contracts.agent import Agent, Batch, Feedback, Learner, Trajectory
from suite.contracts.goals import shortfall
from suite.contracts.method import (
    Method,
    Signal,
    View,
    adopt,
    combined_masks,
    due_examples,
    due_signals,
    gradient_step,
    init_learner,
    wrap_optimizer,
)
from suite.experience.observations import Inputs, Observation
from suite.learning.inspector import Inspector
from suite.rng import Streams


class Programs:
    """The compiled side of a configuration for one number of actions; shared by all lanes that run it.

    `traced_act` and `traced_update` are what is compiled, for those who compile them for many lanes at a time.
    """

    def __init__(self, agent: Agent, methods: Sequence[Method], inputs: Inputs, actions: int) -> None:
        self.plan = agent.plan
        self.inputs = inputs
        self.actions = actions
        self._agent = agent
        self._methods = tuple(methods)
        self._optimizer = wrap_optimizer(agent.optimizer, self._methods)
        self._legal = jnp.ones(actions, jnp.bool_)
        self._init = jax.jit(self._traced_init)
        self._act = jax.jit(self.traced_act)
        self._act_each = jax.jit(self._traced_act_each)
        self._evaluate = jax.jit(jax.vmap(self._traced_evaluate, in_axes=(None, 0, None, 0, 0)))
        self._update = jax.jit(self.traced_update, donate_argnums=0)
        self._sync = jax.jit(lambda params: jax.tree.map(jnp.copy, params))
        self._measure = jax.jit(self._traced_measure)
        self._prepare = jax.jit(self.traced_prepare)
        self._several = jax.jit(several_updates(self._ordinary_update), donate_argnums=0)
        self.inspector = Inspector(agent, self._methods, inputs, actions)

    def init(self, streams: Streams) -> Learner:
        """Return the learner that a cell starts from."""
        learner: Learner = self._init(_key(streams, "init"))
        return learner

    def act(self, learner: Learner, observation: Observation, key_data: jax.Array, step: int) -> jax.Array:
        """Return the agent's action for an observation at an agent step. Does not wait for the device."""
        chosen: jax.Array = self._act(self.acting(learner), observation, self._legal, key_data, np.uint32(step))
        return chosen

    def act_each(
        self, learners: Sequence[Learner], observations: NDArray[Any], keys: Sequence[jax.Array], step: int
    ) -> jax.Array:
        """Return the agents' actions [L, ...] for the observations [L, ...] of so many learners, in one call.

        Does not wait for the device.
        """
        acting = tuple(map(self.acting, learners))
        chosen: jax.Array = self._act_each(acting, observations, self._legal, tuple(keys), np.uint32(step))
        return chosen

    def acting(self, learner: Learner) -> Any:
        """Return what acting needs of a learner, its parameters as a rule."""
        return learner.params if self._agent.acting is None else self._agent.acting(learner)

    def evaluate(
        self,
        learner: Learner,
        observations: NDArray[Any],
        key_data: NDArray[np.uint32],
        steps: NDArray[np.uint32],
    ) -> NDArray[Any]:
        """Return the actions [E, ...] of E episodes, without exploration, for observations [E, ...]; keys [E, 2]."""
        return np.asarray(self._evaluate(self.acting(learner), observations, self._legal, key_data, steps))

    def prepare(self, learner: Learner, trajectory: Trajectory) -> tuple[Learner, Batch]:
        """Return an on-policy agent's learner and the rows of its next updates, on the host."""
        learner, batch = self._prepare(learner, trajectory)
        return learner, jax.device_get(batch)

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

    def unreached(self, agent: str, updates: int, full: int) -> tuple[str, ...]:
        """Return a sentence on each component of which a run of `updates` gradient steps does not reach all.

        `agent`: its name. `full`: the gradient steps of a run of the task's full budget.
        """
        nothing = () if updates else (f"{agent}: learns nothing: the run ends before the first gradient step.",)
        of_agent = shortfall(agent, range(0), self._agent.goals, updates, full)
        of_methods = (shortfall(each.id, each.due, each.goals, updates, full) for each in self._methods)
        return nothing + tuple(filter(None, (of_agent, *of_methods)))

    @property
    def milestones(self) -> dict[str, int]:
        """The gradient steps, by name, at which something begins or ends in a method."""
        return {name: step for method in self._methods for name, step in (method.milestones or {}).items()}

    def adopt(self, learner: Learner, arrays: Mapping[str, Mapping[str, NDArray[Any]]]) -> Learner:
        """Return a fresh learner with what its methods take over from their sources' last checkpoints."""
        return adopt(learner, self._methods, arrays)

    def update(self, learner: Learner, streams: Streams, updates: int, data: Any) -> tuple[Learner, Feedback]:
        """Return the learner after one gradient step; the given one is consumed. May not wait for the device."""
        result: tuple[Learner, Feedback] = self._update(
            learner, streams.key_data("update"), np.uint32(updates), data, self._legal, self.signals(updates)
        )
        return result

    def update_several(self, learner: Learner, streams: Streams, first: int, data: Any) -> tuple[Learner, Feedback]:
        """Return the learner after as many gradient steps as `data` has on its leading axis, in one call.

        `first`: how many others went before. At none of them may a method be due. The feedback is the last one's.
        """
        result: tuple[Learner, Feedback] = self._several(
            learner, streams.key_data("update"), np.uint32(first), data, self._legal
        )
        return result

    def tried(self, learner: Learner, key_data: NDArray[np.uint32], updates: int, data: Any) -> Learner:
        """Return the learner after an ordinary gradient step that training does not take; the given one stays."""
        copied = jax.tree.map(jnp.copy, learner)
        after, _ = self._update(copied, key_data, np.uint32(updates), data, self._legal, {})
        return after  # type: ignore[no-any-return]

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

    def compile(self, total_updates: int, evaluations: int = 0, lanes: int = 1) -> None:
        """Compile everything that a run of `total_updates` will call, so that nothing is compiled while it goes on.

        `evaluations`: how many evaluation episodes are played at a time, if any. `lanes`: how many act in one call,
        where several do.
        """
        streams, data = Streams("", "", 0), self.blank_data()
        learner = self.init(streams)
        blank, key = self.inputs.blank(), jnp.zeros(2, jnp.uint32)
        if self.inputs.small:
            self.act_each([learner] * lanes, np.stack([blank] * lanes), [key] * lanes, 0)
        else:
            self.act(learner, blank, key, 0)
        if evaluations:
            keys, steps = np.zeros((evaluations, 2), np.uint32), np.zeros(evaluations, np.uint32)
            self.evaluate(learner, np.broadcast_to(blank, (evaluations, *blank.shape)).copy(), keys, steps)
        if self._agent.prepare is not None:
            learner, _ = self.prepare(learner, self.blank_trajectory())
        for updates in due_examples(self._methods, total_updates):
            count = self.states(updates)
            own = data._replace(states=np.zeros((count, *blank.shape), blank.dtype)) if count else data
            learner, feedback = self.update(learner, streams, updates, own)
            wait_for(feedback)
        if self.plan.target_update_period:
            learner = self.sync(learner)
        self.measure(learner)

    def blank_trajectory(self) -> Trajectory:
        """Return an on-policy agent's trajectory of zeros, in the right shapes."""
        length, numbers = self.plan.update_period, np.zeros(self.plan.update_period, np.float32)
        observations = np.broadcast_to(self.inputs.blank(), (length, *self.inputs.blank().shape)).copy()
        actions = np.zeros((length, self.actions), np.float32)
        return Trajectory(observations, actions, numbers, numbers, observations, numbers.astype(np.bool_))  # type: ignore[arg-type]

    def blank_data(self) -> Any:
        """Return what is sampled for one update, all zeros, in the right shapes."""
        return self.inputs.blank_data(self.plan)

    def lowered_update(self) -> Any:
        """Return the ordinary update as the compiler gets it."""
        key_data = np.zeros(2, np.uint32)
        return self._update.lower(self.shapes(), key_data, np.uint32(0), self.blank_data(), self._legal, {})

    def lowered_act(self) -> Any:
        """Return the choice of an action as the compiler gets it."""
        key_data = np.zeros(2, np.uint32)
        return self._act.lower(self.acting(self.shapes()), self.inputs.blank(), self._legal, key_data, np.uint32(0))

    def _traced_init(self, key: jax.Array) -> Learner:
        params_key, methods_key = jax.random.split(key)
        observation = self.inputs.network(self.inputs.blank())
        params = self._agent.init(params_key, observation)
        learner = init_learner(params, self._optimizer, self._methods, methods_key)
        statistics = self._agent.statistics
        return learner if statistics is None else learner._replace(statistics=statistics(observation))

    def traced_act(
        self, acting: Any, observation: jax.Array, legal: jax.Array, key_data: jax.Array, step: jax.Array
    ) -> jax.Array:
        """Return the agent's action for an observation and legal bool [A]; `acting`: see the method of that name."""
        return self._first_action(self._agent.act, acting, observation, legal, key_data, step)

    def _traced_act_each(
        self,
        acting: Sequence[Any],
        observations: jax.Array,
        legal: jax.Array,
        keys: Sequence[jax.Array],
        step: jax.Array,
    ) -> jax.Array:
        """Return the actions of lanes one after the other; behind a barrier each is computed as if it were alone."""
        barrier: Any = jax.lax.optimization_barrier
        chosen = (self.traced_act(*own, step) for own in zip(acting, observations, repeat(legal), keys, strict=False))
        return jnp.stack([barrier(action) for action in chosen])

    def _traced_evaluate(
        self, acting: Any, observation: jax.Array, legal: jax.Array, key_data: jax.Array, step: jax.Array
    ) -> jax.Array:
        return self._first_action(self._agent.evaluate or self._agent.act, acting, observation, legal, key_data, step)

    def _first_action(
        self, act: Any, acting: Any, observation: jax.Array, legal: jax.Array, key_data: jax.Array, step: jax.Array
    ) -> jax.Array:
        key = jax.random.fold_in(jax.random.wrap_key_data(key_data), step)
        actions: jax.Array = act(acting, self.inputs.network(observation), legal, key)
        return actions[0]

    def traced_prepare(self, learner: Learner, trajectory: Trajectory) -> tuple[Learner, Batch]:
        """Return an on-policy agent's learner and the rows of its next updates."""
        assert self._agent.prepare is not None
        return self._agent.prepare(learner, trajectory)

    def traced_update(
        self,
        learner: Learner,
        key_data: jax.Array,
        count: jax.Array,
        data: Any,
        legal: jax.Array,
        signals: dict[str, Signal],
    ) -> tuple[Learner, Feedback]:
        """Return the learner after the update that `count` others went before; legal is bool [A]."""
        agent_key, method_key = jax.random.split(jax.random.fold_in(jax.random.wrap_key_data(key_data), count))
        batch = self.inputs.batch(data, legal)
        states = self.inputs.states(data)

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

    def _ordinary_update(
        self, learner: Learner, key_data: jax.Array, count: jax.Array, data: Any, legal: jax.Array
    ) -> tuple[Learner, Feedback]:
        return self.traced_update(learner, key_data, count, data, legal, {})

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


def several_updates(update: Any) -> Any:
    """Return what takes several updates one after the other in one program: data have one more leading axis.

    On a CPU a convolution inside a loop is ten times slower than outside: there, updates are called one by one.
    """

    def several(
        learner: Learner, key_data: jax.Array, first: jax.Array, data: Any, legal: jax.Array
    ) -> tuple[Learner, Feedback]:
        def one(carry: tuple[Learner, jax.Array], rows: Any) -> tuple[tuple[Learner, jax.Array], Feedback]:
            learner, count = carry
            learner, feedback = update(learner, key_data, count, rows, legal)
            return (learner, count + 1), feedback

        (learner, _), feedback = jax.lax.scan(one, (learner, first), data)
        return learner, jax.tree.map(lambda leaf: leaf[-1], feedback)

    return several


def wait_for(tree: Any) -> None:
    """Return once all arrays of a tree are computed."""
    for leaf in jax.tree.leaves(tree):
        leaf.block_until_ready()


def _masked(methods: Sequence[Method], learner: Learner) -> tuple[jax.Array, int]:
    """Return the weights that every mask lets live, and the size of all masked tensors."""
    combined = combined_masks(methods, learner.methods)
    kept = jnp.asarray(0)
    for mask in combined.values():
        kept = kept + jnp.sum(mask, dtype=jnp.int32)
    return kept, sum(mask.size for mask in combined.values())


def _key(streams: Streams, name: str) -> jax.Array:
    key: jax.Array = jax.random.wrap_key_data(jnp.asarray(streams.key_data(name)))
    return key
