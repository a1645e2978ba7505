"""Shapes, parameter counts and initialization of the encoders with a Q head."""

import json
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines.networks import impala, nature_cnn
from baselines.networks.heads import QNetwork

MODULES = {"impala": impala, "nature_cnn": nature_cnn}
TABLE = json.loads((Path(__file__).parents[1] / "data" / "param_counts_erk.json").read_text())
OBSERVATION = jax.ShapeDtypeStruct((2, 84, 84, 4), jnp.uint8)


def q_network(name: str, width: int = 1, actions: int = 18) -> QNetwork:
    kernel_init = nn.initializers.xavier_uniform()
    return QNetwork(MODULES[name].make({"width": width}, kernel_init=kernel_init), actions, kernel_init)


def shapes(name: str, width: int = 1, actions: int = 18):
    return jax.eval_shape(q_network(name, width, actions).init, jax.random.key(0), OBSERVATION)


@cache
def initialized(name: str):
    """Return the parameters of seeds 0 and 1."""
    init = jax.jit(q_network(name).init)
    observation = jnp.zeros((1, 84, 84, 4), jnp.uint8)
    return [init(jax.random.key(seed), observation) for seed in range(2)]


@pytest.mark.parametrize(
    ("name", "width", "count"),
    [
        ("nature_cnn", 1, 4_052_658),
        ("nature_cnn", 3, 12_556_274),
        ("nature_cnn", 5, 21_616_946),
        ("impala", 1, 2_089_954),
        ("impala", 3, 6_830_978),
        ("impala", 5, 12_346_146),
    ],
)
def test_parameter_counts(name: str, width: int, count: int) -> None:
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes(name, width))) == count


@pytest.mark.parametrize("entry", TABLE)
def test_kernels_are_named_and_shaped_as_published(entry: str) -> None:
    name, width, actions = entry.split("|")
    params = shapes(name, int(width[1:]), int(actions[1:]))["params"]
    leaves = {
        "/".join(key.key for key in path).removeprefix("encoder/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(params)
    }
    kernels = {path.removesuffix("/kernel"): list(leaf.shape) for path, leaf in leaves.items() if leaf.ndim > 1}
    assert kernels == TABLE[entry]["shapes"]
    assert sum(leaf.size for leaf in leaves.values() if leaf.ndim == 1) == TABLE[entry]["biases"]
    assert set(params) == {"encoder", "head"}


@pytest.mark.parametrize(
    ("name", "layers", "sizes"),
    [
        ("nature_cnn", ["conv1", "conv2", "conv3"], [21, 11, 11]),
        ("impala", ["stack0", "stack1", "stack2"], [42, 21, 11]),
    ],
)
def test_same_padding(name: str, layers: list[str], sizes: list[int]) -> None:
    network = q_network(name)
    params = shapes(name)
    values, state = jax.eval_shape(
        lambda params, x: network.apply(params, x, capture_intermediates=True), params, OBSERVATION
    )
    outputs = state["intermediates"]["encoder"]
    assert [outputs[layer]["__call__"][0].shape[1:3] for layer in layers] == [(size, size) for size in sizes]
    assert outputs["__call__"][0].shape == (2, 512)
    assert values.shape == (2, 18)
    assert values.dtype == outputs["__call__"][0].dtype == jnp.float32


def test_initialization_is_dopamines() -> None:
    params = initialized("impala")[0]["params"]
    encoder = params["encoder"]
    for kernel in (encoder["stack0"]["conv"], encoder["stack2"]["conv"], encoder["dense"], params["head"]):
        *window, inputs, outputs = kernel["kernel"].shape
        bound = np.sqrt(6 / (np.prod(window) * (inputs + outputs)))  # Xavier-uniform
        largest = np.abs(np.asarray(kernel["kernel"])).max()
        assert 0.95 * bound < largest <= bound
    residual = np.asarray(encoder["stack1"]["block0"]["conv0"]["kernel"])
    np.testing.assert_allclose(residual.std(), 1 / np.sqrt(9 * 32), rtol=0.05)  # LeCun-normal
    assert all(not np.any(leaf) for leaf in jax.tree.leaves(params) if leaf.ndim == 1)


@pytest.mark.parametrize("name", MODULES)
def test_two_seeds_differ_in_every_kernel(name: str) -> None:
    differ = jax.tree.map(lambda a, b: a.ndim == 1 or np.mean(np.asarray(a) != b) > 0.99, *initialized(name))
    assert all(jax.tree.leaves(differ))


def test_pixels_are_scaled_to_one() -> None:
    encoder = nature_cnn.make({"width": 1}, kernel_init=nn.initializers.constant(1e-3))
    observation = jnp.full((1, 84, 84, 4), 255, jnp.uint8)
    params = jax.jit(encoder.init)(jax.random.key(0), observation)
    _, state = encoder.apply(params, observation, capture_intermediates=True)
    middle = np.asarray(state["intermediates"]["conv1"]["__call__"][0])[0, 10, 10, 0]
    np.testing.assert_allclose(middle, 1e-3 * 8 * 8 * 4, rtol=1e-5)
