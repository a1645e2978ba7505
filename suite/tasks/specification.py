"""The rules of specifications, from cards alone: what `suite run` makes of task, agent, network and methods.

`suite.running.request` makes specifications by them, and `suite.records.inconsistencies` judges by them what is found.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from suite.contracts.card import Card, Value
from suite.contracts.registry import Kind
from suite.tasks.configuration import Component, Spec
from suite.tasks.task import Task

SEEDS = range(10_000)
"""The seeds that a cell can have."""


def components(spec: Spec) -> list[tuple[Kind, Component]]:
    """Return a configuration's components, each with its kind."""
    found: list[tuple[Kind, Component]] = [("agent", spec.agent), ("network", spec.network)]
    return [*found, *(("method", method) for method in spec.methods)]


def path_of(kind: Kind, name: str, setting: str) -> str:
    """Return a setting's own path: `agent.gamma`, `method.rigl.sparsity`."""
    return f"method.{name}.{setting}" if kind == "method" else f"{kind}.{setting}"


def published(card: Card, kind: Kind, task: Task) -> dict[str, Value]:
    """Return the settings that a component has on a task if nobody sets another: its card's, or the task's own."""
    overrides = {**task.overrides.get(kind, {}), **task.overrides.get(f"{kind}.{card.id}", {})}
    return {
        name: setting.check(name, overrides[name]) if name in overrides else setting.value
        for name, setting in sorted(card.settings.items())
    }


def departures(card: Card, kind: Kind, task: Task, settings: Mapping[str, Value]) -> dict[str, Value]:
    """Return the published value of each setting that differs from it, by the setting's path."""
    return {
        path_of(kind, card.id, name): value
        for name, value in published(card, kind, task).items()
        if settings[name] != value
    }


def fits(card: Card, task: Task) -> bool:
    """Return whether a component is for tasks of this family."""
    return not card.families or task.family in card.families


def doubled(names: Sequence[str]) -> str:
    """Return the first method, by name, that is there twice; empty if none is."""
    return min((name for name in names if names.count(name) > 1), default="")


def quarrel(cards: Sequence[Card]) -> tuple[str, str, str] | None:
    """Return two methods that cannot be combined, and why; None if all of them can."""
    for one, other in itertools.combinations(cards, 2):
        if reason := one.refusal(other):
            return one.id, other.id, reason
    return None


def data_departures(task: Task, settings: Mapping[str, Any]) -> dict[str, Value]:
    """Return the task's value of each choice of logged data that differs from it, by the choice's path."""
    usual = {} if task.data is None else task.data.model_dump()
    return {f"data.{name}": value for name, value in usual.items() if settings[name] != value}


class Dataset(NamedTuple):
    """What the identity of logged data says: see `suite.experience.logs.sample`."""

    reading: str
    fraction: float
    seed: int
    n_step: int

    @classmethod
    def read(cls, identity: str) -> Dataset | None:
        """Return what an identity says; None if it is none."""
        found = _IDENTITY.fullmatch(identity)
        if found is None or (found["reading"] == "episodes") != (found["index"] is None):
            return None
        return cls(found["reading"], float(found["fraction"]), int(found["seed"]), int(found["n_step"] or 1))


_IDENTITY = re.compile(
    r"[a-z0-9][a-z0-9-]{0,63}\.(?P<reading>blocks|transitions|episodes|checkpoints)"
    r"\.(?P<fraction>1|0\.\d{1,16}|[1-9](\.\d{1,9})?e-\d\d)\.(?P<seed>0|[1-9]\d{0,18})"
    r"(\.n(?P<n_step>[1-9]\d{0,3}))?(\.(?P<index>[0-9a-f]{16}))?",
    re.ASCII,
)
"""`dqn-replay.blocks.0.05.0.0123456789abcdef`: source, reading, fraction, seed, n-step if not 1, index set."""
