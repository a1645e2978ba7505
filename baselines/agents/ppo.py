"""PPO with a clipped surrogate (Schulman et al. 2017), TF-Agents' in google-research/rigl's settings."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from baselines.losses.policy import (
    clipped_surrogate,
    gaussian_entropy,
    gaussian_log_prob,
    generalized_advantages,
    kernel_squares,
)
from baselines.losses.value import squared
from baselines.networks.heads import QNetwork
from baselines.parts.value_based import AdamSettings, unit_outputs
from suite.contracts.agent import Agent, ApplyGradients, Batch, DataPlan, Feedback, Learner, Params, Trajectory
from suite.contracts.encoder import Layer, MakeEncoder, nested
from suite.contracts.goals import Goal
from suite.errors import UsageError

INITIAL_STD = 0.35
MEAN_SCALE = 0.1
VALUE_BOUND = 0.03
VARIANCE_FLOOR = 1e-3
ADVANTAGE_FLOOR = 1e-8


class PPOSettings(AdamSettings):
    """Settings of PPO."""

    decay_updates: int
    gradient_norm: float
    gamma: float
    gae_lambda: float
    ratio_clip: float
    value_weight: float
    entropy_weight: float
    kernel_l2: float
    observation_clip: float
    reward_clip: float
    hidden_units: int
    hidden_layers: int
    trajectory_length: int
    passes: int
    batch_size: int


class Moments(NamedTuple):
    """Means and sums of squared deviations from them, [...], of the rows seen so far, and their number, a float32."""

    seen: jax.Array
    mean: jax.Array
    squares: jax.Array

    def including(self, rows: jax.Array) -> Moments:
        """Return the moments of what was seen and of these rows [T, ...] (Chan et al. 1983)."""
        seen, mean = self.seen + rows.shape[0], jnp.mean(rows, axis=0)
        share, shift = rows.shape[0] / seen, mean - self.mean
        squares = jnp.sum(jnp.square(rows - mean), axis=0) + jnp.square(shift) * self.seen * share
        return Moments(seen, self.mean + shift * share, self.squares + squares)

    def deviation(self) -> jax.Array:
        """Return the roots of the variances [...] and a small constant, which stands alone before any row is seen."""
        return jnp.sqrt(self.squares / jnp.maximum(self.seen, 1.0) + VARIANCE_FLOOR)


class Statistics(NamedTuple):
    """The moments of observations, [D], and of rewards, a scalar."""

    observation: Moments
    reward: Moments


Acting = tuple[Params, Moments]
"""What acting needs: the parameters, and the moments of observations."""


class PPONetwork(nn.Module):
    """An actor and a value network; parameters `<part>/encoder/...` and `<part>/head`, and `raw_std` of [A].

    Means are tanh of what the actor's head puts out; deviations are softplus of `raw_std`, for all observations alike.
    """

    actor: nn.Module
    value: nn.Module
    actions: int

    def setup(self) -> None:
        """Name the deviations' parameters."""
        start = nn.initializers.constant(math.log(math.expm1(INITIAL_STD)))
        self.raw_std = self.param("raw_std", start, (self.actions,))

    def __call__(self, observation: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Map normalized observations float32 [B, D] to means and deviations of actions, [B, A], and values [B]."""
        return *self.policy(observation), self.value(observation)[:, 0]

    def policy(self, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Map normalized observations float32 [B, D] to means and deviations of actions, [B, A]."""
        mean = jnp.tanh(self.actor(observation))
        return mean, jnp.broadcast_to(nn.softplus(self.raw_std), mean.shape)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those of both parts, each a network of its own, and the deviations."""
        own = (nested(getattr(self, part).layers, part, network=part) for part in ("actor", "value"))
        return *itertools.chain.from_iterable(own), Layer("raw_std", "other")


def make(settings: PPOSettings, network: MakeEncoder, actions: int) -> Agent:
    """Build PPO for `actions` action dimensions; hidden kernels start orthogonal, biases at zero."""
    units = (settings.hidden_units,) * settings.hidden_layers
    orthogonal = nn.initializers.orthogonal()
    networks = PPONetwork(
        actor=QNetwork(
            network(units=units, activation="tanh", kernel_init=orthogonal),
            actions,
            nn.initializers.variance_scaling(MEAN_SCALE, "fan_in", "truncated_normal"),
        ),
        value=QNetwork(network(units=units, activation="relu", kernel_init=orthogonal), 1, _small_uniform),
        actions=actions,
    )
    plan = _plan(settings)
    step_size = _step_size(settings, plan)
    decay = settings.decay_updates
    gae_decay, clip = settings.gae_lambda, settings.ratio_clip
    value_weight, entropy_weight = settings.value_weight, settings.entropy_weight
    kernel_l2 = settings.kernel_l2
    observation_clip, reward_clip = settings.observation_clip, settings.reward_clip

    apply: Any = networks.apply

    def normalized(observation: jax.Array, moments: Moments) -> jax.Array:
        return jnp.clip((observation - moments.mean) / moments.deviation(), -observation_clip, observation_clip)

    def loss(params: Params, batch: Batch) -> tuple[jax.Array, dict[str, jax.Array]]:
        mean, std, value = apply(params, batch.s_tm1)
        ratio = jnp.exp(gaussian_log_prob(batch.a_tm1, mean, std) - batch.extra["log_prob"])
        advantage = batch.extra["advantage"]
        advantage = (advantage - jnp.mean(advantage)) / jnp.sqrt(jnp.var(advantage) + ADVANTAGE_FLOOR)
        policy_loss = jnp.mean(clipped_surrogate(ratio, advantage, clip))
        value_loss = jnp.mean(squared(batch.extra["return"] - value))
        entropy = jnp.mean(gaussian_entropy(std))
        total = policy_loss + value_weight * value_loss - entropy_weight * entropy + kernel_l2 * kernel_squares(params)
        return total, {
            "policy_loss": policy_loss,
            "value_loss": value_loss,
            "entropy": entropy,
            "mean_value": jnp.mean(value),
            "clip_fraction": jnp.mean(jnp.abs(ratio - 1) > clip),
        }

    def init(key: jax.Array, observation: jax.Array) -> Params:
        return networks.init(key, observation)

    def statistics(observation: jax.Array) -> Statistics:
        size = observation.shape[1]
        return Statistics(*(Moments(jnp.zeros(()), jnp.zeros(shape), jnp.zeros(shape)) for shape in ((size,), ())))

    def acting(learner: Learner) -> Acting:
        return learner.params, learner.statistics.observation

    def policy(given: Acting, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        params, moments = given
        mean, std = apply(params, normalized(observation, moments), method="policy")
        return mean, std

    def act(given: Acting, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        mean, std = policy(given, observation)
        return mean + std * jax.random.normal(key, mean.shape)

    def evaluate(given: Acting, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        return policy(given, observation)[0]

    def prepare(learner: Learner, trajectory: Trajectory) -> tuple[Learner, Batch]:
        moments = learner.statistics.observation
        s_tm1, s_t = normalized(trajectory.s_tm1, moments), normalized(trajectory.s_t, moments)
        rewards = learner.statistics.reward.including(trajectory.r_t)
        r_t = jnp.clip(trajectory.r_t / rewards.deviation(), -reward_clip, reward_clip)
        mean, std, v_tm1 = apply(learner.params, s_tm1)
        _, _, v_t = apply(learner.params, s_t)
        advantage = generalized_advantages(r_t, trajectory.discount_t, trajectory.ended, v_tm1, v_t, gae_decay)
        extra = {
            "advantage": advantage,
            "return": advantage + v_tm1,
            "log_prob": gaussian_log_prob(trajectory.a_tm1, mean, std),
        }
        batch = Batch(
            s_tm1,
            trajectory.a_tm1,
            r_t,
            trajectory.discount_t,
            s_t,
            jnp.ones_like(r_t),
            jnp.ones(actions, jnp.bool_),
            extra,
        )
        return learner._replace(statistics=Statistics(moments.including(trajectory.s_tm1), rewards)), batch

    def update(
        learner: Learner, batch: Batch, key: jax.Array, apply_gradients: ApplyGradients
    ) -> tuple[Learner, Feedback]:
        gradients, metrics = jax.grad(loss, has_aux=True)(learner.params, batch)
        return apply_gradients(learner, gradients), Feedback(metrics)

    def activations(params: Params, observation: jax.Array) -> dict[str, jax.Array]:
        return unit_outputs(networks, params, observation)

    def values(params: Params, observation: jax.Array) -> jax.Array:
        return jnp.asarray(apply(params, observation)[2])[:, None]

    return Agent(
        init,
        act,
        update,
        _optimizer(settings, step_size),
        plan,
        activations,
        networks.layers,
        evaluate,
        statistics,
        acting,
        prepare,
        goals=(Goal("share of the learning rate's decay", lambda updates: min(1.0, updates / decay)),),
        values=values,
        step_size=step_size,
    )


def _small_uniform(key: jax.Array, shape: Any, dtype: Any = None, out_sharding: Any = None) -> jax.Array:
    return jax.random.uniform(key, shape, dtype, -VALUE_BOUND, VALUE_BOUND)


def _step_size(settings: PPOSettings, plan: DataPlan) -> Callable[[jax.Array], jax.Array]:
    """Return Adam's step size after a count of steps, which falls with every trajectory, to 0."""
    highest, decay = settings.learning_rate, settings.decay_updates

    def step_size(count: jax.Array) -> jax.Array:
        before = count // plan.updates_per_period * plan.updates_per_period
        return highest * jnp.maximum(0.0, 1 - before / decay)

    return step_size


def _optimizer(settings: PPOSettings, step_size: Callable[[jax.Array], jax.Array]) -> optax.GradientTransformation:
    """Return Adam behind a bound on all gradients' norm."""
    return optax.chain(
        optax.clip_by_global_norm(settings.gradient_norm),
        optax.adam(
            step_size,
            b1=settings.adam_b1,
            b2=settings.adam_b2,
            eps=settings.adam_epsilon,
        ),
    )


def _plan(settings: PPOSettings) -> DataPlan:
    length, batch_size = settings.trajectory_length, settings.batch_size
    if length % batch_size:
        raise UsageError(
            f"agent.batch_size = {batch_size} does not divide agent.trajectory_length = {length}: some rows of a pass "
            "would be left out.",
            "Make the trajectory length a multiple of the batch size.",
        )
    return DataPlan(
        capacity=length,
        batch_size=batch_size,
        n_step=1,
        gamma=settings.gamma,
        warm_up=0,
        update_period=length,
        updates_per_period=settings.passes * (length // batch_size),
        target_update_period=0,
        epsilon_train=0.0,
        epsilon_decay=1,
        replay="rollout",
        noisy=True,
    )
