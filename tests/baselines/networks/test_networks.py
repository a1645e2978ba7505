"""Shapes, parameter counts and initialization of the encoders with a Q head."""

import json
from functools import cache
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines.methods.masks import full_masks
from baselines.networks.heads import QNetwork
from suite.contracts import registry
from suite.contracts.card import Value
from suite.contracts.encoder import connections_of, recorded_units

NETWORKS = ("impala", "nature_cnn")
TABLE = json.loads((Path(__file__).parents[2] / "data" / "param_counts_erk.json").read_text())
OBSERVATION = jax.ShapeDtypeStruct((2, 84, 84, 4), jnp.uint8)


def q_network(name: str, width: int = 1, actions: int = 18) -> QNetwork:
    kernel_init = nn.initializers.xavier_uniform()
    return QNetwork(registry.load("network", name)({"width": width}, kernel_init=kernel_init), actions, kernel_init)


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


@pytest.mark.parametrize(
    ("name", "settings", "counts"),
    [
        ("nature_cnn", {"scale_dense": True}, (4_052_658, 36_365_298, 100_954_418)),
        ("impala", {"variant": "A"}, (2_089_954, 6_830_978, 12_346_146)),
        ("impala", {"variant": "B"}, (4_363_698, 39_203_058, 108_858_418)),
        ("impala", {"variant": "C"}, (2_376_370, 21_346_290, 59_272_498)),
        ("impala", {"variant": "D"}, (2_089_954, 18_745_218, 52_034_338)),
    ],
)
def test_parameter_counts_of_variants(name: str, settings: dict[str, Value], counts: tuple[int, ...]) -> None:
    for width, count in zip((1, 3, 5), counts, strict=True):
        kernel_init = nn.initializers.xavier_uniform()
        encoder = registry.load("network", name)({"width": width} | settings, kernel_init=kernel_init)
        found = jax.eval_shape(QNetwork(encoder, 18, kernel_init).init, jax.random.key(0), OBSERVATION)
        assert sum(leaf.size for leaf in jax.tree.leaves(found)) == count


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


@pytest.mark.parametrize("name", NETWORKS)
def test_two_seeds_differ_in_every_kernel(name: str) -> None:
    differ = jax.tree.map(lambda a, b: a.ndim == 1 or np.mean(np.asarray(a) != b) > 0.99, *initialized(name))
    assert all(jax.tree.leaves(differ))


NORMS = {
    "nature_cnn": {f"encoder/{layer}_norm": size for layer, size in (("conv1", 32), ("conv2", 64), ("conv3", 64))},
    "impala": {
        f"encoder/stack{stack}/block{block}/{norm}": (16, 32, 32)[stack]
        for stack in range(3)
        for block in range(2)
        for norm in ("input_norm", "conv0_norm")
    }
    | {"encoder/stacks_norm": 32},
}


def random_small(name: str, *, layer_norm: bool):
    """Return a network for screens of 12 x 12, parameters and observations; kernels do not depend on `layer_norm`."""
    kernel_init = nn.initializers.xavier_uniform()
    encoder = registry.load("network", name)({"width": 1, "layer_norm": layer_norm}, kernel_init=kernel_init)
    network = QNetwork(encoder, 3, kernel_init)
    observation = np.random.default_rng(0).integers(0, 256, (2, 12, 12, 4), dtype=np.uint8)
    shapes = jax.eval_shape(network.init, jax.random.key(0), observation)
    rng = np.random.default_rng(1)

    def draw(leaf):
        return jnp.asarray(rng.normal(0.1, 0.1, leaf.shape), jnp.float32)

    return network, jax.tree.map(draw, shapes), observation


