"""How cells become groups, before anything runs."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.running.runner import Job, make_groups
from suite.tasks.configuration import Cell, Component, Spec


def job(configuration: int, seed: int) -> Job:
    spec = Spec(
        task="smoke",
        task_version=1,
        frames=16_000,
        shortened=False,
        agent=Component(id="dqn", version=1, settings={"gamma": configuration / 100}),
        network=Component(id="tiny", version=1),
        methods=(Component(id="dense", version=1),),
    )
    return Job(Cell(spec, "Pong", seed), {})


def described(groups: Sequence[Sequence[Job]]) -> list[list[tuple[float, int]]]:
    return [[(each.cell.spec.agent.settings["gamma"], each.cell.seed) for each in group] for group in groups]


def test_configurations_take_turns_and_never_share_a_group() -> None:
    jobs = [job(configuration, seed) for seed in range(3) for configuration in (1, 2)]
    assert described(make_groups(jobs, 2)) == [
        [(0.01, 0), (0.01, 1)],
        [(0.02, 0), (0.02, 1)],
        [(0.01, 2)],
        [(0.02, 2)],
    ]
    assert make_groups([], 4) == []


@given(
    cells=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), unique=True, max_size=25), lanes=st.integers(1, 9)
)
def test_every_job_is_in_exactly_one_group_of_its_configuration(cells: list[tuple[int, int]], lanes: int) -> None:
    groups = make_groups([job(*cell) for cell in cells], lanes)
    members = [each for group in described(groups) for each in group]
    assert sorted(members) == sorted((configuration / 100, seed) for configuration, seed in cells)
    assert all(1 <= len(group) <= lanes for group in groups)
    assert all(len({each.cell.spec.config_id for each in group}) == 1 for group in groups)


@pytest.mark.parametrize("lanes", [1, 2, 3])
def test_groups_are_as_wide_as_they_may_be(lanes: int) -> None:
    groups = make_groups([job(1, seed) for seed in range(7)], lanes)
    assert len(groups) == -(-7 // lanes)
