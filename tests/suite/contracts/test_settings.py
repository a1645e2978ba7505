"""Cards with a base, and factories that take their settings as a class or as a mapping."""

import importlib
import sys
from collections.abc import Iterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from suite.contracts import registry
from suite.contracts.card import Card
from suite.errors import BadData

MODULE = """
from __future__ import annotations

from suite.contracts.card import Settings


class OwnSettings(Settings):
    factor: float
    count: int


def typed(settings: OwnSettings, context):
    return settings.factor, settings.count, context


def plain(settings, context):
    return settings["factor"], sorted(settings), context
"""
BASE = """
[settings.factor]
doc = "A factor."
source = "a paper"
unit = "times"
minimum = 0.0

[settings.left_out]
doc = "Another agent's."
"""
CARD = """
id = "{name}"
version = 1
title = "Own"
summary = "For a test."
base = "own_package.described"

[settings.factor]
value = 2.0
source = "another paper"
maximum = 3.0

[settings.count]
value = 7
doc = "A number."
source = "a test"
minimum = 1
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A package with a card and a base, registered as the methods `typed` and `plain`."""
    folder = tmp_path / "own_package"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    (folder / "described.py").write_text("raise ValueError('a base is read without running its module')")
    (folder / "described.toml").write_text(BASE)
    for name in ("typed", "plain"):
        (folder / f"{name}.py").write_text(MODULE)
        (folder / f"{name}.toml").write_text(CARD.format(name=name))
    points = {name: EntryPoint(name, f"own_package.{name}:{name}", "suite.methods") for name in ("typed", "plain")}
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(registry, "registered", lambda kind: points)
    registry.card.cache_clear()
    importlib.invalidate_caches()
    yield folder
    registry.card.cache_clear()
    for name in [name for name in sys.modules if name.startswith("own_package")]:
        del sys.modules[name]


def test_a_card_has_from_its_base_what_it_does_not_say_itself(package: Path) -> None:
    card = registry.card("method", "typed")
    assert list(card.settings) == ["factor", "count"]
    assert card.settings["factor"].model_dump(exclude_defaults=True) == {
        "value": 2.0,
        "doc": "A factor.",
        "source": "another paper",
        "unit": "times",
        "minimum": 0.0,
        "maximum": 3.0,
    }


def test_a_card_is_identified_by_what_it_says_with_its_base(package: Path) -> None:
    whole = registry.card("method", "typed").model_dump(exclude_defaults=True)
    alone = Card.parse(whole, package / "typed.toml")
    assert alone == registry.card("method", "typed")
    assert alone.digest == registry.card("method", "typed").digest
    (package / "described.toml").write_text(BASE.replace("minimum = 0.0", "minimum = 1.0"))
    registry.card.cache_clear()
    assert registry.card("method", "typed").digest != alone.digest
    (package / "described.toml").write_text(BASE.replace("A factor.", "In other words."))
    registry.card.cache_clear()
    assert registry.card("method", "typed").digest == alone.digest


def test_a_base_that_is_not_there_is_refused(package: Path) -> None:
    (package / "typed.toml").write_text(CARD.format(name="typed").replace("described", "nowhere"))
    with pytest.raises(BadData, match=r"the base 'own_package.nowhere', which is no module"):
        registry.card("method", "typed")


def test_a_factory_gets_its_class_of_settings(package: Path) -> None:
    make = registry.load("method", "typed")
    assert make({"factor": 1, "count": 3}, "context") == (1.0, 3, "context")
    assert make({"factor": 1.0}, "context") == (1.0, 7, "context"), "as published, where a value is lacking"


def test_a_factory_without_a_class_gets_the_values(package: Path) -> None:
    assert registry.load("method", "plain")({"factor": 1.5}, "context") == (1.5, ["factor"], "context")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"factor": 1.0, "misspelt": 1}, "misspelt: Extra inputs are not permitted"),
        ({"count": 1.5}, "count: Input should be a valid integer"),
        ({"factor": True}, "factor: Input should be a valid number"),
    ],
)
def test_values_that_do_not_fit_the_class_are_refused(values: dict, message: str, package: Path) -> None:
    with pytest.raises(BadData, match=f"OwnSettings of the method 'typed' does not take its settings: {message}"):
        registry.load("method", "typed")(values, None)


def test_a_class_without_a_field_for_a_setting_is_refused(package: Path) -> None:
    (package / "typed.py").write_text(MODULE.replace("    count: int\n", ""))
    with pytest.raises(BadData, match="count: Extra inputs"):
        registry.load("method", "typed")({}, None)
