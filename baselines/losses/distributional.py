"""Losses of a single transition whose values are distributions: atoms with probabilities, or quantiles.

Every function takes leading axes where its shapes say [..], and can be batched by `vmap` otherwise. `legal`: bool [A],
false for actions that do not exist; they enter no maximum and no sum.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp


def project(target_support: jax.Array, probabilities: jax.Array, support: jax.Array) -> jax.Array:
    """Move a distribution on shifted atoms back to the support (Bellemare et al. 2017, equation 7).

    `target_support`, `probabilities`: float32 [.., N], atoms and their masses. `support`: float32 [N], equidistant and
    increasing. Returns the masses float32 [.., N] on the support: an atom between two others is shared out by its
    nearness to each, so that its mean stays; one beyond the ends goes to the end.
    """
    spacing = support[1] - support[0]
    clipped = jnp.clip(target_support, support[0], support[-1])
    distance = jnp.abs(clipped[..., None, :] - support[:, None]) / spacing  # [.., to, from]
    share = jnp.clip(1.0 - distance, 0.0, 1.0)
    return jnp.sum(share * probabilities[..., None, :], axis=-1)


def expectation(logits: jax.Array, support: jax.Array) -> jax.Array:
    """Return the means float32 [..] of the distributions softmax(logits), float32 [.., N], on the support [N]."""
    return jnp.sum(jax.nn.softmax(logits) * support, axis=-1)


def cross_entropy(target: jax.Array, logits: jax.Array) -> jax.Array:
    """Return -sum(target * log softmax(logits)), float32 [..], for masses and logits float32 [.., N]."""
    return -jnp.sum(target * jax.nn.log_softmax(logits), axis=-1)


def categorical_q_learning(
    logits_tm1: jax.Array,
    a_tm1: jax.Array,
    r_t: jax.Array,
    discount_t: jax.Array,
    logits_t: jax.Array,
    support: jax.Array,
    legal: jax.Array,
) -> jax.Array:
    """Return C51's loss (Bellemare et al. 2017, algorithm 1), a scalar, from logits float32 [A, N].

    The target is the distribution of the action with the largest mean under `logits_t`, shifted and projected; with n
    steps, `r_t` is their discounted sum and `discount_t` gamma**n or 0. The gradient flows through `logits_tm1` alone.
    """
    greedy = jnp.argmax(jnp.where(legal, expectation(logits_t, support), -jnp.inf))
    target = project(r_t + discount_t * support, jax.nn.softmax(logits_t[greedy]), support)
    return cross_entropy(jax.lax.stop_gradient(target), logits_tm1[a_tm1])


def midpoints(count: int) -> jax.Array:
    """Return the levels float32 [N] in the middle of N equal parts of [0, 1] (Dabney et al. 2018, lemma 2)."""
    return (jnp.arange(count, dtype=jnp.float32) + 0.5) / count


def quantile_huber(quantiles: jax.Array, levels: jax.Array, target: jax.Array, kappa: float) -> jax.Array:
    """Return the loss of quantiles [N] at their levels [N] against target samples [M], a scalar.

    Of each pair's difference the Huber loss with threshold `kappa`, over `kappa`, times 1 - level where the target
    lies below the quantile and by the level elsewhere; summed over quantiles, averaged over targets. The gradient flows
    through `quantiles` alone.
    """
    difference = jax.lax.stop_gradient(target)[None, :] - quantiles[:, None]
    size = jnp.abs(difference)
    huber = jnp.where(size <= kappa, 0.5 * jnp.square(difference), kappa * (size - 0.5 * kappa))
    weight = jnp.abs(levels[:, None] - (difference < 0.0))
    return jnp.sum(jnp.mean(weight * huber / kappa, axis=1))


def greedy_quantiles(quantiles: jax.Array, selector: jax.Array, legal: jax.Array) -> jax.Array:
    """Return the quantiles [M], of [M, A], of the action whose quantiles have the largest mean in `selector` [K, A]."""
    return quantiles[:, jnp.argmax(jnp.where(legal, jnp.mean(selector, axis=0), -jnp.inf))]


def scaled_log_policy(q: jax.Array, temperature: float, legal: jax.Array) -> jax.Array:
    """Return temperature * log softmax(q / temperature) over the legal actions, float32 [.., A], else -inf."""
    masked = jnp.where(legal, q, -jnp.inf)
    advantage = masked - jnp.max(masked, axis=-1, keepdims=True)
    total = jnp.sum(jnp.exp(advantage / temperature), axis=-1, keepdims=True)
    return advantage - temperature * jnp.log(total)


def munchausen_bonus(
    q_tm1: jax.Array, a_tm1: jax.Array, temperature: float, floor: float, legal: jax.Array
) -> jax.Array:
    """Return what the policy of `q_tm1` [A] adds to the reward before scaling (Vieillard et al. 2020), a scalar.

    It is the taken action's scaled log-probability, at least `floor`, at most 0.
    """
    return jnp.clip(scaled_log_policy(q_tm1, temperature, legal)[a_tm1], floor, 0.0)


def soft_quantiles(quantiles: jax.Array, q_t: jax.Array, temperature: float, legal: jax.Array) -> jax.Array:
    """Return the soft value [M]: the mean under the policy of `q_t` [A] of quantiles [M, A] less its log-probabilities.

    Log-probabilities are scaled by the temperature; the policy is softmax(q_t / temperature).
    """
    log_policy = scaled_log_policy(q_t, temperature, legal)
    policy = jnp.exp(log_policy / temperature)
    return jnp.sum(jnp.where(legal, policy * (quantiles - jnp.where(legal, log_policy, 0.0)), 0.0), axis=-1)
