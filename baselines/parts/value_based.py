"""The frame of value-based agents: optimizer, data plan, initialization, and how they act and report."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax.nn.initializers import Initializer

from suite.contracts.agent import DataPlan, Params
from suite.contracts.card import Settings
from suite.contracts.encoder import recorded_units
from suite.errors import UsageError

TINY = 1e-10
Penalty = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
"""From a state's values float32 [A], the action taken in it and legal [A] to a scalar that is added to the loss."""


class AdamSettings(Settings):
    """Settings of Adam."""

    learning_rate: float
    adam_epsilon: float
    adam_b1: float
    adam_b2: float


class ValueSettings(AdamSettings):
    """Settings of every value-based agent."""

    gamma: float
    batch_size: int
    n_step: int
    target_update_period: int


class ReplaySettings(ValueSettings):
    """Settings of an agent that fills a replay with its own steps."""

    replay_capacity: int
    warm_up: int
    update_period: int
    updates_per_period: int


class EpsilonSettings(ReplaySettings):
    """Settings of an agent that explores at random."""

    epsilon_train: float
    epsilon_decay: int


class PrioritySettings(ReplaySettings):
    """Settings of an agent that may draw some transitions more often than others."""

    replay: Literal["prioritized", "uniform"]
    importance_exponent: float


class LossSettings(ValueSettings):
    """Settings of an agent that learns one value for each action."""

    loss: Literal["mse", "huber"]


class SupportSettings(ValueSettings):
    """Settings of an agent that learns the probabilities of returns between -v_max and v_max."""

    atoms: int
    v_max: float


def fan_in_uniform() -> Initializer:
    """Return Dopamine's initialization of all distributional agents: uniform with variance 1 / (sqrt(3) fan-in)."""
    return nn.initializers.variance_scaling(1.0 / math.sqrt(3.0), "fan_in", "uniform")


def adam(settings: AdamSettings) -> optax.GradientTransformation:
    """Return Adam with epsilon added outside the square root, after the bias correction."""
    return optax.adam(
        settings.learning_rate,
        b1=settings.adam_b1,
        b2=settings.adam_b2,
        eps=settings.adam_epsilon,
    )


def data_plan(settings: ReplaySettings) -> DataPlan:
    """Return the plan; where the card has no settings for it, epsilon is 0 and replay is uniform."""
    exploring = settings if isinstance(settings, EpsilonSettings) else None
    prioritized = settings if isinstance(settings, PrioritySettings) else None
    plan = DataPlan(
        capacity=settings.replay_capacity,
        batch_size=settings.batch_size,
        n_step=settings.n_step,
        gamma=settings.gamma,
        warm_up=settings.warm_up,
        update_period=settings.update_period,
        updates_per_period=settings.updates_per_period,
        target_update_period=settings.target_update_period,
        epsilon_train=exploring.epsilon_train if exploring else 0.0,
        epsilon_decay=exploring.epsilon_decay if exploring else 1,
        replay=prioritized.replay if prioritized else "uniform",
        importance_exponent=prioritized.importance_exponent if prioritized else 0.5,
    )
    if plan.n_step > min(plan.warm_up, plan.capacity):
        raise UsageError(
            f"agent.n_step = {plan.n_step} exceeds agent.warm_up = {plan.warm_up} or "
            f"agent.replay_capacity = {plan.capacity}: the first update would find no transition.",
            "Make warm_up and replay_capacity at least n_step.",
        )
    return plan


def offline_plan(settings: ValueSettings) -> DataPlan:
    """Return the plan of an agent that learns from a fixed log: an agent step is a gradient step.

    Nothing is explored and nothing stored, so that what it says of both is of no use.
    """
    return DataPlan(
        capacity=1,
        batch_size=settings.batch_size,
        n_step=settings.n_step,
        gamma=settings.gamma,
        warm_up=0,
        update_period=1,
        updates_per_period=1,
        target_update_period=settings.target_update_period,
        epsilon_train=0.0,
        epsilon_decay=1,
    )


def greedy(q: jax.Array, legal: jax.Array) -> jax.Array:
    """Return the best legal actions int32 [B] of values float32 [B, A]."""
    return jnp.argmax(jnp.where(legal, q, -jnp.inf), axis=-1).astype(jnp.int32)


def priorities_from(losses: jax.Array, plan: DataPlan) -> jax.Array | None:
    """Return the priorities float32 [B] of transitions with these losses, the root; None if replay is uniform.

    The root stands in for prioritized replay's exponent 0.5 on what is a squared error (Dopamine's compact Rainbow).
    """
    return jnp.sqrt(losses + TINY) if plan.replay == "prioritized" else None


def unit_outputs(network: nn.Module, params: Params, *inputs: Any) -> dict[str, jax.Array]:
    """Return what the network's units put out for these inputs; see `Agent.activations`."""
    _, noted = network.apply(params, *inputs, mutable=["activations"])
    return recorded_units(noted)
