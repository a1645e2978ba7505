"""The multilayer perceptron: sizes, names, initialization, and what methods see of it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines.methods.l2_features import unit_length
from baselines.networks.heads import QNetwork
from suite.contracts import registry
from suite.contracts.encoder import FEATURES, Layer, connections_of, recorded_units
from suite.learning.build import _Changed

make = registry.load("network", "mlp")

KERNEL_INIT = nn.initializers.xavier_uniform()


def mlp(width: int = 1, units: tuple[int, ...] = (3, 4), activation: str = "relu") -> nn.Module:
    return make({"width": width}, units=units, activation=activation, kernel_init=KERNEL_INIT)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_layers_by_hand(activation: str) -> None:
    network = mlp(activation=activation)
    observation = jnp.asarray(np.random.default_rng(0).normal(size=(5, 2)), jnp.float32)
    params = jax.tree.map(
        lambda leaf: leaf + 0.1, network.init(jax.random.key(0), observation)
    )  # no bias is left at zero
    features, noted = network.apply(params, observation, mutable=["activations"])
    squash = {"relu": lambda x: np.maximum(x, 0), "tanh": np.tanh}[activation]
    x, units = np.asarray(observation, np.float64), recorded_units(noted)
    for layer in ("dense1", "dense2"):
        x = squash(x @ np.asarray(params["params"][layer]["kernel"]) + np.asarray(params["params"][layer]["bias"]))
        np.testing.assert_allclose(units[layer], x, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(features, x, rtol=1e-5, atol=1e-6)
    assert set(units) == set(params["params"]) == {"dense1", "dense2"}


@pytest.mark.parametrize(("width", "units"), [(1, (256, 256)), (5, (1280, 1280))])
def test_width_multiplies_every_layer(width: int, units: tuple[int, int]) -> None:
    network = mlp(width, (256, 256))
    shapes = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 17)))["params"]
    assert shapes["dense1"]["kernel"].shape == (17, units[0])
    assert shapes["dense2"]["kernel"].shape == units
    assert shapes["dense2"]["bias"].shape == units[1:]


def test_kernels_start_as_the_agent_wants() -> None:
    start = nn.initializers.constant(0.5)
    network = make({"width": 1}, units=(3, 4), activation="relu", kernel_init=start)
    params = network.init(jax.random.key(0), jnp.zeros((1, 2)))["params"]
    for layer in ("dense1", "dense2"):
        np.testing.assert_array_equal(params[layer]["kernel"], 0.5)
        np.testing.assert_array_equal(params[layer]["bias"], 0)


@pytest.mark.parametrize("units", [(3,), (3, 4), (3, 4, 5)])
def test_every_layer_feeds_the_next_one(units: tuple[int, ...]) -> None:
    network = QNetwork(mlp(units=units), 2, KERNEL_INIT)
    layers = [f"encoder/dense{number}" for number in range(1, len(units) + 1)]
    params = jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, 2)))["params"]
    assert connections_of(params, network.layers) == {
        name: (after,) for name, after in zip(layers, [*layers[1:], "head"], strict=True)
    }
    assert sorted(params["encoder"]) == sorted(layer.removeprefix("encoder/") for layer in layers)


def test_methods_may_change_its_features() -> None:
    network = _Changed(mlp(), (unit_length,))
    observation = jnp.array([[1.0, -2.0], [0.5, 3.0]])
    params = network.init(jax.random.key(0), observation)
    plain = mlp().apply(params, observation)  # the same names
    norms = np.linalg.norm(plain, axis=1, keepdims=True)
    np.testing.assert_allclose(network.apply(params, observation), plain / norms, rtol=1e-5)
    assert network.layers == mlp().layers == (Layer("dense1", "dense", "dense2"), Layer("dense2", "dense", FEATURES))
