"""Parameters by the role of their layer; and the gradient steps after which periodic resets happen."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax

from suite.contracts.card import Settings
from suite.contracts.encoder import Layer, Role, layers_of
from suite.contracts.method import Context
from suite.errors import UsageError

Layers = Literal["last", "dense", "convolutions", "all"]
CHOICES: Mapping[Layers, tuple[Role, ...]] = {
    "last": ("head",),
    "dense": ("dense", "head"),
    "convolutions": ("convolution",),
    "all": ("convolution", "dense", "head"),
}
"""What a setting `layers` may be, and the roles that it names. A layer's normalization belongs to it."""


class PeriodSettings(Settings):
    """Settings of what happens periodically."""

    period: int
    end_fraction: float


def networks(context: Context) -> Any:
    """Return for each parameter the name of the network that it is of, as a tree of text.

    None for what is of no network, such as a temperature; "" where all that is of a network is of the same.
    """
    return _tree_of(context, lambda layer: None if layer.role == "other" else layer.network)


def in_a_network(context: Context) -> Any:
    """Return whether each parameter is of a network, as a tree of booleans."""
    return _tree_of(context, lambda layer: layer.role != "other")


def outside_norms(context: Context) -> Any:
    """Return whether each parameter is of a network and of none of its normalizations, as a tree of booleans."""
    norms = {layer.name for layer in context.layers if layer.role == "norm"}
    return _tree_of(context, lambda layer: layer.role != "other" and layer.name not in norms)


def in_layers(context: Context, layers: Layers, setting: str) -> Any:
    """Return whether each parameter is in the `layers` that a setting names (see `CHOICES`), as a tree of booleans.

    Where there are several networks, each has its own layers, and what is of no network is never among them.
    """
    chosen = _tree_of(context, lambda layer: layer.role in CHOICES[layers])
    if not any(jax.tree.leaves(chosen)):
        raise UsageError(f"{setting} = {layers!r} names no layer of this network.", "Choose `all`, or another network.")
    return chosen


def _tree_of(context: Context, answer: Callable[[Layer], Any]) -> Any:
    of = layers_of(context.shapes, context.layers)
    return jax.tree.unflatten(jax.tree.structure(context.shapes), [answer(layer) for layer in of.values()])


def due_after_every_period(method: str, settings: PeriodSettings, context: Context) -> range:
    """Return the counts of steps before each step that is due: the last of every `period`, before `end_fraction`."""
    period = settings.period
    end = round(settings.end_fraction * context.total_updates)
    due = range(period - 1, end - 1, period)
    if not due:
        raise UsageError(
            f"method.{method}.period = {period} never falls within the first {end} gradient steps.",
            f"Make method.{method}.period shorter.",
        )
    return due
