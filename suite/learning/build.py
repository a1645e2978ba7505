"""The build of a configuration, from a spec to programs: the only place where agent, network and methods meet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cache, partial
from typing import Any

import jax
from flax import linen as nn

from suite.contracts import registry
from suite.contracts.agent import Agent, DataPlan, Params
from suite.contracts.encoder import Layer, declared_layers
from suite.contracts.method import Context, Method
from suite.experience.domains import domain_of
from suite.experience.observations import Arrays, Frames, Inputs, Vectors
from suite.learning.programs import Programs
from suite.tasks import Game, Task, load_task
from suite.tasks.configuration import Component, Spec

_BUILDING = threading.Lock()


def programs_for(spec: Spec, game: Game) -> Programs:
    """Return the programs of a configuration for a game; built once, for all games and lanes that can share them."""
    with _BUILDING:
        return _programs(at_game(spec, game), _inputs(spec.task, game), game.actions)


@cache
def _programs(spec: Spec, inputs: Frames | Arrays | Vectors, actions: int) -> Programs:
    agent, methods = _build(spec, inputs, actions)
    return compiled(agent, methods, inputs, actions)


@cache
def _inputs(task: str, game: Game) -> Frames | Arrays | Vectors:
    return domain_of(load_task(task)).inputs(game)


def compiled(agent: Agent, methods: Sequence[Method], inputs: Inputs, actions: int) -> Programs:
    """Return the programs of an agent and methods that were built for these inputs."""
    if agent.prepare is not None:
        assert isinstance(inputs, Vectors)
        inputs = replace(inputs, extra=_prepared(agent, inputs))
    return Programs(agent, methods, inputs, actions)


def build(spec: Spec, game: Game) -> tuple[Agent, tuple[Method, ...]]:
    """Return the agent and the methods of a spec for a game."""
    return _build(at_game(spec, game), _inputs(spec.task, game), game.actions)


def _build(spec: Spec, inputs: Inputs, actions: int) -> tuple[Agent, tuple[Method, ...]]:
    network = _network(spec)
    agent = _agent(spec, network, actions)
    methods = methods_for(agent, spec, inputs)
    changes = [method.features for method in methods if method.features is not None]
    if changes:
        agent = _agent(spec, lambda **initializers: _Changed(network(**initializers), tuple(changes)), actions)
    return agent, methods


def data_plan(spec: Spec, game: Game) -> DataPlan:
    """Return what data a spec's agent eats, and when; no network is built."""
    return _agent(at_game(spec, game), _network(spec), game.actions).plan


def _network(spec: Spec) -> Any:
    return partial(registry.load("network", spec.network.id), dict(spec.network.settings))


def _agent(spec: Spec, network: Any, actions: int) -> Agent:
    """Return the agent of a spec, exploring as the task says."""
    agent: Agent = registry.load("agent", spec.agent.id)(dict(spec.agent.settings), network, actions)
    constant = load_task(spec.task).exploration == "constant"
    return agent._replace(plan=replace(agent.plan, constant_epsilon=True)) if constant else agent


def at_game(spec: Spec, game: Game) -> Spec:
    """Return the spec with the agent's settings as the task has them in a game: see `Task.factors`."""
    factors = load_task(spec.task).factors_of(game.name, "agent", spec.agent.id)
    if not factors:
        return spec
    settings = dict(spec.agent.settings)
    for name, factor in factors.items():
        settings[name] = float(settings[name]) * factor
    return spec.model_copy(update={"agent": spec.agent.model_copy(update={"settings": settings})})


def methods_for(agent: Agent, spec: Spec, inputs: Inputs) -> tuple[Method, ...]:
    """Return the methods of a spec around an agent."""
    context = Context(
        total_updates=full_updates(load_task(spec.task), agent.plan),
        shapes=shapes_of(agent, inputs),
        layers=agent.layers,
        learning_rate=float(spec.agent.settings.get("learning_rate", 0.0)),
        step_size=agent.step_size,
    )
    return tuple(_method(component, context) for component in spec.methods)


class _Changed(nn.Module):
    """An encoder whose output goes through the methods' `features`; its parameters have their own names."""

    inner: nn.Module
    changes: tuple[Callable[[jax.Array], jax.Array], ...]

    def setup(self) -> None:
        """Put the encoder's parameters where they would be without this module."""
        nn.share_scope(self, self.inner)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those of the encoder."""
        return declared_layers(self.inner)

    def __call__(self, observation: jax.Array) -> jax.Array:
        """Map uint8 [B, height, width, stack] to float32 features [B, F]."""
        return self.change(self.inner(observation))

    def torso(self, observation: jax.Array) -> jax.Array:
        """See `MakeEncoder`; nothing is changed yet."""
        inner: Any = self.inner
        flat: jax.Array = inner.torso(observation)
        return flat

    def final(self, flat: jax.Array) -> jax.Array:
        """See `MakeEncoder`."""
        inner: Any = self.inner
        return self.change(inner.final(flat))

    def change(self, features: jax.Array) -> jax.Array:
        """Apply every method's `features`."""
        for change in self.changes:
            features = change(features)
        return features


def full_updates(task: Task, plan: DataPlan) -> int:
    """Return the gradient steps that schedules are written for: the task's full budget times the replay ratio."""
    return plan.nominal_updates(task.agent_steps(task.budget.length))


def unreached(spec: Spec, game: Game) -> tuple[str, ...]:
    """Return what a run of the configuration will not reach of its agent and methods, a sentence each; () as a rule."""
    task, programs = load_task(spec.task), programs_for(spec, game)
    updates, full = (programs.plan.updates_by(task.agent_steps(frames)) for frames in (spec.frames, task.budget.length))
    return programs.unreached(spec.agent.id, updates, full)


def _method(component: Component, context: Context) -> Method:
    return registry.load("method", component.id)(dict(component.settings), context)


def shapes_of(agent: Agent, inputs: Inputs) -> Params:
    """Return an agent's parameters as shapes and dtypes."""
    return jax.eval_shape(lambda key: agent.init(key, inputs.network(inputs.blank())), jax.random.key(0))


def _prepared(agent: Agent, inputs: Vectors) -> tuple[str, ...]:
    """Return the names of what an on-policy agent computes for its updates."""
    programs = Programs(agent, (), inputs, inputs.actions)
    _, batch = jax.eval_shape(programs.traced_prepare, programs.shapes(), programs.blank_trajectory())
    return tuple(sorted(batch.extra))
