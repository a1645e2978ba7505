"""Dueling networks (Wang et al. 2016): a state's value and the actions' advantages from the same features."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer

from baselines.networks.heads import encoder_layers
from baselines.networks.noisy import NoisyDense
from baselines.networks.norms import normalized
from suite.contracts.encoder import Layer, bare_encoder, changed_features, record_units

HIDDEN = 512


def dueling(value: jax.Array, advantage: jax.Array, legal: jax.Array) -> jax.Array:
    """Return value + advantage - the legal actions' mean advantage, for each atom by itself.

    `value`: float32 [..., N]. `advantage`: float32 [..., A, N]. `legal`: bool [A]. Result: float32 [..., A, N].
    """
    counted = jnp.where(legal[:, None], advantage, 0.0)
    mean = jnp.sum(counted, axis=-2, keepdims=True) / jnp.sum(legal)
    return value[..., None, :] + advantage - mean


class DuelingHead(nn.Module):
    """Two linear layers, `advantage` and `value`, both noisy if `sigma` is given."""

    actions: int
    atoms: int
    kernel_init: Initializer
    sigma: float | None

    @nn.compact
    def __call__(self, features: jax.Array, legal: jax.Array, key: jax.Array | None) -> jax.Array:
        """Map float32 features [B, F] and bool [A] to float32 [B, A, atoms]."""
        advantage_key, value_key = (None, None) if key is None else jax.random.split(key)
        advantage = self._layer(features, "advantage", self.actions * self.atoms, advantage_key)
        value = self._layer(features, "value", self.atoms, value_key)
        return dueling(value, advantage.reshape((-1, self.actions, self.atoms)), legal)

    def _layer(self, x: jax.Array, name: str, features: int, key: jax.Array | None) -> jax.Array:
        if self.sigma is None:
            return nn.Dense(features, kernel_init=self.kernel_init, name=name)(x)
        return NoisyDense(features, self.sigma, name=name)(x, key)


class DuelingNetwork(nn.Module):
    """An encoder and a dueling head; parameters `encoder/...`, `head/advantage` and `head/value`.

    With `sigma` both layers of the head are noisy, and so is the dense layer before it: `dense`, on the encoder's
    `torso`, in place of the encoder's own.
    """

    encoder: nn.Module
    actions: int
    atoms: int
    kernel_init: Initializer
    sigma: float | None = None

    @nn.compact
    def __call__(self, observation: jax.Array, legal: jax.Array, key: jax.Array | None = None) -> jax.Array:
        """Map uint8 [B, height, width, stack] and bool [A] to float32 [B, A, atoms]; without a key no noise."""
        head = DuelingHead(self.actions, self.atoms, self.kernel_init, self.sigma, name="head")
        if self.sigma is None:
            return head(self.encoder(observation), legal, None)
        dense_key, head_key = (None, None) if key is None else jax.random.split(key)
        return head(self._noisy_features(observation, dense_key), legal, head_key)

    def _noisy_features(self, observation: jax.Array, key: jax.Array | None) -> jax.Array:
        encoder: Any = self.encoder
        assert self.sigma is not None
        plain = bare_encoder(encoder)
        x = NoisyDense(getattr(plain, "features", HIDDEN), self.sigma, name="dense")(encoder.torso(observation), key)
        x = normalized(x, "dense_norm", on=bool(getattr(plain, "layer_norm", False)))
        return changed_features(encoder, record_units(self, "dense", nn.relu(x)))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Those of the encoder and of the head: the features feed two layers, value and advantage.

        A noisy layer has two kernels for each input: what feeds one is not declared to feed anything.
        """
        heads = Layer("head/advantage", "head"), Layer("head/value", "head")
        if self.sigma is None:
            return *encoder_layers(self.encoder, features=tuple(head.name for head in heads)), *heads
        layers = encoder_layers(self.encoder, features=())
        return *layers, Layer("dense", "dense"), Layer("dense_norm", "norm", of="dense"), *heads
