"""Parameters by name: their network and layer; and the gradient steps after which periodic resets happen."""

from __future__ import annotations

from typing import Any

import jax

from suite.contracts.agent import Params
from suite.contracts.card import Value
from suite.contracts.method import Context
from suite.errors import UsageError


def parameter_name(path: Any) -> str:
    """Return the name of a parameter, say `encoder/conv1/kernel`, from its path in a tree of flax variables."""
    return "/".join(str(key.key) for key in path).removeprefix("params/")


def by_name(params: Params) -> dict[str, jax.Array]:
    """Return the parameters by name, in the order of the tree's leaves."""
    return {parameter_name(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


def networks(params: Params) -> Any:
    """Return for each parameter the name of the network that it is of, as a tree of text.

    A top-level group with an encoder of its own is a network (SAC's actor and critics). Where there are any, whatever
    stands beside them (a temperature, a deviation) is of none: None. Elsewhere all parameters are of one network, "".
    """
    names = [name.split("/") for name in by_name(params)]
    groups = {parts[0] for parts in names if parts[1:2] == ["encoder"]}
    found = [parts[0] if parts[0] in groups else None if groups else "" for parts in names]
    return jax.tree.unflatten(jax.tree.structure(params), found)


def in_a_network(params: Params) -> Any:
    """Return whether each parameter is of a network, as a tree of booleans."""
    return jax.tree.map(lambda network: network is not None, networks(params), is_leaf=lambda leaf: leaf is None)


def in_layers(shapes: Params, layers: str, setting: str) -> Any:
    """Return whether each parameter is in the `layers` that a setting names, as a tree of booleans.

    `last`: the head. `convolutions`: the encoder but its dense layer. `dense`: all that is not among these
    convolutions, the head included. `all`: everything. A layer's normalization belongs to it. Where there are several
    networks, each has its own layers, and what is of no network is never among them.
    """
    of = jax.tree.leaves(networks(shapes), is_leaf=lambda leaf: leaf is None)
    chosen = [
        network is not None and _is_in(name.removeprefix(f"{network}/"), layers)
        for name, network in zip(by_name(shapes), of, strict=True)
    ]
    if not any(chosen):
        raise UsageError(f"{setting} = {layers!r} names no layer of this network.", "Choose `all`, or another network.")
    return jax.tree.unflatten(jax.tree.structure(shapes), chosen)


def _is_in(name: str, layers: str) -> bool:
    convolution = name.startswith("encoder/") and not name.startswith("encoder/dense")
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
