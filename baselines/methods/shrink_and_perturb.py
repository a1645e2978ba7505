"""Shrink and perturb (Ash and Adams 2020): parameters move part of the way to a new initialization."""

from __future__ import annotations

import jax

from baselines.methods.layers import Layers, PeriodSettings, due_after_every_period, in_layers
from suite.contracts.agent import Learner
from suite.contracts.method import Context, Method, Signal, View

ID = "shrink_and_perturb"


class ShrinkAndPerturbSettings(PeriodSettings):
    """Settings of shrink and perturb."""

    shrink: float
    perturb: float
    layers: Layers


def make(settings: ShrinkAndPerturbSettings, context: Context) -> Method:
    """Build the method; optimizer and target network stay as they are."""
    due = due_after_every_period(ID, settings, context)
    chosen = in_layers(context, settings.layers, f"method.{ID}.layers")
    shrink, perturb = settings.shrink, settings.perturb

    def intervene(key: jax.Array, learner: Learner, view: View, signal: Signal) -> Learner:
        params = jax.tree.map(
            lambda old, new, changed: shrink * old + perturb * new if changed else old,
            learner.params,
            view.fresh(key),
            chosen,
        )
        return learner._replace(params=params)

    return Method(ID, due=due, intervene=intervene)
