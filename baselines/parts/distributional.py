"""The head that C51 and QR-DQN share, N numbers for each action, and the loss of those of the taken action."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from baselines.losses.value import mean_taken
from baselines.networks.heads import DistributionNetwork
from baselines.parts.value_based import (
    AdamSettings,
    adam,
    fan_in_uniform,
    greedy,
    priorities_from,
    unit_outputs,
)
from suite.contracts.agent import Agent, ApplyGradients, Batch, DataPlan, Feedback, Learner, Params
from suite.contracts.encoder import MakeEncoder

Means = Callable[[jax.Array], jax.Array]
"""From the head's numbers, float32 [..., N], to the expected returns [...] that they stand for."""
TransitionLoss = Callable[[jax.Array, jax.Array, jax.Array, jax.Array, jax.Array, jax.Array], jax.Array]
"""From outputs_tm1 [A, N], a_tm1, r_t, discount_t, outputs_t [A, N] of the target network and legal [A] to a scalar."""


def build(
    settings: AdamSettings,
    network: MakeEncoder,
    actions: int,
    atoms: int,
    means: Means,
    transition_loss: TransitionLoss,
    plan: DataPlan,
) -> Agent:
    """Build an agent with `atoms` numbers for each action, which acts greedily on their `means`."""
    kernel_init = fan_in_uniform()
    distribution = DistributionNetwork(network(kernel_init=kernel_init), actions, atoms, kernel_init)

    def outputs(params: Params, observation: jax.Array) -> jax.Array:
        return jnp.asarray(distribution.apply(params, observation))

    def loss_and_details(
        params: Params, target_params: Params, batch: Batch
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        outputs_tm1, outputs_t = outputs(params, batch.s_tm1), outputs(target_params, batch.s_t)
        losses = jax.vmap(transition_loss, in_axes=(0, 0, 0, 0, 0, None))(
            outputs_tm1, batch.a_tm1, batch.r_t, batch.discount_t, outputs_t, batch.legal
        )
        return jnp.mean(batch.weight * losses), (losses, mean_taken(means(outputs_tm1), batch.a_tm1))

    def init(key: jax.Array, observation: jax.Array) -> Params:
        return distribution.init(key, observation)

    def act(params: Params, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        return greedy(means(outputs(params, observation)), legal)

    def update(
        learner: Learner, batch: Batch, key: jax.Array, apply_gradients: ApplyGradients
    ) -> tuple[Learner, Feedback]:
        differentiate = jax.value_and_grad(loss_and_details, has_aux=True)
        (loss, (losses, mean_q)), gradients = differentiate(learner.params, learner.target_params, batch)
        feedback = Feedback({"loss": loss, "mean_q": mean_q}, priorities_from(losses, plan))
        return apply_gradients(learner, gradients), feedback

    def activations(params: Params, observation: jax.Array) -> dict[str, jax.Array]:
        return unit_outputs(distribution, params, observation)

    def mean_values(params: Params, observation: jax.Array) -> jax.Array:
        return means(outputs(params, observation))

    return Agent(init, act, update, adam(settings), plan, activations, distribution.layers, values=mean_values)
