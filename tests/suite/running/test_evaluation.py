"""Atari 100k's rules: lost lives end episodes for learning alone, and the score comes from evaluation episodes."""

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import ale_py
import numpy as np
import pytest

from suite.checks.verify import verify
from suite.errors import BadData
from suite.experience.envs.atari import AtariEnvs
from suite.learning.build import build, programs_for
from suite.records.find import find_runs
from suite.records.record import Run, read_run
from suite.records.schedule import due_steps
from suite.records.score import score
from suite.rng import Streams
from suite.running.evaluation import evaluate
from suite.running.request import Request, resolve
from suite.tasks import GAMES, Evaluation, load_task
from suite.tasks.environments import emulator_options
from tests.support.processes import written

pytestmark = pytest.mark.slow

TASK = load_task("smoke100k")
ARGUMENTS = (
    *("run", "--task", "smoke100k", "--agent", "dqn", "--network", "tiny", "--games", "Breakout", "--seeds", "0"),
    *("--checkpoint-every", "1600", "--frames", "4800", "--threads", "1"),
)


@pytest.mark.parametrize("name", ["Breakout", "Seaquest", "MsPacman", "Pong"])
def test_lost_lives_are_those_that_the_emulator_tells_and_the_game_goes_on(name: str) -> None:
    options = TASK.atari.model_copy(update={"max_episode_frames": 108_000})
    game = GAMES[name]
    ours = AtariEnvs(game, options)
    told = ale_py.AtariVectorEnv(game.rom, 1, **emulator_options(options) | {"life_loss_info": True})
    ours.reset([5])
    told.reset(seed=np.asarray([5]))
    rng, lost = np.random.default_rng(0), 0
    for _ in range(2000):
        action = rng.integers(game.actions, size=1)
        step = ours.step(action)
        _, reward, terminated, _, _ = told.step(action)
        assert step.life_lost is not None
        over = bool(step.discount[0] == 0)
        assert step.reward[0] == reward[0]
        assert bool(terminated[0]) == (over or bool(step.life_lost[0]))
        assert not (over and step.life_lost[0])
        lost += int(step.life_lost[0])
        if over:
            break
    assert lost >= (0 if name == "Pong" else 2)


