"""Values of single transitions: their losses, and what they are on average."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def q_learning(q_tm1: jax.Array, a_tm1: jax.Array, r_t: jax.Array, discount_t: jax.Array, q_t: jax.Array) -> jax.Array:
    """Return the TD error r_t + discount_t * max_a q_t[a] - q_tm1[a_tm1] (Watkins and Dayan 1992), a scalar.

    `q_tm1`, `q_t`: float32 [A], the values before and after the transition, by the online and the target network.
    `a_tm1`, `r_t`, `discount_t`: scalars; with n steps, `r_t` is their discounted sum and `discount_t` gamma**n or 0.
    The gradient flows through `q_tm1` alone.
    """
    target = r_t + discount_t * jnp.max(q_t)
    return jax.lax.stop_gradient(target) - q_tm1[a_tm1]


def squared(td_error: jax.Array) -> jax.Array:
    """Return the square of a TD error, without a factor 1/2: Dopamine's mean squared error."""
    return jnp.square(td_error)


def huber(td_error: jax.Array) -> jax.Array:
    """Return x**2 / 2 up to |x| = 1 and |x| - 1/2 beyond (Huber 1964), Dopamine's `huber_loss` with delta 1."""
    size = jnp.abs(td_error)
    return jnp.where(size <= 1.0, 0.5 * jnp.square(td_error), size - 0.5)


def mean_taken(q: jax.Array, actions: jax.Array) -> jax.Array:
    """Return the mean over a batch of the values float32 [B, A] of the actions int32 [B], a scalar."""
    return jnp.mean(jnp.take_along_axis(q, actions[:, None], axis=1))


LOSSES = {"mse": squared, "huber": huber}
"""The losses of a TD error, by the name that cards have for them."""
