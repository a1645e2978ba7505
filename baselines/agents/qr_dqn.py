"""QR-DQN (Dabney et al. 2018) as Dopamine's JaxQuantileAgent: quantiles at fixed levels, the quantile Huber loss."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from baselines.agents.common import adam, data_plan, fan_in_uniform, greedy, mean_taken, priorities_from, unit_outputs
from baselines.losses.distributional import greedy_quantiles, midpoints, quantile_huber
from baselines.networks.heads import DistributionNetwork
from suite.agent import Agent, ApplyGradients, Batch, Feedback, Learner, MakeEncoder, Params
from suite.card import Value


def make(settings: dict[str, Value], network: MakeEncoder, actions: int) -> Agent:
    """Build QR-DQN for `actions` discrete actions."""
    plan = data_plan(settings)
    kernel_init = fan_in_uniform()
    count, kappa = int(settings["quantiles"]), float(settings["kappa"])
    distribution = DistributionNetwork(network(kernel_init=kernel_init), actions, count, kernel_init)
    levels = midpoints(count)

    def quantiles(params: Params, observation: jax.Array) -> jax.Array:
        return jnp.asarray(distribution.apply(params, observation))

    def transition_loss(
        quantiles_tm1: jax.Array,
        a_tm1: jax.Array,
        r_t: jax.Array,
        discount_t: jax.Array,
        quantiles_t: jax.Array,
        legal: jax.Array,
    ) -> jax.Array:
        target = r_t + discount_t * greedy_quantiles(quantiles_t.T, quantiles_t.T, legal)
        return quantile_huber(quantiles_tm1[a_tm1], levels, target, kappa)

    def loss_and_details(
        params: Params, target_params: Params, batch: Batch
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        quantiles_tm1, quantiles_t = quantiles(params, batch.s_tm1), quantiles(target_params, batch.s_t)
        losses = jax.vmap(transition_loss, in_axes=(0, 0, 0, 0, 0, None))(
            quantiles_tm1, batch.a_tm1, batch.r_t, batch.discount_t, quantiles_t, batch.legal
        )
        mean_q = mean_taken(jnp.mean(quantiles_tm1, axis=-1), batch.a_tm1)
        return jnp.mean(batch.weight * losses), (losses, mean_q)

    def init(key: jax.Array, observation: jax.Array) -> Params:
        return distribution.init(key, observation)

    def act(params: Params, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        return greedy(jnp.mean(quantiles(params, observation), axis=-1), legal)

    def update(
        learner: Learner, batch: Batch, key: jax.Array, apply_gradients: ApplyGradients
    ) -> tuple[Learner, Feedback]:
        differentiate = jax.value_and_grad(loss_and_details, has_aux=True)
        (loss, (losses, mean_q)), gradients = differentiate(learner.params, learner.target_params, batch)
        feedback = Feedback({"loss": loss, "mean_q": mean_q}, priorities_from(losses, plan))
        return apply_gradients(learner, gradients), feedback

    def activations(params: Params, observation: jax.Array) -> dict[str, jax.Array]:
        return unit_outputs(distribution, params, observation)

    return Agent(init, act, update, adam(settings), plan, activations, distribution.connections)
