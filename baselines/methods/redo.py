"""ReDo: recycling dormant units (Sokar et al. 2023).

A unit whose mean absolute output is small beside its layer's mean gets new incoming weights; its outgoing weights
become zero, so that recycling a unit that was always zero leaves the network's function as it was. It does not where
units are normalized together, and what the new one puts out changes the others: in a layer with `layer_norm`, and in
the last one with `l2_features`.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from baselines.methods.layers import PeriodSettings, due_after_every_period
from baselines.methods.moments import zero_moments
from suite.contracts.agent import Learner
from suite.contracts.encoder import by_name, connections_of
from suite.contracts.method import Context, Method, Signal, View
from suite.errors import UsageError

ID = "redo"
TINY = 1e-9


class ReDoSettings(PeriodSettings):
    """Settings of ReDo."""

    threshold: float
    statistics_batch: int


def make(settings: ReDoSettings, context: Context) -> Method:
    """Build the method for the units of every layer whose outgoing weights are known."""
    connections = connections_of(context.shapes, context.layers)
    if not connections:
        raise UsageError(
            f"{ID} needs layers that are known to feed others, and this network declares none.",
            "Choose another network, or declare them with `feeds` in its `layers`.",
        )
    norms = {source: [layer.name for layer in context.layers if layer.of == source] for source in connections}
    due = due_after_every_period(ID, settings, context)
    threshold, count = settings.threshold, settings.statistics_batch

    def intervene(key: jax.Array, learner: Learner, view: View, signal: Signal) -> Learner:
        assert view.states is not None
        outputs = view.activations(learner.params, view.states[:count])
        dormant = {source: dormancy(outputs[source]) <= threshold for source in connections}
        params, fresh = by_name(learner.params), by_name(view.fresh(key))
        recycled: dict[str, jax.Array | None] = dict.fromkeys(params)
        for source, units in dormant.items():
            for name in params:
                if name.startswith(tuple(f"{layer}/" for layer in (source, *norms[source]))):
                    params[name] = jnp.where(units, fresh[name], params[name])
            recycled[f"{source}/kernel"] = units[None, :]
        for source, target in ((source, target) for source, targets in connections.items() for target in targets):
            name = f"{target}/kernel"
            inputs = inputs_of(dormant[source], params[name].shape[-2])[:, None]
            params[name] = jnp.where(inputs, 0, params[name])
            earlier = recycled[name]
            recycled[name] = inputs if earlier is None else earlier | inputs
        structure = jax.tree.structure(learner.params)
        new, where = (jax.tree.unflatten(structure, list(leaves.values())) for leaves in (params, recycled))
        return learner._replace(params=new, opt_state=zero_moments(learner.opt_state, new, where))

    return Method(ID, due=due, intervene=intervene, states=count)


def dormancy(outputs: jax.Array) -> jax.Array:
    """Return each unit's mean absolute output over that of its layer: float32 [units] from [B, ..., units]."""
    means = jnp.mean(jnp.abs(outputs), axis=tuple(range(outputs.ndim - 1)))
    return means / (jnp.mean(means) + TINY)


def inputs_of(units: jax.Array, inputs: int) -> jax.Array:
    """Spread flags of units [U] over the next layer's inputs; of a flattened map, unit u is u, u + U, u + 2 U, ..."""
    return jnp.tile(units, inputs // units.size)
