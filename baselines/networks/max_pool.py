"""Max-pooling with an exact gradient of our own: XLA scatters it, a third of an Impala update on a CPU."""

from __future__ import annotations

import itertools
from functools import partial

import jax
import jax.numpy as jnp

WINDOW = 3
STRIDE = 2
OFFSETS = tuple(itertools.product(range(WINDOW), repeat=2))


def max_pool(x: jax.Array) -> jax.Array:
    """Pool float32 [B, H, W, C] to [B, ceil(H / 2), ceil(W / 2), C] with 3 x 3 windows at stride 2 and SAME padding.

    Values are flax's own. The gradient of a window goes to its first maximum in row-major order, which is XLA's rule;
    flat backgrounds make ties everywhere, so another rule would be another gradient.
    """
    return _pool((x.shape[1], x.shape[2]), x)


@partial(jax.custom_vjp, nondiff_argnums=(0,))
def _pool(size: tuple[int, int], x: jax.Array) -> jax.Array:
    window, strides = (1, WINDOW, WINDOW, 1), (1, STRIDE, STRIDE, 1)
    pooled: jax.Array = jax.lax.reduce_window(x, -jnp.inf, jax.lax.max, window, strides, "SAME")
    return pooled


def _forward(size: tuple[int, int], x: jax.Array) -> tuple[jax.Array, jax.Array]:
    pooled = _pool(size, x)
    (rows, top, bottom), (columns, left, right) = map(_layout, size)
    padded = jnp.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)), constant_values=-jnp.inf)
    winner = jnp.zeros(pooled.shape, jnp.uint8)
    for index, (row, column) in reversed(list(enumerate(OFFSETS))):
        candidate = padded[:, row : row + _span(rows) : STRIDE, column : column + _span(columns) : STRIDE]
        winner = jnp.where(candidate == pooled, jnp.uint8(index), winner)
    return pooled, winner


def _backward(size: tuple[int, int], winner: jax.Array, gradient: jax.Array) -> tuple[jax.Array]:
    (rows, top, _), (columns, left, _) = map(_layout, size)
    total = jnp.zeros((), gradient.dtype)
    for index, (row, column) in reversed(list(enumerate(OFFSETS))):  # the order in which XLA adds
        won = jnp.where(winner == index, gradient, 0)
        padding = ((0, 0, 0), _dilate(row - top, rows, size[0]), _dilate(column - left, columns, size[1]), (0, 0, 0))
        total = total + jax.lax.pad(won, jnp.zeros((), gradient.dtype), padding)
    return (total,)


_pool.defvjp(_forward, _backward)


def _layout(size: int) -> tuple[int, int, int]:
    """Return the number of windows along an axis and its SAME padding before and after."""
    windows = -(-size // STRIDE)
    padding = max(0, (windows - 1) * STRIDE + WINDOW - size)
    return windows, padding // 2, padding - padding // 2


def _span(windows: int) -> int:
    return (windows - 1) * STRIDE + 1


def _dilate(start: int, windows: int, size: int) -> tuple[int, int, int]:
    """Return `lax.pad`'s arguments that put window w at `start + STRIDE * w` on an axis of `size`."""
    return start, size - start - _span(windows), STRIDE - 1
