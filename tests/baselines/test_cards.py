"""Every baseline has a card with a source for each setting, and can be built from it."""

import importlib.util
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import jax
import jax.numpy as jnp
import pytest

from suite.contracts import registry
from suite.contracts.method import Context, Method

COMPONENTS = [
    (kind, name)
    for kind in ("agent", "network", "method")
    for name, point in sorted(registry.registered(kind).items())
    if point.module.startswith("baselines.")
]
FREE_TEXT = ("ticket",)


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_cards_are_complete(kind: registry.Kind, name: str) -> None:
    card = registry.card(kind, name)
    assert card.title
    assert card.summary.endswith(".")
    for key, setting in card.settings.items():
        assert setting.source
        assert setting.doc.endswith(".")
        limits = (setting.minimum, setting.above, setting.maximum)
        bounded = any(limit is not None for limit in limits) or bool(setting.choices)
        bounded = bounded or key in FREE_TEXT
        assert bounded, "a range, so that a slip is refused before it costs a week"


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_classes_of_settings_have_the_fields_of_the_cards(kind: registry.Kind, name: str) -> None:
    annotated = registry.settings_class(registry.entry(kind, name).load())
    assert annotated is not None
    fields = {key: field.annotation for key, field in annotated.model_fields.items()}
    assert {key: kind_of(annotation) for key, annotation in fields.items()} == {
        key: (type(setting.value), () if isinstance(setting.value, bool) else setting.choices)
        for key, setting in registry.card(kind, name).settings.items()
    }
    assert all(field.is_required() for field in annotated.model_fields.values()), (
        "the card alone says what is published"
    )


def kind_of(annotation: Any) -> tuple[type, tuple[str, ...]]:
    """The type of a field, and its choices if it is one of some words."""
    return (str, get_args(annotation)) if get_origin(annotation) is Literal else (annotation, ())


def test_descriptions_stand_once() -> None:
    """A field that a card's base gives word for word is not given again."""
    bases = 0
    for kind, name in COMPONENTS:
        path = Path(importlib.util.find_spec(registry.entry(kind, name).module).origin).with_suffix(".toml")
        content = tomllib.loads(path.read_text())
        if "base" not in content:
            continue
        bases += 1
        base = Path(importlib.util.find_spec(content["base"]).origin).with_suffix(".toml")
        described = tomllib.loads(base.read_text())["settings"]
        for key, fields in content["settings"].items():
            again = {field for field, value in fields.items() if described.get(key, {}).get(field) == value}
            assert again <= {"value"}, f"{path}: {key}"
    assert bases == 16


@pytest.mark.parametrize("network", ["impala", "nature_cnn"])
def test_published_settings_build(network: str, published: Callable) -> None:
    encoder = partial(registry.load("network", network), published("network", network))
    agent = registry.load("agent", "dqn")(published("agent", "dqn"), encoder, 6)
    observation = jax.ShapeDtypeStruct((1, 84, 84, 4), jnp.uint8)
    params, legal = jax.eval_shape(agent.init, jax.random.key(0), observation), jnp.ones(6, jnp.bool_)
    context = Context(agent.plan.nominal_updates(10_000_000), params, agent.layers, 6.25e-5)
    for name in (name for kind, name in COMPONENTS if kind == "method" and name not in ("lottery_ticket", "jaxpruner")):
        method = registry.load("method", name)(published("method", name), context)
        assert isinstance(method, Method)
        assert method.id == name
    assert jax.eval_shape(agent.act, params, observation, legal, jax.random.key(0)).shape == (1,)


def test_published_data_plan(published: Callable, tiny_dqn: Callable) -> None:
    plan = tiny_dqn().plan
    assert plan.nominal_updates(10_000_000) == 2_500_000  # 40 million frames
    assert plan.updates_by(20_003) == 0
    assert plan.updates_by(20_004) == 1
    assert plan.updates_by(10_000_000) == 2_495_000
    assert (plan.capacity, plan.batch_size, plan.n_step, plan.gamma) == (1_000_000, 32, 1, 0.99)
    assert (plan.target_update_period, plan.epsilon_train, plan.epsilon_decay) == (8_000, 0.01, 250_000)
