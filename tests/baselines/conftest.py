"""Published settings, and an agent small enough to train in milliseconds."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import pytest
from flax import linen as nn

from suite import plugins
from suite.agent import Agent
from suite.card import Value

OBSERVATION = (3, 3, 2)
ACTIONS = 4


class TinyEncoder(nn.Module):
    """One dense layer with ReLU on the scaled pixels."""

    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        x = observation.astype(jnp.float32).reshape((observation.shape[0], -1)) / 255.0
        return nn.relu(nn.Dense(5, kernel_init=self.kernel_init, name="dense")(x))


@pytest.fixture
def published() -> Callable[[plugins.Kind, str], dict[str, Value]]:
    """Return a function from a component to its published settings."""

    def settings(kind: plugins.Kind, name: str) -> dict[str, Value]:
        return {key: setting.value for key, setting in plugins.card(kind, name).settings.items()}

    return settings


@pytest.fixture
def tiny_dqn(published: Callable[..., dict[str, Value]]) -> Callable[..., Agent]:
    """Return a function that builds DQN on the tiny encoder, with some settings replaced."""

    def build(**settings: Value) -> Agent:
        agent: Agent = plugins.load("agent", "dqn")(published("agent", "dqn") | settings, TinyEncoder, ACTIONS)
        return agent

    return build
