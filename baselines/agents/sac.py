"""SAC (Haarnoja et al. 2018) with two critics and a learnt temperature, in google-research/rigl's settings.

The losses of actor, critics and temperature are added up and differentiated once, at the same parameters: no part of
their sum has a gradient in another one's parameters, and Adam works on each number by itself, so that one Adam is three
of the same step size.
"""

from __future__ import annotations

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from baselines.losses.policy import kernel_squares, soft_q_target, tanh_gaussian_log_prob, temperature_loss
from baselines.losses.value import squared
from baselines.networks.heads import DistributionNetwork, QNetwork
from baselines.parts.value_based import AdamSettings, adam, unit_outputs
from suite.contracts.agent import Agent, ApplyGradients, Batch, DataPlan, Feedback, Learner, Params
from suite.contracts.encoder import Layer, MakeEncoder, nested

CRITIC_WEIGHT = 0.5
CRITICS = ("critic1", "critic2")


class SACSettings(AdamSettings):
    """Settings of SAC."""

    gamma: float
    tau: float
    reward_scale: float
    kernel_l2: float
    target_entropy: float
    initial_alpha: float
    hidden_units: int
    hidden_layers: int
    batch_size: int
    replay_capacity: int
    warm_up: int
    update_period: int
    updates_per_period: int


class SACNetwork(nn.Module):
    """An actor, two critics and the logarithm of the temperature; parameters `<part>/encoder/...` and `<part>/head`."""

    actor: nn.Module
    critic1: nn.Module
    critic2: nn.Module
    initial_log_alpha: float

    def setup(self) -> None:
        """Name the temperature's parameter."""
        self.log_alpha = self.param("log_alpha", nn.initializers.constant(self.initial_log_alpha), ())

    def __call__(self, observation: jax.Array) -> jax.Array:
        """Evaluate every part, the critics on the actor's mean action: values float32 [2, B] for [B, D]."""
        mean, _ = self.policy(observation)
        return self.q_values(observation, jnp.tanh(mean))

    def policy(self, observation: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Map float32 [B, D] to means and deviations [B, A] of the Gaussian whose tanh is the action."""
        numbers = self.actor(observation)
        return numbers[..., 0], jnp.exp(numbers[..., 1])

    def q_values(self, observation: jax.Array, action: jax.Array) -> jax.Array:
        """Map float32 [B, D] and actions [B, A] in [-1, 1] to both critics' values float32 [2, B]."""
        inputs = jnp.concatenate([observation, action], axis=-1)
        return jnp.stack([self.critic1(inputs)[:, 0], self.critic2(inputs)[:, 0]])

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those of the three parts, each a network of its own, and the temperature."""
        own = (nested(getattr(self, part).layers, part, network=part) for part in ("actor", *CRITICS))
        return *itertools.chain.from_iterable(own), Layer("log_alpha", "other")


def make(settings: SACSettings, network: MakeEncoder, actions: int) -> Agent:
    """Build SAC for `actions` action dimensions; kernels start Xavier-uniform, biases at zero."""
    kernel_init = nn.initializers.xavier_uniform()
    units = (settings.hidden_units,) * settings.hidden_layers

    def encoder() -> nn.Module:
        made: nn.Module = network(units=units, activation="relu", kernel_init=kernel_init)
        return made

    networks = SACNetwork(
        actor=DistributionNetwork(encoder(), actions, 2, kernel_init),
        critic1=QNetwork(encoder(), 1, kernel_init),
        critic2=QNetwork(encoder(), 1, kernel_init),
        initial_log_alpha=math.log(settings.initial_alpha),
    )
    reward_scale, tau = settings.reward_scale, settings.tau
    kernel_l2, target_entropy = settings.kernel_l2, settings.target_entropy * actions

    apply: Any = networks.apply

    def sampled(params: Params, observation: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        mean, std = apply(params, observation, method="policy")
        x = mean + std * jax.random.normal(key, mean.shape)
        return jnp.tanh(x), tanh_gaussian_log_prob(x, mean, std)

    def q_values(params: Params, observation: jax.Array, action: jax.Array) -> jax.Array:
        values: jax.Array = apply(params, observation, action, method="q_values")
        return values

    def total_loss(
        params: Params, target_params: Params, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, dict[str, jax.Array]]:
        fixed, parts = jax.lax.stop_gradient(params), params["params"]
        log_alpha = parts["log_alpha"]
        alpha = jnp.exp(fixed["params"]["log_alpha"])
        next_key, own_key = jax.random.split(key)

        a_t, log_prob_t = sampled(fixed, batch.s_t, next_key)
        q_t = q_values(target_params, batch.s_t, a_t)
        target = soft_q_target(reward_scale * batch.r_t, batch.discount_t, q_t, log_prob_t, alpha)
        q_tm1 = q_values(params, batch.s_tm1, batch.a_tm1)
        critic_loss = CRITIC_WEIGHT * jnp.sum(jnp.mean(squared(target - q_tm1), axis=1))
        critic_l2 = CRITIC_WEIGHT * kernel_l2 * kernel_squares([parts[part] for part in CRITICS])

        action, log_prob = sampled(params, batch.s_tm1, own_key)
        actor_loss = jnp.mean(alpha * log_prob - jnp.min(q_values(fixed, batch.s_tm1, action), axis=0))
        actor_l2 = kernel_l2 * kernel_squares(parts["actor"])

        alpha_loss = temperature_loss(log_alpha, log_prob, target_entropy)
        return critic_loss + critic_l2 + actor_loss + actor_l2 + alpha_loss, {
            "critic_loss": critic_loss,
            "actor_loss": actor_loss,
            "alpha": alpha,
            "mean_q": jnp.mean(q_tm1),
            "entropy": -jnp.mean(log_prob),
        }

    def init(key: jax.Array, observation: jax.Array) -> Params:
        return networks.init(key, observation)

    def act(params: Params, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        return sampled(params, observation, key)[0]

    def evaluate(params: Params, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        mean, _ = apply(params, observation, method="policy")
        return jnp.tanh(mean)

    def update(
        learner: Learner, batch: Batch, key: jax.Array, apply_gradients: ApplyGradients
    ) -> tuple[Learner, Feedback]:
        gradients, metrics = jax.grad(total_loss, has_aux=True)(learner.params, learner.target_params, batch, key)
        learner = apply_gradients(learner, gradients)
        new, old = learner.params["params"], learner.target_params["params"]
        moved = {part: optax.incremental_update(new[part], old[part], tau) for part in CRITICS}
        return learner._replace(target_params={"params": old | moved}), Feedback(metrics)

    def activations(params: Params, observation: jax.Array) -> dict[str, jax.Array]:
        return unit_outputs(networks, params, observation)

    def values(params: Params, observation: jax.Array) -> jax.Array:
        mean, _ = apply(params, observation, method="policy")
        return q_values(params, observation, jnp.tanh(mean)).T

    return Agent(
        init, act, update, adam(settings), _plan(settings), activations, networks.layers, evaluate, values=values
    )


def _plan(settings: SACSettings) -> DataPlan:
    return DataPlan(
        capacity=settings.replay_capacity,
        batch_size=settings.batch_size,
        n_step=1,
        gamma=settings.gamma,
        warm_up=settings.warm_up,
        update_period=settings.update_period,
        updates_per_period=settings.updates_per_period,
        target_update_period=0,
        epsilon_train=0.0,
        epsilon_decay=1,
        noisy=True,
    )
