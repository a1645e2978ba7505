"""The method contract: what may happen around an agent's gradient steps. Dense is the identity.

At an ordinary gradient step: the wrapped optimizer's update, then the projection. At a due step, which the host knows
from the number of gradient steps before it, in this order: gradients at the current parameters under the old state,
`refresh` from those parameters and gradients, the same update and projection under the new state (left out if a due
method `skips_update`), then `intervene` on what came out, and the projection once more.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import jax
import numpy as np
import optax

from suite.contracts.agent import ApplyGradients, Batch, Learner, Params
from suite.contracts.card import Value
from suite.contracts.encoder import Layer
from suite.contracts.goals import Goal

State = Any
"""A method's own pytree of arrays; `()` if it has none."""
Signal = Any
"""What the host tells a due program: a pytree of NumPy arrays or Python numbers, the same structure every time."""


@dataclass(frozen=True, slots=True)
class View:
    """What an intervention may look at besides the learner; each is computed only if it is asked for.

    `batch`: the transitions of this gradient step. `gradients`: those of this step, at the parameters before it.
    `states`: uint8 [S, height, width, stack], as many states from the replay as the method asks for in `states`, drawn
    apart from the batches; None if it asks for none. `fresh(key)`: newly initialized parameters.
    `activations(params, observation)`: by layer, see `Agent`.
    """

    batch: Batch
    gradients: Params
    states: jax.Array | None
    fresh: Callable[[jax.Array], Params]
    activations: Callable[[Params, jax.Array], dict[str, jax.Array]]


def _no_state(key: jax.Array, params: Params) -> State:
    return ()


