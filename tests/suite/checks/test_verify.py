"""Scores can be proven: recorded actions, replayed in the emulator, give the recorded returns."""

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result
from hypothesis import given
from hypothesis import strategies as st

from suite.cli.main import cli
from suite.errors import BadData
from suite.records.find import find_runs
from suite.records.record import Actions, read_run
from suite.records.verified import is_verified

pytestmark = pytest.mark.slow

CELL = ("--task", "smoke", "--network", "tiny", "--seeds", "0", "--frames", "6000")


def suite(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.fixture(scope="module")
def recorded(tiny_everywhere: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both games of `smoke` for 1,500 agent steps; every Breakout episode terminates, Pong's first does."""
    out = tmp_path_factory.mktemp("recorded")
    assert suite("run", *CELL, "--set", "agent.warm_up=1500", "--out", str(out)).exit_code == 0
    return out


@pytest.fixture
def copy(recorded: Path, tmp_path: Path) -> Path:
    """A copy of the Breakout run, to be tampered with."""
    source = next(path for path in find_runs(recorded) if "Breakout" in str(path))
    return Path(shutil.copytree(source, tmp_path / source.relative_to(recorded)))


def rewrite(path: Path, change: Callable[[dict[str, Any]], None], row: int = 0) -> None:
    lines = path.read_text().splitlines()
    content = json.loads(lines[row])
    change(content)
    lines[row] = json.dumps(content)
    path.write_text("\n".join(lines) + "\n")


def test_every_scored_episode_replays_to_its_return(recorded: Path) -> None:
    result = suite("verify", str(recorded), "--json")
    assert result.exit_code == 0, result.output
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    runs = [read_run(path) for path in find_runs(recorded)]
    assert [line["episodes"] for line in lines] == [len(run.episodes) for run in runs]
    assert [line["frames"] for line in lines] == [4 * run.status.agent_steps for run in runs]  # to the very last
    assert all(run.open_steps > 0 and len(run.episodes) in run.actions() for run in runs)
    assert sum(line["episodes"] for line in lines) > 5
    assert all(line["mismatches"] == [] and line["whole"] for line in lines)
    assert all(is_verified(run.path) for run in runs)
    assert suite("verify", str(recorded)).stdout.count("verified") == 2


@pytest.mark.parametrize(
    ("file", "change", "sentence"),
    [
        ("episodes.jsonl", lambda row: row.update({"return": row["return"] + 1}), "recorded"),
        ("episodes.jsonl", lambda row: row.update(end="truncated"), "terminated, recorded truncated"),
        ("episodes.jsonl", lambda row: row.update(emulator_seed=row["emulator_seed"] ^ 1), "episode 0 has seed"),
        ("episodes.jsonl", lambda row: row.update(length=row["length"] - 1), "Other than"),
        ("actions.jsonl", lambda row: row.update(deflated="AAAA"), "cannot be read"),
        ("actions.jsonl", lambda row: row.update(episode=99), "has no actions of episode 0"),
        ("actions.jsonl", lambda row: row.update(deflated=Actions.pack(1, 0, b"\x09" * 999).deflated), "episode 0 "),
    ],
)
def test_what_was_tampered_with_is_found(
    copy: Path, file: str, change: Callable[[dict[str, Any]], None], sentence: str
) -> None:
    rewrite(copy / file, change)
    result = suite("verify", str(copy))
    assert result.exit_code == 4
    assert sentence.lower() in result.stderr.lower()
    assert "Traceback" not in result.output


def test_a_left_out_episode_and_a_claimed_score_are_found(copy: Path) -> None:
    status = json.loads((copy / "status.json").read_text())
    status["summary"]["score"] += 1
    (copy / "status.json").write_text(json.dumps(status))
    assert "status.json claims a score of" in suite("verify", str(copy)).stderr
    episodes = (copy / "episodes.jsonl").read_text().splitlines(keepends=True)
    (copy / "episodes.jsonl").write_text("".join(episodes[1:]))
    result = suite("verify", str(copy))
    assert result.exit_code == 4
    assert "one was left out or changed" in result.stderr


def test_chosen_emulator_seeds_are_found(copy: Path) -> None:
    rewrite(copy / "episodes.jsonl", lambda row: row.update(emulator_seed=12345))
    assert "episode 0 has seed 12345, not " in suite("verify", str(copy)).stderr


def test_one_bad_run_does_not_hide_the_others(recorded: Path, copy: Path) -> None:
    rewrite(copy / "actions.jsonl", lambda row: row.update(episode=99))
    result = suite("verify", str(copy), str(recorded))
    assert result.exit_code == 4
    assert result.stdout.count("verified") == 2
    assert result.stdout.count("differs") == 1
    assert suite("verify", str(copy / "nothing-here")).exit_code == 2


def test_an_action_that_does_not_exist_is_found(copy: Path) -> None:
    length = read_run(copy).episodes[0].length
    forged = Actions.pack(1, 0, b"\x09" * length).deflated
    rewrite(copy / "actions.jsonl", lambda row: row.update(deflated=forged))
    assert "action 9 does not exist" in suite("verify", str(copy)).stderr


def test_another_emulator_is_refused(copy: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["attempts"][0]["environment_fingerprint"] = "0" * 16

    file = copy / "provenance.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))
    result = suite("verify", str(copy))
    assert result.exit_code == 3
    assert "the environment here differs" in result.stderr


def test_an_unfinished_run_is_skipped_and_where_none_is_finished_nothing_was_verified(
    copy: Path, recorded: Path, tmp_path: Path
) -> None:
    status = json.loads((copy / "status.json").read_text())
    (copy / "status.json").write_text(json.dumps(status | {"state": "interrupted"}))
    both = suite("verify", str(copy), str(recorded))
    assert (both.exit_code, "interrupted" in both.stderr) == (0, True)
    alone = suite("verify", str(copy))
    assert (alone.exit_code, "none of them finished" in alone.stderr) == (4, True)
    empty = tmp_path / "empty"
    empty.mkdir()
    none = suite("verify", str(empty))
    assert (none.exit_code, "Nothing was verified: no runs there" in none.stderr) == (4, True)


def test_an_episode_left_out_at_the_end_is_found_in_what_is_said_to_follow(copy: Path) -> None:
    run = read_run(copy)
    last, logs = run.episodes[-1], run.actions()
    actions = logs[last.episode].unpack(last.length) + logs[last.episode + 1].unpack(run.open_steps)
    rows = [row for row in logs.values() if row.episode < last.episode]
    rows.append(Actions.pack(1, last.episode, actions))
    (copy / "actions.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows))
    lines = (copy / "episodes.jsonl").read_text().splitlines(keepends=True)
    (copy / "episodes.jsonl").write_text("".join(lines[:-1]))
    status = json.loads((copy / "status.json").read_text())
    kept = [row.value for row in run.episodes[:-1] if row.frame > 0]
    status["episodes"] -= 1
    status["summary"] |= {"score": math.fsum(kept) / len(kept), "scored_episodes": len(kept)}
    (copy / "status.json").write_text(json.dumps(status))
    result = suite("verify", str(copy))
    assert result.exit_code == 4
    assert f"the episode that was cut off at the end: over after {last.length} agent steps, not at all" in result.stderr


def test_the_end_of_a_run_cannot_be_left_out_and_of_an_old_record_it_is_said_that_it_lacks(copy: Path) -> None:
    run = read_run(copy)
    rows = [row for row in run.actions().values() if row.episode < len(run.episodes)]
    (copy / "actions.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in rows))
    assert f"has no actions of episode {len(run.episodes)}" in suite("verify", str(copy)).stderr
    status = json.loads((copy / "status.json").read_text())
    (copy / "status.json").write_text(json.dumps(status | {"schema_version": 1}))
    result = suite("verify", str(copy))
    assert result.exit_code == 0, result.output
    assert result.stdout.startswith("in part")
    assert f"has no actions of the last {run.open_steps} agent steps" in result.stdout
    assert not is_verified(copy)


def test_a_run_that_diverged_is_replayed_too(copy: Path) -> None:
    run = read_run(copy)
    last = run.episodes[-2]
    status = json.loads((copy / "status.json").read_text())
    steps = last.agent_step
    values = [row.value for row in run.episodes if row.agent_step <= steps]
    status |= {"state": "diverged", "agent_steps": steps, "frames": 4 * steps, "episodes": len(values)}
    status["summary"] |= {"score": math.fsum(values) / len(values), "scored_episodes": len(values)}
    (copy / "status.json").write_text(json.dumps(status))
    for name, kept in (("episodes", run.episodes), ("checkpoints", ()), ("diagnostics", run.diagnostics)):
        rows = [row.model_dump_json(by_alias=True) + "\n" for row in kept if row.agent_step <= steps]
        (copy / f"{name}.jsonl").write_text("".join(rows))
    logs = [row for row in run.actions().values() if row.episode <= last.episode]
    (copy / "actions.jsonl").write_text("".join(row.model_dump_json() + "\n" for row in logs))
    result = suite("verify", str(copy))
    assert (result.exit_code, result.stdout.startswith("verified")) == (0, True), result.output
    rewrite(copy / "episodes.jsonl", lambda row: row.update({"return": row["return"] + 1}))
    assert suite("verify", str(copy)).exit_code == 4


@given(st.binary(max_size=300))
def test_packed_actions_come_back_and_nothing_else_does(actions: bytes) -> None:
    row = Actions.pack(1, 0, actions)
    assert row.unpack(len(actions)) == actions
    with pytest.raises(BadData):
        row.unpack(len(actions) + 1)


def test_a_bomb_is_not_unpacked() -> None:
    bomb = Actions.pack(1, 0, bytes(50_000_000))
    with pytest.raises(BadData, match="Other than 10 actions"):
        bomb.unpack(10)


def breakout(recorded: Path) -> Path:
    return next(path for path in find_runs(recorded) if "Breakout" in str(path))


def test_a_finished_runs_policy_is_evaluated_on_the_same_episodes_every_time(recorded: Path) -> None:
    words = ("evaluate", str(breakout(recorded)), "--episodes", "2", "--epsilon", "0.2", "--json")
    first, second = (suite(*words) for _ in range(2))
    assert first.exit_code == 0, first.output
    assert first.stdout == second.stdout
    found = json.loads(first.stdout)
    assert [row["episode"] for row in found["episodes"]] == [0, 1]
    assert found["mean_return"] == sum(row["return"] for row in found["episodes"]) / 2
    assert all(row["length"] > 10 and row["end"] == "terminated" for row in found["episodes"])


def test_a_film_shows_a_scored_episode_again_or_the_policy_anew(recorded: Path, tmp_path: Path) -> None:
    import cv2

    run = read_run(breakout(recorded))
    row = run.episodes[2]
    film = tmp_path / "x.mp4"
    done = suite("video", str(run.path), "--episode", str(row.episode), "--out", str(film))
    assert done.exit_code == 0, done.output
    assert done.stdout == f"{film}: {row.length + 1:,} pictures, return {row.value:,.2f}\n"
    read = cv2.VideoCapture(str(film))
    shapes = []
    while (found := read.read())[0]:
        shapes.append(found[1].shape)
    assert set(shapes) == {(336, 336, 3)}
    assert len(shapes) == row.length + 1
    anew = suite("video", str(run.path), "--epsilon", "1", "--out", str(tmp_path / "y.mp4"))
    assert "pictures, return" in anew.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.mp4", "y.mp4"]


def test_a_film_that_cannot_be_made_is_refused(recorded: Path, tmp_path: Path) -> None:
    run = str(breakout(recorded))
    for words, problem in (
        (("--episode", "999", "--out", str(tmp_path / "x.mp4")), "has no scored episode 999."),
        (("--out", str(tmp_path / "x.gif")), "is no name of a film."),
    ):
        refused = suite("video", run, *words)
        assert refused.exit_code == 2
        assert problem in refused.output
    assert list(tmp_path.iterdir()) == []
