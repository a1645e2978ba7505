"""What `ci/gpu_compile`, `ci/bench/gpu` and `ci/bench/model` count, keep and predict; none of it needs a GPU."""

from __future__ import annotations

import importlib.util
import json
import sys
from collections import Counter
from dataclasses import replace
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from suite.experience.domains import domain_of
from suite.experience.replay.placement import Placement
from suite.running import group, start
from suite.tasks import load_task

CI = Path(__file__).parent.parent / "ci"
PROGRAM = """HloModule jit_step, is_scheduled=true

%inside (p0: f32[5,8,16], p1: f32[5,16,4]) -> f32[5,8,4] {
  %p0 = f32[5,8,16]{2,1,0} parameter(0)
  %p1 = f32[5,16,4]{2,1,0} parameter(1)
  ROOT %dot.1 = f32[5,8,4]{2,1,0} dot(%p0, %p1), lhs_batch_dims={0}, lhs_contracting_dims={2}, rhs_batch_dims={0}
}

%sliced (p0.1: f32[100,4]) -> f32[2,4] {
  %p0.1 = f32[100,4]{1,0} parameter(0)
  ROOT %slice.1 = f32[2,4]{1,0} slice(%p0.1), slice={[0:2], [0:4]}
}

%body (state: (f32[2,4])) -> (f32[2,4]) {
  %state = (f32[2,4]{1,0}) parameter(0)
  %item = f32[2,4]{1,0} get-tuple-element(%state), index=0
  %copied = f32[2,4]{1,0} copy(%item)
  ROOT %out = (f32[2,4]{1,0}) tuple(%copied)
}

%condition (state.1: (f32[2,4])) -> pred[] {
  %state.1 = (f32[2,4]{1,0}) parameter(0)
  ROOT %yes = pred[] constant(true)
}

ENTRY %main (a: f32[5,8,16], b: f32[5,16,4], c: f32[100,4], x: f32[8,6,6,10], k: f32[3,3,2,20]) -> f32[5,8,4] {
  %a = f32[5,8,16]{2,1,0} parameter(0), sharding={replicated}
  %b = f32[5,16,4]{2,1,0} parameter(1)
  %c = f32[100,4]{1,0} parameter(2)
  %x = f32[8,6,6,10]{3,2,1,0} parameter(3)
  %k = f32[3,3,2,20]{3,2,1,0} parameter(4)
  %conv = (f32[8,6,6,20]{3,2,1,0}, u8[999]{0}) custom-call(%x, %k), window={size=3x3}, dim_labels=b01f_01io->b01f, \
feature_group_count=5, custom_call_target="__cudnn$convForward"
  %part = f32[2,4]{1,0} fusion(%c), kind=kLoop, calls=%sliced
  %packed = (f32[2,4]{1,0}) tuple(%part)
  %loop = (f32[2,4]{1,0}) while(%packed), condition=%condition, body=%body, \
backend_config={"known_trip_count":{"n":"16"}}
  ROOT %product = f32[5,8,4]{2,1,0} fusion(%a, %b), kind=kCustom, calls=%inside
}
"""


def load(name: str) -> ModuleType:
    """Import a script of ci/, whatever its name ends with."""
    path = CI / name
    loader = SourceFileLoader(path.stem + "_of_ci", str(path))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[loader.name] = module
    loader.exec_module(module)
    return module


def test_kernels_bytes_and_operations_are_counted_from_a_programs_text() -> None:
    counts = load("gpu/hlo.py").Module(PROGRAM).counts
    assert counts.kernels == {"convolution": 1, "fusion": 1, "copy": 16, "product": 1}
    assert counts.grouped == 1
    assert counts.operations == 2 * (5 * 8 * 4) * 16 + 2 * (8 * 6 * 6 * 20) * (3 * 3 * 2)
    convolution = 4 * (8 * 6 * 6 * 10 + 3 * 3 * 2 * 20 + 8 * 6 * 6 * 20)
    sliced, copies = 4 * (8 + 8), 16 * 4 * (8 + 8)
    product = 4 * (5 * 8 * 16 + 5 * 16 * 4 + 5 * 8 * 4)
    assert counts.bytes == convolution + sliced + copies + product


