"""MinAtar's network: its convolution is flax's, and it has the published parameters."""

import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from baselines.networks.minatar_cnn import PairConvolution
from suite.contracts import registry
from suite.contracts.agent import Agent
from suite.contracts.encoder import connections_of
from suite.contracts.registry import card
from suite.learning.build import build
from suite.running.request import Request, resolve
from suite.tasks import GAMES, load_task

INIT = nn.initializers.xavier_uniform()


def test_two_columns_at_a_time_are_the_same_convolution() -> None:
    pairs, plain = PairConvolution(5, INIT), nn.Conv(5, (3, 3), padding="SAME", kernel_init=INIT)
    x = jax.random.normal(jax.random.key(0), (2, 7, 6, 3))
    params = plain.init(jax.random.key(1), x)
    params["params"]["bias"] = jnp.arange(5.0)
    shapes = jax.eval_shape(lambda x: pairs.init(jax.random.key(1), x), x)
    assert jax.tree.map(jnp.shape, params) == jax.tree.map(jnp.shape, shapes)

    def results(module: nn.Module) -> Any:
        def loss(params: Any, x: jax.Array) -> tuple[jax.Array, jax.Array]:
            out = jnp.asarray(module.apply(params, x))
            return jnp.sum(jnp.sin(out)), out

        return jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(params, x)

    for one, other in zip(jax.tree.leaves(results(pairs)), jax.tree.leaves(results(plain)), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)


def agent_of(game: str, *settings: str, width: int = 1) -> tuple[Agent, Any]:
    (resolved,) = resolve(Request("minatar", settings=settings, width=width))
    agent, _ = build(resolved.spec, GAMES[game])
    picture = jnp.zeros((1, 10, 10, load_task("minatar").minatar.channels[game]), jnp.uint8)
    return agent, jax.eval_shape(lambda key: agent.init(key, picture), jax.random.key(0))


@pytest.mark.parametrize(
    ("game", "settings", "width", "parameters", "layers"),
    [
        # 3 * 3 * C * 16 + 16, and 1600 inputs for each of 6 actions
        ("MinAtarBreakout", (), 1, 592 + 9606, "conv head"),
        ("MinAtarSeaquest", (), 1, 1456 + 9606, "conv head"),
        ("MinAtarBreakout", (), 3, 3 * 592 + 28806, "conv head"),
        ("MinAtarBreakout", ("network.hidden=128",), 1, 592 + 204928 + 774, "conv dense head"),
        ("MinAtarBreakout", ("network.hidden=128",), 2, 2 * 592 + 409728 + 774, "conv dense head"),
        ("MinAtarBreakout", ("network.hidden=8", "network.scale_dense=true"), 2, 1184 + 51216 + 102, "conv dense head"),
    ],
)
def test_the_network_has_the_published_size_and_a_chain_of_layers(
    game: str, settings: tuple[str, ...], width: int, parameters: int, layers: str
) -> None:
    agent, shapes = agent_of(game, *settings, width=width)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes)) == parameters
    names = [name if name == "head" else f"encoder/{name}" for name in layers.split()]
    assert connections_of(shapes, agent.layers) == {name: (after,) for name, after in itertools.pairwise(names)}


def test_only_tasks_of_minatar_have_it() -> None:
    assert card("network", "minatar_cnn").families == ("minatar",)
    assert "minatar_cnn" in registry.registered("network")
