"""Tightening weight limits: an example of a method. Replace what it does, and `method.toml` with it.

At the start every kernel gets a limit, in proportion to its largest initial weight. After every update weights beyond
their limit are put back onto it, and every so often the limits shrink.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp

from suite.contracts.agent import Learner, Params
from suite.contracts.card import Settings
from suite.contracts.method import Context, Method, View

ID = "my_method"


class MySettings(Settings):
    """The settings in `method.toml`, one field each: the suite fills them in, and a misspelt one fails in mypy."""

    factor: float
    shrink: float
    period: int


def make(settings: MySettings, context: Context) -> Method:
    """Build the method; called once, outside of any compiled program."""
    factor, shrink, period = settings.factor, settings.shrink, settings.period

    def init(key: jax.Array, params: Params) -> Any:
        """Return the state: for each kernel its limit, for a bias nothing. It is kept in every checkpoint."""
        return jax.tree.map(lambda leaf: factor * jnp.max(jnp.abs(leaf)) if leaf.ndim > 1 else None, params)

    def project(limits: Any, params: Params) -> Params:
        """Return the allowed parameters: after initialization and after every update."""
        return jax.tree.map(
            lambda leaf, limit: leaf if limit is None else jnp.clip(leaf, -limit, limit), params, limits
        )

    def intervene(key: jax.Array, learner: Learner, view: View, signal: Any) -> Learner:
        """Return the learner after a due update: here with smaller limits, into which `project` then brings it."""
        limits = jax.tree.map(lambda limit: limit * shrink, learner.methods[ID])
        return learner._replace(methods=learner.methods | {ID: limits})

    due = range(period, context.total_updates, period)
    return Method(ID, init=init, project=project, due=due, intervene=intervene)