@pytest.mark.parametrize(
    ("target", "first", "second", "result"),
    [
        ("Forward", "8,6,6,2", "3,3,2,4", "8,6,6,4"),
        ("BackwardFilter", "8,6,6,2", "8,6,6,4", "3,3,2,4"),
        ("BackwardInput", "8,6,6,4", "3,3,2,4", "8,6,6,2"),
    ],
)
def test_a_convolution_takes_as_many_operations_in_every_direction(
    target: str, first: str, second: str, result: str
) -> None:
    text = f"""ENTRY %main (a: f32[{first}], b: f32[{second}]) -> f32[{result}] {{
  %a = f32[{first}] parameter(0)
  %b = f32[{second}] parameter(1)
  ROOT %c = (f32[{result}], u8[0]) custom-call(%a, %b), dim_labels=b01f_01io->b01f, \
custom_call_target="__cudnn$conv{target}"
}}"""
    counts = load("gpu/hlo.py").Module(text).counts
    assert (counts.operations, counts.grouped) == (2 * (8 * 6 * 6 * 4) * (3 * 3 * 2), 0)


def test_a_changed_count_is_seen_and_an_unchanged_text_is_not_compiled_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool = load("gpu_compile")
    before = {"lowered": "a", "peak_bytes": 10, "kernels": 70, "grouped": 0, "operations": 5, "bytes": 7}
    record = {"versions": {}, "programs": {"x": before, "y": before}}
    monkeypatch.setattr(tool, "versions", dict)
    monkeypatch.setitem(sys.modules, "target", type(sys)("target"))
    sys.modules["target"].Target = lambda: None  # type: ignore[attr-defined]
    after = {"x": before, "y": before | {"lowered": "b", "kernels": 81}}
    asked: dict[str, Any] = {}

    def measured(target: Any, name: str, known: dict[str, Any], options: Any) -> dict[str, Any]:
        asked[name] = known
        return after[name]

    monkeypatch.setattr(tool, "measured", measured)
    options = type("Options", (), {"seconds": 60, "accept": False, "again": False, "out": tmp_path / "record.json"})
    assert tool.compared(["x", "y"], record, options) == 1
    assert capsys.readouterr().out.splitlines() == ["y: kernels 70 -> 81", "2 of 2 compared, 1 changed"]
    assert asked == {"x": {"a": before}, "y": {"a": before}}
    options.accept = True
    assert tool.compared(["x", "y"], record, options) == 0
    assert json.loads(options.out.read_text())["programs"] == after


def test_programs_that_bring_new_pairs_of_values_are_compiled_first() -> None:
    catalog = load("gpu/catalog.py")
    near, other, far = map(catalog.Name.of, ("t/a/n/m/act/vmap/1", "t/a/n/m/act/vmap/5", "u/b/o/k/update/loop/9"))
    assert len(near.pairs) == 21
    assert catalog.spread([near, other, far], []) == [near, far, other]  # 21, 21 and 6 new pairs
    assert catalog.spread([near, other], [far]) == [near, other]
    assert catalog.spread([near, far], [other]) == [far, near]
    assert catalog.spread([near, other], [near, other]) == [near, other]


def test_the_six_measurements_that_decide_come_first_and_are_not_taken_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench, taken = load("bench/gpu"), []
    clock = iter(range(0, 10_000, 100))
    monkeypatch.setattr(bench.time, "monotonic", lambda: next(clock))
    for kind in ("own", "peer"):
        monkeypatch.setattr(bench, kind, lambda name, options, limit: taken.append(name) or {"ms": 1.0})
    out = tmp_path / "gpu.json"
    monkeypatch.setattr(sys, "argv", ["gpu", "--out", str(out), "--peers", str(tmp_path), "--seconds", "650"])
    assert bench.main() == 0
    assert tuple(taken) == bench.FIRST
    assert set(json.loads(out.read_text())) == set(bench.FIRST)
    assert bench.main() == 0
    assert tuple(taken) == (*bench.FIRST, *bench.THEN[:6])


