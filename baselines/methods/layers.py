"""What periodic resets share: the layers they reach, and the gradient steps after which they happen."""

from __future__ import annotations

from typing import Any

import jax

from suite.agent import Params
from suite.card import Value
from suite.errors import UsageError
from suite.method import Context


def parameter_name(path: Any) -> str:
    """Return the name of a parameter, say `encoder/conv1/kernel`, from its path in a tree of flax variables."""
    return "/".join(str(key.key) for key in path).removeprefix("params/")


def by_name(params: Params) -> dict[str, jax.Array]:
    """Return the parameters by name, in the order of the tree's leaves."""
    return {parameter_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


def in_layers(shapes: Params, layers: str, setting: str) -> Any:
    """Return whether each parameter is in the `layers` that a setting names, as a tree of booleans.

    `last`: the head. `convolutions`: the encoder but its dense layer. `dense`: all that is not among these
    convolutions, the head included. `all`: everything. A layer's normalization belongs to it.
    """
    chosen = [_is_in(name, layers) for name in by_name(shapes)]
    if not any(chosen):
        raise UsageError(f"{setting} = {layers!r} names no layer of this network.", "Choose `all`, or another network.")
    return jax.tree.unflatten(jax.tree.structure(shapes), chosen)


def _is_in(name: str, layers: str) -> bool:
    convolution = name.startswith("encoder/") and not name.startswith(("encoder/dense/", "encoder/dense_norm/"))
    return {"last": name.startswith("head/"), "dense": not convolution, "convolutions": convolution, "all": True}[
        layers
    ]


def due_after_every_period(method: str, settings: dict[str, Value], context: Context) -> range:
    """Return the counts of steps before each step that is due: the last of every `period`, before `end_fraction`."""
    period = int(settings["period"])
    end = round(float(settings["end_fraction"]) * context.total_updates)
    due = range(period - 1, end - 1, period)
    if not due:
        raise UsageError(
            f"method.{method}.period = {period} never falls within the first {end} gradient steps.",
            f"Make method.{method}.period shorter.",
        )
    return due
