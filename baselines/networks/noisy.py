"""Noisy layers (Fortunato et al. 2018): weights that are learnt as a mean and a size of noise around it."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn

MEAN_INIT = nn.initializers.variance_scaling(1.0 / 3.0, "fan_in", "uniform")
"""Uniform within 1 / sqrt(inputs) of zero: Fortunato et al. section 3.2, Dopamine's NoisyNetwork."""


class NoisyDense(nn.Module):
    """A dense layer with factorised Gaussian noise on its weights: one draw a call, for all rows.

    Weight (i, j) is `kernel[i, j] + kernel_sigma[i, j] * p[i] * q[j]`, bias j is `bias[j] + bias_sigma[j] * q[j]`; p
    and q are standard normal numbers x as sign(x) sqrt(|x|). The sizes of noise start at `sigma` / sqrt(inputs).

    The first numbers of q are the same however many units there are: padded units leave the others' noise alone.
    """

    features: int
    sigma: float

    @nn.compact
    def __call__(self, x: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Map float32 [B, inputs] to [B, features]; without a key there is no noise."""
        inputs = x.shape[-1]
        limit, size = inputs**-0.5, nn.initializers.constant(self.sigma * inputs**-0.5)

        def bias_init(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
            return jax.random.uniform(key, shape, minval=-limit, maxval=limit)

        kernel = self.param("kernel", MEAN_INIT, (inputs, self.features))
        bias = self.param("bias", bias_init, (self.features,))
        kernel_sigma = self.param("kernel_sigma", size, (inputs, self.features))
        bias_sigma = self.param("bias_sigma", size, (self.features,))
        means: jax.Array = x @ kernel + bias
        if key is None:
            return means
        rows, columns = jax.random.split(key)
        p, q = factor(rows, inputs), factor(columns, self.features)
        return means + ((x * p) @ kernel_sigma + bias_sigma) * q


def factor(key: jax.Array, size: int) -> jax.Array:
    """Return sign(x) sqrt(|x|) for standard normal numbers x: float32 [size], mean 0, second moment sqrt(2 / pi)."""
    x = jax.random.normal(key, (size,))
    return jnp.sign(x) * jnp.sqrt(jnp.abs(x))
