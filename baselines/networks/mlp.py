"""A multilayer perceptron for vectors, of the size and non-linearity that an agent asks for."""

from __future__ import annotations

import jax
from flax import linen as nn
from jax.nn.initializers import Initializer

from suite.contracts.card import Settings
from suite.contracts.encoder import FEATURES, Layer, record_units

UNITS = (512, 512)
"""Of an agent that asks for none: JohanSamir/revisiting_rainbow 7cd2bc6, hidden_layer 2 and neurons 512."""
ACTIVATIONS = {"relu": nn.relu, "tanh": nn.tanh}


class MLPSettings(Settings):
    """Settings of the perceptron."""

    width: int


class MLP(nn.Module):
    """Dense layers `dense1`, `dense2`, ... of so many `units`, each with the same non-linearity."""

    units: tuple[int, ...]
    activation: str
    kernel_init: Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """Map float32 [B, D] to float32 features [B, F], the last layer's units."""
        x = observation
        for layer, units in zip(self._names(), self.units, strict=True):
            x = nn.Dense(units, kernel_init=self.kernel_init, name=layer)(x)
            x = record_units(self, layer, ACTIVATIONS[self.activation](x))
        return x

    def torso(self, observation: jax.Array) -> jax.Array:
        """Map float32 [B, D] to the features: there is no layer after what else may enter."""
        return self(observation)

    def final(self, flat: jax.Array) -> jax.Array:
        """Map the features, changed or not, to themselves."""
        return flat

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Every layer feeds the next one alone."""
        names = self._names()
        return tuple(Layer(name, "dense", feeds) for name, feeds in zip(names, (*names[1:], FEATURES), strict=True))

    def _names(self) -> tuple[str, ...]:
        return tuple(f"dense{number}" for number in range(1, len(self.units) + 1))


def make(
    settings: MLPSettings, *, kernel_init: Initializer, units: tuple[int, ...] = UNITS, activation: str = "relu"
) -> nn.Module:
    """Build one network from its card's settings; every kernel starts from `kernel_init`, every bias at zero.

    `units`: of each layer at width 1. `activation`: `relu` or `tanh`.
    """
    width = settings.width
    return MLP(tuple(count * width for count in units), activation, kernel_init)
