"""The convolutional network of DQN (Mnih et al. 2015), with SAME padding as in Dopamine."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer

from suite.agent import record_units
from suite.card import Value

FEATURES = 512


class NatureCNN(nn.Module):
    """Three convolutions, their channels times `width`, and a dense layer that stays at 512; ReLU after each."""

    width: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """Map uint8 [B, 84, 84, 4] to float32 features [B, 512]; 84 -> 21 -> 11 -> 11 rows and columns."""
        x = observation.astype(jnp.float32) / 255.0
        x = self._conv(x, "conv1", channels=32, size=8, stride=4)
        x = self._conv(x, "conv2", channels=64, size=4, stride=2)
        x = self._conv(x, "conv3", channels=64, size=3, stride=1)
        x = nn.Dense(FEATURES, kernel_init=self.kernel_init, name="dense")(x.reshape((x.shape[0], -1)))
        return record_units(self, "dense", nn.relu(x))

    @property
    def connections(self) -> tuple[tuple[str, str], ...]:
        """Every layer feeds the next one alone."""
        return (("conv1", "conv2"), ("conv2", "conv3"), ("conv3", "dense"), ("dense", ""))

    def _conv(self, x: jax.Array, name: str, *, channels: int, size: int, stride: int) -> jax.Array:
        convolution = nn.Conv(
            channels * self.width,
            (size, size),
            strides=(stride, stride),
            padding="SAME",
            kernel_init=self.kernel_init,
            name=name,
        )
        return record_units(self, name, nn.relu(convolution(x)))


def make(settings: dict[str, Value], *, kernel_init: Initializer) -> nn.Module:
    """Build the encoder from its card's settings; every kernel starts from `kernel_init`, every bias at zero."""
    return NatureCNN(width=int(settings["width"]), kernel_init=kernel_init)
