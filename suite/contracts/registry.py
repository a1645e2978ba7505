"""Names to components, through entry points: baselines and third parties register in the same way.

A component is a module with a TOML card of the same name beside it (`dqn.py`, `dqn.toml`). Cards are read without
importing the module, so that listing and checking stay light and run no plug-in code.
"""

from __future__ import annotations

import functools
import importlib.util
import inspect
import tomllib
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

from pydantic import ValidationError

from suite.contracts.card import Card, Settings, Value
from suite.errors import BadData, UsageError, unknown_name

if TYPE_CHECKING:
    from suite.contracts.agent import MakeAgent
    from suite.contracts.encoder import MakeNetwork
    from suite.contracts.method import MakeMethod

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
    """Read the card of one component, with what it has from its base, without importing its module."""
    point = entry(kind, name)
    path = _card_file(point.module)
    if path is None:
        raise BadData(
            f"The {kind} {name!r} points at {point.module}, which is not installed.", "Reinstall its package."
        )
    found = Card.parse(_resolved(path, f"{kind} {name!r}"), path)
    if found.id != name:
        raise BadData(
            f"The card at {path} names {found.id!r} but is registered as {name!r}.", "Make the two names equal."
        )
    return found


def _card_file(module: str) -> Path | None:
    found = importlib.util.find_spec(module)
    return None if found is None or found.origin is None else Path(found.origin).with_suffix(".toml")


def _resolved(path: Path, of: str) -> dict[str, Any]:
    """Return a card's content in which each setting has, from the base, the fields that it does not give itself."""
    content = _content(path, of)
    base = content.pop("base", None)
    if base is None:
        return content
    file = _card_file(base) if isinstance(base, str) else None
    if file is None:
        raise BadData(
            f"The card of {of} at {path} has the base {base!r}, which is no module that is installed.",
            "Name the module whose TOML file describes the settings, such as baselines.parts.value_based.",
        )
    described = _resolved(file, of).get("settings", {})
    own = content.get("settings", {})
    return content | {"settings": {name: described.get(name, {}) | fields for name, fields in own.items()}}


def _content(path: Path, of: str) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise BadData(f"The card of {of} at {path} cannot be read: {error}.", "Reinstall its package.") from error


@overload
def load(kind: Literal["agent"], name: str) -> MakeAgent: ...
@overload
def load(kind: Literal["network"], name: str) -> MakeNetwork: ...
@overload
def load(kind: Literal["method"], name: str) -> MakeMethod: ...
def load(kind: Kind, name: str) -> Any:
    """Import a component and return its factory, which takes the settings as plain values.

    Where the factory's first parameter is annotated with a class of `Settings`, it is handed one of these; what the
    values lack, because they were written before the card had it, is as published. Else it gets the values themselves.
    """
    make = entry(kind, name).load()
    annotated = settings_class(make)
    if annotated is None:
        return make
    published = {key: setting.value for key, setting in card(kind, name).settings.items()}

    def made(values: Mapping[str, Value], *others: Any, **named: Any) -> Any:
        try:
            settings = annotated.model_validate(published | dict(values))
        except ValidationError as error:
            raise _unfit(kind, name, annotated, error) from error
        return make(settings, *others, **named)

    return made


def settings_class(make: Any) -> type[Settings] | None:
    """Return the class of settings with which a factory's first parameter is annotated; None if there is none."""
    annotation: Any = next(iter(inspect.signature(make).parameters.values())).annotation
    if isinstance(annotation, str):
        annotation = getattr(make, "__globals__", {}).get(annotation)
    return annotation if isinstance(annotation, type) and issubclass(annotation, Settings) else None


def _unfit(kind: Kind, name: str, annotated: type[Settings], error: ValidationError) -> BadData:
    first = error.errors()[0]
    where = ".".join(str(part) for part in first["loc"])
    return BadData(
        f"{annotated.__name__} of the {kind} {name!r} does not take its settings: {where}: {first['msg']}.",
        "Give the class one field for each setting on the card, of the same type.",
    )
