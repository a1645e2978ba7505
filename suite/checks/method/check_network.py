"""The network that methods are checked with: one of each kind of layer, and compiled in no time. Not registered."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer

from suite.contracts.card import Settings
from suite.contracts.encoder import FEATURES, Layer, record_units

STRIDE = 12


class CheckNetwork(nn.Module):
    """Every twelfth pixel, a convolution of 4 channels and a dense layer of 8, ReLU after both."""

    kernel_init: Initializer

    def setup(self) -> None:
        """Name the layers."""
        self.conv = nn.Conv(4, (3, 3), strides=(2, 2), padding="SAME", kernel_init=self.kernel_init)
        self.dense = nn.Dense(8, kernel_init=self.kernel_init)

    def __call__(self, observation: jax.Array) -> jax.Array:
        """Map uint8 [B, height, width, stack] to float32 features [B, 8]."""
        return self.final(self.torso(observation))

    def torso(self, observation: jax.Array) -> jax.Array:
        """Return what enters the dense layer, flat, for agents that put something in between."""
        x = observation[:, ::STRIDE, ::STRIDE].astype(jnp.float32) / 255.0
        return record_units(self, "conv", nn.relu(self.conv(x))).reshape((x.shape[0], -1))

    def final(self, x: jax.Array) -> jax.Array:
        """Return the features."""
        return record_units(self, "dense", nn.relu(self.dense(x)))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer feeds the next one alone."""
        return Layer("conv", "convolution", feeds="dense"), Layer("dense", "dense", feeds=FEATURES)


def make(settings: Settings, *, kernel_init: Initializer) -> nn.Module:
    """Build the encoder; it has no settings."""
    return CheckNetwork(kernel_init)
