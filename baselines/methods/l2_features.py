"""Features of unit length: the encoder's output over its L2 norm (Kumar et al. 2022)."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from suite.contracts.card import Settings
from suite.contracts.method import Context, Method

ID = "l2_features"
TINY = 1e-12


def make(settings: Settings, context: Context) -> Method:
    """Build the method; it has no settings."""
    return Method(ID, features=unit_length)


def unit_length(features: jax.Array) -> jax.Array:
    """Return float32 [B, F] over their norms; zeros stay zeros, with a finite gradient."""
    return features * jax.lax.rsqrt(jnp.sum(jnp.square(features), axis=-1, keepdims=True) + TINY)