def start(out: Path, tiny_path: Path, *more: str) -> subprocess.Popen[str]:
    paths = [str(tiny_path), *filter(None, [os.environ.get("PYTHONPATH")])]
    return subprocess.Popen(
        [sys.executable, "-m", "suite", *ARGUMENTS, "--out", str(out), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, tiny_path: Path) -> Path:
    out = tmp_path_factory.mktemp("finished")
    process = start(out, tiny_path)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 0, err
    return find_runs(out)[0]


def test_the_score_is_the_mean_of_all_evaluation_episodes(finished: Path) -> None:
    run = read_run(finished)
    assert TASK.evaluation is not None
    assert sorted(row.episode for row in run.evaluation) == list(range(TASK.evaluation.episodes))
    assert {row.frame for row in run.evaluation} == {4800}
    assert all(len(row.unpack()) == row.length for row in run.evaluation)
    assert len({row.emulator_seed for row in run.evaluation}) == TASK.evaluation.episodes
    summary = run.status.summary
    assert summary is not None
    assert summary.score == np.mean([row.value for row in run.evaluation])
    assert summary.scored_episodes == TASK.evaluation.episodes
    assert score(TASK, 4800, run.evaluation[:-1]) == (None, TASK.evaluation.episodes - 1)
    assert not (finished / "actions.jsonl").read_text()  # training episodes are not what is scored


def test_verify_replays_every_evaluation_episode(finished: Path, tmp_path: Path) -> None:
    found = verify(read_run(finished))
    assert (found.episodes, found.mismatches) == (12, ())
    assert found.frames == sum(row.length for row in read_run(finished).evaluation) * 4


def changed(finished: Path, folder: Path, change: Callable[[list[dict[str, Any]]], None]) -> Run:
    """Return a copy of a run whose evaluation episodes were changed."""
    copy = folder / "run"
    shutil.copytree(finished, copy)
    log = copy / "evaluation.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    change(rows)
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_run(copy)


def test_verify_finds_what_was_changed(finished: Path, tmp_path: Path) -> None:
    def change(rows: list[dict[str, Any]]) -> None:
        rows[3]["return"] += 1
        rows[0]["emulator_seed"] = 7
        rows.pop()

    told = verify(changed(finished, tmp_path, change)).mismatches
    for words in ("recorded", "is not whole", "evaluation episode 0 at step 1200: another seed"):
        assert any(words in mismatch for mismatch in told), words


def test_an_episode_of_another_length_than_its_actions_is_bad_data(finished: Path, tmp_path: Path) -> None:
    run = changed(finished, tmp_path, lambda rows: rows[0].update(length=rows[0]["length"] - 1))
    with pytest.raises(BadData, match="actions of evaluation episode"):
        verify(run)


def wait_for_rows(out: Path, process: subprocess.Popen[str], count: int) -> None:
    deadline = time.monotonic() + 120
    while process.poll() is None and time.monotonic() < deadline:
        logs = written(out, "evaluation.jsonl")
        if sum(log.read_bytes().count(b"\n") for log in logs) >= count:
            return
        time.sleep(0.01)
    pytest.fail("no evaluation episodes were seen while the run went on")


@pytest.mark.nightly
@pytest.mark.parametrize("kill", [signal.SIGKILL, signal.SIGTERM])
def test_an_interrupted_evaluation_goes_on_with_the_episodes_that_are_missing(
    finished: Path, tmp_path: Path, tiny_path: Path, kill: signal.Signals
) -> None:
    process = start(tmp_path, tiny_path)
    wait_for_rows(tmp_path, process, 1)
    process.send_signal(kill)
    process.communicate()
    assert process.returncode == (75 if kill == signal.SIGTERM else -signal.SIGKILL)
    path = find_runs(tmp_path)[0]
    before = read_run(path).evaluation
    assert 1 <= len(before) < 12
    again = start(tmp_path, tiny_path)
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    run, reference = read_run(path), read_run(finished)
    assert run.evaluation[: len(before)] == before
    kept, wanted = (
        {row.episode: row.model_dump(exclude={"attempt"}) for row in rows.evaluation} for rows in (run, reference)
    )
    assert kept == wanted
    assert [row.learner for row in run.checkpoints] == [row.learner for row in reference.checkpoints]


@pytest.mark.usefixtures("tiny")
def test_each_episode_comes_out_the_same_whichever_others_are_played(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("suite.running.evaluation.EVALUATION_ENVS", 3)
    spec = resolve(Request("smoke100k", "dqn", "tiny", ("dense",)))[0].spec
    programs = programs_for(spec, GAMES["Breakout"])
    streams = Streams(spec.task_key, "Breakout", 3)
    learner = programs.init(streams)
    options = TASK.atari.model_copy(update={"max_episode_frames": 120})

    def play(done: dict[int, int], step: int = 0, **wanted: float) -> dict[int, bytes]:
        envs = AtariEnvs(GAMES["Breakout"], options, 3)
        with contextlib.closing(envs):
            evaluation = Evaluation.model_validate({"epsilon": 0.5} | wanted)
            episodes = evaluate(programs, learner, streams, envs, evaluation, step, done)
            found = {episode.number: episode.actions for episode in episodes}
            assert list(found) == sorted(found)
            return found

    everything = play({}, episodes=6)
    assert sorted(everything) == list(range(6))
    lengths = {number: len(actions) for number, actions in everything.items()}
    four = {number: lengths[number] for number in range(4)}
    assert play(four, episodes=6) == {number: everything[number] for number in range(4, 6)}
    assert len(set(everything.values())) == 6
    assert play({}, episodes=6, epsilon=0.0) != everything
    assert play({}, step=1, episodes=6) != everything
    least = sum(lengths[number] for number in range(4)) + 1  # agent steps: the fifth episode is needed
    assert play({}, agent_steps=least) == {number: everything[number] for number in range(5)}
    assert play(four, agent_steps=least) == {number: everything[number] for number in range(4, 5)}


def test_evaluations_are_due_at_the_first_end_of_a_period_after_each_interval() -> None:
    once, often = Evaluation(episodes=1, epsilon=0), Evaluation(episodes=1, epsilon=0, every=10_000)
    specs = [resolve(Request("mujoco", name))[0].spec for name in ("sac", "ppo")]
    sac, ppo = (build(spec, GAMES["Hopper"])[0].plan.trajectory for spec in specs)
    assert due_steps(once, sac, 100) == [100]
    assert due_steps(often, sac, 30_000) == [10_000, 20_000, 30_000]
    assert specs[1].agent.settings["trajectory_length"] == ppo  # what `suite verify` goes by
    assert due_steps(often, ppo, 40_000) == [5 * 2048, 10 * 2048, 15 * 2048]
