"""IQN (Dabney et al. 2018) as Dopamine's JaxImplicitQuantileAgent: quantiles at sampled levels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

import jax
import jax.numpy as jnp

from baselines.losses.distributional import greedy_quantiles, midpoints, quantile_huber
from baselines.networks.heads import ImplicitQuantileNetwork
from baselines.parts.value_based import EpsilonSettings, adam, data_plan, fan_in_uniform, greedy, unit_outputs
from suite.contracts.agent import Agent, ApplyGradients, Batch, Feedback, Learner, Params
from suite.contracts.encoder import MakeEncoder
from suite.errors import UsageError

Sampler = Callable[[Params, jax.Array, jax.Array, int], tuple[jax.Array, jax.Array]]
"""From parameters, uint8 observations [B, ...], a key and K to values float32 [B, K, A] and their levels [B, K]."""
Target = Callable[[Sampler, Params, Batch, jax.Array], jax.Array]
"""From a sampler, the target network's parameters, a batch and a key to samples of the return, float32 [B, N']."""
Policy = Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
"""From values float32 [B, A], legal actions bool [A] and a key to actions int32 [B]."""

NOTED_LEVELS = 8


class IQNSettings(EpsilonSettings):
    """Settings of IQN."""

    kappa: float
    online_samples: int
    target_samples: int
    action_samples: int
    embedding_size: int
    levels: Literal["batch", "transition"]


def make(settings: IQNSettings, network: MakeEncoder, actions: int) -> Agent:
    """Build IQN for `actions` discrete actions."""
    select, samples = settings.action_samples, settings.target_samples

    def target(sampler: Sampler, params: Params, batch: Batch, key: jax.Array) -> jax.Array:
        values, _ = sampler(params, batch.s_t, key, select + samples)
        best = jax.vmap(greedy_quantiles, in_axes=(0, 0, None))(values[:, select:], values[:, :select], batch.legal)
        return batch.r_t[:, None] + batch.discount_t[:, None] * best

    return build(settings, network, actions, target)


def build(
    settings: IQNSettings, network: MakeEncoder, actions: int, target: Target, policy: Policy | None = None
) -> Agent:
    """Build an agent that regresses sampled quantiles of the online network on `target`.

    It acts greedily on the mean over its action samples, or by `policy`.
    """
    plan = data_plan(settings)
    kernel_init = fan_in_uniform()
    kappa, online_samples = settings.kappa, settings.online_samples
    action_samples, shared = settings.action_samples, settings.levels == "batch"
    encoder = network(kernel_init=kernel_init)
    if not (hasattr(encoder, "torso") and hasattr(encoder, "final")):
        raise UsageError(
            "Quantile levels enter before the network's dense layer, and this network has no `torso` and `final`.",
            "Choose nature_cnn or impala, or give the network's module these two methods.",
        )
    implicit = ImplicitQuantileNetwork(encoder, actions, settings.embedding_size, kernel_init)

    def sampler(params: Params, observation: jax.Array, key: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
        size = observation.shape[0]
        levels = jax.random.uniform(key, (1 if shared else size, count))
        values = jnp.asarray(implicit.apply(params, observation, levels))
        return values, jnp.broadcast_to(levels, (size, count))

    def loss_and_mean_q(
        params: Params, target_params: Params, batch: Batch, key: jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        online_key, target_key = jax.random.split(key)
        values, levels = sampler(params, batch.s_tm1, online_key, online_samples)
        goal = target(sampler, target_params, batch, target_key)
        taken = jnp.take_along_axis(values, batch.a_tm1[:, None, None], axis=2)[:, :, 0]
        losses = jax.vmap(quantile_huber, in_axes=(0, 0, 0, None))(taken, levels, goal, kappa)
        return jnp.mean(batch.weight * losses), jnp.mean(taken)

    def init(key: jax.Array, observation: jax.Array) -> Params:
        return implicit.init(key, observation, midpoints(1)[None])

    def act(params: Params, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        return greedy(mean_values(params, observation, key), legal)

    def act_by_policy(params: Params, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        assert policy is not None
        level_key, action_key = jax.random.split(key)
        return policy(mean_values(params, observation, level_key), legal, action_key)

    def mean_values(params: Params, observation: jax.Array, key: jax.Array) -> jax.Array:
        return jnp.mean(sampler(params, observation, key, action_samples)[0], axis=1)

    def update(
        learner: Learner, batch: Batch, key: jax.Array, apply_gradients: ApplyGradients
    ) -> tuple[Learner, Feedback]:
        differentiate = jax.value_and_grad(loss_and_mean_q, has_aux=True)
        (loss, mean_q), gradients = differentiate(learner.params, learner.target_params, batch, key)
        return apply_gradients(learner, gradients), Feedback({"loss": loss, "mean_q": mean_q})

    def activations(params: Params, observation: jax.Array) -> dict[str, jax.Array]:
        return unit_outputs(implicit, params, observation, midpoints(NOTED_LEVELS)[None])

    def noted_values(params: Params, observation: jax.Array) -> jax.Array:
        return jnp.mean(jnp.asarray(implicit.apply(params, observation, midpoints(NOTED_LEVELS)[None])), axis=1)

    chosen, evaluate = (act, None) if policy is None else (act_by_policy, act)
    return Agent(
        init, chosen, update, adam(settings), plan, activations, implicit.layers, evaluate, values=noted_values
    )
