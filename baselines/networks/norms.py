"""Layer normalization (Ba et al. 2016), where a network has the option."""

from __future__ import annotations

import jax
from flax import linen as nn


def normalized(x: jax.Array, name: str, *, on: bool) -> jax.Array:
    """Normalize float32 [B, ..., C] over C, with scale and bias [C] as parameters `name`; unchanged if not `on`.

    In a feature map every position by itself, as in PQN (Gallici et al. 2024). To be called within a compact method.
    """
    return nn.LayerNorm(name=name)(x) if on else x
