"""C51 (Bellemare et al. 2017) as Dopamine's JaxRainbow: cross-entropy to the projected target, Adam, a hard copy."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from baselines.losses.distributional import categorical_q_learning, expectation
from baselines.parts import distributional
from baselines.parts.value_based import EpsilonSettings, Penalty, SupportSettings, data_plan
from suite.contracts.agent import Agent, DataPlan
from suite.contracts.encoder import MakeEncoder


class C51Settings(EpsilonSettings, SupportSettings):
    """Settings of C51."""


def make(settings: C51Settings, network: MakeEncoder, actions: int) -> Agent:
    """Build C51 for `actions` discrete actions, with the replay, the steps and the support of its settings."""
    return build(settings, network, actions, data_plan(settings))


def build(
    settings: SupportSettings,
    network: MakeEncoder,
    actions: int,
    plan: DataPlan,
    penalty: Penalty | None = None,
) -> Agent:
    """Build C51 under a plan, with a penalty on the means if there is one."""
    support = atoms(settings)

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
        loss = categorical_q_learning(logits_tm1, a_tm1, r_t, discount_t, logits_t, support, legal)
        return loss if penalty is None else loss + penalty(means(logits_tm1), a_tm1, legal)

    return distributional.build(settings, network, actions, support.size, means, loss, plan)


def atoms(settings: SupportSettings) -> jax.Array:
    """Return the returns float32 [N] that a distribution's atoms stand for."""
    bound = settings.v_max
    return jnp.linspace(-bound, bound, settings.atoms)
