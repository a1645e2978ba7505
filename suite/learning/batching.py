"""Many lanes in one program: the ways to write it, and the padding by which games of several action counts share it."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection
from enum import StrEnum
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn


class Form(StrEnum):
    """How one program serves many lanes.

    `unrolled`: the lanes one after another in one program. `vmap`: a leading axis, convolutions grouped by lane.
    `matmul`: the same, with every convolution as a batched matrix product over patches made of shifted slices.
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
    strides = (conv.strides,) * 2 if isinstance(conv.strides, int) else tuple(conv.strides or (1, 1))
    if not _is_plain(conv) or len(set(strides)) > 1:
        return proceed(*arguments, **keywords)
    parameters = conv.variables["params"]
    result = by_shifted_slices(arguments[0], parameters["kernel"], strides[0], str(conv.padding))
    return result + parameters["bias"] if conv.use_bias else result


def _is_plain(conv: nn.Conv) -> bool:
    """Return whether a convolution is over rows and columns, whole, and neither spread out nor grouped."""
    dense = all(dilation in (None, 1, (1, 1)) for dilation in (conv.input_dilation, conv.kernel_dilation))
    flat = not isinstance(conv.kernel_size, int) and len(conv.kernel_size) == 2
    return conv.padding in ("SAME", "VALID") and dense and flat and conv.feature_group_count == 1


def by_shifted_slices(x: jax.Array, kernel: jax.Array, stride: int, padding: str) -> jax.Array:
    """Return the convolution of float32 [B, H, W, C] with [h, w, C, F] as one matrix product, without the bias.

    A stride becomes channels first: blocks of `stride` rows and columns, zeros where the kernel has no whole number
    of them, so that 8 x 8 at stride 4 is 2 x 2 slices that are shifted by a block, and not 64. Patches are these slices
    side by side. No part of it is a convolution, neither under `vmap`, where one would be grouped by lane, nor in its
    gradient: `jax.lax.conv_general_dilated_patches` is a grouped convolution itself.
    """
    features = kernel.shape[3]
    pads = jax.lax.padtype_to_pads(x.shape[1:3], kernel.shape[:2], (stride, stride), padding)
    blocks = [-(-size // stride) for size in kernel.shape[:2]]
    places = [
        (size + sum(pad) - window) // stride + 1
        for size, pad, window in zip(x.shape[1:3], pads, kernel.shape[:2], strict=True)
    ]
    whole = [
        (before, (place + block - 1) * stride - size - before, 0)
        for size, (before, _), place, block in zip(x.shape[1:3], pads, places, blocks, strict=True)
    ]
    x = jax.lax.pad(x, jnp.zeros((), x.dtype), ((0, 0, 0), *whole, (0, 0, 0)))  # less than nothing cuts off
    rest = [(0, block * stride - size) for block, size in zip(blocks, kernel.shape[:2], strict=True)]
    kernel = jnp.pad(kernel, (*rest, (0, 0), (0, 0)))
    if stride > 1:
        x, kernel = _blocks(x, stride), _blocks(kernel.transpose(3, 0, 1, 2), stride).transpose(1, 2, 3, 0)
    rows, columns = places
    shifts = itertools.product(range(blocks[0]), range(blocks[1]))
    patches = jnp.concatenate([x[:, i : i + rows, j : j + columns] for i, j in shifts], axis=-1)
    return patches @ kernel.reshape(-1, features)


def _blocks(x: jax.Array, size: int) -> jax.Array:
    """Map [B, H, W, C] to [B, H / size, W / size, size * size * C]: the cells of a block become channels."""
    batch, height, width, channels = x.shape
    x = x.reshape(batch, height // size, size, width // size, size, channels).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(batch, height // size, width // size, size * size * channels)
