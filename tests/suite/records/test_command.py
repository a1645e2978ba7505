"""Commands as records have them."""

import sys

import pytest

from suite.records.command import without_places
from suite.running.provenance import attempt
from suite.tasks.configuration import Cell


def test_of_an_absolute_path_the_last_component_stays() -> None:
    given = ("run", "--out", "/home/me/results/", "--data=/data/atari", "--cells", "/home/me/plan.json#3", "a/b", "/")
    assert without_places(given) == ("run", "--out", "results", "--data=atari", "--cells", "plan.json#3", "a/b", "")
    kept = ("--set", "method.sparsity=0.5,0.9", "--games=Pong", "x=/y")
    assert without_places(kept) == kept


def test_an_attempt_is_recorded_without_them(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["suite", "run", "--task", "smoke", "--out", "/home/me/results"])
    found = attempt(cell, 1, resumed_at=0, execution={})
    assert found.command == ("run", "--task", "smoke", "--out", "results")
