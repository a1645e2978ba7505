"""Names to components, through entry points: baselines and third parties register in the same way.

A component is a module with a TOML card of the same name beside it (`dqn.py`, `dqn.toml`). Cards are read without
importing the module, so that listing and checking stay light and run no plug-in code.
"""

from __future__ import annotations

import functools
import importlib.util
import tomllib
from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, Literal

from suite.contracts.card import Card
from suite.errors import BadData, UsageError, unknown_name

Kind = Literal["agent", "network", "method"]


@functools.cache
def registered(kind: Kind) -> dict[str, EntryPoint]:
    """Return all components of one kind by name; two distributions claiming one name is an error."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"suite.{kind}s"):
        other = found.get(point.name)
        if other is not None and other.value != point.value:
            raise UsageError(
                f"Two installed packages register the {kind} {point.name!r}: {other.value} and {point.value}.",
                "Uninstall one of them.",
            )
        found[point.name] = point
    return found


def entry(kind: Kind, name: str) -> EntryPoint:
    """Return the entry point of one component, or raise with the nearest known name."""
    points = registered(kind)
    if name not in points:
        raise unknown_name(kind, name, points)
    return points[name]


@functools.cache
def card(kind: Kind, name: str) -> Card:
    """Read the card of one component without importing its module."""
    point = entry(kind, name)
    module = importlib.util.find_spec(point.module)
    if module is None or module.origin is None:
        raise BadData(
            f"The {kind} {name!r} points at {point.module}, which is not installed.", "Reinstall its package."
        )
    path = Path(module.origin).with_suffix(".toml")
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadData(
            f"The card of {kind} {name!r} at {path} cannot be read: {error}.", "Reinstall its package."
        ) from error
    found = Card.parse(content, path)
    if found.id != name:
        raise BadData(
            f"The card at {path} names {found.id!r} but is registered as {name!r}.", "Make the two names equal."
        )
    return found


def load(kind: Kind, name: str) -> Callable[..., Any]:
    """Import a component and return its factory (`make`)."""
    factory: Callable[..., Any] = entry(kind, name).load()
    return factory
