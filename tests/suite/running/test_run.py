"""`suite run` end to end, through the command line, on the real emulator."""

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from suite.cli.main import cli
from suite.records import covariance, ownership
from suite.records.find import find_runs
from suite.records.record import Run, effective_state, read_run
from suite.running.group import Group
from suite.running.recorder import Recording
from suite.running.request import Request, resolve
from tests.support.runs import make_run

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("tiny_everywhere")]
CELL = ("--task", "smoke", "--network", "tiny", "--games", "Pong", "--seeds", "0")


def suite(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def start(out: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "suite", "run", *arguments, "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


def wait_for_frames(out: Path, frames: int) -> Path:
    """Wait until the only run under `out` has recorded an episode beyond `frames`; return its directory."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for path in find_runs(out) if out.exists() else []:
            log = path / "episodes.jsonl"
            if not log.exists():  # the directory was made a moment ago
                continue
            rows = [json.loads(line) for line in log.read_text().splitlines(keepends=True) if line.endswith("\n")]
            if rows and rows[-1]["frame"] >= frames:
                return path
        time.sleep(0.02)
    raise AssertionError("the run recorded nothing in two minutes")


def content(run: Run) -> list[object]:
    """What training produced, without attempt numbers."""
    rows = [*run.episodes, *run.diagnostics]
    return [row.model_dump(exclude={"attempt"}) for row in rows]


@pytest.fixture(scope="module")
def finished(tiny_everywhere: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A short run of one cell: 1,600 agent steps, 275 gradient steps."""
    out = tmp_path_factory.mktemp("finished")
    return out, suite("run", *CELL, "--frames", "6400", "--method", "magnitude_pruning", "--out", str(out), "--json")


def test_a_run_trains_records_and_says_so(finished: tuple[Path, Result]) -> None:
    out, result = finished
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["state"] == "done"
    assert "Results go to" in result.stderr
    unreached = read_run(find_runs(out)[0]).attempt.unreached
    assert [text.partition(":")[0] for text in unreached] == ["magnitude_pruning"]
    assert "acts 4 of 31 times" in unreached[0]  # after 200, 220, 240 and 260 of 275 gradient steps, 800 being the last
    assert f"NOT REACHED: {unreached[0]}" in result.stderr
    assert document["message"] == unreached[0]
    assert "Device: " in result.stderr
    assert "Projected: " in result.stderr
    run = read_run(find_runs(out)[0])
    assert str(run.path) == document["path"]
    assert run.path == out / f"smoke@1/{document['config_id']}/Pong/seed-0"
    summary = run.status.summary
    assert summary is not None
    assert (run.status.agent_steps, run.status.updates) == (1600, 275)
    assert summary.score == pytest.approx(np.mean([row.value for row in run.episodes]))  # all end in the last 8,000
    assert summary.score == document["score"]
    assert run.cell.spec.shortened
    assert all(row.frame == 4 * row.agent_step for row in run.episodes)
    assert sum(row.length for row in run.episodes) <= 1600
    assert run.episodes[0].length == run.episodes[0].agent_step


def test_diagnostics_follow_the_pruning_schedule(finished: tuple[Path, Result]) -> None:
    run = read_run(find_runs(finished[0])[0])
    assert [row.frame for row in run.diagnostics] == list(range(800, 6401, 800))
    assert run.diagnostics[0].values["sparsity"] == 0.0
    assert "loss" not in run.diagnostics[0].values  # warm-up: no update yet
    last = run.diagnostics[-1]
    assert last.updates == 275
    # Equation 1 at the last mask update before 275 gradient steps: count 260 of 200..800.
    progress = 61 / 600
    assert last.values["sparsity"] == pytest.approx(0.95 * (1 - (1 - progress) ** 3), abs=2e-3)
    assert last.values["loss"] > 0
    assert last.values["parameters"] - last.values["active_parameters"] > 0
    assert run.status.summary is not None
    assert run.status.summary.sparsity == last.values["sparsity"]


def test_provenance_says_where_the_number_comes_from(finished: tuple[Path, Result]) -> None:
    attempt = read_run(find_runs(finished[0])[0]).attempt
    assert set(attempt.packages) >= {"python", "jax", "jaxlib", "flax", "optax", "ale-py", "numpy"}
    assert attempt.environment["repeat_action_probability"] == 0.25
    assert len(str(attempt.environment["rom_sha256"])) == 64
    assert set(attempt.hardware) >= {"device", "platform", "driver", "cpu", "cores", "memory_gib", "image"}
    assert set(attempt.git) == {"commit", "dirty"}


def test_the_same_command_again_does_nothing(finished: tuple[Path, Result]) -> None:
    out, _ = finished
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    again = suite("run", *CELL, "--frames", "6400", "--method", "magnitude_pruning", "--out", str(out))
    assert again.exit_code == 0
    assert "Nothing to do: all 1 cells are there." in again.stderr
    planned = suite("run", *CELL, "--frames", "6400", "--method", "magnitude_pruning", "--out", str(out), "--dry-run")
    assert (planned.exit_code, "1 cells, 0 to run" in planned.stdout, "0 s on CPU" in planned.stdout) == (0, True, True)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_status_shows_runs_and_their_ends(finished: tuple[Path, Result]) -> None:
    shown = json.loads(suite("status", str(finished[0]), "--json").stdout)["runs"]
    assert [(row["state"], row["game"], row["frames"]) for row in shown] == [("done", "Pong", 6400)]
    table = suite("status", str(finished[0])).stdout
    assert "magnitude_pruning" in table.replace("\n", "")
    assert "done" in table


def test_status_of_a_run_killed_before_its_first_status(tmp_path: Path, finished: tuple[Path, Result]) -> None:
    source = find_runs(finished[0])[0]
    copy = tmp_path / source.relative_to(finished[0])
    copy.mkdir(parents=True)
    (copy / "spec.json").write_bytes((source / "spec.json").read_bytes())
    assert [row["state"] for row in json.loads(suite("status", str(tmp_path), "--json").stdout)["runs"]] == ["killed"]
    assert "killed" in suite("status", str(tmp_path)).stdout
    assert suite("status", str(tmp_path / "nowhere")).exit_code == 2


@pytest.mark.slow
def test_a_reader_that_leaves_does_not_stop_the_training(tmp_path: Path) -> None:
    with start(tmp_path, *CELL, "--frames", "400") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        process.stderr.readline()
        process.stderr.readline()
    assert read_run(find_runs(tmp_path)[0]).status.state == "done"


@pytest.mark.slow
def test_a_lane_is_the_same_alone_and_beside_others(tmp_path: Path) -> None:
    short = (*CELL[:-2], "--frames", "3200", "--inspect-every", "3200")
    alone, beside = tmp_path / "alone", tmp_path / "beside"
    assert suite("run", *short, "--seeds", "0", "--out", str(alone), "--lanes", "1").exit_code == 0
    assert suite("run", *short, "--seeds", "0-1", "--out", str(beside), "--lanes", "2").exit_code == 0
    one, other = (find_runs(beside)[seed] for seed in (0, 1))
    assert content(read_run(find_runs(alone)[0])) == content(read_run(one))
    assert content(read_run(one)) != content(read_run(other))
    last = read_run(one).diagnostics[-1]
    assert {"loss", "q_norm", "gradient_norm", "update_size"} <= last.values.keys()  # what was inspected stands beside
    assert covariance.unpack(last.covariance).shape == (32, 32)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("form", "overlap"),
    [("vmap", False), ("matmul", True), pytest.param("unrolled", False, marks=pytest.mark.nightly)],
)
def test_games_of_different_action_counts_share_one_program(tmp_path: Path, form: str, overlap: bool) -> None:
    cells = ("--task", "smoke", "--network", "tiny", "--seeds", "0", "--frames", "4800", "--lanes", "2")
    loop, shared, how = tmp_path / "loop", tmp_path / "shared", () if overlap else ("--no-overlap",)
    assert suite("run", *cells, "--out", str(loop)).exit_code == 0
    assert suite("run", *cells, "--out", str(shared), "--form", form, *how).exit_code == 0
    for one, other in zip(find_runs(loop), find_runs(shared), strict=True):
        alone, together = read_run(one), read_run(other)
        assert (alone.attempt.execution["form"], together.attempt.execution["form"]) == ("loop", form)
        assert together.attempt.execution.get("parts", 1) == (2 if overlap else 1)
        assert alone.attempt.execution.get("parts", 1) == 1
        assert together.attempt.execution["group"] == "Pong/0 Breakout/0"
        assert together.status.summary is not None
        assert alone.status.summary is not None
        assert together.status.summary.parameters == alone.status.summary.parameters  # each in its own game's shapes
        losses = [row.values.get("loss") for row in together.diagnostics]
        assert losses[2:] == pytest.approx([row.values.get("loss") for row in alone.diagnostics][2:], rel=0.3)


@pytest.mark.slow
def test_dense_and_pruned_share_their_random_numbers(tmp_path: Path) -> None:
    # Pruning begins at gradient step 200, after the 75 of this budget: until then the two are one run.
    short = (*CELL, "--frames", "3200", "--method", "dense,magnitude_pruning")
    assert suite("run", *short, "--out", str(tmp_path)).exit_code == 0
    one, other = (read_run(path) for path in find_runs(tmp_path))
    assert {one.cell.spec.method_label, other.cell.spec.method_label} == {"dense", "magnitude_pruning"}
    assert content(one) == content(other)


@pytest.mark.nightly  # by day test_kills kills, stops and goes on
def test_a_killed_run_is_marked_and_the_next_command_completes_it(
    tmp_path: Path, finished: tuple[Path, Result]
) -> None:
    arguments = (*CELL, "--frames", "6400", "--method", "magnitude_pruning")
    victim = start(tmp_path, *arguments)
    path = wait_for_frames(tmp_path, 1600)
    victim.kill()
    victim.communicate()
    killed = read_run(path)
    assert effective_state(path, killed.status) == "killed"
    assert killed.episodes
    again = suite("run", *arguments, "--out", str(tmp_path))
    assert again.exit_code == 0, again.output
    run = read_run(path)
    assert [(old.attempt, old.state) for old in run.status.closed] == [(1, "killed")]
    assert run.status.attempt == 2
    assert content(run) == content(read_run(find_runs(finished[0])[0]))  # nothing lost, nothing counted twice
    stored = suite("leaderboard", "ingest", str(tmp_path), "--db", str(tmp_path / "db"), "--no-references", "--json")
    assert json.loads(stored.stdout)["new"] == 1
    kept = [json.loads(line)["attempt"] for line in (path / "episodes.jsonl").read_text().splitlines()]
    assert kept.count(1) >= len(killed.episodes)


@pytest.mark.nightly  # by day test_kills kills, stops and goes on
def test_sigterm_stops_cleanly_and_can_be_taken_up(tmp_path: Path) -> None:
    process = start(tmp_path, *CELL)
    path = wait_for_frames(tmp_path, 1600)
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 75
    assert "Interrupted. Issue the same command again" in err
    assert out.startswith("interrupted")
    run = read_run(path)
    assert run.status.state == "interrupted"
    assert 1600 <= run.status.frames < 16_000


@pytest.mark.slow
def test_a_locked_cell_is_skipped_with_a_line(tmp_path: Path) -> None:
    process = start(tmp_path, *CELL)
    wait_for_frames(tmp_path, 800)
    second = suite("run", *CELL, "--out", str(tmp_path))
    assert second.exit_code == 6
    assert second.stdout.startswith("locked")
    assert "Another process is running" in second.stdout
    process.kill()
    process.communicate()


@pytest.mark.slow
def test_two_processes_share_out_the_cells_of_one_directory(tmp_path: Path) -> None:
    arguments = (*CELL[:-1], "0-2", "--frames", "2400", "--lanes", "1")
    processes = [start(tmp_path, *arguments) for _ in range(2)]
    ends = [process.communicate() for process in processes]
    codes = {process.returncode for process in processes}
    assert 0 in codes, ends
    assert codes <= {0, 6}, ends  # 6: a late starter found the rest locked
    runs = [read_run(path) for path in find_runs(tmp_path)]
    assert [(run.cell.seed, run.status.state, run.status.attempt) for run in runs] == [
        (seed, "done", 1) for seed in range(3)
    ]


def test_a_dry_run_prints_the_protocols_numbers(tmp_path: Path) -> None:
    arguments = (
        "run",
        "--task",
        "atari40m",
        "--method",
        "dense,magnitude_pruning",
        "--replay",
        "host",
        "--dry-run",
        "--out",
        str(tmp_path),
    )
    plan = json.loads(suite(*arguments, "--json").stdout)
    assert (len(plan["cells"]), plan["cells_to_run"]) == (150, 150)
    assert {cell["state"] for cell in plan["cells"]} == {"to run"}
    dense, pruned = plan["configurations"]
    assert (dense["agent_steps"], dense["updates"], dense["nominal_updates"]) == (10_000_000, 2_495_000, 2_500_000)
    assert dense["parameters"] == 2_089_954
    assert dense["milestones"] == {}
    assert {500_000, 2_000_000} <= set(pruned["milestones"].values())
    assert plan["lane_bytes"] == pytest.approx(7.07e9, rel=0.05)
    assert plan["memory_bytes"] > plan["lane_bytes"] * plan["lanes"] or plan["replay"] == "compressed"
    text = suite(*arguments).stdout
    assert "2,495,000" in text
    assert "500,000" in text
    assert list(tmp_path.iterdir()) == []


def test_a_shortened_budget_is_named_in_the_plan(tmp_path: Path) -> None:
    shown = suite("run", *CELL, "--frames", "800", "--set", "agent.gamma=0.9", "--dry-run", "--out", str(tmp_path))
    assert "SHORTENED BUDGET" in shown.stdout
    assert "departs from the published agent.gamma = 0.99" in shown.stdout


def test_the_plan_names_what_the_run_will_not_reach(tmp_path: Path) -> None:
    arguments = ("run", *CELL, "--frames", "6400", "--method", "reset,dense", "--dry-run", "--out", str(tmp_path))
    reset, dense = json.loads(suite(*arguments, "--json").stdout)["configurations"]
    text = "reset: acts 5 of 17 times: the last is due after 849 gradient steps, and the run has 275."
    assert (reset["unreached"], dense["unreached"]) == ([text], [])
    shown = suite(*arguments).stdout
    assert f"NOT REACHED      {text}" in shown
    assert "last reset       gradient step 950, after the end of the run" in shown


@pytest.mark.parametrize(
    ("agent", "steps", "scored"),
    [("sac", 9_999, False), ("sac", 10_000, True), ("ppo", 10_239, False), ("ppo", 10_240, True)],
)
def test_a_budget_that_ends_before_the_first_evaluation_is_named(
    tmp_path: Path, agent: str, steps: int, scored: bool
) -> None:
    """PPO is evaluated at the end of a trajectory of 2,048 steps."""
    which = ("--task", "mujoco", "--agent", agent, "--games", "Hopper", "--seeds", "0", "--frames", str(steps))
    shown = suite("run", *which, "--dry-run", "--out", str(tmp_path))
    assert ("NO SCORE" in shown.stdout) is not scored
    assert (f"a budget of {steps:,} environment steps" in shown.stdout) is not scored


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("--task", "smok"), 2, "Unknown task 'smok'"),
        (("--task", "smoke", "--games", "Pongg"), 2, "Did you mean 'Pong'?"),
        (("--task", "smoke", "--games", "Seaquest"), 2, "Seaquest is not a game of the task smoke"),
        (("--task", "smoke", "--seeds", "x"), 2, "--seeds 'x' cannot be read"),
        (("--task", "smoke", "--lanes", "0"), 2, "--lanes '0' cannot be read"),
        (("--task", "smoke", "--frames", "-4"), 2, "--frames -4 is no budget"),
        (("--task", "smoke", "--set", "agent.gamma=2"), 2, "agent.gamma = 2.0 is out of range"),
        (("--task", "smoke", "--width", "wide"), 2, "--width 'wide' cannot be read"),
        (("--task", "atari40m", "--lanes", "500"), 3, "75 lane(s) need"),
    ],
)
def test_bad_input_gets_a_sentence_and_a_code(
    tmp_path: Path, arguments: tuple[str, ...], code: int, sentence: str
) -> None:
    result = suite("run", *arguments, "--out", str(tmp_path / "out"))
    assert result.exit_code == code, result.output
    assert sentence in result.stderr
    assert "Traceback" not in result.output
    assert not list(tmp_path.rglob("*.json*"))


