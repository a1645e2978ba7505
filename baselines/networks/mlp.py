"""A multilayer perceptron for vectors, of the size and non-linearity that an agent asks for."""

from __future__ import annotations

import jax
from flax import linen as nn
from jax.nn.initializers import Initializer

from suite.contracts.agent import record_units
from suite.contracts.card import Value

ACTIVATIONS = {"relu": nn.relu, "tanh": nn.tanh}


class MLP(nn.Module):
    """Dense layers `dense1`, `dense2`, ... of so many `units`, each with the same non-linearity."""

    units: tuple[int, ...]
    activation: str
    kernel_init: Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """Map float32 [B, D] to float32 features [B, F], the last layer's units."""
        x = observation
        for layer, units in zip(self._layers(), self.units, strict=True):
            x = nn.Dense(units, kernel_init=self.kernel_init, name=layer)(x)
            x = record_units(self, layer, ACTIVATIONS[self.activation](x))
        return x

    @property
    def connections(self) -> tuple[tuple[str, str], ...]:
        """Every layer feeds the next one alone."""
        layers = self._layers()
        return tuple(zip(layers, (*layers[1:], ""), strict=True))

    def _layers(self) -> tuple[str, ...]:
        return tuple(f"dense{number}" for number in range(1, len(self.units) + 1))


def make(settings: dict[str, Value], *, units: tuple[int, ...], activation: str, kernel_init: Initializer) -> nn.Module:
    """Build one network from its card's settings; every kernel starts from `kernel_init`, every bias at zero.

    `units`: of each layer at width 1. `activation`: `relu` or `tanh`.
    """
    width = int(settings["width"])
    return MLP(tuple(count * width for count in units), activation, kernel_init)
