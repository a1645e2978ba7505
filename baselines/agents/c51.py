"""C51 (Bellemare et al. 2017) as Dopamine's JaxRainbow: cross-entropy to the projected target, Adam, a hard copy."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from baselines.agents.distribution import build
from baselines.losses.distributional import categorical_q_learning, expectation
from suite.agent import Agent, MakeEncoder
from suite.card import Value


def make(settings: dict[str, Value], network: MakeEncoder, actions: int) -> Agent:
    """Build C51 for `actions` discrete actions, with the replay, the steps and the support of its settings."""
    atoms, bound = int(settings["atoms"]), float(settings["v_max"])
    support = jnp.linspace(-bound, bound, atoms)

    def means(logits: jax.Array) -> jax.Array:
        return expectation(logits, support)

    def loss(
        logits_tm1: jax.Array,
        a_tm1: jax.Array,
        r_t: jax.Array,
        discount_t: jax.Array,
        logits_t: jax.Array,
        legal: jax.Array,
    ) -> jax.Array:
        return categorical_q_learning(logits_tm1, a_tm1, r_t, discount_t, logits_t, support, legal)

    return build(settings, network, actions, atoms, means, loss)
