"""DQN (Mnih et al. 2015) as Dopamine's JaxDQN: Adam on the mean squared TD error, a hard copy as target network."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from baselines.losses.value import LOSSES, mean_taken, q_learning
from baselines.networks.heads import QNetwork
from baselines.parts.value_based import (
    EpsilonSettings,
    LossSettings,
    Penalty,
    adam,
    data_plan,
    unit_outputs,
)
from suite.contracts.agent import Agent, ApplyGradients, Batch, DataPlan, Feedback, Learner, Params
from suite.contracts.encoder import MakeEncoder


class DQNSettings(EpsilonSettings, LossSettings):
    """Settings of DQN."""

    optimizer: Literal["adam", "rmsprop"]
    rmsprop_decay: float
    rmsprop_epsilon: float


def make(settings: DQNSettings, network: MakeEncoder, actions: int) -> Agent:
    """Build DQN for `actions` discrete actions."""
    optimizer = rmsprop(settings) if settings.optimizer == "rmsprop" else adam(settings)
    return build(settings, network, actions, optimizer, data_plan(settings))


def rmsprop(settings: DQNSettings) -> optax.GradientTransformationExtraArgs:
    """Return TensorFlow 1's centered RMSProp: mean squares start at 1, epsilon is added to the variance."""
    return optax.rmsprop(
        settings.learning_rate,
        decay=settings.rmsprop_decay,
        eps=settings.rmsprop_epsilon,
        initial_scale=1.0,
        eps_in_sqrt=True,
        centered=True,
    )


def build(
    settings: LossSettings,
    network: MakeEncoder,
    actions: int,
    optimizer: optax.GradientTransformation,
    plan: DataPlan,
    penalty: Penalty | None = None,
) -> Agent:
    """Build an agent that learns one value for each action; kernels start Xavier-uniform, biases at zero."""
    kernel_init = nn.initializers.xavier_uniform()
    q_network = QNetwork(network(kernel_init=kernel_init), actions, kernel_init)
    element_loss = LOSSES[settings.loss]

    def q_values(params: Params, observation: jax.Array, legal: jax.Array) -> jax.Array:
        return jnp.where(legal, jnp.asarray(q_network.apply(params, observation)), -jnp.inf)

    def loss_and_mean_q(params: Params, target_params: Params, batch: Batch) -> tuple[jax.Array, jax.Array]:
        q_tm1 = q_values(params, batch.s_tm1, batch.legal)
        q_t = q_values(target_params, batch.s_t, batch.legal)
        td_error = jax.vmap(q_learning)(q_tm1, batch.a_tm1, batch.r_t, batch.discount_t, q_t)
        losses = element_loss(td_error)
        if penalty is not None:
            losses = losses + jax.vmap(penalty, in_axes=(0, 0, None))(q_tm1, batch.a_tm1, batch.legal)
        return jnp.mean(losses), mean_taken(q_tm1, batch.a_tm1)

    def init(key: jax.Array, observation: jax.Array) -> Params:
        return q_network.init(key, observation)

    def act(params: Params, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        return jnp.argmax(q_values(params, observation, legal), axis=-1).astype(jnp.int32)

    def update(
        learner: Learner, batch: Batch, key: jax.Array, apply_gradients: ApplyGradients
    ) -> tuple[Learner, Feedback]:
        differentiate = jax.value_and_grad(loss_and_mean_q, has_aux=True)
        (loss, mean_q), gradients = differentiate(learner.params, learner.target_params, batch)
        return apply_gradients(learner, gradients), Feedback({"loss": loss, "mean_q": mean_q})

    def activations(params: Params, observation: jax.Array) -> dict[str, jax.Array]:
        return unit_outputs(q_network, params, observation)

    def values(params: Params, observation: jax.Array) -> jax.Array:
        return jnp.asarray(q_network.apply(params, observation))

    return Agent(init, act, update, optimizer, plan, activations, q_network.layers, values=values)
