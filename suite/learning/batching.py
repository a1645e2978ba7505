"""Many lanes in one program: the ways to write it, and the padding by which games of several action counts share it."""

from __future__ import annotations

from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


class Form(StrEnum):
    """How one program serves many lanes.

    `unrolled`: the lanes one after another in one program. `vmap`: a leading axis, convolutions grouped by lane.
    `matmul`: the same, with every convolution as a batched matrix product over patches.
    """

    UNROLLED = "unrolled"
    VMAP = "vmap"
    MATMUL = "matmul"


def over_lanes(
    function: Callable[..., Any], lanes: int, form: Form, shared: Collection[int] = ()
) -> Callable[..., Any]:
    """Return `function` for all lanes: arguments and results get a leading lane axis, but for the `shared` ones."""
    if form is Form.UNROLLED:
        return _unrolled(function, lanes, shared)

    def batched(*arguments: Any) -> Any:
        axes = tuple(None if index in shared else 0 for index in range(len(arguments)))
        if form is Form.VMAP:
            return jax.vmap(function, in_axes=axes)(*arguments)
        with nn.intercept_methods(_convolution_by_patches):
            return jax.vmap(function, in_axes=axes)(*arguments)

    return batched


def pad_to(shapes: Any, tree: Any) -> Any:
    """Return the tree with each leaf zero-padded at the end of its axes to the shapes of another tree."""

    def pad(shape: Any, leaf: jax.Array) -> jax.Array:
        missing = [(0, want - have) for want, have in zip(shape.shape, jnp.shape(leaf), strict=True)]
        return jnp.pad(leaf, missing) if any(after for _, after in missing) else jnp.asarray(leaf)

    return jax.tree.map(pad, shapes, tree)


def crop_to(shapes: Any, tree: Any) -> Any:
    """Return the tree with each leaf cut to the shapes of another tree: the inverse of `pad_to`."""

    def crop(shape: Any, leaf: jax.Array) -> jax.Array:
        return leaf if leaf.shape == shape.shape else leaf[tuple(slice(0, size) for size in shape.shape)]

    return jax.tree.map(crop, shapes, tree)


def _unrolled(function: Callable[..., Any], lanes: int, shared: Collection[int]) -> Callable[..., Any]:
    def all_lanes(*arguments: Any) -> Any:
        def one(lane: int) -> Any:
            own = [
                argument if index in shared else jax.tree.map(lambda leaf: leaf[lane], argument)
                for index, argument in enumerate(arguments)
            ]
            return function(*own)

        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *(one(lane) for lane in range(lanes)))

    return all_lanes


def _convolution_by_patches(
    proceed: Callable[..., Any], arguments: Any, keywords: Any, context: nn.module.InterceptorContext
) -> Any:
    """Compute a 2-D flax convolution as patches times the kernel as a matrix: equal but for the order of sums."""
    conv = context.module
    if not isinstance(conv, nn.Conv) or context.method_name != "__call__" or conv.is_initializing():
        return proceed(*arguments, **keywords)
    parameters = conv.variables["params"]
    kernel = parameters["kernel"]
    height, width, channels, features = kernel.shape
    strides: Any = (conv.strides,) * 2 if isinstance(conv.strides, int) else conv.strides or (1, 1)
    padding: Any = conv.padding
    patches = jax.lax.conv_general_dilated_patches(
        arguments[0],
        (height, width),
        strides,
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )  # channels of patches: input channel first, then row and column
    matrix = kernel.transpose(2, 0, 1, 3).reshape(channels * height * width, features)
    result = patches @ matrix
    return result + parameters["bias"] if conv.use_bias else result
