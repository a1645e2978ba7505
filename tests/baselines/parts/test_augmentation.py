"""Shifts against padding and cropping, jitter's bounds, and that encoders see what the public code feeds them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.networks.nature_cnn import NatureCNN
from baselines.parts.augmentation import random_intensity, random_shift, shifted

SHAPE = (6, 7, 3)


def images(seed, count=1, shape=SHAPE):
    return np.random.default_rng(seed).integers(0, 256, (count, *shape), dtype=np.uint8)


def cropped(image, pad, row, column):
    """Return the crop at (row, column) of the image padded by its edges."""
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
    return padded[row : row + image.shape[0], column : column + image.shape[1]]


@settings(max_examples=25)
@given(st.data(), st.integers(0, 4), st.integers(0, 2**32 - 1))
def test_a_shift_is_a_crop_of_the_image_padded_by_its_edges(data, pad: int, seed: int) -> None:
    row, column = (data.draw(st.integers(0, 2 * pad)) for _ in range(2))
    batch = images(seed)
    found = shifted(jnp.asarray(batch), jnp.asarray([row - pad]), jnp.asarray([column - pad]))
    assert found.dtype == jnp.uint8
    np.testing.assert_array_equal(found[0], cropped(batch[0], pad, row, column))


@pytest.mark.parametrize("whole_range", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_random_shifts_are_crops_at_every_position_and_no_other(whole_range: bool, dtype) -> None:
    pad, count = 2, 1500
    image = np.arange(np.prod(SHAPE), dtype=dtype).reshape(SHAPE)
    found = np.asarray(random_shift(jax.random.key(0), jnp.stack([image] * count), pad, whole_range=whole_range))
    crops = {
        cropped(image, pad, row, column).tobytes(): (row, column)
        for row in range(2 * pad + whole_range)
        for column in range(2 * pad + whole_range)
    }
    positions = [crops[one.tobytes()] for one in found]
    counts = np.unique(positions, axis=0, return_counts=True)[1]
    assert len(counts) == len(crops)
    assert counts.min() > 0.4 * count / len(crops)


@settings(max_examples=25)
@given(st.integers(0, 2**32 - 1), st.floats(0, 0.5))
def test_intensity_scales_each_image_as_a_whole_within_bounds(seed: int, scale: float) -> None:
    batch = images(seed, 8) // 2 + 1
    found = np.asarray(random_intensity(jax.random.key(seed), jnp.asarray(batch), scale))
    assert found.dtype == np.float32
    factors = found / batch
    np.testing.assert_allclose(factors, np.broadcast_to(factors[:, :1, :1, :1], factors.shape), rtol=1e-6)
    assert np.all(np.abs(factors - 1) <= 2 * scale + 1e-6)


def test_intensity_is_cut_off_at_two_deviations() -> None:
    factors = np.asarray(random_intensity(jax.random.key(0), jnp.ones((20_000, 1, 1, 1), jnp.uint8), 0.05))[:, 0, 0, 0]
    np.testing.assert_allclose([factors.min(), factors.max()], [0.9, 1.1], rtol=1e-6)
    for bound in (0.9, 1.1):
        assert 0.02 < np.mean(np.isclose(factors, bound)) < 0.026  # P(x > 2) = 0.0228
    inner = np.abs(factors - 1) < 0.05
    np.testing.assert_allclose(np.mean(inner), 0.6827, atol=0.02)


def test_changing_bytes_and_dividing_later_is_dividing_first() -> None:
    batch = images(0, 4, (84, 84, 4))
    shift_key, intensity_key = jax.random.split(jax.random.key(5))
    later = random_shift(shift_key, jnp.asarray(batch), 4, whole_range=False)
    first = random_shift(shift_key, jnp.asarray(batch, jnp.float32) / 255.0, 4, whole_range=False)
    np.testing.assert_array_equal(later.astype(jnp.float32) / 255.0, first)
    jittered = random_intensity(intensity_key, later, 0.05)
    np.testing.assert_allclose(jittered / 255.0, random_intensity(intensity_key, first, 0.05), rtol=3e-7)


def test_an_encoder_takes_floats_of_the_same_scale() -> None:
    encoder = NatureCNN(1, nn.initializers.xavier_uniform())
    batch = jnp.asarray(images(1, 2, (84, 84, 4)))
    params = encoder.init(jax.random.key(0), batch)
    np.testing.assert_array_equal(encoder.apply(params, batch.astype(jnp.float32)), encoder.apply(params, batch))