@pytest.mark.parametrize("name", NETWORKS)
def test_layer_norm_adds_scales_and_biases_and_nothing_else(name: str) -> None:
    kernel_init = nn.initializers.xavier_uniform()
    networks = [
        QNetwork(
            registry.load("network", name)({"width": 1, "layer_norm": on}, kernel_init=kernel_init), 18, kernel_init
        )
        for on in (False, True)
    ]
    plain, normed = (
        {"/".join(key.key for key in path[1:]): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}
        for params in (jax.eval_shape(each.init, jax.random.key(0), OBSERVATION) for each in networks)
    )
    assert plain == {key: normed[key] for key in plain}
    sizes = NORMS[name] | {"encoder/dense_norm": 512}
    added = {key: leaf.shape for key, leaf in normed.items() if key not in plain}
    assert added == {f"{norm}/{leaf}": (size,) for norm, size in sizes.items() for leaf in ("scale", "bias")}
    assert networks[0].layers == tuple(layer for layer in networks[1].layers if layer.role != "norm")
    masks = full_masks({key: jnp.zeros(leaf.shape) for key, leaf in normed.items() if "_norm" in key})
    assert all(mask is None for mask in masks.values())


def test_layer_norm_leaves_the_draws_of_kernels() -> None:
    observation = jnp.zeros((1, 8, 8, 1), jnp.uint8)
    plain, normed = (
        jax.jit(
            registry.load("network", "nature_cnn")(
                {"width": 1, "layer_norm": on}, kernel_init=nn.initializers.xavier_uniform()
            ).init
        )(jax.random.key(0), observation)["params"]
        for on in (False, True)
    )
    for layer, leaves in plain.items():
        jax.tree.map(np.testing.assert_array_equal, leaves, normed[layer])


@pytest.mark.parametrize("name", NETWORKS)
def test_every_relu_follows_a_normalization(name: str) -> None:
    network, params, observation = random_small(name, layer_norm=True)
    _, state = jax.jit(lambda params: network.apply(params, observation, capture_intermediates=True))(params)
    _, noted = jax.jit(lambda params: network.apply(params, observation, mutable=["activations"]))(params)
    units = recorded_units(noted)

    def at(tree, path: str):
        for part in path.split("/"):
            tree = tree[part]
        return tree

    for norm in [*NORMS[name], "encoder/dense_norm"]:
        after = np.asarray(at(state["intermediates"], norm)["__call__"][0])
        own = at(params["params"], norm)
        standard = (after - np.asarray(own["bias"])) / np.asarray(own["scale"])
        np.testing.assert_allclose(standard.mean(axis=-1), 0, atol=1e-3)
        layer = norm.removesuffix("_norm")
        if layer in units:
            np.testing.assert_allclose(units[layer], np.maximum(after, 0), rtol=1e-5, atol=1e-6)
    feeds = connections_of(params, network.layers)
    assert {*feeds} <= {*units}
    norms = {layer.of: layer.name for layer in network.layers if layer.role == "norm" and layer.of in feeds}
    assert norms == {source: f"{source}_norm" for source in feeds}


@pytest.mark.parametrize("name", NETWORKS)
def test_without_layer_norm_nothing_is_normalized(name: str) -> None:
    network, params, observation = random_small(name, layer_norm=False)
    assert "rsqrt" not in str(jax.make_jaxpr(network.apply)(params, observation))
    network, params, observation = random_small(name, layer_norm=True)
    assert str(jax.make_jaxpr(network.apply)(params, observation)).count("rsqrt") == len(NORMS[name]) + 1


def test_pixels_are_scaled_to_one() -> None:
    encoder = registry.load("network", "nature_cnn")({"width": 1}, kernel_init=nn.initializers.constant(1e-3))
    observation = jnp.full((1, 84, 84, 4), 255, jnp.uint8)
    params = jax.jit(encoder.init)(jax.random.key(0), observation)
    _, state = encoder.apply(params, observation, capture_intermediates=True)
    middle = np.asarray(state["intermediates"]["conv1"]["__call__"][0])[0, 10, 10, 0]
    np.testing.assert_allclose(middle, 1e-3 * 8 * 8 * 4, rtol=1e-5)
