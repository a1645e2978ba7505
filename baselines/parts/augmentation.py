"""Random changes of images that leave their meaning: DrQ's shifts (Kostrikov et al. 2021) and Schwarzer's intensity."""

from __future__ import annotations

import jax
import jax.numpy as jnp

CLIP = 2.0


def shifted(images: jax.Array, rows: jax.Array, columns: jax.Array) -> jax.Array:
    """Return each image moved up by `rows` and left by `columns`; the edge is repeated into what becomes free.

    `images`: [B, height, width, C]. `rows`, `columns`: int32 [B], of either sign. To move by offset - pad is to pad by
    `pad` pixels of the edge and to cut at `offset`.
    """
    height, width = images.shape[1:3]

    def shift(image: jax.Array, down: jax.Array, right: jax.Array) -> jax.Array:
        y = jnp.clip(jnp.arange(height) + down, 0, height - 1)
        x = jnp.clip(jnp.arange(width) + right, 0, width - 1)
        return image[y[:, None], x[None, :]]

    return jax.vmap(shift)(images, rows, columns)


def random_shift(key: jax.Array, images: jax.Array, pad: int, *, whole_range: bool) -> jax.Array:
    """Return each image [B, height, width, C] moved by up to `pad` pixels along both axes, its channels together.

    A move is drawn from -pad, ..., pad - 1, as in Dopamine's public code, and pad itself only with `whole_range`.
    """
    moves = jax.random.randint(key, (2, images.shape[0]), -pad, pad + whole_range)
    return shifted(images, moves[0], moves[1])


def random_intensity(key: jax.Array, images: jax.Array, scale: float) -> jax.Array:
    """Return each image [B, height, width, C] times 1 + scale * x, as float32; x is a normal number cut off at 2."""
    x = jax.random.normal(key, (images.shape[0], 1, 1, 1))
    return images.astype(jnp.float32) * (1.0 + scale * jnp.clip(x, -CLIP, CLIP))
