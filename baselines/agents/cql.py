"""Conservative Q-learning (Kumar et al. 2020) from a fixed log: DQN, with a penalty on values that the log lacks."""

from __future__ import annotations

import jax

from baselines.agents import dqn
from baselines.losses.conservative import conservative
from baselines.parts.value_based import LossSettings, Penalty, adam, offline_plan
from suite.contracts.agent import Agent
from suite.contracts.encoder import MakeEncoder


class CQLSettings(LossSettings):
    """Settings of CQL."""

    conservatism: float


def make(settings: CQLSettings, network: MakeEncoder, actions: int) -> Agent:
    """Build CQL for `actions` discrete actions."""
    return dqn.build(settings, network, actions, adam(settings), offline_plan(settings), penalty(settings.conservatism))


def penalty(scale: float) -> Penalty:
    """Return the conservative penalty of a state's values, times a factor."""

    def scaled(q: jax.Array, a: jax.Array, legal: jax.Array) -> jax.Array:
        return scale * conservative(q, a, legal)

    return scaled
