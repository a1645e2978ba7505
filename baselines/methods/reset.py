"""Periodic resets of some layers to a new initialization (Nikishin et al. 2022), as in Dopamine's `LayerReset`."""

from __future__ import annotations

from typing import Any, Literal

import jax

from baselines.methods.layers import Layers, PeriodSettings, due_after_every_period, in_layers
from baselines.methods.moments import zero_moments
from suite.contracts.agent import Learner, Params
from suite.contracts.method import Context, Method, Signal, View

ID = "reset"


class ResetSettings(PeriodSettings):
    """Settings of resets."""

    layers: Layers
    moments: Literal["kernels", "all", "none"]


def make(settings: ResetSettings, context: Context) -> Method:
    """Build the method; replay, target network and the optimizer's step count stay as they are."""
    due = due_after_every_period(ID, settings, context)
    chosen = in_layers(context, settings.layers, f"method.{ID}.layers")
    forgotten = _forgotten(context.shapes, chosen, settings.moments)

    def intervene(key: jax.Array, learner: Learner, view: View, signal: Signal) -> Learner:
        params = jax.tree.map(lambda old, new, reset: new if reset else old, learner.params, view.fresh(key), chosen)
        return learner._replace(params=params, opt_state=zero_moments(learner.opt_state, params, forgotten))

    return Method(ID, due=due, intervene=intervene, milestones={"first reset": due[0] + 1, "last reset": due[-1] + 1})


def _forgotten(shapes: Params, chosen: Any, moments: str) -> Any:
    """Return a tree that is true where moments are zeroed with the parameters, else None."""
    least_axes = {"kernels": 2, "all": 0}.get(moments)
    return jax.tree.map(
        lambda leaf, reset: True if reset and least_axes is not None and leaf.ndim >= least_axes else None,
        shapes,
        chosen,
    )