def test_a_place_that_cannot_be_written_is_unfit(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("")
    result = suite("run", *CELL, "--out", str(file / "out"))
    assert result.exit_code == 3
    assert "Cannot write to" in result.stderr
    assert "--out" in result.stderr


def test_a_missing_rom_is_unfit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.experience.envs.atari.roms.get_rom_path", lambda rom: None)
    result = suite("run", *CELL, "--out", str(tmp_path))
    assert result.exit_code == 3
    assert "The ROM of Pong (pong.bin) is missing" in result.stderr
    assert "Reinstall ale-py" in result.stderr
    assert not list(tmp_path.iterdir())


def test_a_damaged_run_directory_is_named(tmp_path: Path, finished: tuple[Path, Result]) -> None:
    source = find_runs(finished[0])[0]
    copy = tmp_path / source.relative_to(finished[0])
    copy.mkdir(parents=True)
    (copy / "spec.json").write_bytes((source / "spec.json").read_bytes())
    (copy / "status.json").write_text("{")
    arguments = (*CELL, "--frames", "6400", "--method", "magnitude_pruning", "--out", str(tmp_path))
    result = suite("run", *arguments)
    assert result.exit_code == 5
    assert "status.json is damaged" in result.stdout
    assert "Move this run directory away" in result.stdout
    assert sorted(path.name for path in copy.iterdir()) == ["spec.json", "status.json"]
    assert "damaged" in suite("status", str(tmp_path)).stdout


def test_divergence_is_a_result_and_is_not_tried_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = Group.metrics
    monkeypatch.setattr(
        Group,
        "metrics",
        lambda group, lane: {**real(group, lane), "loss": float("nan" if group.step >= 400 else 1)},
    )
    short = (*CELL, "--frames", "3200", "--out", str(tmp_path))
    result = suite("run", *short)
    assert result.exit_code == 5
    run = read_run(find_runs(tmp_path)[0])
    assert (run.status.state, run.status.agent_steps) == ("diverged", 400)
    assert run.status.summary is not None
    assert run.status.summary.scored_episodes == len(run.episodes)
    again = suite("run", *short)
    assert again.exit_code == 5
    assert "Nothing to do" in again.stderr


def test_a_failing_cell_is_recorded_and_does_not_stop_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Recording.reach

    def fails_at_once(recording: Recording, *arguments: int) -> None:
        if recording.cell.seed == 0:
            raise RuntimeError("a cable came loose")
        real(recording, *arguments)

    monkeypatch.setattr(Recording, "reach", fails_at_once)
    result = suite("run", *CELL[:-1], "0-1", "--frames", "800", "--out", str(tmp_path))
    assert result.exit_code == 5
    states = {read_run(path).cell.seed: read_run(path).status for path in find_runs(tmp_path)}
    assert (states[0].state, states[0].message) == ("failed", "RuntimeError: a cable came loose")
    assert states[1].state == "done"
    assert "cable" in (find_runs(tmp_path)[0] / "failure-1.txt").read_text()


def test_an_overtaken_cell_writes_no_more_and_the_command_ends_with_6(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Recording.reach

    def overtaken(recording: Recording, *arguments: int) -> None:
        if recording.cell.seed == 0 and ownership.newest_owned(recording.path) == 1:
            with closing(ownership.RunLock(recording.path)) as lock:  # as another machine does that has not heard of it
                ownership.claim(recording.path, 2, lock).release()
        real(recording, *arguments)

    monkeypatch.setattr(Recording, "reach", overtaken)
    result = suite("run", *CELL[:-1], "0-1", "--frames", "800", "--out", str(tmp_path))
    assert result.exit_code == 6, result.output
    ends = {line.split(" seed ")[1][0]: line for line in result.stdout.splitlines()}
    assert {seed: line.split()[0] for seed, line in ends.items()} == {"0": "overtaken", "1": "done"}
    assert "was overtaken by attempt 2 (process" in ends["0"]
    first, second = (read_run(path) for path in find_runs(tmp_path))
    assert (first.status.state, first.status.agent_steps, first.episodes) == ("running", 0, ())
    assert second.status.state == "done"
    assert not list(first.path.glob("failure-*"))


def test_a_cell_of_two_lists_over_one_protocol_is_found_under_both(tmp_path: Path) -> None:
    """One run of a game of both, one of a game of the longer list alone, of 4 million frames by the suite's writer."""

    def planned(task: str, games: str, *more: str) -> Result:
        which = ("--network", "tiny", "--frames", "4000000", "--games", games, "--seeds", "0")
        return suite("run", "--task", task, *which, "--dry-run", "--out", str(tmp_path), *more)

    (resolved,) = resolve(Request("atari60", network="tiny", frames=4_000_000))
    for game in ("Pong", "Alien"):
        make_run(tmp_path, resolved.spec, game)
    for task, games in (("atari60", "Pong,Alien,Amidar"), ("atari40m", "Pong,Breakout")):
        cells = json.loads(planned(task, games, "--json").stdout)["cells"]
        states = {cell["game"]: cell["state"] for cell in cells}
        absent = games.rpartition(",")[2]
        assert states == {name: "to run" if name == absent else "done" for name in games.split(",")}
        assert all(cell["path"].startswith(f"atari40m@1/{resolved.spec.config_id}/") for cell in cells)
    said = "cells   those of atari40m@1, under which they are run and found: atari60 is a list of its games"
    assert planned("atari60", "Pong").stdout.splitlines()[1] == said
    assert "cells   those of" not in planned("atari40m", "Pong").stdout
    assert "Alien is not a game of the task atari40m" in planned("atari40m", "Alien").stderr
