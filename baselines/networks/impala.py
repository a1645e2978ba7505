"""The residual network of Impala (Espeholt et al. 2018), as in Dopamine's ImpalaDQNNetwork: 15 convolutions."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer

from baselines.networks.max_pool import max_pool
from baselines.networks.norms import normalized
from suite.contracts.card import Settings
from suite.contracts.encoder import FEATURES, Layer, nested, record_units

STACKS = (16, 32, 32)
UNITS = 512
BLOCKS = 2


class ImpalaSettings(Settings):
    """Settings of the Impala network."""

    width: int
    layer_norm: bool
    variant: Literal["A", "B", "C", "D"]


class Block(nn.Module):
    """A residual block: x + conv(relu(conv(relu(x)))), in flax's default initialization (lecun_normal)."""

    channels: int
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map float32 [B, H, W, channels] to the same shape."""
        y = nn.relu(normalized(x, "input_norm", on=self.layer_norm))
        y = nn.Conv(self.channels, (3, 3), padding="SAME", name="conv0")(y)
        y = record_units(self, "conv0", nn.relu(normalized(y, "conv0_norm", on=self.layer_norm)))
        return x + nn.Conv(self.channels, (3, 3), padding="SAME", name="conv1")(y)


class Stack(nn.Module):
    """A convolution, a max-pool that halves rows and columns, and residual blocks."""

    channels: int
    kernel_init: Initializer
    layer_norm: bool = False

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map float32 [B, H, W, C] to [B, ceil(H / 2), ceil(W / 2), channels]."""
        x = nn.Conv(self.channels, (3, 3), padding="SAME", kernel_init=self.kernel_init, name="conv")(x)
        x = max_pool(x)
        for index in range(BLOCKS):
            x = Block(self.channels, self.layer_norm, name=f"block{index}")(x)
        return x


def stack_layers(*, layer_norm: bool) -> Iterator[Layer]:
    """Yield the layers of a stack; the input of a block is what the last convolution before it put out."""
    yield Layer("conv", "convolution")
    before = "conv"
    for block in (f"block{index}" for index in range(BLOCKS)):
        yield Layer(f"{block}/conv0", "convolution", feeds=f"{block}/conv1")
        yield Layer(f"{block}/conv1", "convolution")
        if layer_norm:
            yield Layer(f"{block}/input_norm", "norm", of=before)
            yield Layer(f"{block}/conv0_norm", "norm", of=f"{block}/conv0")
        before = f"{block}/conv1"


class Impala(nn.Module):
    """Three stacks, their `channels` times `width`, and a dense layer of as many `features`.

    With `layer_norm` every ReLU is preceded by a normalization; what goes along the skip path has none.
    """

    width: int
    kernel_init: Initializer
    layer_norm: bool = False
    channels: tuple[int, int, int] = STACKS
    features: int = UNITS

    def setup(self) -> None:
        """Name the layers."""
        for index, channels in enumerate(self.channels):
            setattr(self, f"stack{index}", Stack(channels * self.width, self.kernel_init, self.layer_norm))
        self.dense = nn.Dense(self.features, kernel_init=self.kernel_init)
        for layer in ("stacks", "dense") if self.layer_norm else ():
            setattr(self, f"{layer}_norm", nn.LayerNorm())

    def __call__(self, observation: jax.Array) -> jax.Array:
        """Map uint8 [B, 84, 84, 4] to float32 features [B, F]; 84 -> 42 -> 21 -> 11 rows and columns."""
        return self.final(self.torso(observation))

    def torso(self, observation: jax.Array) -> jax.Array:
        """Map uint8 [B, 84, 84, 4] to flattened feature maps float32 [B, D], D = 121 * channels of the last stack."""
        x = observation.astype(jnp.float32) / 255.0
        for index in range(len(STACKS)):
            x = getattr(self, f"stack{index}")(x)
        return nn.relu(self._normalized("stacks", x)).reshape((x.shape[0], -1))

    def final(self, flat: jax.Array) -> jax.Array:
        """Map flattened feature maps float32 [..., D] to features [..., F]."""
        return record_units(self, "dense", nn.relu(self._normalized("dense", self.dense(flat))))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The first convolution of a block feeds the second alone; what joins the skip path feeds all that follows."""
        own = tuple(stack_layers(layer_norm=self.layer_norm))
        stacks = (layer for stack in range(len(STACKS)) for layer in nested(own, f"stack{stack}"))
        last = f"stack{len(STACKS) - 1}/block{BLOCKS - 1}/conv1"
        norms = (Layer("stacks_norm", "norm", of=last), Layer("dense_norm", "norm", of="dense"))
        return (*stacks, Layer("dense", "dense", feeds=FEATURES), *(norms if self.layer_norm else ()))

    def _normalized(self, layer: str, x: jax.Array) -> jax.Array:
        return jnp.asarray(getattr(self, f"{layer}_norm")(x)) if self.layer_norm else x


def make(settings: ImpalaSettings, *, kernel_init: Initializer) -> nn.Module:
    """Build the encoder from its card's settings; `kernel_init` is for the stacks' entry and the dense layer."""
    width = settings.width
    channels, features = _VARIANTS[settings.variant](width)
    return Impala(width, kernel_init, settings.layer_norm, channels, features)


_VARIANTS: dict[str, Callable[[int], tuple[tuple[int, int, int], int]]] = {
    "A": lambda width: (STACKS, UNITS),
    "B": lambda width: ((32, 64, 64), UNITS * width),
    "C": lambda width: ((32, 64, 64), UNITS // 2 * width),
    "D": lambda width: (STACKS, UNITS * width),
}
