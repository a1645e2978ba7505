"""The method contract: what may happen around an agent's gradient steps. Dense is the identity.

At an ordinary gradient step: the wrapped optimizer's update, then the projection. At a due step, which the host knows
from the number of gradient steps before it: gradients at the current parameters under the old state, then `refresh`
from those parameters and gradients, then the same update and the projection under the new state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import optax

from suite.agent import ApplyGradients, Learner, Params
from suite.card import Value

State = Any
"""A method's own pytree of arrays; `()` if it has none."""
Signal = Any
"""What the host tells a due program: a pytree of NumPy arrays or Python numbers, the same structure every time."""


def _no_state(key: jax.Array, params: Params) -> State:
    return ()


def _same_optimizer(optimizer: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    return optimizer


def _same_params(state: State, params: Params) -> Params:
    return params


def _never_due(updates: int) -> Signal | None:
    return None


def _no_change(key: jax.Array, learner: Learner, gradients: Params, signal: Signal) -> Learner:
    return learner


def _no_masks(state: State) -> Params | None:
    return None


@dataclass(frozen=True)
class Method:
    """One method; every default does nothing.

    `init(key, params)`: the method's state, kept in `learner.methods[id]`.
    `wrap(optimizer)`: an optimizer around the agent's; its `update` gets the extra argument `methods`, all states.
    `project(state, params)`: the parameters allowed by the state; applied at initialization and after every update.
    `due(updates)`: host side; the signal for the update that `updates` others went before, or None if nothing is due.
    `refresh(key, learner, gradients, signal)`: traced; the learner that a due update starts from.
    `masks(state)`: a tree of boolean arrays like the parameters, None where nothing is masked; sparsity comes from it.
    `milestones`: gradient steps that `--dry-run` names.
    """

    id: str
    init: Callable[[jax.Array, Params], State] = _no_state
    wrap: Callable[[optax.GradientTransformationExtraArgs], optax.GradientTransformationExtraArgs] = _same_optimizer
    project: Callable[[State, Params], Params] = _same_params
    due: Callable[[int], Signal | None] = _never_due
    refresh: Callable[[jax.Array, Learner, Params, Signal], Learner] = _no_change
    masks: Callable[[State], Params | None] = _no_masks
    milestones: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class Context:
    """What a method may know of the run: never the game. `shapes` is the parameter tree as shapes and dtypes."""

    total_updates: int
    shapes: Params


class MakeMethod(Protocol):
    """What an entry point in the group `suite.methods` is."""

    def __call__(self, settings: dict[str, Value], context: Context) -> Method:
        """Build the method from the resolved settings of its card."""
        ...


def init_learner(
    params: Params, optimizer: optax.GradientTransformationExtraArgs, methods: Sequence[Method], key: jax.Array
) -> Learner:
    """Return a learner whose parameters already satisfy every method, with an equal target network."""
    states = {method.id: method.init(jax.random.fold_in(key, index), params) for index, method in enumerate(methods)}
    for method in methods:
        params = method.project(states[method.id], params)
    return Learner(params, jax.tree.map(lambda leaf: leaf.copy(), params), optimizer.init(params), states)


def wrap_optimizer(
    optimizer: optax.GradientTransformation, methods: Sequence[Method]
) -> optax.GradientTransformationExtraArgs:
    """Return the agent's optimizer inside every method's own, the last method outermost."""
    wrapped = optax.with_extra_args_support(optimizer)
    for method in methods:
        wrapped = method.wrap(wrapped)
    return wrapped


def due_signals(methods: Sequence[Method], updates: int) -> dict[str, Signal]:
    """Return the signals of the methods that are due at the update that `updates` others went before."""
    signals = {method.id: method.due(updates) for method in methods}
    return {name: signal for name, signal in signals.items() if signal is not None}


def gradient_step(
    optimizer: optax.GradientTransformationExtraArgs,
    methods: Sequence[Method],
    signals: Mapping[str, Signal],
    key: jax.Array,
) -> ApplyGradients:
    """Return the step that an agent is handed: refresh what is due, update, project."""

    def apply(learner: Learner, gradients: Params) -> Learner:
        for index, method in enumerate(methods):
            if method.id in signals:
                learner = method.refresh(jax.random.fold_in(key, index), learner, gradients, signals[method.id])
        updates, opt_state = optimizer.update(gradients, learner.opt_state, learner.params, methods=learner.methods)
        params = optax.apply_updates(learner.params, updates)
        for method in methods:
            params = method.project(learner.methods[method.id], params)
        return learner._replace(params=params, opt_state=opt_state)

    return apply
