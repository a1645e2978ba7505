"""Heads: from an encoder's features to what an agent learns."""

from __future__ import annotations

import jax
from flax import linen as nn
from jax.nn.initializers import Initializer

from suite.agent import Connection


class QNetwork(nn.Module):
    """An encoder and a linear head with one value per action; parameters `encoder/...` and `head`."""

    encoder: nn.Module
    actions: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """Map uint8 [B, height, width, stack] to float32 action values [B, A]."""
        features = self.encoder(observation)
        return nn.Dense(self.actions, kernel_init=self.kernel_init, name="head")(features)

    @property
    def connections(self) -> tuple[Connection, ...]:
        """Those of the encoder, whose features feed the head."""
        pairs = getattr(self.encoder, "connections", ())
        return tuple(Connection(f"encoder/{one}", f"encoder/{other}" if other else "head") for one, other in pairs)
