"""Heads: from an encoder's features to what an agent learns; parameters `encoder/...` and `head`."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer

from suite.contracts.encoder import Layer, declared_layers, nested, record_units


class QNetwork(nn.Module):
    """An encoder and a linear head with one value per action."""

    encoder: nn.Module
    actions: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """Map uint8 [B, height, width, stack] to float32 action values [B, A]."""
        features = self.encoder(observation)
        return nn.Dense(self.actions, kernel_init=self.kernel_init, name="head")(features)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those of the encoder, whose features feed the head, and the head."""
        return *encoder_layers(self.encoder), Layer("head", "head")


class DistributionNetwork(nn.Module):
    """An encoder and a linear head with N numbers per action: logits of C51's atoms, or QR-DQN's quantiles."""

    encoder: nn.Module
    actions: int
    atoms: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """Map uint8 [B, height, width, stack] to float32 [B, A, N]; the head's last axis is action-major."""
        features = self.encoder(observation)
        flat = nn.Dense(self.actions * self.atoms, kernel_init=self.kernel_init, name="head")(features)
        return flat.reshape((-1, self.actions, self.atoms))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those of the encoder, whose features feed the head, and the head."""
        return *encoder_layers(self.encoder), Layer("head", "head")


class ImplicitQuantileNetwork(nn.Module):
    """An encoder into which quantile levels enter before its dense layer, and a linear head with one value per action.

    A level's embedding is its cosines through a layer `embedding` with ReLU; it multiplies the flattened feature maps,
    for which the encoder has the two methods `torso` and `final`.
    """

    encoder: nn.Module
    actions: int
    embedding_size: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, observation: jax.Array, levels: jax.Array) -> jax.Array:
        """Map uint8 [B, height, width, stack] and levels float32 [B, K], or [1, K] for all, to values [B, K, A]."""
        encoder: Any = self.encoder
        flat = encoder.torso(observation)
        embedding = nn.Dense(flat.shape[-1], kernel_init=self.kernel_init, name="embedding")
        embedded = record_units(self, "embedding", nn.relu(embedding(cosines(levels, self.embedding_size))))
        features = encoder.final(flat[:, None] * embedded)
        return nn.Dense(self.actions, kernel_init=self.kernel_init, name="head")(features)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those of the encoder: its feature maps still feed its dense layer alone, each unit times a factor.

        The embedding's units feed nothing of their own: the kernel rows that they feed belong to the feature maps.
        """
        return *encoder_layers(self.encoder), Layer("embedding", "dense"), Layer("head", "head")


def cosines(levels: jax.Array, count: int) -> jax.Array:
    """Return cos(pi * i * level) for i = 1..count, float32 [.., count], of quantile levels [..]."""
    return jnp.cos(jnp.pi * jnp.arange(1, count + 1, dtype=jnp.float32) * levels[..., None])


def encoder_layers(encoder: nn.Module, features: tuple[str, ...] = ("head",)) -> tuple[Layer, ...]:
    """Return an encoder's layers, as they are called in a network that has it as `encoder`.

    `features`: the layers that its features feed; empty if they cannot be named.
    """
    return nested(declared_layers(encoder), "encoder", features=features)
