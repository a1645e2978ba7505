"""Data-efficient Rainbow (van Hasselt et al. 2019) as in Dopamine's Atari 100k code: noisy layers and 51 atoms."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp

from baselines.parts.composed import Parts, build
from baselines.parts.value_based import PrioritySettings, SupportSettings, adam, data_plan
from suite.contracts.agent import Agent
from suite.contracts.encoder import MakeEncoder


class DERSettings(PrioritySettings, SupportSettings):
    """Settings of DER."""

    noise: float


def make(settings: DERSettings, network: MakeEncoder, actions: int) -> Agent:
    """Build DER for `actions` discrete actions."""
    limit = settings.v_max
    parts = Parts(
        support=jnp.linspace(-limit, limit, settings.atoms),
        sigma=settings.noise,
    )
    return build(parts, network, actions, adam(settings), replace(data_plan(settings), noisy=True))
