"""The residual network of Impala (Espeholt et al. 2018), as in Dopamine's ImpalaDQNNetwork: 15 convolutions."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax.nn.initializers import Initializer

from baselines.networks.max_pool import max_pool
from suite.agent import record_units
from suite.card import Value

FEATURES = 512
STACKS = (16, 32, 32)
BLOCKS = 2


class Block(nn.Module):
    """A residual block: x + conv(relu(conv(relu(x)))), in flax's default initialization (lecun_normal)."""

    channels: int

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map float32 [B, H, W, channels] to the same shape."""
        y = nn.Conv(self.channels, (3, 3), padding="SAME", name="conv0")(nn.relu(x))
        y = record_units(self, "conv0", nn.relu(y))
        return x + nn.Conv(self.channels, (3, 3), padding="SAME", name="conv1")(y)


class Stack(nn.Module):
    """A convolution, a max-pool that halves rows and columns, and residual blocks."""

    channels: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """Map float32 [B, H, W, C] to [B, ceil(H / 2), ceil(W / 2), channels]."""
        x = nn.Conv(self.channels, (3, 3), padding="SAME", kernel_init=self.kernel_init, name="conv")(x)
        x = max_pool(x)
        for index in range(BLOCKS):
            x = Block(self.channels, name=f"block{index}")(x)
        return x


class Impala(nn.Module):
    """Three stacks, their channels times `width`, and a dense layer that stays at 512."""

    width: int
    kernel_init: Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        """Map uint8 [B, 84, 84, 4] to float32 features [B, 512]; 84 -> 42 -> 21 -> 11 rows and columns."""
        x = observation.astype(jnp.float32) / 255.0
        for index, channels in enumerate(STACKS):
            x = Stack(channels * self.width, self.kernel_init, name=f"stack{index}")(x)
        x = nn.relu(x).reshape((x.shape[0], -1))
        x = nn.relu(nn.Dense(FEATURES, kernel_init=self.kernel_init, name="dense")(x))
        return record_units(self, "dense", x)

    @property
    def connections(self) -> tuple[tuple[str, str], ...]:
        """The first convolution of a block feeds the second alone; what joins the skip path feeds all that follows."""
        blocks = (f"stack{stack}/block{block}" for stack in range(len(STACKS)) for block in range(BLOCKS))
        return (*((f"{block}/conv0", f"{block}/conv1") for block in blocks), ("dense", ""))


def make(settings: dict[str, Value], *, kernel_init: Initializer) -> nn.Module:
    """Build the encoder from its card's settings; `kernel_init` is for the stacks' entry and the dense layer."""
    return Impala(width=int(settings["width"]), kernel_init=kernel_init)
