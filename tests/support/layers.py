"""What methods are told of trees of parameters that no network of the suite stands behind."""

from typing import Any

from suite.contracts.encoder import Layer, Role, by_name
from suite.contracts.method import Context


def layers_by_name(params: Any) -> tuple[Layer, ...]:
    """A layer for each group of parameters: the head is called `head`, and what else is in no encoder is dense."""
    names = dict.fromkeys(name.rpartition("/")[0] or name for name in by_name(params))
    return tuple(Layer(name, _role(name.split("/"))) for name in names)


def _role(parts: list[str]) -> Role:
    if "head" in parts:
        return "head"
    return "convolution" if parts[0] == "encoder" and not parts[-1].startswith("dense") else "dense"


def context_of(total_updates: int, shapes: Any, learning_rate: float = 0.0) -> Context:
    """A context whose layers have the roles that their names say."""
    return Context(total_updates, shapes, layers_by_name(shapes), learning_rate)
