"""The max-pool equals flax's, and its gradient XLA's, ties included."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines.networks.max_pool import max_pool

SIZES = [(84, 84), (42, 42), (21, 21), (1, 1), (2, 3), (5, 4), (7, 8)]


def flax_pool(x: jax.Array) -> jax.Array:
    return nn.max_pool(x, (3, 3), (2, 2), "SAME")


def compare(x: np.ndarray, gradient: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Assert that the pooled values are equal bit for bit, and return both gradients."""
    ours, our_gradient = pool_and_gradient(max_pool, x, gradient)
    theirs, their_gradient = pool_and_gradient(flax_pool, x, gradient)
    np.testing.assert_array_equal(np.asarray(ours).view(np.int32), np.asarray(theirs).view(np.int32))
    return np.asarray(our_gradient), np.asarray(their_gradient)


@partial(jax.jit, static_argnums=0)
def pool_and_gradient(pool, x, gradient):
    pooled, pull = jax.vjp(pool, x)
    return pooled, pull(gradient)[0]


def pooled_shape(size: tuple[int, int]) -> tuple[int, ...]:
    return (2, -(-size[0] // 2), -(-size[1] // 2), 3)


@pytest.mark.parametrize("size", SIZES)
def test_distinct_values(size: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, *size, 3)).astype(np.float32)
    gradient = rng.standard_normal(pooled_shape(size)).astype(np.float32)
    ours, theirs = compare(x, gradient)
    np.testing.assert_allclose(ours, theirs, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("levels", [1, 2, 3])
def test_ties(size: tuple[int, int], levels: int) -> None:
    rng = np.random.default_rng(levels)
    x = rng.integers(-1, levels - 1, (2, *size, 3)).astype(np.float32)
    gradient = rng.integers(-9, 10, pooled_shape(size)).astype(np.float32)  # whole numbers: sums are exact
    ours, theirs = compare(x, gradient)
    np.testing.assert_array_equal(ours, theirs)


def test_vmap_pools_each_as_alone() -> None:
    x = np.random.default_rng(0).standard_normal((3, 2, 5, 4, 1)).astype(np.float32)
    gradient = jax.grad(lambda x: jnp.sum(max_pool(x) ** 2))
    alone = jax.jit(gradient)
    np.testing.assert_array_equal(jax.jit(jax.vmap(gradient))(x), np.stack([alone(one) for one in x]))


def test_not_a_number_stays_visible() -> None:
    x = np.zeros((1, 5, 5, 1), np.float32)
    x[0, 2, 2, 0] = np.nan
    assert np.isnan(max_pool(x)[0, 1, 1, 0])