def test_a_step_is_as_long_as_all_that_it_takes_where_lanes_wait_for_each_other() -> None:
    model = load("bench/model")
    assumed = model.Assumed(launch=1e-6, dispatch=1e-5, round_trip=1e-5, memory=1e12, products=1e13, bus=1e10, cores=5)
    small, large = {"kernels": 10, "bytes": 10**6, "operations": 0}, {"kernels": 1, "bytes": 8 * 10**9, "operations": 1}
    programs = {"atari40m/a/act/matmul/5": small, "atari40m/a/update/matmul/5": large}
    step = model.step_of(programs, "a", 5, model.Host(emulator=5e-4, loop=1e-4), assumed)
    assert step.emulator == pytest.approx(5 * 5e-4 / 5)
    assert step.loop == pytest.approx(5e-4)
    assert step.act == pytest.approx(1e-5)  # launches, above the microsecond that its bytes take
    assert step.update == pytest.approx(8e-3 / 4)
    assert step.transfer == pytest.approx(2e-5 + 1e-5 + 5 * 4 * 84 * 84 / 1e10)
    assert step.sample == pytest.approx(5 * 1e-5 / 4)
    host, device = 5e-4 + 5e-4 + 1.25e-5, 1e-5 + step.transfer + 2e-3
    assert step.total == pytest.approx(host + device)
    assert step.largest == "update"
    alone = model.taking_turns(programs, "a", 5, model.Host(emulator=5e-4, loop=1e-4), assumed)
    assert alone == pytest.approx(host + device, rel=0.01)  # one part has nothing to take turns with


@pytest.mark.parametrize(
    ("host", "kernels", "expected"),
    [
        ((1e-6, 1e-3), 1, 8e-3),  # the host's loop over 8 lanes
        ((1e-6, 1e-9), 1000, 4 * (1e-3 + 1e-3 / 4)),  # each part's actions, and its update in one of four steps
        ((1e-2, 1e-9), 1, 4 / 3 * 1e-2),  # emulators, those of three of four parts at a time, on cores enough
        ((1e-2, 1e-2), 1000, 8e-2),  # the largest of the three: that of the host
    ],
)
def test_parts_that_take_turns_are_as_slow_as_what_binds(host: Any, kernels: int, expected: float) -> None:
    model = load("bench/model")
    assumed = model.Assumed(launch=1e-6, dispatch=0, round_trip=0, memory=1e30, products=1e30, bus=1e30, parts=4)
    counts = {"kernels": kernels, "bytes": 1, "operations": 1}
    programs = {f"atari40m/a/{kind}/matmul/{lanes}": counts for kind in ("act", "update") for lanes in (5, 15)}
    assert model.taking_turns(programs, "a", 8, model.Host(*host), assumed) == pytest.approx(expected, rel=0.05)


def test_the_model_has_the_parts_and_the_turns_of_the_code() -> None:
    model = load("bench/model")
    assert (model.AS_IT_IS.parts, model.TURNS) == (start.PARTS, group.TURNS)
    options, plays = start.Options(1, Placement.DEVICE, "matmul"), domain_of(load_task("atari40m"))
    for lanes in (1, 2, 3, 5, 15, 75):
        of_code = [len(part) for part in start.lanes_by_part(lanes, options, plays)]
        assert model.sizes_of(lanes, min(lanes, start.PARTS)) == of_code
        assert sum(of_code) == lanes


def test_the_loop_beside_a_clock_takes_as_long_as_the_clock_at_least() -> None:
    found = load("bench/overlap").measured(steps=8, rounds=1, tell=lambda line: None)
    assert [row["device_over_host"] for row in found["rows"]] == [0.0, 0.5, 1.0, 2.0]
    for row in found["rows"]:
        device_s = row["device_over_host"] * found["host_ms_a_step"] / 1e3
        assert all(rate > 0 for rate in row["agent_steps_per_s"].values())
        assert found["lanes"] / row["agent_steps_per_s"]["parts"] >= 0.99 * device_s  # no call was left out


def test_a_program_of_other_lanes_has_the_counts_between_those_recorded() -> None:
    model = load("bench/model")
    five, many = {"kernels": 60, "bytes": 50, "operations": 500}, {"kernels": 62, "bytes": 150, "operations": 1500}
    programs = {"atari40m/a/update/matmul/5": five, "atari40m/a/update/matmul/15": many}
    found = [model.between(programs, "a", "update", lanes) for lanes in (2, 5, 10)]
    assert found == [
        {"kernels": 60, "bytes": 20, "operations": 200},
        five,
        {"kernels": 61, "bytes": 100, "operations": 1000},
    ]


