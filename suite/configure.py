"""From a spec to a compiled configuration: the only place where agent, network and methods meet."""

from __future__ import annotations

import threading
from functools import cache, partial

import jax
import jax.numpy as jnp

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
    context = Context(total_updates=full_updates(task, agent), shapes=_shapes(task, agent))
    return agent, tuple(_method(component, context) for component in spec.methods)


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
