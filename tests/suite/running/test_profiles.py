"""Profiles of devices: times are those that were measured, shared out and scaled by hand-computed factors."""

import dataclasses
import itertools
from pathlib import Path

import pytest

from suite.errors import BadData, UsageError
from suite.experience.domains import domain_of
from suite.learning.program_cost import ProgramCost
from suite.running.cost import EFFICIENCY, Costs
from suite.running.machine import Machine, least_seconds, machine_of
from suite.running.memory import UNLIMITED
from suite.running.plan import make_plan
from suite.running.plan_report import text
from suite.running.profiles.measured import Finished, finished_runs, machine_seconds, rates_of
from suite.running.profiles.profile import GIB, Profile, ProgramMemory, Rate, parse, profile_named, profile_names, toml
from suite.running.request import Request, resolve
from suite.tasks import load_task
from suite.tasks.configuration import Spec
from tests.support.runs import make_run

IMPALA = Rate(
    network="impala",
    agent="dqn",
    method="dense",
    task="smoke@1",
    lanes=2,
    seconds_per_step=0.001,
    seconds_per_update=0.5,
    start_seconds=10,
    operations=2e9,
    runs=3,
)
CLUSTER = Profile(
    name="cluster", title="a node", source="a test", cores=8, memory_gib=64, device_memory_gib=80, rates=(IMPALA,)
)


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """An update of any program takes 4e9 operations and 3 GB, an action none: nothing is compiled."""
    monkeypatch.setattr(ProgramCost, "update_operations", 4e9)
    monkeypatch.setattr(ProgramCost, "action_operations", 0.0)
    monkeypatch.setattr(ProgramCost, "training_bytes", 3_000_000_000)


def costs(machine: Machine) -> Costs:
    task = load_task("smoke")
    return Costs(task, domain_of(task), task.games, machine)


def spec_of(network: str = "impala", width: int = 1) -> Spec:
    settings = (f"network.width={width}",)
    return resolve(Request("smoke", None, network, ("dense",), settings, None))[0].spec


def test_a_configuration_that_was_run_there_takes_what_it_took(counted: None) -> None:
    spec, made = spec_of(), costs(machine_of(CLUSTER))
    steps = made.task.agent_steps(spec.frames)
    updates = made.programs(spec).plan.updates_by(steps)
    seconds, basis, rate = made.projection(spec, together=2)
    assert (basis, rate) == ("measured", IMPALA)
    assert seconds == pytest.approx((10 + steps * 0.001) / 2 + updates * 0.5)


def test_the_nearest_of_its_network_is_scaled_by_operations(counted: None) -> None:
    wide, made = spec_of(width=3), costs(machine_of(CLUSTER))
    updates = made.programs(wide).plan.updates_by(made.task.agent_steps(wide.frames))
    seconds, basis, _ = made.projection(wide, together=2)
    assert basis == "scaled"
    one = made.projection(spec_of(), together=2).seconds
    assert seconds is not None
    assert one is not None
    assert seconds - one == pytest.approx(updates * 0.5 * (4e9 / 2e9 - 1))


def test_another_network_is_timed_roughly_by_the_operations_a_second_of_what_was_measured(counted: None) -> None:
    spec, made = spec_of("nature_cnn"), costs(machine_of(CLUSTER))
    steps = made.task.agent_steps(spec.frames)
    updates = made.programs(spec).plan.updates_by(steps)
    seconds, basis, _ = made.projection(spec)
    assert basis == "rough"
    assert seconds == pytest.approx(steps * made.domain.seconds_per_step + updates * 4e9 / (2e9 / 0.5))


def test_a_profile_without_rates_says_that_the_time_is_unknown(counted: None, tmp_path: Path) -> None:
    machine = machine_of(CLUSTER.model_copy(update={"rates": ()}))
    assert costs(machine).projection(spec_of()) == (None, "unknown", None)
    plan = make_plan(resolve(Request("smoke")), "Pong", "0", tmp_path, "1", machine=machine)
    remedy = "`suite profile record RUNS --out FILE` makes one that has"
    lines = text(plan).splitlines()
    assert f"time    not known on a node: the profile has no measured rate to go by; {remedy}" in lines
    assert f"  time a cell      not known, the profile has no measured rate to go by; {remedy}" in lines


