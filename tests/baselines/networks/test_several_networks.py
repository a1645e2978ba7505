"""Methods on trees of several networks: SAC's actor and two critics with a temperature, PPO's actor and value."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from baselines.methods.layers import in_layers, networks
from baselines.methods.masks import erk_sparsities, layer_sparsities
from suite.contracts.encoder import by_name
from suite.contracts.method import Context
from suite.errors import UsageError
from suite.learning.build import build, programs_for
from suite.rng import Streams
from suite.running.request import Request, resolve
from suite.tasks import GAMES, MUJOCO


def context_of(agent: str, width: int = 1) -> Context:
    spec = resolve(Request("mujoco", agent, width=width))[0].spec
    programs = programs_for(spec, MUJOCO["HalfCheetah"])
    return Context(1, programs.shapes().params, build(spec, MUJOCO["HalfCheetah"])[0].layers)


def named(tree) -> dict:
    return {
        "/".join(str(key.key) for key in path).removeprefix("params/"): leaf
        for path, leaf in jax.tree_util.tree_leaves_with_path(tree, is_leaf=lambda leaf: leaf is None)
    }


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        # google-research/rigl solves ERK for each network by itself; HalfCheetah at width 5, 95 %
        ("sac", {"actor": (1, 0.0285, 1), "critic1": (0.942, 0.0332, 1), "critic2": (0.942, 0.0332, 1)}),
        ("ppo", {"actor": (0.261, 0.0263, 0.715), "value": (0.323, 0.0325, 1)}),
    ],
)
def test_each_network_has_the_whole_sparsity_spread_by_itself(agent: str, expected: dict) -> None:
    context = context_of(agent, width=5)
    sparsities, kernels = named(layer_sparsities(context, 0.95, "erk")), by_name(context.shapes)
    for network, densities in expected.items():
        own = [f"{network}/encoder/dense1/kernel", f"{network}/encoder/dense2/kernel", f"{network}/head/kernel"]
        np.testing.assert_allclose([1 - sparsities[name] for name in own], densities, rtol=0.006)
        assert [sparsities[name] for name in own] == erk_sparsities([kernels[name].shape for name in own], 0.95)
        zeros = sum(sparsities[name] * kernels[name].size for name in own)
        assert zeros / sum(kernels[name].size for name in own) == pytest.approx(0.95, abs=1e-4)
    assert all(value is None for name, value in sparsities.items() if not name.endswith("kernel"))


def test_a_temperature_is_of_no_network_and_a_value_based_tree_is_one() -> None:
    of = named(networks(context_of("sac")))
    assert of["log_alpha"] is None
    assert {value for name, value in of.items() if name != "log_alpha"} == {"actor", "critic1", "critic2"}
    spec = resolve(Request("smoke", "der", "nature_cnn"))[0].spec
    shapes = programs_for(spec, GAMES["Pong"]).shapes().params
    atari = Context(1, shapes, build(spec, GAMES["Pong"])[0].layers)
    assert set(named(networks(atari)).values()) == {""}


@pytest.mark.parametrize(("agent", "beside"), [("sac", "log_alpha"), ("ppo", "raw_std")])
def test_layers_are_those_of_every_network(agent: str, beside: str) -> None:
    context = context_of(agent)
    last = {name for name, chosen in named(in_layers(context, "last", "method.reset.layers")).items() if chosen}
    assert last == {name for name in by_name(context.shapes) if "/head/" in name}
    everything = named(in_layers(context, "all", "method.reset.layers"))
    assert [name for name, chosen in everything.items() if not chosen] == [beside]
    assert named(in_layers(context, "dense", "method.reset.layers")) == everything
    with pytest.raises(UsageError, match="names no layer"):
        in_layers(context, "convolutions", "method.reset.layers")


@pytest.mark.parametrize("method", ["weight_decay", "l2_init"])
def test_what_is_no_network_is_not_pulled(method: str) -> None:
    settings = (f"method.{method}.coefficient=0.5",)
    spec = resolve(Request("mujoco", "sac", methods=(method,), settings=settings))[0].spec
    _, (built,) = build(spec, MUJOCO["Hopper"])
    start = programs_for(spec, MUJOCO["Hopper"]).init(Streams("probe@1", "x", 0)).params
    moved = jax.tree.map(lambda leaf: leaf + 2, start)  # away from zero, and from where it began
    optimizer = built.wrap(optax.with_extra_args_support(optax.sgd(1.0)))
    updates, _ = optimizer.update(
        jax.tree.map(jnp.zeros_like, moved),
        optimizer.init(moved),
        moved,
        methods={method: built.init(jax.random.key(0), start)},
    )
    pulled = {name: bool(np.any(update != 0)) for name, update in by_name(updates).items()}
    assert [name for name, is_pulled in pulled.items() if not is_pulled] == ["log_alpha"]
