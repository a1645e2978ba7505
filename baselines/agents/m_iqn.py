"""Munchausen-IQN (Vieillard et al. 2020): IQN whose target adds the taken action's log-probability and is soft."""

from __future__ import annotations

from typing import Literal

import jax
import jax.numpy as jnp

from baselines.agents import iqn
from baselines.losses.distributional import munchausen_bonus, scaled_log_policy, soft_quantiles
from suite.contracts.agent import Agent, Batch, Params
from suite.contracts.encoder import MakeEncoder


class MIQNSettings(iqn.IQNSettings):
    """Settings of M-IQN."""

    temperature: float
    munchausen_scale: float
    log_policy_floor: float
    acting: Literal["greedy", "policy"]


def make(settings: MIQNSettings, network: MakeEncoder, actions: int) -> Agent:
    """Build M-IQN for `actions` discrete actions; the policy is that of the target network's mean values."""
    select, samples = settings.action_samples, settings.target_samples
    temperature, scale = settings.temperature, settings.munchausen_scale
    floor = settings.log_policy_floor

    def transition_target(
        q_tm1: jax.Array,
        a_tm1: jax.Array,
        r_t: jax.Array,
        discount_t: jax.Array,
        q_t: jax.Array,
        values_t: jax.Array,
        legal: jax.Array,
    ) -> jax.Array:
        bonus = munchausen_bonus(q_tm1, a_tm1, temperature, floor, legal)
        return r_t + scale * bonus + discount_t * soft_quantiles(values_t, q_t, temperature, legal)

    def target(sampler: iqn.Sampler, params: Params, batch: Batch, key: jax.Array) -> jax.Array:
        before_key, after_key = jax.random.split(key)
        before, _ = sampler(params, batch.s_tm1, before_key, select)
        after, _ = sampler(params, batch.s_t, after_key, select + samples)
        return jax.vmap(transition_target, in_axes=(0, 0, 0, 0, 0, 0, None))(
            jnp.mean(before, axis=1),
            batch.a_tm1,
            batch.r_t,
            batch.discount_t,
            jnp.mean(after[:, :select], axis=1),
            after[:, select:],
            batch.legal,
        )

    def draw(q: jax.Array, legal: jax.Array, key: jax.Array) -> jax.Array:
        logits = scaled_log_policy(q, temperature, legal) / temperature
        return jax.random.categorical(key, logits).astype(jnp.int32)

    return iqn.build(settings, network, actions, target, draw if settings.acting == "policy" else None)
