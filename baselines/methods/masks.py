"""Masks over kernels: how many weights each layer keeps, which ones, and their application.

Every parameter with more than one axis is a kernel, first and output layers included; biases are never masked and
have None in every tree here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from suite.agent import Params

Masks = Any
"""A tree like the parameters: a boolean array for each kernel, None for a bias."""
BITS = 31
BLOCK = 1024


def layer_sparsities(shapes: Params, sparsity: float, distribution: str) -> Any:
    """Return each kernel's share of zeros (a tree of floats) for a total `sparsity`: `uniform`, or `erk`."""
    leaves, structure = jax.tree.flatten(shapes)
    kernels = [leaf.shape for leaf in leaves if leaf.ndim > 1]
    values = iter(erk_sparsities(kernels, sparsity) if distribution == "erk" else [sparsity] * len(kernels))
    return jax.tree.unflatten(structure, [next(values) if leaf.ndim > 1 else None for leaf in leaves])


def erk_sparsities(shapes: Sequence[tuple[int, ...]], sparsity: float) -> list[float]:
    """Return one minus the Erdos-Renyi-kernel density, e * sum(shape) / prod(shape), of each layer.

    All kernel dimensions count. The scale e makes the zeros add up to sum(floor(sparsity * size)); while the highest
    density is above 1, the layers that have it become dense and e is solved again (Evci et al. 2020).
    """
    sizes = [math.prod(shape) for shape in shapes]
    zeros = [math.floor(sparsity * size) for size in sizes]
    scores = [sum(shape) / size for shape, size in zip(shapes, sizes, strict=True)]
    sparse = set(range(len(shapes)))
    while sparse:
        ones = sum(sizes[layer] for layer in sparse) - sum(zeros)
        scale = ones / sum(sum(shapes[layer]) for layer in sparse)
        highest = max(scores[layer] for layer in sparse)
        if scale * highest <= 1:
            break
        sparse = {layer for layer in sparse if scores[layer] < highest}
    return [1 - scale * score if layer in sparse else 0.0 for layer, score in enumerate(scores)]


def keep_counts(shapes: Params, sparsities: Any, fraction: float) -> Any:
    """Return the weights that each kernel keeps (a tree of int32) at `fraction` of its final sparsity."""
    return jax.tree.map(
        lambda leaf, sparsity: None if sparsity is None else keep_count(leaf.size, fraction * sparsity),
        shapes,
        sparsities,
    )


def keep_count(size: int, sparsity: float) -> np.int32:
    """Return max(1, size * (1 - sparsity) rounded half to even)."""
    return np.int32(max(1, round(size * (1 - sparsity))))


def full_masks(params: Params) -> Masks:
    """Return masks that keep everything."""
    return jax.tree.map(lambda leaf: jnp.ones(leaf.shape, jnp.bool_) if leaf.ndim > 1 else None, params)


def largest_masks(params: Params, keep: Any) -> Masks:
    """Return masks of the `keep` (a tree of counts) largest weights by magnitude in each kernel."""
    return jax.tree.map(lambda leaf, count: None if count is None else largest(leaf, count), params, keep)


def apply_masks(params: Params, masks: Masks) -> Params:
    """Return the parameters with masked weights at exactly zero."""
    return jax.tree.map(lambda leaf, mask: leaf if mask is None else jnp.where(mask, leaf, 0), params, masks)


def largest(weights: jax.Array, count: jax.Array | np.int32) -> jax.Array:
    """Return a mask of exactly `count` weights (1 to all), largest by magnitude; ties go to lower flat indices.

    The bits of a non-negative float32, read as an integer, grow with it. So the magnitude at rank `count` is found from
    its highest bit down, by counting the weights at or above each candidate: no sort, and `count` may be traced.
    """
    bits = jax.lax.bitcast_convert_type(weights.reshape(-1), jnp.int32) & jnp.int32(2**BITS - 1)

    def decide_bit(index: jax.Array, threshold: jax.Array) -> jax.Array:
        candidate = threshold | (1 << (BITS - 1 - index))
        return jnp.where(jnp.sum(bits >= candidate, dtype=jnp.int32) >= count, candidate, threshold)

    threshold: jax.Array = jax.lax.fori_loop(0, BITS, decide_bit, jnp.int32(0))
    above, tied = bits > threshold, bits == threshold
    last = index_of_nth(tied, count - jnp.sum(above, dtype=jnp.int32))
    kept: jax.Array = above | (tied & (jnp.arange(bits.size) <= last))
    return kept.reshape(weights.shape)


def index_of_nth(flags: jax.Array, nth: jax.Array) -> jax.Array:
    """Return the index of the `nth` (from 1) true value in bool [N], counting blocks first: a long cumsum is slow."""
    blocks = jnp.pad(flags, (0, -flags.size % BLOCK)).reshape(-1, BLOCK)
    totals = jnp.cumsum(jnp.sum(blocks, axis=1, dtype=jnp.int32))
    block = jnp.argmax(totals >= nth)
    within = jnp.cumsum(blocks[block], dtype=jnp.int32)
    before = totals[block] - within[-1]
    return block * BLOCK + jnp.argmax(before + within >= nth)
