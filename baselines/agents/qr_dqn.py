"""QR-DQN (Dabney et al. 2018) as Dopamine's JaxQuantileAgent: quantiles at fixed levels, the quantile Huber loss."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from baselines.losses.distributional import greedy_quantiles, midpoints, quantile_huber
from baselines.parts.distributional import build
from baselines.parts.value_based import EpsilonSettings, PrioritySettings, data_plan
from suite.contracts.agent import Agent
from suite.contracts.encoder import MakeEncoder


class QRDQNSettings(EpsilonSettings, PrioritySettings):
    """Settings of QR-DQN."""

    quantiles: int
    kappa: float


def make(settings: QRDQNSettings, network: MakeEncoder, actions: int) -> Agent:
    """Build QR-DQN for `actions` discrete actions."""
    count, kappa = settings.quantiles, settings.kappa
    levels = midpoints(count)

    def means(quantiles: jax.Array) -> jax.Array:
        return jnp.mean(quantiles, axis=-1)

    def loss(
        quantiles_tm1: jax.Array,
        a_tm1: jax.Array,
        r_t: jax.Array,
        discount_t: jax.Array,
        quantiles_t: jax.Array,
        legal: jax.Array,
    ) -> jax.Array:
        target = r_t + discount_t * greedy_quantiles(quantiles_t.T, quantiles_t.T, legal)
        return quantile_huber(quantiles_tm1[a_tm1], levels, target, kappa)

    return build(settings, network, actions, count, means, loss, data_plan(settings))
