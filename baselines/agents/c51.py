"""C51 (Bellemare et al. 2017) as Dopamine's JaxRainbow: cross-entropy to the projected target, Adam, a hard copy."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from baselines.agents.common import adam, data_plan, fan_in_uniform, greedy, mean_taken, priorities_from, unit_outputs
from baselines.losses.distributional import categorical_q_learning, expectation
from baselines.networks.heads import DistributionNetwork
from suite.agent import Agent, ApplyGradients, Batch, Feedback, Learner, MakeEncoder, Params
from suite.card import Value


def make(settings: dict[str, Value], network: MakeEncoder, actions: int) -> Agent:
    """Build C51 for `actions` discrete actions, with the replay, the steps and the support of its settings."""
    plan = data_plan(settings)
    kernel_init = fan_in_uniform()
    atoms, bound = int(settings["atoms"]), float(settings["v_max"])
    distribution = DistributionNetwork(network(kernel_init=kernel_init), actions, atoms, kernel_init)
    support = jnp.linspace(-bound, bound, atoms)

    def logits(params: Params, observation: jax.Array) -> jax.Array:
        return jnp.asarray(distribution.apply(params, observation))

    def loss_and_details(
        params: Params, target_params: Params, batch: Batch
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        logits_tm1, logits_t = logits(params, batch.s_tm1), logits(target_params, batch.s_t)
        losses = jax.vmap(categorical_q_learning, in_axes=(0, 0, 0, 0, 0, None, None))(
            logits_tm1, batch.a_tm1, batch.r_t, batch.discount_t, logits_t, support, batch.legal
        )
        mean_q = mean_taken(expectation(logits_tm1, support), batch.a_tm1)
        return jnp.mean(batch.weight * losses), (losses, mean_q)

    def init(key: jax.Array, observation: jax.Array) -> Params:
        return distribution.init(key, observation)

    def act(params: Params, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        return greedy(expectation(logits(params, observation), support), legal)

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
