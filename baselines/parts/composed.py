"""Rainbow's parts (Hessel et al. 2018), each on or off, as Atari 100k agents have them from Dopamine's full Rainbow.

Always on: dueling networks (Wang et al. 2016) and double Q-learning (van Hasselt et al. 2016).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn

from baselines.losses.distributional import cross_entropy, expectation, project
from baselines.losses.value import huber
from baselines.networks.dueling import DuelingNetwork
from baselines.parts.value_based import Penalty, greedy, priorities_from, unit_outputs
from suite.contracts.agent import Agent, ApplyGradients, Batch, DataPlan, Feedback, Learner, Params
from suite.contracts.encoder import MakeEncoder
from suite.errors import UsageError


@dataclass(frozen=True)
class Parts:
    """Which parts an agent has.

    `support`: float32 [N], the returns that the atoms of a C51 agent stand for; None if it learns one value.
    `element_loss`: of the TD error, where one value is learnt. `sigma`: how large the noise in the noisy layers is at
    first; None if there are none. `augment(key, images)`: changes uint8 images [B, height, width, C] into
    float32 ones on the same scale, 0 to 255, which an encoder takes as well. `penalty`: what is added to each
    transition's loss.
    """

    support: jax.Array | None = None
    element_loss: Callable[[jax.Array], jax.Array] = huber
    sigma: float | None = None
    augment: Callable[[jax.Array, jax.Array], jax.Array] | None = None
    penalty: Penalty | None = None


def build(parts: Parts, network: MakeEncoder, actions: int, optimizer: Any, plan: DataPlan) -> Agent:
    """Build an agent for `actions` discrete actions; plain kernels start Xavier-uniform, plain biases at zero."""
    kernel_init = nn.initializers.xavier_uniform()
    encoder = network(kernel_init=kernel_init)
    if parts.sigma is not None and not hasattr(encoder, "torso"):
        raise UsageError(
            "This agent replaces the network's dense layer by a noisy one, and the network has no `torso` before it.",
            "Choose another network or agent, or give the network's module that method.",
        )
    atoms = 1 if parts.support is None else parts.support.size
    dueling_network = DuelingNetwork(encoder, actions, atoms, kernel_init, parts.sigma)

    def outputs(params: Params, observation: jax.Array, legal: jax.Array, key: jax.Array | None) -> jax.Array:
        """Return logits float32 [B, A, N], or values [B, A, 1]."""
        return jnp.asarray(dueling_network.apply(params, observation, legal, key))

    def init(key: jax.Array, observation: jax.Array) -> Params:
        return dueling_network.init(key, observation, jnp.ones(actions, jnp.bool_))

    def evaluate(params: Params, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        return greedy(values(outputs(params, observation, legal, None), parts.support), legal)

    def act_with_noise(params: Params, observation: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        return greedy(values(outputs(params, observation, legal, key), parts.support), legal)

    def loss_and_rest(
        params: Params, batch: Batch, target: jax.Array, key: jax.Array
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        outputs_tm1 = outputs(params, batch.s_tm1, batch.legal, key)
        taken = of_actions(outputs_tm1, batch.a_tm1)
        losses = transition_losses(taken, target, parts)
        if parts.penalty is not None:
            q_tm1 = values(outputs_tm1, parts.support)
            losses = losses + jax.vmap(parts.penalty, in_axes=(0, 0, None))(q_tm1, batch.a_tm1, batch.legal)
        return jnp.mean(batch.weight * losses), (losses, jnp.mean(values(taken, parts.support)))

    def update(
        learner: Learner, batch: Batch, key: jax.Array, apply_gradients: ApplyGradients
    ) -> tuple[Learner, Feedback]:
        s_tm1_key, s_t_key, online_key, target_key = jax.random.split(key, 4)
        if parts.augment is not None:
            batch = batch._replace(s_tm1=parts.augment(s_tm1_key, batch.s_tm1), s_t=parts.augment(s_t_key, batch.s_t))
        chosen_by = outputs(learner.params, batch.s_t, batch.legal, target_key)
        valued_by = outputs(learner.target_params, batch.s_t, batch.legal, target_key)
        a_t = greedy(values(chosen_by, parts.support), batch.legal)
        target = bootstrap(batch.r_t, batch.discount_t, of_actions(valued_by, a_t), parts.support)
        differentiate = jax.value_and_grad(loss_and_rest, has_aux=True)
        (loss, (losses, mean_q)), gradients = differentiate(learner.params, batch, target, online_key)
        feedback = Feedback({"loss": loss, "mean_q": mean_q}, priorities_from(losses, plan))
        return apply_gradients(learner, gradients), feedback

    def activations(params: Params, observation: jax.Array) -> dict[str, jax.Array]:
        return unit_outputs(dueling_network, params, observation, jnp.ones(actions, jnp.bool_))

    def mean_values(params: Params, observation: jax.Array) -> jax.Array:
        return values(outputs(params, observation, jnp.ones(actions, jnp.bool_), None), parts.support)

    own_exploration = parts.sigma is not None
    return Agent(
        init,
        act_with_noise if own_exploration else evaluate,
        update,
        optimizer,
        plan,
        activations,
        dueling_network.layers,
        evaluate if own_exploration else None,
        values=mean_values,
    )


def values(outputs: jax.Array, support: jax.Array | None) -> jax.Array:
    """Return float32 [...] from [..., N]: the mean of `support` under the logits' softmax, or the one value itself."""
    return outputs[..., 0] if support is None else expectation(outputs, support)


def of_actions(outputs: jax.Array, actions: jax.Array) -> jax.Array:
    """Return one action's outputs of each row: float32 [B, N] from [B, A, N] and int32 [B]."""
    return jnp.take_along_axis(outputs, actions[:, None, None], axis=1)[:, 0]


def bootstrap(r_t: jax.Array, discount_t: jax.Array, outputs_t: jax.Array, support: jax.Array | None) -> jax.Array:
    """Return what to learn, [B, N]: probabilities of the atoms of `support`, or r_t + discount_t * outputs_t.

    `r_t`, `discount_t`: float32 [B], as in a batch. `outputs_t`: float32 [B, N], the target network's for the action
    that is chosen in the state to come.
    """
    of_return = outputs_t if support is None else support
    returns = r_t[:, None] + discount_t[:, None] * of_return
    return returns if support is None else project(returns, jax.nn.softmax(outputs_t), support)


def transition_losses(taken: jax.Array, target: jax.Array, parts: Parts) -> jax.Array:
    """Return a loss for each transition, float32 [B], from the outputs for the taken action and the target, [B, N].

    The cross-entropy of the atoms' probabilities if there are atoms, else the `element_loss` of the TD error.
    """
    if parts.support is not None:
        return cross_entropy(target, taken)
    return parts.element_loss(target - taken)[:, 0]
