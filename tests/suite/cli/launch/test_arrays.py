"""Job arrays: which groups make one, what they wait for, what they ask for, and when a task asks for another start."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from suite.cli.launch.arrays import Array, arrays_of
from suite.cli.launch.resources import Resources, resources_of
from suite.cli.launch.wishes import Wishes
from suite.running.groups import Group, PlannedCell

SMALL, LARGE = Resources(1, 0, 1.0, 30), Resources(4, 1, 8.0, 60)


def group(number: int, needs: Sequence[int] = (), lanes: int = 1, **more: float) -> Group:
    cells = tuple(PlannedCell(game="Pong", seed=seed, path=f"{number}/{seed}") for seed in range(lanes))
    fields = {"memory_bytes": 2**30, "seconds": 600.0, **more}
    return Group.model_validate(
        {"group": number, "config_id": "x", "label": "x", "cells": cells, "needs": tuple(needs), **fields}
    )


def made(groups: Sequence[Group], large: Sequence[int] = ()) -> list[Array]:
    return arrays_of(groups, {each.group: LARGE if each.group in large else SMALL for each in groups})


def waits(array: Array) -> str | None:
    return None if array.after is None else array.after.option({0: "A", 1: "B", 2: "C"})


def test_groups_that_need_the_same_make_one_array() -> None:
    first, second = made([group(0), group(1), group(2)], large=[1])
    assert (first.groups, first.resources, first.tasks) == ({0: 0, 1: 2}, SMALL, "0-1")
    assert (second.groups, second.resources, second.tasks) == ({0: 1}, LARGE, "0-0")


def test_each_ticket_waits_for_the_task_of_its_own_source() -> None:
    sources, tickets, more = made([group(0), group(1), group(2), group(3, [2]), group(4, [0]), group(5, [0])])
    assert sources.groups == {0: 0, 1: 1, 2: 2}
    assert (tickets.groups, tickets.tasks, waits(tickets)) == ({0: 4, 2: 3}, "0,2", "aftercorr:A")
    assert (more.groups, more.tasks, waits(more)) == ({0: 5}, "0-0", "aftercorr:A")


def test_one_that_starts_from_several_groups_waits_for_these_tasks() -> None:
    *_, last = made([group(0), group(1), group(2, [0, 1])], large=[1])
    assert (last.groups, waits(last)) == ({0: 2}, "afterok:A_0:B_0")


def test_an_array_has_no_more_tasks_than_slurm_takes() -> None:
    arrays = made([*map(group, range(2001)), group(2001, [2000])])
    assert [array.tasks for array in arrays] == ["0-999", "0-999", "0-0", "0-0"]
    assert waits(arrays[3]) == "aftercorr:C"


def test_a_group_is_given_what_its_plan_says_with_a_margin_or_what_somebody_wishes() -> None:
    assert resources_of(group(0), Wishes(), 1) == Resources(1, 0, 2.0, 30)
    assert resources_of(group(0, lanes=3, seconds=7200.0, memory_bytes=10 * 2**30), Wishes(), 2) == (3, 0, 12.0, 180)
    assert resources_of(group(0, device_memory_bytes=1), Wishes(), 4).gpus == 1
    assert resources_of(group(0, seconds=1e6), Wishes(), 1).minutes == 24 * 60
    wishes = Wishes(cpus=8, gpus=2, memory=3.5, time=7)
    assert resources_of(group(0, device_memory_bytes=1), wishes, 4) == Resources(8, 2, 3.5, 7)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a task has on its path: srun runs here, squeue says $STATE, scontrol writes down what it is told."""
    scripts = {
        "srun": 'shift 2\nexec "$@"',
        "squeue": 'echo "$STATE"',
        "scontrol": f'echo "$@" >> {tmp_path}/asked',
        "suite": f'echo "$@" >> {tmp_path}/run\nexit $CODE',
    }
    for name, text in scripts.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return tmp_path


@pytest.mark.parametrize(
    ("code", "state", "restarts", "again"),
    [
        (0, "RUNNING", 0, False),
        (5, "RUNNING", 0, False),
        (3, "RUNNING", 0, False),
        (75, "RUNNING", 0, True),
        (75, "RUNNING", 99, True),
        (75, "RUNNING", 100, False),
        (75, "COMPLETING", 0, False),  # cancelled
        (6, "RUNNING", 0, True),
    ],
)
def test_a_task_asks_for_another_start_if_it_saved_or_found_its_cells_held_and_was_not_cancelled(
    code: int, state: str, restarts: int, again: bool, slurm: Path
) -> None:
    array = Array(0, {3: 17}, SMALL, None)
    variables = {"SLURM_ARRAY_JOB_ID": "12", "SLURM_ARRAY_TASK_ID": "3", "SLURM_CPUS_PER_TASK": "1"}
    done = subprocess.run(
        ["bash", "-c", array.body(Path("/shared/a plan.json"), Wishes(suite="suite"))],
        env={**os.environ, **variables, "CODE": f"{code}", "STATE": state, "SLURM_RESTART_COUNT": f"{restarts}"},
        check=False,
    )
    assert done.returncode == code
    assert (slurm / "run").read_text() == "run --cells /shared/a plan.json#17 --json\n"
    asked = (slurm / "asked").read_text() if (slurm / "asked").exists() else ""
    assert asked == ("requeue 12_3\n" if again else "")
