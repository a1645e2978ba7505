"""Parts of a group take turns: while the device works for one, another's emulators run."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from suite.experience.envs.base import TimeStep
from suite.running.group import Group
from suite.running.part import Part


class Noted:
    """A part's environments and learners, of one lane, which note what is asked of them."""

    idle, lanes, together = 0, 1, 1

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes

    def note(self, what: str) -> None:
        self.notes.append(f"{what} {self.name}")

    def reset(self, seeds: Sequence[int | None], mask: Any = None) -> np.ndarray:
        self.note("reset")
        return np.zeros(1)

    def send(self, actions: Sequence[Any]) -> None:
        self.note("send")

    def receive(self) -> TimeStep:
        self.note("receive")
        return TimeStep(np.zeros(1), np.zeros(1), np.ones(1, np.float32), np.zeros(1, np.bool_))

    def act(self, lanes: list[int], observations: list[Any], step: int) -> Callable[[], list[Any]]:
        self.note(f"ask {step}")

        def wait() -> list[Any]:
            self.note("wait")
            return [1]

        return wait

    def update(self, updates: int, samplers: dict[int, Any]) -> None:
        self.note(f"update {updates}")

    def sync(self) -> None:
        self.note("sync")


def part(name: str, notes: list[str]) -> Part:
    actor = SimpleNamespace(explore=lambda step, epsilon: None, observation=None, next_seed=0, begin=lambda seen: None)
    lane = SimpleNamespace(actor=actor, observe=lambda *arguments, **keywords: None)
    plan = SimpleNamespace(replay="uniform", warm_up=1, target_update_period=2, epsilon=lambda step: 0.0)
    both: Any = Noted(name, notes)
    return Part(plan, [lane], both, both)  # type: ignore[arg-type, list-item]


def turns(names: str, steps: int, most: int = 1) -> list[list[str]]:
    """Return what is asked of parts of these names in each advance, by up to `most` steps."""
    notes: list[str] = []
    parts = [part(name, notes) for name in names]
    plan = SimpleNamespace(updates_by=lambda step: step // 2, epsilon=lambda step: 0.0)
    group = Group(plan, parts)  # type: ignore[arg-type]
    group.begin()
    taken = []
    while group.step < steps:
        notes.clear()
        group.advance(min(most, steps - group.step))
        taken.append(list(notes))
    assert (group.step, group.updates) == (steps, steps // 2)
    return taken


def test_a_part_asks_for_its_next_actions_before_another_one_learns() -> None:
    first, second, third = turns("ab", 3)
    begin = ["ask 1 a", "wait a", "send a", "ask 1 b", "wait b", "send b"]
    assert first == [*begin, "receive a", "ask 2 a", "receive b", "ask 2 b"]
    waited = ["wait a", "send a", "wait b", "send b"]
    learnt = [f"{what} {name}" for name in "ab" for what in ("receive", "update 0", "sync", "ask 3")]
    assert second == [*waited, *learnt]
    assert third == [*waited, "receive a", "ask 4 a", "receive b", "ask 4 b"]


def test_while_the_host_is_at_one_part_the_emulators_of_two_run_and_the_device_works_for_the_rest() -> None:
    (taken,) = turns("abcd", 4, most=4)
    assert [note for note in taken if note.startswith("send")] == [f"send {name}" for name in "abcd" * 4]
    running: set[str] = set()
    beside = []
    for what, *_, name in (note.split() for note in taken):
        if what == "send":
            running.add(name)
        elif what == "receive":
            running.remove(name)
            beside.append(len(running))
    assert beside == [2] * 14 + [1, 0]  # at the end they wait for each other


@pytest.mark.parametrize(("names", "most"), [("ab", 1), ("ab", 6), ("abc", 4), ("abcde", 5)])
def test_each_part_does_what_it_does_alone(names: str, most: int) -> None:
    alone = [note for step in turns("a", 60) for note in step]
    together = [note for step in turns(names, 60, most) for note in step]
    for name in names:
        assert [note[:-1] for note in together if note.endswith(name)] == [note[:-1] for note in alone]
