"""Groups of lanes in a plan's file: the same configurations when it is read, and one sentence for a bad one."""

import json
from pathlib import Path
from typing import Any

import pytest

from suite.errors import UsageError
from suite.running.groups import numbered, read_group, request_of, share
from suite.running.request import Request, resolve

GROUP = {
    "group": 0,
    "config_id": "a" * 16,
    "label": "dqn / impala / dense",
    "cells": [{"game": "Pong", "seed": 0, "path": "smoke@1/a/Pong/seed-0"}],
    "memory_bytes": 1,
}
PLAN: dict[str, Any] = {
    "schema": "suite.plan/1",
    "out": "runs",
    "configurations": [{"config_id": "a" * 16, "request": {"task": "smoke"}}],
    "groups": [GROUP],
}


@pytest.mark.parametrize(
    "request_",
    [
        Request("atari40m"),
        Request("atari60", "iqn", "nature_cnn", ("rigl",), ("precision=tf32",)),
        Request("atari40m", width=3, methods=("magnitude_pruning+redo",), settings=("method.redo.period=500",)),
        Request("atari40m", settings=("network.layer_norm=true", "agent.learning_rate=1e-4"), frames=4_000_000),
        Request("atari40m", methods=("lottery_ticket",), settings=("method.lottery_ticket.ticket=1234567890123456",)),
        Request("mujoco", "ppo", width=5, methods=("rigl",), settings=("agent.hidden_units=32",)),
    ],
    ids=lambda request: " ".join((request.task, *request.methods, *request.settings)),
)
def test_what_departs_from_the_published_settings_is_all_that_a_plan_must_say(request_: Request) -> None:
    (resolved,) = resolve(request_)
    (again,) = resolve(request_of(resolved))
    assert (again.spec.config_id, again.departures) == (resolved.spec.config_id, resolved.departures)
    assert again.task.id == request_.task


def test_groups_are_numbered_so_that_what_others_start_from_comes_first() -> None:
    entries = [{"cells": [{"path": path} for path in row]} for row in (("t0", "t1"), ("p0",), ("p1",), ("d0",))]
    needs = {"t0": ["p0"], "t1": ["p1"], "p0": [], "p1": ["gone"], "d0": []}
    found = numbered(entries, needs)
    assert [[cell["path"] for cell in group["cells"]] for group in found] == [["p0"], ["p1"], ["d0"], ["t0", "t1"]]
    assert [(group["group"], group["needs"]) for group in found] == [(0, []), (1, []), (2, []), (3, [0, 1])]


def test_shares_are_cells_in_a_row_and_a_ticket_is_where_its_source_is() -> None:
    cells = [*((f"p{seed}", []) for seed in range(5)), *((f"t{seed}", [f"p{seed}"]) for seed in range(5)), ("d0", [])]
    assert [sorted(share(cells, index, 3)) for index in (1, 2, 3)] == [
        ["p0", "p1", "t0", "t1"],
        ["p2", "p3", "t2", "t3"],
        ["d0", "p4", "t4"],
    ]
    for count in (1, 2, 7, 20):
        parts = [share(cells, index, count) for index in range(1, count + 1)]
        assert sorted(path for part in parts for path in part) == sorted(path for path, _ in cells)


@pytest.mark.parametrize(
    ("text", "content", "problem"),
    [
        ("plan.json", PLAN, "--cells 'plan.json' names no group of a plan."),
        ("plan.json#x", PLAN, "--cells 'plan.json#x' names no group of a plan."),
        ("plan.json#1", PLAN, "plan.json has 1 groups, and no number 1."),
        ("other.json#0", PLAN, "The plan other.json cannot be read: No such file or directory."),
        ("plan.json#0", [1], "plan.json is no plan: it holds no JSON object."),
        ("plan.json#0", "{", "plan.json is no plan: it holds no JSON object."),
        ("plan.json#0", {**PLAN, "schema": "suite.status/1"}, "plan.json is no plan with groups: schema: "),
        ("plan.json#0", {**PLAN, "groups": [{**GROUP, "cells": []}]}, "group 0 is not whole."),
        ("plan.json#0", {**PLAN, "groups": [{**GROUP, "needs": [0]}]}, "group 0 needs one that does not come before"),
        ("plan.json#0", {key: PLAN[key] for key in PLAN if key != "out"}, "plan.json is no plan with groups: out: "),
    ],
)
def test_what_is_no_group_of_a_plan_is_said_in_a_sentence(
    text: str, content: Any, problem: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("plan.json").write_text(content if isinstance(content, str) else json.dumps(content))
    with pytest.raises(UsageError) as caught:
        read_group(text)
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_configuration_that_is_another_one_here_is_not_run(tmp_path: Path) -> None:
    (tmp_path / "plan.json").write_text(json.dumps(PLAN))
    plan, group = read_group(f"{tmp_path}/plan.json#0")
    with pytest.raises(UsageError, match="another version made it"):
        plan.resolved(group)
