"""From a spec to a compiled configuration: the only place where agent, network and methods meet."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import cache, partial
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from suite import plugins
from suite.agent import Agent
from suite.method import Context, Method
from suite.programs import Programs
from suite.spec import Component, Spec
from suite.tasks import Task, load_task

_BUILDING = threading.Lock()


def programs_for(spec: Spec, actions: int) -> Programs:
    """Return the programs of a configuration for a number of actions; built once, however many lanes ask."""
    with _BUILDING:
        return _programs(spec.canonical(), actions)


@cache
def _programs(spec_json: str, actions: int) -> Programs:
    spec = Spec.model_validate_json(spec_json)
    agent, methods = build(spec, actions)
    environment = load_task(spec.task).environment
    return Programs(agent, methods, environment.frame_stack, environment.screen_size, actions)


def build(spec: Spec, actions: int) -> tuple[Agent, tuple[Method, ...]]:
    """Return the agent and the methods of a spec for a number of actions."""
    task = load_task(spec.task)
    network = partial(plugins.load("network", spec.network.id), dict(spec.network.settings))
    agent: Agent = plugins.load("agent", spec.agent.id)(dict(spec.agent.settings), network, actions)
    context = Context(
        total_updates=full_updates(task, agent),
        shapes=_shapes(task, agent),
        connections=agent.connections,
        learning_rate=float(spec.agent.settings.get("learning_rate", 0.0)),
    )
    methods = tuple(_method(component, context) for component in spec.methods)
    changes = [method.features for method in methods if method.features is not None]
    if changes:
        agent = plugins.load("agent", spec.agent.id)(
            dict(spec.agent.settings), lambda **initializers: _Changed(network(**initializers), tuple(changes)), actions
        )
    return agent, methods


class _Changed(nn.Module):
    """An encoder whose output goes through the methods' `features`; its parameters have their own names."""

    inner: nn.Module
    changes: tuple[Callable[[jax.Array], jax.Array], ...]

    def setup(self) -> None:
        """Put the encoder's parameters where they would be without this module."""
        nn.share_scope(self, self.inner)

    @property
    def connections(self) -> tuple[tuple[str, str], ...]:
        """Those of the encoder."""
        return getattr(self.inner, "connections", ())

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


def full_updates(task: Task, agent: Agent) -> int:
    """Return the gradient steps that schedules are written for: the task's full budget times the replay ratio."""
    return agent.plan.nominal_updates(task.agent_steps(task.budget.frames))


def _method(component: Component, context: Context) -> Method:
    method: Method = plugins.load("method", component.id)(dict(component.settings), context)
    return method


def _shapes(task: Task, agent: Agent) -> object:
    environment = task.environment
    observation = jnp.zeros((1, environment.screen_size, environment.screen_size, environment.frame_stack), jnp.uint8)
    return jax.eval_shape(agent.init, jax.random.key(0), observation)
