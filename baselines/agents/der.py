"""Data-efficient Rainbow (van Hasselt et al. 2019) as in Dopamine's Atari 100k code: noisy layers and 51 atoms."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp

from baselines.parts.composed import Parts, build
from baselines.parts.value_based import adam, data_plan
from suite.contracts.agent import Agent
from suite.contracts.card import Value
from suite.contracts.encoder import MakeEncoder

NO_EPSILON: dict[str, Value] = {"epsilon_train": 0.0, "epsilon_decay": 1}


def make(settings: dict[str, Value], network: MakeEncoder, actions: int) -> Agent:
    """Build DER for `actions` discrete actions."""
    limit = float(settings["v_max"])
    parts = Parts(
        support=jnp.linspace(-limit, limit, int(settings["atoms"])),
        sigma=float(settings["noise"]),
    )
    plan = data_plan(settings | NO_EPSILON)
    return build(parts, network, actions, adam(settings), replace(plan, noisy=True))
