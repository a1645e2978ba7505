"""Floating-point operations of an encoder's forward pass: dense, and with the zeros left out.

A multiplication and an addition count as two; biases, activations, pooling, normalization and the agent's output head
(a few percent at most with one value for each action) are left out. Zeros save what is counted here only on hardware
that can skip them: the second number is a bound, not a measurement.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

SCREEN = (84, 84, 4)
"""Rows, columns and channels of an observation of the Atari tasks."""

IMPALA = {"A": (16, 32, 32), "B": (32, 64, 64), "C": (32, 64, 64), "D": (16, 32, 32)}
"""Channels of the three stacks at width 1, by the card's variant."""

NO_NETWORK = "the layers of this network are not known here"
NO_LAYERS = "how the zeros are spread over the layers is not recorded"


@dataclass(frozen=True, slots=True)
class Layer:
    """A kernel: its shape, inputs and outputs last, and at how many places of the picture it is applied."""

    shape: tuple[int, ...]
    places: int = 1

    @property
    def weights(self) -> int:
        """The number of weights."""
        return math.prod(self.shape)


@dataclass(frozen=True, slots=True)
class Flops:
    """Operations of one forward pass; None where they cannot be computed, for the reason in `why`."""

    dense: float | None
    sparse: float | None
    why: str = ""


def flops(spec: Mapping[str, Any] | None, sparsity: float | None) -> Flops:
    """Return the cost of the encoder of a stored spec, whose runs ended with that share of zero weights."""
    layers = encoder(spec)
    if layers is None:
        return Flops(None, None, NO_NETWORK)
    dense = 2.0 * sum(layer.weights * layer.places for layer in layers)
    if not sparsity:
        return Flops(dense, None if sparsity is None else dense, NO_LAYERS if sparsity is None else "")
    densities = _densities(spec, layers, sparsity)
    if densities is None:
        return Flops(dense, None, NO_LAYERS)
    kept = (layer.weights * layer.places * part for layer, part in zip(layers, densities, strict=True))
    return Flops(dense, 2.0 * sum(kept))


def encoder(spec: Mapping[str, Any] | None) -> tuple[Layer, ...] | None:
    """Return the kernels of the encoder of a spec; None if this suite does not know the network, or its input."""
    network = (spec or {}).get("network", {})
    settings = network.get("settings", {})
    width = settings.get("width")
    if not isinstance(width, int) or width < 1:
        return None
    if network.get("id") == "nature_cnn":
        return _nature(width, 512 * width if settings.get("scale_dense") is True else 512)
    if network.get("id") == "impala":
        variant = settings.get("variant", "A")
        return _impala(width, variant) if variant in IMPALA else None
    return None


def _nature(width: int, features: int) -> tuple[Layer, ...]:
    """Return three convolutions with SAME padding, 84 to 21 to 11 to 11 rows and columns, and a dense layer."""
    a, b, c = 32 * width, 64 * width, 64 * width
    return (
        Layer((8, 8, SCREEN[2], a), 21 * 21),
        Layer((4, 4, a, b), 11 * 11),
        Layer((3, 3, b, c), 11 * 11),
        Layer((11 * 11 * c, features)),
    )


def _impala(width: int, variant: str) -> tuple[Layer, ...]:
    """Return three stacks of a convolution, a pool that halves rows and columns, and four convolutions; a dense layer.

    Variants A and C keep a dense layer of 512 and of 256 times the width, B and D one of 512 times the width.
    """
    side, channels, layers = SCREEN[0], SCREEN[2], list[Layer]()
    for base in IMPALA[variant]:
        out = base * width
        layers.append(Layer((3, 3, channels, out), side * side))
        side, channels = -(-side // 2), out
        layers += [Layer((3, 3, out, out), side * side)] * 4
    features = {"A": 512, "B": 512 * width, "C": 256 * width, "D": 512 * width}[variant]
    return (*layers, Layer((side * side * channels, features)))


def _densities(spec: Mapping[str, Any] | None, layers: Sequence[Layer], sparsity: float) -> Sequence[float] | None:
    """Return the share of weights that each layer keeps, if the methods of a spec say how zeros are spread."""
    rules = [method.get("settings", {}).get("distribution") for method in (spec or {}).get("methods", ())]
    found = [rule for rule in rules if rule is not None]
    if found == ["uniform"]:
        return [1 - sparsity] * len(layers)
    return erk([layer.shape for layer in layers], 1 - sparsity) if found == ["erk"] else None


def erk(shapes: Sequence[tuple[int, ...]], density: float) -> list[float]:
    """Return the densities of kernels whose weights all together have a density (Erdos-Renyi-kernel, Evci et al. 2020).

    A kernel's density is proportional to the sum of its dimensions over their product; those that would exceed 1 are
    dense, and the others share what is left.
    """
    sizes = [math.prod(shape) for shape in shapes]
    scores = [sum(shape) / size for shape, size in zip(shapes, sizes, strict=True)]
    full: set[int] = set()
    while True:
        rest = [i for i in range(len(shapes)) if i not in full]
        left = density * sum(sizes) - sum(sizes[i] for i in full)
        scale = left / sum(scores[i] * sizes[i] for i in rest) if rest else 0.0
        beyond = {i for i in rest if scale * scores[i] > 1}
        if not beyond:
            return [1.0 if i in full else scale * scores[i] for i in range(len(shapes))]
        full |= beyond
