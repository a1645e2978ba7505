"""The convolutional network of DQN (Mnih et al. 2015), with SAME padding as in Dopamine."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer

from suite.contracts.card import Settings
from suite.contracts.encoder import FEATURES, Layer, record_units

UNITS = 512


class NatureSettings(Settings):
    """Settings of the Nature network."""

    width: int
    layer_norm: bool
    scale_dense: bool


class NatureCNN(nn.Module):
    """Three convolutions, their channels times `width`, and a dense layer of as many `features`; ReLU after each.

    With `layer_norm` every ReLU is preceded by a normalization, `<layer>_norm`.
    """

    width: int
    kernel_init: Initializer
    layer_norm: bool = False
    features: int = UNITS

    def setup(self) -> None:
        """Name the layers."""
        self.conv1 = self._conv(channels=32, size=8, stride=4)
        self.conv2 = self._conv(channels=64, size=4, stride=2)
        self.conv3 = self._conv(channels=64, size=3, stride=1)
        self.dense = nn.Dense(self.features, kernel_init=self.kernel_init)
        for layer in self._normalized():
            setattr(self, f"{layer}_norm", nn.LayerNorm())

    def __call__(self, observation: jax.Array) -> jax.Array:
        """Map uint8 [B, 84, 84, 4] to float32 features [B, F]; 84 -> 21 -> 11 -> 11 rows and columns."""
        return self.final(self.torso(observation))

    def torso(self, observation: jax.Array) -> jax.Array:
        """Map uint8 [B, 84, 84, 4] to flattened feature maps float32 [B, 7744 * width]."""
        x = observation.astype(jnp.float32) / 255.0
        for layer in ("conv1", "conv2", "conv3"):
            x = self._units(layer, x)
        return x.reshape((x.shape[0], -1))

    def final(self, flat: jax.Array) -> jax.Array:
        """Map flattened feature maps float32 [..., D] to features [..., F]."""
        return self._units("dense", flat)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer feeds the next one alone."""
        return (
            Layer("conv1", "convolution", feeds="conv2"),
            Layer("conv2", "convolution", feeds="conv3"),
            Layer("conv3", "convolution", feeds="dense"),
            Layer("dense", "dense", feeds=FEATURES),
            *(Layer(f"{layer}_norm", "norm", of=layer) for layer in self._normalized()),
        )

    def _normalized(self) -> tuple[str, ...]:
        return ("conv1", "conv2", "conv3", "dense") if self.layer_norm else ()

    def _conv(self, *, channels: int, size: int, stride: int) -> nn.Conv:
        return nn.Conv(
            channels * self.width,
            (size, size),
            strides=(stride, stride),
            padding="SAME",
            kernel_init=self.kernel_init,
        )

    def _units(self, layer: str, x: jax.Array) -> jax.Array:
        x = getattr(self, layer)(x)
        if self.layer_norm:
            x = getattr(self, f"{layer}_norm")(x)
        return record_units(self, layer, nn.relu(x))


def make(settings: NatureSettings, *, kernel_init: Initializer) -> nn.Module:
    """Build the encoder from its card's settings; every kernel starts from `kernel_init`, every bias at zero."""
    width = settings.width
    features = UNITS * width if settings.scale_dense else UNITS
    return NatureCNN(width, kernel_init, settings.layer_norm, features)
