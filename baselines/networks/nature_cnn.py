"""The convolutional network of DQN (Mnih et al. 2015), with SAME padding as in Dopamine."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer

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
        x = nn.relu(self._conv("conv1", channels=32, size=8, stride=4)(x))
        x = nn.relu(self._conv("conv2", channels=64, size=4, stride=2)(x))
        x = nn.relu(self._conv("conv3", channels=64, size=3, stride=1)(x))
        x = x.reshape((x.shape[0], -1))
        return nn.relu(nn.Dense(FEATURES, kernel_init=self.kernel_init, name="dense")(x))

    def _conv(self, name: str, *, channels: int, size: int, stride: int) -> nn.Conv:
        return nn.Conv(
            channels * self.width,
            (size, size),
            strides=(stride, stride),
            padding="SAME",
            kernel_init=self.kernel_init,
            name=name,
        )


def make(settings: dict[str, Value], *, kernel_init: Initializer) -> nn.Module:
    """Build the encoder from its card's settings; every kernel starts from `kernel_init`, every bias at zero."""
    return NatureCNN(width=int(settings["width"]), kernel_init=kernel_init)
