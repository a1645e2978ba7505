"""L2 Init, regenerative regularization (Kumar et al. 2023): networks are pulled to their initial parameters.

Scale and bias of a normalization are not, as in the authors' code (skumar9876/L2_Init 3f86d26 agents/agents.py).

A weight that another method's mask holds at zero is not pulled: its pull would change nothing but the optimizer's
moments, and the norm of all gradients where an agent bounds that.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import optax

from baselines.methods.layers import outside_norms
from baselines.methods.masks import living
from suite.contracts.agent import Params
from suite.contracts.card import Settings
from suite.contracts.method import Context, Method

ID = "l2_init"


class L2InitSettings(Settings):
    """Settings of L2 Init."""

    coefficient: float


def make(settings: L2InitSettings, context: Context) -> Method:
    """Build the method, whose state is the initial parameters; `coefficient` * (now - then) is added to gradients."""
    coefficient = settings.coefficient
    regularized = outside_norms(context)

    def pull(gradient: jax.Array, now: jax.Array, then: jax.Array, mask: jax.Array | None, on: bool) -> jax.Array:
        if not on:
            return gradient
        own = coefficient * (now - then)
        return gradient + (own if mask is None else jnp.where(mask, own, 0))

    def wrap(optimizer: optax.GradientTransformationExtraArgs) -> optax.GradientTransformationExtraArgs:
        def update(
            gradients: Params, state: Any, params: Params, *, methods: dict[str, Any], **extra: Any
        ) -> tuple[Params, Any]:
            pulled = jax.tree.map(pull, gradients, params, methods[ID], living(methods, params), regularized)
            updates, state = optimizer.update(pulled, state, params, methods=methods, **extra)
            return updates, state

        return optax.GradientTransformationExtraArgs(optimizer.init, update)

    return Method(ID, init=lambda key, params: jax.tree.map(lambda leaf: leaf.copy(), params), wrap=wrap)
