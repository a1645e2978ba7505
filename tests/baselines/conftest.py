"""Published settings, and an agent small enough to train in milliseconds."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn

from suite.contracts import registry
from suite.contracts.agent import Agent, Batch
from suite.contracts.card import Value
from suite.contracts.encoder import FEATURES, Layer
from suite.contracts.method import gradient_step, init_learner, wrap_optimizer

OBSERVATION = (3, 3, 2)
ACTIONS = 4


@pytest.fixture(autouse=True)
def quick(quick_compilation: None) -> None:
    """Programs compiled fast: they run but a few times here."""


class TinyEncoder(nn.Module):
    """One dense layer with ReLU on the scaled pixels."""

    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        x = observation.astype(jnp.float32).reshape((observation.shape[0], -1)) / 255.0
        return nn.relu(nn.Dense(5, kernel_init=self.kernel_init, name="dense")(x))

    @property
    def layers(self) -> tuple[Layer, ...]:
        return (Layer("dense", "dense", feeds=FEATURES),)


@pytest.fixture
def published() -> Callable[[registry.Kind, str], dict[str, Value]]:
    """Return a function from a component to its published settings."""

    def settings(kind: registry.Kind, name: str) -> dict[str, Value]:
        return {key: setting.value for key, setting in registry.card(kind, name).settings.items()}

    return settings


@pytest.fixture
def tiny_dqn(published: Callable[..., dict[str, Value]]) -> Callable[..., Agent]:
    """Return a function that builds DQN on the tiny encoder, with some settings replaced."""

    def build(**settings: Value) -> Agent:
        agent: Agent = registry.load("agent", "dqn")(published("agent", "dqn") | settings, TinyEncoder, ACTIONS)
        return agent

    return build


@pytest.fixture
def random_batch() -> Callable[..., Batch]:
    """Return a function that makes a batch of noise for the tiny encoder, the same for the same arguments.

    `actions`: padded to so many, of which those beyond ACTIONS are not legal. `scale`: of rewards.
    """

    def make(seed: int, size: int = 8, *, actions: int = ACTIONS, scale: float = 1.0) -> Batch:
        rng = np.random.default_rng(seed)
        s_tm1, s_t = rng.integers(0, 256, (2, size, *OBSERVATION), dtype=np.uint8)
        return Batch(
            s_tm1=jnp.asarray(s_tm1),
            a_tm1=jnp.asarray(rng.integers(0, ACTIONS, size), jnp.int32),
            r_t=jnp.asarray(scale * rng.normal(size=size), jnp.float32),
            discount_t=jnp.asarray(0.9 * rng.integers(0, 2, size), jnp.float32),
            s_t=jnp.asarray(s_t),
            weight=jnp.asarray(rng.uniform(0.2, 1.0, size), jnp.float32),
            legal=jnp.arange(actions) < ACTIONS,
        )

    return make


@pytest.fixture
def update_program() -> Callable[[Agent], str]:
    """Return a function that writes out an agent's update on 32 transitions of Atari as jax traces it."""

    def traced(agent: Agent) -> str:
        observation = jax.ShapeDtypeStruct((32, 84, 84, 4), jnp.uint8)
        numbers, reals = (jax.ShapeDtypeStruct((32,), dtype) for dtype in (jnp.int32, jnp.float32))
        legal, key = jax.ShapeDtypeStruct((ACTIONS,), jnp.bool_), jax.random.key(0)
        batch = Batch(observation, numbers, reals, reals, observation, reals, legal)
        params = jax.eval_shape(agent.init, key, observation)
        learner = jax.eval_shape(lambda params: init_learner(params, agent.optimizer, (), key), params)
        step = gradient_step(wrap_optimizer(agent.optimizer, ()), (), {}, key)
        return str(jax.make_jaxpr(lambda *given: agent.update(*given, step))(learner, batch, key))

    return traced