def test_what_the_documents_say_was_compiled_is_what_the_record_holds() -> None:
    catalog, programs = load("gpu/catalog.py"), json.loads((CI / "gpu" / "compiled.json").read_text())["programs"]
    compiled = {name: entry for name, entry in programs.items() if "refused" not in entry}
    lanes = Counter(int(name.rpartition("/")[2]) for name in compiled)
    pairs = {pair for name in compiled for pair in catalog.Name.of(name).pairs}
    refused = {pair for name in programs if name not in compiled for pair in catalog.Name.of(name).pairs} - pairs
    shown = " ".join((CI.parent / "docs" / "performance.md").read_text().split())
    assert f"{len(compiled)} of some twelve thousand programs; {len(programs) - len(compiled)} names more" in shown
    assert f"each of the {len(pairs):,} pairs that any program has" in shown
    assert (len(refused), "eleven more pairs have names, and all of these are refused" in shown) == (11, True)
    assert f"{lanes[5]} programs have 5 lanes, {lanes[15]} have 15, {lanes[75]} have 75" in shown
    assert not [name for name, entry in compiled.items() if "/matmul/" in name and entry["grouped"]]
    largest = max(entry["peak_bytes"] for entry in compiled.values())
    assert compiled["atari40m/dqn/impala/dense/update/matmul/75"]["peak_bytes"] == largest
    assert f"Impala's update of 75 lanes, {largest / 2**30:.0f} GiB" in shown


def test_what_is_predicted_in_the_documents_follows_from_the_records() -> None:
    model = load("bench/model")
    programs, results = (json.loads((CI / name).read_text()) for name in ("gpu/compiled.json", "bench/result.json"))
    predicted = model.predictions(programs["programs"], model.host_of(results, "breakout"))
    shown = (CI.parent / "docs" / "performance.md").read_text()
    plain = [row for row in predicted if row["move"] == "all lanes wait for each other"]
    assert len(plain) == 6
    for row in plain:
        rate, sample = f"{row['agent_steps_per_s']:,.0f}", f"{row['sample']:.2f}"
        cells = (rate, f"{row['emulator']:.2f}", f"{row['loop']:.2f}", f"{row['act'] + row['transfer']:.2f}", sample)
        assert f"| {row['network']} | {row['lanes']} | {' | '.join(cells)} | {row['update']:.2f} |" in shown
    for move in {row["move"] for row in predicted}:
        rates = {(row["network"], row["lanes"]): row["agent_steps_per_s"] for row in predicted if row["move"] == move}
        places = [(network, lanes) for network in model.NETWORKS for lanes in model.LANES[1:]]
        assert f"| {move} | {' | '.join(f'{rates[at]:,.0f}' if at in rates else '' for at in places)} |" in shown, move
    rate = {(row["network"], row["lanes"], row["move"]): row["agent_steps_per_s"] for row in predicted}
    now, before = "as it is: four parts take turns", "all lanes wait for each other"
    gains = {
        at: sorted(rate[at, lanes, now] / rate[at, lanes, before] for lanes in model.LANES) for at in model.NETWORKS
    }
    spans = [f"{gains[at][0]:.2f} to {gains[at][-1]:.2f}" for at in model.NETWORKS]
    decision = (CI.parent / "docs" / "decisions" / "0015-taking-turns.md").read_text()
    assert f"{spans[0]} times as many steps a second with the Nature CNN, {spans[1]} with Impala" in decision
    hours = {move: [75e7 / rate[at, 75, move] / 3600 for at in model.NETWORKS] for move in (now, "five processes")}
    one, five = ([f"{each:.0f}" for each in hours[move]] for move in (now, "five processes"))
    assert (
        f"take {one[0]} hours in one process with the Nature CNN, and {one[1]} with Impala; in five, {five[0]} and"
        in shown
    )
    host = model.host_of(results, "breakout")
    for at in model.NETWORKS:
        for lanes in model.LANES:
            tried = [replace(model.AS_IT_IS, parts=parts) for parts in (2, 3, 4, 5)]
            times = [model.taking_turns(programs["programs"], f"dqn/{at}/dense", lanes, host, each) for each in tried]
            assert times[2] <= 1.03 * min(times), "docs/performance.md says four parts are within 3 % of the best"
