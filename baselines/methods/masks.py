"""Masks over kernels: how many weights each layer keeps, which ones, and their application.

Every parameter with more than one axis is a kernel, first and output layers included; biases are never masked and
have None in every tree here.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from baselines.methods.layers import networks
from suite.contracts.agent import Params
from suite.contracts.method import Context

Masks = Any
"""A tree like the parameters: a boolean array for each kernel, None for a bias."""
Scores = Any
"""A tree like the parameters: an int32 array for each kernel, None for a bias; the highest non-negative ones win."""
NORM_FLOOR = 1e-8
BITS = 31
HIGHEST = 2**BITS - 1
BLOCK = 1024


def layer_sparsities(context: Context, sparsity: float, distribution: str) -> Any:
    """Return each kernel's share of zeros (a tree of floats) for a total `sparsity`: `uniform`, or `erk`.

    Where there are several networks, as SAC's actor and critics, each has that sparsity in total.
    """
    leaves, structure = jax.tree.flatten(context.shapes)
    found: list[float | None] = [sparsity if leaf.ndim > 1 else None for leaf in leaves]
    of = jax.tree.leaves(networks(context), is_leaf=lambda leaf: leaf is None) if distribution == "erk" else []
    for network in dict.fromkeys(of):
        own = [index for index, leaf in enumerate(leaves) if leaf.ndim > 1 and of[index] == network]
        for index, value in zip(own, erk_sparsities([leaves[i].shape for i in own], sparsity), strict=True):
            found[index] = value
    return jax.tree.unflatten(structure, found)


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


def kernel_weights(shapes: Params) -> int:
    """Return the number of weights in all kernels."""
    return sum(leaf.size for leaf in jax.tree.leaves(shapes) if leaf.ndim > 1)


def full_masks(params: Params) -> Masks:
    """Return masks that keep everything."""
    return jax.tree.map(lambda leaf: jnp.ones(leaf.shape, jnp.bool_) if leaf.ndim > 1 else None, params)


def largest_masks(params: Params, keep: Any) -> Masks:
    """Return masks of the `keep` (a tree of counts) largest weights by magnitude in each kernel."""
    return top_masks(magnitude_scores(params), keep)


def globally_largest_masks(params: Params, count: jax.Array | np.int32, normalized: bool = True) -> Masks:
    """Return masks of the `count` largest weights of all kernels together.

    Each is divided by its kernel's L2 norm before, if `normalized`. Ties go to the earlier kernel in the tree's order,
    which sorts names. A kernel may lose all its weights.
    """
    kernels = [leaf for leaf in jax.tree.leaves(params) if leaf.ndim > 1]
    if normalized:
        kernels = [leaf / (jnp.sqrt(jnp.sum(jnp.square(leaf))) + NORM_FLOOR) for leaf in kernels]
    return split_by_kernel(largest(jnp.concatenate([leaf.reshape(-1) for leaf in kernels]), count), params)


def random_masks(key: jax.Array, params: Params, keep: Any) -> Masks:
    """Return masks of `keep` (a tree of counts) weights of each kernel, every choice being equally likely."""
    return top_masks(random_scores(key, params), keep)


def top_masks(scores: Scores, keep: Any) -> Masks:
    """Return masks of the `keep` (a tree of counts) highest scores in each kernel."""
    return jax.tree.map(top, scores, keep)


def masked_kernel(name: str, array: Any, leaves: Mapping[str, Any]) -> str:
    """Return the name of the kernel whose mask an array called `name` in some method's state is; empty if of none.

    `leaves`: the parameters by name. A mask is known as a boolean array of a kernel's shape whose name ends with the
    kernel's.
    """
    if array.dtype != np.bool_:
        return ""
    kernel = max((end for end in leaves if name.endswith(end)), key=len, default="")
    return kernel if kernel and leaves[kernel].ndim > 1 and leaves[kernel].shape == array.shape else ""


def living(states: Mapping[str, Any], params: Params) -> Masks:
    """Return the weights that the masks in all methods' states let live; None for a parameter without a mask."""
    leaves = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
    masks: dict[str, jax.Array] = {}
    for path, array in jax.tree_util.tree_leaves_with_path(states):
        if kernel := masked_kernel(jax.tree_util.keystr(path), array, leaves):
            masks[kernel] = masks[kernel] & array if kernel in masks else array
    return jax.tree.unflatten(jax.tree.structure(params), [masks.get(name) for name in leaves])