def test_here_what_was_never_run_is_timed_by_a_product(counted: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.running.cost.matrix_rate", lambda: 1e10)
    made = costs(Machine("here", False, 2, UNLIMITED, UNLIMITED))
    spec = spec_of()
    steps = made.task.agent_steps(spec.frames)
    updates = made.programs(spec).plan.updates_by(steps)
    expected = steps * made.domain.seconds_per_step / 2 + updates * 4e9 / (1e10 * EFFICIENCY)
    assert made.projection(spec, together=2) == (pytest.approx(expected), "rough", None)


def test_a_plan_for_another_machine_has_its_cores_and_memory(counted: None, tmp_path: Path) -> None:
    resolved = resolve(Request("smoke", None, "impala", ("dense",), (), None))
    small = CLUSTER.model_copy(update={"memory_gib": 8.0, "cores": 5})
    for profile, lanes in ((CLUSTER, 6), (small, 2)):  # six cells; 3 GB a lane, and half a GB beside
        plan = make_plan(resolved, "all", "0-2", tmp_path, "auto", machine=machine_of(profile))
        assert (len(plan.jobs), plan.lanes) == (6, lanes)
        assert plan.memory[0] <= plan.machine.memory == int((profile.memory_gib or 0) * GIB)
        assert plan.memory[1] == 0


def test_a_gpus_memory_is_that_of_programs_compiled_for_it(counted: None, tmp_path: Path) -> None:
    resolved = resolve(Request("smoke", None, "impala", ("dense",), (), None))
    rows = [ProgramMemory(network="impala", lanes=lanes, peak_bytes=lanes * 10**8 + 10**9) for lanes in (1, 5)]
    rows.append(ProgramMemory(network="impala", width=3, peak_bytes=7))
    gpu = CLUSTER.model_copy(update={"platform": "gpu", "programs": tuple(rows)})
    plans = [make_plan(resolved, "all", "0-2", tmp_path, lanes, "host", machine=machine_of(gpu)) for lanes in "15"]
    assert [plan.memory[1] for plan in plans] == [11 * 10**8, 15 * 10**8]
    assert plans[1].machine.device_memory == 80 * GIB


def test_times_that_runs_shared_are_shared_out(tmp_path: Path) -> None:
    def run(started: float, ended: float) -> Finished:
        return dataclasses.replace(one, started=started, ended=ended)

    (one,) = finished_runs([make_run(tmp_path)])
    assert machine_seconds([]) == []
    assert machine_seconds([run(0, 10), run(4, 10), run(20, 21)]) == pytest.approx([4 + 6 / 2, 6 / 2, 1])
    assert sum(machine_seconds([run(0, 9), run(3, 6), run(3, 12)])) == pytest.approx(12)


def test_a_rate_is_that_of_the_quickest_run_and_gives_its_time_back(counted: None, tmp_path: Path) -> None:
    (one,) = finished_runs([make_run(tmp_path, spec_of())])
    status = one.status.model_copy(update={"agent_steps": 4000, "frames": 16000, "updates": 900})
    runs = [
        dataclasses.replace(one, started=start, ended=start + 600, status=status)
        for start in (0.0, 0.0, 1000.0, 1000.0)
    ]
    slow = [dataclasses.replace(run, started=5000, ended=9000) for run in runs[:2]]
    ((rate, _),) = rates_of(runs + slow).items()
    assert (rate.task, rate.agent, rate.network, rate.lanes, rate.runs) == ("smoke@1", "dqn", "impala", 2, 6)
    host, device = rate.seconds(4000, 900)
    assert host / 2 + device == pytest.approx(300)  # two shared 600 seconds
    assert host == pytest.approx(4000 * domain_of(load_task("smoke")).seconds_per_step)


def test_a_short_run_is_timed_without_its_compilation(tmp_path: Path) -> None:
    (one,) = finished_runs([make_run(tmp_path)])
    status = one.status.model_copy(update={"agent_steps": 4000, "frames": 16000, "frames_per_second": 1600.0})
    ((rate, _),) = rates_of([dataclasses.replace(one, started=0, ended=25, status=status)]).items()
    assert rate.start_seconds == pytest.approx(15)
    assert sum(rate.seconds(4000, one.status.updates)) == pytest.approx(25, rel=0.01)


def test_runs_of_several_attempts_or_of_other_machines_say_no_time(tmp_path: Path) -> None:
    again = make_run(tmp_path, seed=1, state="interrupted")
    make_run(tmp_path, seed=1)
    once = make_run(tmp_path, seed=2)
    found = finished_runs([again, once, make_run(tmp_path, seed=3, state="diverged")])
    assert [run.cell.seed for run in found] == [2]
    assert finished_runs([once], {"platform": "cpu", "cores": 3}) == []


def test_every_profile_here_reads_back_as_it_is_written() -> None:
    assert {"p100-paper", "xeon-core"} <= set(profile_names())
    for found in (CLUSTER, *map(profile_named, profile_names())):
        assert parse(toml(found), "x") == parse(found.model_dump_json(), "x") == found
    assert all(profile_named(name).name == name for name in profile_names())


@pytest.mark.parametrize(
    ("text", "said"),
    [("cores = 0", "Field required"), ("{", "Expecting"), ("x =", "x is no device profile"), ("[[", "Invalid")],
)
def test_a_file_that_is_no_profile_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(BadData, match=said):
        parse(text, "x")


def test_an_unknown_profile_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as refused:
        profile_named("xeon-cor")
    assert "'xeon-core'" in refused.value.remedy
    assert "suite profile record" in refused.value.remedy


def test_the_least_of_several_rounds_counts() -> None:
    readings = itertools.chain.from_iterable(zip(range(0, 100, 10), (9, 12, 29, 31, 48), strict=False))
    assert least_seconds(lambda: None, lambda: next(readings), times=5) == 1
