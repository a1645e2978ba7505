"""DQN (Mnih et al. 2015) as Dopamine's JaxDQN: Adam on the mean squared TD error, a hard copy as target network."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn

from baselines.losses.value import huber, q_learning, squared
from baselines.networks.heads import QNetwork
from suite.agent import Agent, ApplyGradients, Batch, DataPlan, Feedback, Learner, MakeEncoder, Params, recorded_units
from suite.card import Value
from suite.errors import UsageError

LOSSES = {"mse": squared, "huber": huber}


def make(settings: dict[str, Value], network: MakeEncoder, actions: int) -> Agent:
    """Build DQN for `actions` discrete actions; kernels start Xavier-uniform, biases at zero."""
    kernel_init = nn.initializers.xavier_uniform()
    q_network = QNetwork(network(kernel_init=kernel_init), actions, kernel_init)
    element_loss = LOSSES[str(settings["loss"])]

    def q_values(params: Params, observation: jax.Array, legal: jax.Array) -> jax.Array:
        return jnp.where(legal, jnp.asarray(q_network.apply(params, observation)), -jnp.inf)

    def loss_and_mean_q(params: Params, target_params: Params, batch: Batch) -> tuple[jax.Array, jax.Array]:
        q_tm1 = q_values(params, batch.s_tm1, batch.legal)
        q_t = q_values(target_params, batch.s_t, batch.legal)
        td_error = jax.vmap(q_learning)(q_tm1, batch.a_tm1, batch.r_t, batch.discount_t, q_t)
        taken = jnp.take_along_axis(q_tm1, batch.a_tm1[:, None], axis=1)
        return jnp.mean(element_loss(td_error)), jnp.mean(taken)

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
        _, noted = q_network.apply(params, observation, mutable=["activations"])
        return recorded_units(noted)

    return Agent(init, act, update, _optimizer(settings), _plan(settings), activations, q_network.connections)


def _optimizer(settings: dict[str, Value]) -> optax.GradientTransformation:
    """Return Adam with epsilon added outside the square root, after the bias correction."""
    return optax.adam(
        float(settings["learning_rate"]),
        b1=float(settings["adam_b1"]),
        b2=float(settings["adam_b2"]),
        eps=float(settings["adam_epsilon"]),
    )


def _plan(settings: dict[str, Value]) -> DataPlan:
    plan = DataPlan(
        capacity=int(settings["replay_capacity"]),
        batch_size=int(settings["batch_size"]),
        n_step=int(settings["n_step"]),
        gamma=float(settings["gamma"]),
        warm_up=int(settings["warm_up"]),
        update_period=int(settings["update_period"]),
        updates_per_period=int(settings["updates_per_period"]),
        target_update_period=int(settings["target_update_period"]),
        epsilon_train=float(settings["epsilon_train"]),
        epsilon_decay=int(settings["epsilon_decay"]),
    )
    if plan.n_step > min(plan.warm_up, plan.capacity):
        raise UsageError(
            f"agent.n_step = {plan.n_step} exceeds agent.warm_up = {plan.warm_up} or "
            f"agent.replay_capacity = {plan.capacity}: the first update would find no transition.",
            "Make warm_up and replay_capacity at least n_step.",
        )
    return plan