def _same_optimizer(optimizer: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
    return optimizer


def _same_params(state: State, params: Params) -> Params:
    return params


def _no_signal(updates: int) -> Signal:
    return ()


def _no_refresh(key: jax.Array, learner: Learner, gradients: Params, signal: Signal) -> Learner:
    return learner


def _no_intervention(key: jax.Array, learner: Learner, view: View, signal: Signal) -> Learner:
    return learner


def _no_masks(state: State) -> Params | None:
    return None


def _same_state(state: State, arrays: Mapping[str, Any]) -> State:
    return state


@dataclass(frozen=True)
class Method:
    """One method; every default does nothing.

    `init(key, params)`: the method's state, kept in `learner.methods[id]`.
    `wrap(optimizer)`: an optimizer around the agent's; its `update` gets the extra argument `methods`, all states.
    `project(state, params)`: the parameters allowed by the state; applied at initialization and after every update.
    `due`: the gradient steps at which something is due, by the number of steps before them.
    `signal(updates)`: host side; what a due step is told, `updates` being the number of steps before it.
    `refresh(key, learner, gradients, signal)`: traced; the learner that a due update starts from.
    `skips_update`: whether a due step has no update by the optimizer (dynamic sparse training).
    `intervene(key, learner, view, signal)`: traced; the learner after a due update (resets, recycling).
    `states`: how many states from the replay a due step gets in `view.states`.
    `features(features)`: applied to the encoder's output float32 [B, F] wherever the network is evaluated; same shape.
    `masks(state)`: a tree of boolean arrays like the parameters, None where nothing is masked; sparsity comes from it.
    `source`: the config_id of a run of the same game and seed to start from, in the same output directory.
    `adopt(state, arrays)`: host side; the state, given the arrays of that run's last checkpoint by name.
    `milestones`: gradient steps that `--dry-run` names.
    `goals`: numbers that it promises; what a run does not reach of them, and of `due`, is said and recorded.
    """

    id: str
    init: Callable[[jax.Array, Params], State] = _no_state
    wrap: Callable[[optax.GradientTransformationExtraArgs], optax.GradientTransformationExtraArgs] = _same_optimizer
    project: Callable[[State, Params], Params] = _same_params
    due: range = range(0)
    signal: Callable[[int], Signal] = _no_signal
    refresh: Callable[[jax.Array, Learner, Params, Signal], Learner] = _no_refresh
    skips_update: bool = False
    intervene: Callable[[jax.Array, Learner, View, Signal], Learner] = _no_intervention
    states: int = 0
    features: Callable[[jax.Array], jax.Array] | None = None
    masks: Callable[[State], Params | None] = _no_masks
    source: str = ""
    adopt: Callable[[State, Mapping[str, Any]], State] = _same_state
    milestones: Mapping[str, int] | None = None
    goals: tuple[Goal, ...] = ()


@dataclass(frozen=True, slots=True)
class Context:
    """What a method may know of the run: never the game.

    `total_updates`: nominal gradient steps of the task's full budget. `shapes`: the parameter tree as shapes and
    dtypes. `layers`: what each layer is and which it feeds; `layers_of` and `connections_of` of the network contract
    answer from them. `learning_rate`: the agent's; `step_size`: where it does not stay so, see `Agent`.
    """

    total_updates: int
    shapes: Params
    layers: tuple[Layer, ...] = ()
    learning_rate: float = 0.0
    step_size: Callable[[jax.Array], jax.Array] | None = None


class MakeMethod(Protocol):
    """What the registry makes of an entry point in the group `suite.methods`."""

    def __call__(self, values: Mapping[str, Value], context: Context) -> Method:
        """Build the method from the resolved settings of its card."""
        ...


def init_learner(
    params: Params, optimizer: optax.GradientTransformationExtraArgs, methods: Sequence[Method], key: jax.Array
) -> Learner:
    """Return a learner whose parameters already satisfy every method, with an equal target network."""
    states = {method.id: method.init(jax.random.fold_in(key, index), params) for index, method in enumerate(methods)}
    params = _projected(methods, states, params)
    return Learner(params, jax.tree.map(lambda leaf: leaf.copy(), params), optimizer.init(params), states)


def adopt(learner: Learner, methods: Sequence[Method], arrays: Mapping[str, Mapping[str, Any]]) -> Learner:
    """Return a fresh learner after its methods took over what they need of their source runs, by method id."""
    states = dict(learner.methods)
    for method in methods:
        if method.source:
            states[method.id] = method.adopt(states[method.id], arrays[method.id])
    params = _projected(methods, states, learner.params)
    return learner._replace(params=params, target_params=jax.tree.map(lambda leaf: leaf.copy(), params), methods=states)


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
    return {method.id: method.signal(updates) for method in methods if updates in method.due}


def due_examples(methods: Sequence[Method], total_updates: int) -> list[int]:
    """Return the first count of gradient steps for every set of methods that is ever due together, fewest first.

    The empty set is one of them, if there is a step at which nothing is due.
    """
    within = [range(method.due.start, min(method.due.stop, total_updates), method.due.step) for method in methods]
    counts = np.unique(np.concatenate([np.zeros(0, np.int64), *(np.arange(r.start, r.stop, r.step) for r in within)]))
    calm = np.flatnonzero(counts != np.arange(len(counts)))  # counts begin at 0 and have no gap where each is due
    first_calm = int(calm[0]) if len(calm) else len(counts)
    sets = sum(
        ((counts >= r.start) & (counts < r.stop) & ((counts - r.start) % r.step == 0)).astype(np.int64) << index
        for index, r in enumerate(within)
    )
    kinds, firsts = np.unique(np.broadcast_to(sets, counts.shape), return_index=True)
    found = {int(kind): int(counts[first]) for kind, first in zip(kinds, firsts, strict=True)}
    if first_calm < total_updates:
        found[0] = first_calm
    return [found[kind] for kind in sorted(found, key=lambda kind: (kind.bit_count(), kind))]


def gradient_step(
    optimizer: optax.GradientTransformationExtraArgs,
    methods: Sequence[Method],
    signals: Mapping[str, Signal],
    key: jax.Array,
    view: Callable[[Params], View] | None = None,
) -> ApplyGradients:
    """Return the step that an agent is handed: refresh what is due, update, project, intervene where due.

    `view` makes an intervention's view from the step's gradients; it must be there if a due method intervenes.
    """

    def apply(learner: Learner, gradients: Params) -> Learner:
        due = [(index, method) for index, method in enumerate(methods) if method.id in signals]
        for index, method in due:
            learner = method.refresh(jax.random.fold_in(key, index), learner, gradients, signals[method.id])
        if not any(method.skips_update for _, method in due):
            updates, opt_state = optimizer.update(gradients, learner.opt_state, learner.params, methods=learner.methods)
            learner = learner._replace(params=optax.apply_updates(learner.params, updates), opt_state=opt_state)
        learner = _project(methods, learner)
        for index, method in due:
            if method.intervene is not _no_intervention:
                assert view is not None
                own_key = jax.random.fold_in(key, len(methods) + index)
                learner = method.intervene(own_key, learner, view(gradients), signals[method.id])
                learner = _project(methods, learner)
        return learner

    return apply


def combined_masks(methods: Sequence[Method], states: Mapping[str, State]) -> dict[Any, Any]:
    """Return which weights all methods together let live: bool arrays by the path of their parameter."""
    combined: dict[Any, Any] = {}
    for method in methods:
        for path, mask in jax.tree_util.tree_leaves_with_path(method.masks(states[method.id])):
            combined[path] = combined[path] & mask if path in combined else mask
    return combined


def _project(methods: Sequence[Method], learner: Learner) -> Learner:
    return learner._replace(params=_projected(methods, learner.methods, learner.params))


def _projected(methods: Sequence[Method], states: Mapping[str, State], params: Params) -> Params:
    for method in methods:
        params = method.project(states[method.id], params)
    return params
