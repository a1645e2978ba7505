"""Noisy layers against the formula, their statistics and their initialization; the dueling combination by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from hypothesis import given, settings
from hypothesis import strategies as st

from baselines.networks.dueling import DuelingHead, dueling
from baselines.networks.noisy import NoisyDense, factor

pytestmark = pytest.mark.slow

INPUTS, UNITS = 6, 5
HALF_NORMAL = np.sqrt(2 / np.pi)  # the mean of |x|, hence the second moment of a factor


def example(seed=0, sigma=0.1):
    layer = NoisyDense(UNITS, sigma)
    x = jax.random.normal(jax.random.key(seed + 100), (3, INPUTS))
    return layer, layer.init(jax.random.key(seed), x), x


def doubles(params):
    return {name: np.asarray(leaf, np.float64) for name, leaf in params["params"].items()}


def test_output_is_that_of_the_perturbed_weights() -> None:
    layer, params, x = example()
    key = jax.random.key(7)
    rows, columns = jax.random.split(key)
    p, q = np.asarray(factor(rows, INPUTS), np.float64), np.asarray(factor(columns, UNITS), np.float64)
    own = doubles(params)
    kernel = own["kernel"] + own["kernel_sigma"] * np.outer(p, q)
    expected = np.asarray(x, np.float64) @ kernel + own["bias"] + own["bias_sigma"] * q
    np.testing.assert_allclose(layer.apply(params, x, key), expected, rtol=1e-5, atol=1e-6)


def test_without_a_key_there_is_no_noise() -> None:
    layer, params, x = example()
    own = doubles(params)
    expected = np.asarray(x, np.float64) @ own["kernel"] + own["bias"]
    np.testing.assert_allclose(layer.apply(params, x), expected, rtol=1e-5, atol=1e-6)
    assert not np.allclose(layer.apply(params, x, jax.random.key(0)), expected)


def test_noise_has_mean_zero_and_the_variance_of_two_factors() -> None:
    layer, params, x = example(sigma=0.7)
    keys = jax.random.split(jax.random.key(1), 10_000)
    noise = np.asarray(jax.vmap(lambda key: layer.apply(params, x, key))(keys)) - np.asarray(layer.apply(params, x))
    size = 0.7 / np.sqrt(INPUTS)
    variance = HALF_NORMAL * size**2 * (HALF_NORMAL * np.sum(np.square(x), axis=1) + 1)
    expected = np.broadcast_to(variance[:, None], noise.shape[1:])
    np.testing.assert_array_less(np.abs(noise.mean(axis=0)), 5 * np.sqrt(expected / len(keys)))
    np.testing.assert_allclose(noise.var(axis=0), expected, rtol=0.1)


def test_factors_are_signed_roots_of_normal_numbers() -> None:
    numbers = np.asarray(jax.random.normal(jax.random.key(3), (1000,)), np.float64)
    found = np.asarray(factor(jax.random.key(3), 1000), np.float64)
    np.testing.assert_allclose(found * np.abs(found), numbers, rtol=1e-5)


def test_all_rows_of_a_call_share_the_noise() -> None:
    layer, params, x = example()
    same = jnp.broadcast_to(x[:1], x.shape)
    found = layer.apply(params, same, jax.random.key(0))
    np.testing.assert_allclose(found, jnp.broadcast_to(found[:1], found.shape), rtol=1e-6)


@settings(max_examples=4)
@given(st.integers(0, 2**32 - 1), st.integers(1, 18), st.integers(0, 18), st.sampled_from([1, 51]))
def test_more_units_leave_the_noise_of_the_first_ones_alone(seed: int, actions: int, more: int, atoms: int) -> None:
    key = jax.random.key(seed)
    few, many = factor(key, actions * atoms), factor(key, (actions + more) * atoms)
    np.testing.assert_array_equal(few, many[: few.size])


@pytest.mark.parametrize("sigma", [0.1, 0.5])
def test_initialization(sigma: float) -> None:
    layer = NoisyDense(400, sigma)
    own = doubles(layer.init(jax.random.key(0), jnp.zeros((1, 25))))
    assert {name: leaf.shape for name, leaf in own.items()} == {
        "kernel": (25, 400),
        "kernel_sigma": (25, 400),
        "bias": (400,),
        "bias_sigma": (400,),
    }
    for name in ("kernel", "bias"):
        assert np.abs(own[name]).max() <= 0.2
        assert own[name].min() < -0.19
        assert own[name].max() > 0.19
        np.testing.assert_allclose(own[name].std(), 0.2 / np.sqrt(3), rtol=0.1)
        np.testing.assert_allclose(own[f"{name}_sigma"], sigma / 5, rtol=1e-6)


def test_gradients_reach_means_and_sizes() -> None:
    layer, params, x = example()
    gradients = jax.grad(lambda params: jnp.sum(jnp.square(layer.apply(params, x, jax.random.key(0)))))(params)
    assert all(bool(jnp.all(leaf != 0)) for leaf in jax.tree.leaves(gradients))


def test_dueling_by_hand() -> None:
    advantage = jnp.asarray([[1.0, 2.0], [5.0, -2.0], [100.0, 100.0]])
    legal = jnp.asarray([True, True, False])
    found = dueling(jnp.asarray([10.0, 20.0]), advantage, legal)
    np.testing.assert_allclose(found[:2], [[10 + 1 - 3, 20 + 2 - 0], [10 + 5 - 3, 20 - 2 - 0]])


def test_dueling_means_are_the_value_and_illegal_actions_get_no_gradient() -> None:
    rng = np.random.default_rng(0)
    value, advantage = jnp.asarray(rng.normal(size=(8, 3))), jnp.asarray(rng.normal(size=(8, 5, 3)))
    legal = jnp.asarray([True, False, True, True, False])
    found = dueling(value, advantage, legal)
    np.testing.assert_allclose(found[:, np.asarray(legal)].mean(axis=1), value, rtol=1e-5, atol=1e-6)
    of_one = jax.grad(lambda advantage: dueling(value, advantage, legal)[0, 2, 1])(advantage)
    np.testing.assert_allclose(of_one[0, :, 1], [-1 / 3, 0, 2 / 3, -1 / 3, 0], rtol=1e-6)
    assert np.count_nonzero(of_one) == 3


@pytest.mark.parametrize("sigma", [None, 0.1])
def test_heads_have_the_published_shapes(sigma: float | None) -> None:
    head = DuelingHead(4, 51, nn.initializers.xavier_uniform(), sigma)
    features, legal = jnp.zeros((2, 512)), jnp.ones(4, jnp.bool_)
    params = jax.eval_shape(lambda: head.init(jax.random.key(0), features, legal, None))
    kernels = {"advantage": (512, 204), "value": (512, 51)}
    for name, shape in kernels.items():
        assert params["params"][name]["kernel"].shape == shape
        assert ("kernel_sigma" in params["params"][name]) == (sigma is not None)
    assert jax.eval_shape(head.apply, params, features, legal, None).shape == (2, 4, 51)