def apply_masks(params: Params, masks: Masks) -> Params:
    """Return the parameters with masked weights at exactly zero."""
    return jax.tree.map(lambda leaf, mask: leaf if mask is None else jnp.where(mask, leaf, 0), params, masks)


def magnitude_scores(values: Params) -> Scores:
    """Return scores in the order of the magnitudes of a tree of float32 arrays like the parameters."""
    return jax.tree.map(lambda leaf: magnitudes(leaf) if leaf.ndim > 1 else None, values)


def random_scores(key: jax.Array, params: Params) -> Scores:
    """Return scores drawn uniformly from 30 bits, `HIGHEST` above them all; ties are too rare to matter."""
    numbers = jax.random.bits(key, (kernel_weights(params),), jnp.uint32) >> 2  # one draw compiles faster than many
    return split_by_kernel(numbers.astype(jnp.int32), params)


def split_by_kernel(joint: jax.Array, params: Params) -> Any:
    """Return an array over all kernels' weights, in the tree's order, as a tree like the parameters."""
    leaves, structure = jax.tree.flatten(params)
    sizes = [leaf.size for leaf in leaves if leaf.ndim > 1]
    parts = iter(jnp.split(joint, np.cumsum(sizes)[:-1]))
    return jax.tree.unflatten(
        structure, [next(parts).reshape(leaf.shape) if leaf.ndim > 1 else None for leaf in leaves]
    )


def magnitudes(values: jax.Array) -> jax.Array:
    """Return non-negative int32 that order as the magnitudes of these float32 do: their bits without the sign."""
    bits: jax.Array = jax.lax.bitcast_convert_type(values, jnp.int32) & HIGHEST
    return bits


def largest(weights: jax.Array, count: jax.Array | np.int32) -> jax.Array:
    """Return a mask of exactly `count` weights (1 to all), largest by magnitude; ties go to lower flat indices."""
    return top(magnitudes(weights), count)


def top(scores: jax.Array, count: jax.Array | np.int32) -> jax.Array:
    """Return a mask of exactly `count` int32 scores, the highest; ties go to lower flat indices.

    Negative scores never win, so `count` is from 1 to the number of the others. The score at rank `count` is found
    from its highest bit down, by counting those at or above each candidate: no sort, and `count` may be traced.
    """
    flat = scores.reshape(-1)

    def decide_bit(index: jax.Array, threshold: jax.Array) -> jax.Array:
        candidate = threshold | (1 << (BITS - 1 - index))
        return jnp.where(jnp.sum(flat >= candidate, dtype=jnp.int32) >= count, candidate, threshold)

    threshold: jax.Array = jax.lax.fori_loop(0, BITS, decide_bit, jnp.int32(0))
    above, tied = flat > threshold, flat == threshold
    last = index_of_nth(tied, count - jnp.sum(above, dtype=jnp.int32))
    kept: jax.Array = above | (tied & (jnp.arange(flat.size) <= last))
    return kept.reshape(scores.shape)


def index_of_nth(flags: jax.Array, nth: jax.Array) -> jax.Array:
    """Return the index of the `nth` (from 1) true value in bool [N], counting blocks first: a long cumsum is slow."""
    blocks = jnp.pad(flags, (0, -flags.size % BLOCK)).reshape(-1, BLOCK)
    totals = jnp.cumsum(jnp.sum(blocks, axis=1, dtype=jnp.int32))
    block = jnp.argmax(totals >= nth)
    within = jnp.cumsum(blocks[block], dtype=jnp.int32)
    before = totals[block] - within[-1]
    return block * BLOCK + jnp.argmax(before + within >= nth)
