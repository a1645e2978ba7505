"""Conservative losses, which keep offline agents from trusting actions that their data lack; for one transition."""

from __future__ import annotations

import jax
import jax.numpy as jnp


def conservative(q: jax.Array, a: jax.Array, legal: jax.Array) -> jax.Array:
    """Return logsumexp over the legal actions of the values, less the taken action's, a scalar (Kumar et al. 2020).

    `q`: float32 [A], by the online network. `a`: the taken action. `legal`: bool [A].
    """
    return jax.nn.logsumexp(jnp.where(legal, q, -jnp.inf)) - q[a]
