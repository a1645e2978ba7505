"""Gaussian policies over vectors of actions, and the losses of SAC and PPO."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp

from suite.contracts.agent import Params

LOG_2PI = math.log(2 * math.pi)


def gaussian_log_prob(x: jax.Array, mean: jax.Array, std: jax.Array) -> jax.Array:
    """Return the log-density [...] of points [..., A] under independent Gaussians, means and deviations [..., A]."""
    return -0.5 * jnp.sum(jnp.square((x - mean) / std) + 2 * jnp.log(std) + LOG_2PI, axis=-1)


def gaussian_entropy(std: jax.Array) -> jax.Array:
    """Return the entropy [...], in nats, of independent Gaussians of these deviations [..., A]."""
    return jnp.sum(jnp.log(std) + 0.5 * (1 + LOG_2PI), axis=-1)


def tanh_gaussian_log_prob(x: jax.Array, mean: jax.Array, std: jax.Array) -> jax.Array:
    """Return the log-density [...] of the actions tanh(x) in (-1, 1), x [..., A] being Gaussian.

    The logarithm of tanh's slope, 1 - tanh(x)**2, is written as 2 (log 2 - x - softplus(-2 x)), which stays finite
    where the action rounds to 1.
    """
    log_slope = 2 * (math.log(2) - x - jax.nn.softplus(-2 * x))
    return gaussian_log_prob(x, mean, std) - jnp.sum(log_slope, axis=-1)


def soft_q_target(
    r_t: jax.Array, discount_t: jax.Array, q_t: jax.Array, log_prob_t: jax.Array, alpha: jax.Array
) -> jax.Array:
    """Return SAC's target r_t + discount_t (min(q_t) - alpha log_prob_t), [B], without a gradient.

    `q_t`: float32 [2, B], both target critics' values of an action sampled at the state after the transition.
    `log_prob_t`: [B], that action's log-density. `alpha`: the temperature, a scalar.
    """
    return jax.lax.stop_gradient(r_t + discount_t * (jnp.min(q_t, axis=0) - alpha * log_prob_t))


def temperature_loss(log_alpha: jax.Array, log_prob: jax.Array, target_entropy: float) -> jax.Array:
    """Return the loss of the temperature's logarithm, a scalar: descending it raises alpha while entropy is too low.

    `log_prob`: [B], of sampled actions; the gradient flows through `log_alpha` alone.
    """
    return log_alpha * jax.lax.stop_gradient(jnp.mean(-log_prob) - target_entropy)


def generalized_advantages(
    r_t: jax.Array, discount_t: jax.Array, ended: jax.Array, v_tm1: jax.Array, v_t: jax.Array, decay: float
) -> jax.Array:
    """Return generalized advantage estimates (Schulman et al. 2016), float32 [T], of T consecutive steps.

    `v_tm1`, `v_t`: [T], the values of the observations before and after each step. `discount_t`: [T], 0 where the
    episode terminated. `ended`: bool [T]; nothing flows back over the end of an episode, though a truncated one's last
    step counts the value after it. `decay`: lambda.
    """
    errors = r_t + discount_t * v_t - v_tm1
    weights = jnp.where(ended, 0.0, discount_t * decay)

    def earlier(later: jax.Array, step: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        error, weight = step
        advantage = error + weight * later
        return advantage, advantage

    _, advantages = jax.lax.scan(earlier, jnp.zeros((), errors.dtype), (errors, weights), reverse=True)
    return advantages


def clipped_surrogate(ratio: jax.Array, advantage: jax.Array, clip: float) -> jax.Array:
    """Return PPO's loss of each action, [B], from its new probability over its old one and its advantage, both [B]."""
    return -jnp.minimum(ratio * advantage, jnp.clip(ratio, 1 - clip, 1 + clip) * advantage)


def kernel_squares(params: Params) -> jax.Array:
    """Return the sum of the squares of all kernels (parameters of more than one axis), a scalar."""
    return sum((jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(params) if leaf.ndim > 1), start=jnp.zeros(()))
