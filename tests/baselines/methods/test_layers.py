"""Methods find layers by their declared roles, in the networks of the suite and in those with names of their own."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines.methods.layers import CHOICES, in_a_network, in_layers, networks
from suite.contracts import registry
from suite.contracts.agent import Agent, Batch
from suite.contracts.encoder import FEATURES, Layer, by_name, connections_of, nested, record_units
from suite.contracts.method import Context, View, init_learner, wrap_optimizer
from suite.errors import UsageError
from suite.experience.domains import domain_of
from suite.learning.build import build
from suite.running.request import Request, resolve
from suite.tasks import GAMES, MUJOCO, load_task

RECORDED = json.loads((Path(__file__).parent / "selected_layers.json").read_text())
"""What was selected when methods looked for the words `encoder/`, `dense` and `head/`, of every agent and network.

`roles`: a letter for each parameter in the tree's order: l the last layer, d dense, c a convolution. `feeds`: which
layer fed which; a dueling network's features, which fed none then, feed both parts of its head. `norms`: the
normalizations that were recycled with a layer. `networks`: one for each parameter.
"""
LETTERS = {"last": "l", "dense": "dl", "convolutions": "c", "all": "cdl"}
TASKS = {"atari": "atari40m", "offline": "offline5", "continuous": "mujoco"}
ROLES = (
    Layer("torso/conv1", "convolution", feeds="torso/linear"),
    Layer("torso/linear", "dense", feeds="q"),
    Layer("scale", "norm", of="torso/linear"),
    Layer("q", "head"),
)
OWN = {
    "torso": {"conv1": {"kernel": (3, 3, 1, 2), "bias": (2,)}, "linear": {"kernel": (8, 5), "bias": (5,)}},
    "scale": {"scale": (5,)},
    "q": {"kernel": (5, 3)},
}


def context_for(agent_id: str, network: str, *options: str) -> tuple[Context, Agent]:
    """What methods are told where an agent has a network, with the on-off settings of these names on."""
    family = (*registry.card("agent", agent_id).families, "atari")[0]
    kinds = {"layer_norm": "network", "double_dueling": "agent"}
    settings = tuple(f"{kinds[name]}.{name}={str(name in options).lower()}" for name in _switches(agent_id, network))
    game = MUJOCO["Hopper"] if family == "continuous" else GAMES["Pong"]
    (resolved,) = resolve(Request(TASKS[family], agent_id, network, settings=settings))
    agent, _ = build(resolved.spec, game)
    inputs = domain_of(load_task(TASKS[family])).inputs(game)
    shapes = jax.eval_shape(lambda key: agent.init(key, inputs.network(inputs.blank())), jax.random.key(0))
    return Context(2_500_000, shapes, agent.layers, 1e-4), agent


def _switches(agent: str, network: str) -> list[str]:
    found = {*registry.card("agent", agent).settings, *registry.card("network", network).settings}
    return sorted(found & {"layer_norm", "double_dueling"})


def chosen(context: Context, layers: str) -> list[bool]:
    try:
        return jax.tree.leaves(in_layers(context, layers, "layers"))
    except UsageError:
        return [False] * len(jax.tree.leaves(context.shapes))


def test_every_agent_and_network_is_on_record() -> None:
    agents = {name for name, point in registry.registered("agent").items() if point.module.startswith("baselines.")}
    assert {key.split()[0] for key in RECORDED} == agents
    assert {key.split()[1] for key in RECORDED} == {"impala", "mlp", "nature_cnn"}


@pytest.mark.parametrize("key", RECORDED)
def test_roles_select_what_names_did(key: str) -> None:
    context, _ = context_for(*key.split())
    recorded = RECORDED[key]
    assert len(recorded["roles"]) == len(by_name(context.shapes))
    for layers, letters in LETTERS.items():
        assert chosen(context, layers) == [letter in letters for letter in recorded["roles"]], layers
    of = jax.tree.leaves(networks(context), is_leaf=lambda leaf: leaf is None)
    assert of == (recorded["networks"] if len(recorded["networks"]) > 1 else [""] * len(of))
    assert jax.tree.leaves(in_a_network(context)) == [network is not None for network in of]
    feeds = connections_of(context.shapes, context.layers)
    assert list(feeds.items()) == [(source, tuple(targets)) for source, targets in recorded["feeds"].items()]
    present = {name.rpartition("/")[0] for name in by_name(context.shapes)}
    assert (
        sorted(layer.name for layer in context.layers if layer.of in feeds and layer.name in present)
        == (recorded["norms"])
    )


def own(layers: tuple[Layer, ...]) -> Context:
    """What methods are told of the network `OWN`."""
    shapes = jax.tree.map(
        lambda shape: jax.ShapeDtypeStruct(shape, jnp.float32),
        {"params": OWN},
        is_leaf=lambda node: type(node) is tuple,
    )
    return Context(2_500_000, shapes, layers, 1e-4)


@pytest.mark.parametrize(
    ("layers", "expected"),
    [
        ("last", {"q/kernel"}),
        ("convolutions", {"torso/conv1/kernel", "torso/conv1/bias"}),
        ("dense", {"torso/linear/kernel", "torso/linear/bias", "scale/scale", "q/kernel"}),
    ],
)
def test_layers_may_have_any_name(layers: str, expected: set[str]) -> None:
    context = own(ROLES)
    names = by_name(in_layers(context, layers, "method.reset.layers"))
    assert {name for name, is_in in names.items() if is_in} == expected


def test_any_layer_may_feed_another() -> None:
    context = own(ROLES)
    assert connections_of(context.shapes, context.layers) == {"torso/conv1": ("torso/linear",), "torso/linear": ("q",)}


@pytest.mark.parametrize("layers", CHOICES)
@pytest.mark.parametrize("missing", range(len(ROLES)))
def test_a_layer_without_a_role_is_an_error_that_names_it(layers: str, missing: int) -> None:
    declared = tuple(
        layer._replace(feeds="") if layer.feeds == ROLES[missing].name else layer
        for layer in ROLES
        if layer != ROLES[missing] and layer.of != ROLES[missing].name
    )
    gone = "scale|torso/linear" if ROLES[missing].name == "torso/linear" else ROLES[missing].name
    with pytest.raises(UsageError, match=f"The parameter ({gone})/[a-z]+ is of no layer that") as caught:
        in_layers(own(declared), layers, "method.reset.layers")
    assert "Declare every layer in the `layers` of the network's module" in str(caught.value)


@pytest.mark.parametrize("name", ["reset", "shrink_and_perturb", "redo", "weight_decay", "l2_init", "rigl"])
def test_methods_that_need_roles_refuse_a_network_without(name: str) -> None:
    published = {key: setting.value for key, setting in registry.card("method", name).settings.items()}
    with pytest.raises(UsageError, match=r"torso/conv1|scale/scale|q/kernel"):
        registry.load("method", name)(published, own(()))


def test_methods_that_ask_for_no_role_take_a_network_without() -> None:
    for name in ("magnitude_pruning", "random_pruning", "set"):
        published = {key: setting.value for key, setting in registry.card("method", name).settings.items()}
        assert registry.load("method", name)(published | {"distribution": "uniform"}, own(())).id == name


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"feeds": "torso/nowhere"}, "torso/linear names torso/nowhere, which is no layer"),
        ({"role": "norm"}, "The normalization torso/linear does not say whose units it scales"),
        ({"feeds": "torso/conv1"}, "torso/linear has 5 units and cannot feed torso/conv1 alone, which has 1 inputs"),
    ],
)
def test_what_a_layer_feeds_must_fit(changed: dict[str, str], message: str) -> None:
    layers = tuple(layer._replace(**changed) if layer.name == "torso/linear" else layer for layer in ROLES)
    with pytest.raises(UsageError, match=message):
        connections_of(own(layers).shapes, layers)


@pytest.mark.parametrize(
    ("features", "expected"),
    [
        ((), ()),
        (("q",), ("net/own", "q")),
        (("head/advantage", "head/value"), ("net/own", "head/advantage", "head/value")),
    ],
)
def test_what_is_fed_is_named_whole_or_not_at_all(features: tuple[str, ...], expected: tuple[str, ...]) -> None:
    layers = (Layer("conv", "convolution", feeds=("own", FEATURES)), Layer("own", "dense"))
    outer, own = nested(layers, "net", features=features)
    assert (outer.name, outer.fed, own.fed) == ("net/conv", expected, ())


class Plugged(nn.Module):
    """An encoder as a plug-in may write it: a convolution and two dense layers under names of their own."""

    kernel_init: Any
    declared: bool = True

    def setup(self) -> None:
        self.look = nn.Conv(4, (3, 3), strides=(2, 2), kernel_init=self.kernel_init)
        self.think = nn.Dense(6, kernel_init=self.kernel_init)
        self.scale = nn.LayerNorm()

    def __call__(self, observation):
        return self.final(self.torso(observation))

    def torso(self, observation):
        x = observation[:, ::12, ::12].astype(jnp.float32) / 255
        return record_units(self, "look", nn.relu(self.look(x))).reshape((x.shape[0], -1))

    def final(self, flat):
        return record_units(self, "think", nn.relu(self.scale(self.think(flat))))

    @property
    def layers(self) -> tuple[Layer, ...]:
        if not self.declared:
            return ()
        return (
            Layer("look", "convolution", feeds="think"),
            Layer("think", "dense", feeds=FEATURES),
            Layer("scale", "norm", of="think"),
        )


ATARI = [name for name in registry.registered("agent") if registry.card("agent", name).families != ("continuous",)]


@pytest.mark.parametrize("agent_id", sorted(ATARI))
def test_a_plugged_in_network_works_with_every_method_and_agent(agent_id: str) -> None:
    settings = {key: setting.value for key, setting in registry.card("agent", agent_id).settings.items()}
    agent = registry.load("agent", agent_id)(settings, Plugged, 4)
    observation = jax.ShapeDtypeStruct((1, 84, 84, 4), jnp.uint8)
    shapes = jax.eval_shape(agent.init, jax.random.key(0), observation)
    context = Context(2_500_000, shapes, agent.layers, 1e-4)
    heads = {name for name in by_name(shapes) if name.startswith("head/")}
    convolution = {"encoder/look/kernel", "encoder/look/bias"}
    expected = {"last": heads, "convolutions": convolution, "dense": {*by_name(shapes)} - convolution}
    for layers, names in expected.items():
        found = by_name(in_layers(context, layers, "layers"))
        assert {name for name, is_in in found.items() if is_in} == names
    for name in sorted(set(registry.registered("method")) - {"jaxpruner"}):
        published = {key: setting.value for key, setting in registry.card("method", name).settings.items()}
        if name == "lottery_ticket":
            published["ticket"] = "0" * 16
        if name == "redo" and not connections_of(shapes, agent.layers):
            continue  # with noisy layers behind it no layer's outgoing weights are known
        assert registry.load("method", name)(published, context).id == name


def test_recycling_finds_the_layers_and_norms_of_a_plugged_in_network() -> None:
    settings = {key: setting.value for key, setting in registry.card("agent", "dqn").settings.items()}
    agent = registry.load("agent", "dqn")(settings, partial(Plugged), 4)
    params = agent.init(jax.random.key(0), jnp.zeros((1, 84, 84, 4), jnp.uint8))
    params = jax.tree.map(lambda leaf: leaf + 1.0, params)
    context = Context(100, jax.eval_shape(lambda: params), agent.layers, 1e-4)
    redo = {"threshold": 0.5, "period": 5, "statistics_batch": 2, "end_fraction": 1.0}
    method = registry.load("method", "redo")(redo, context)
    learner = init_learner(params, wrap_optimizer(agent.optimizer, (method,)), (method,), jax.random.key(1))
    outputs = {"encoder/look": np.array([[0.0, 1, 1, 1]]), "encoder/think": np.array([[1.0, 0, 1, 1, 1, 1]])}
    batch: Any = Batch(*[None] * 7)
    fresh = jax.tree.map(jnp.zeros_like, params)
    view = View(batch, params, jnp.zeros((2, 84, 84, 4), jnp.uint8), lambda key: fresh, lambda *_: outputs)
    after = method.intervene(jax.random.key(2), learner, view, ())
    old, new = by_name(params), by_name(after.params)
    changed = {name: np.argwhere(np.asarray(new[name] != old[name])) for name in new}
    assert set(np.unique(changed["encoder/look/kernel"][:, -1])) == {0}
    assert set(np.unique(changed["encoder/look/bias"])) == {0}
    incoming = changed["encoder/think/kernel"]
    assert {row % 4 for row, column in incoming if column != 1} == {0}
    for name in ("encoder/think/bias", "encoder/scale/scale", "encoder/scale/bias"):
        assert changed[name].tolist() == [[1]]
    assert set(changed["head/kernel"][:, 0]) == {1}
    assert not changed["head/bias"].size
