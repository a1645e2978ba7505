"""Continuous control: environments, replay and trajectories, and whole runs of SAC and PPO, killed and continued."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner

from suite.checks.verify import verify
from suite.cli.main import cli
from suite.contracts.agent import Batch, DataPlan
from suite.experience.envs.mujoco import SIZES, MujocoEnv, MujocoEnvs, environment_of
from suite.experience.observations import Vectors
from suite.experience.replay.vectors import RolloutReplay, VectorReplay
from suite.learning.policy import Policy
from suite.records.find import find_runs
from suite.records.policy_file import final_policy
from suite.records.record import read_run
from suite.rng import Streams
from suite.running.lane import Lane, Rules
from suite.tasks import MUJOCO, MujocoEnvironment, load_task
from tests.support.processes import content, finish, kill_at

V4 = MujocoEnvironment(version="v4", max_episode_steps=1000)
SHORT = MujocoEnvironment(version="v4", max_episode_steps=30)


def plan_of(**changes: object) -> DataPlan:
    fields: dict[str, object] = {
        **{"capacity": 5, "batch_size": 4, "n_step": 1, "gamma": 0.9, "warm_up": 2, "update_period": 1},
        **{"updates_per_period": 1, "target_update_period": 0, "epsilon_train": 0.0, "epsilon_decay": 1, "noisy": True},
    }
    return DataPlan(**(fields | changes))  # type: ignore[arg-type]


# Environments.


def play(env: MujocoEnv, seed: int, actions: np.ndarray) -> list[tuple[np.ndarray, float, bool, bool]]:
    env.reset(seed)
    seen = []
    for action in actions:
        seen.append(env.step(action))
        if seen[-1][2] or seen[-1][3]:
            break
    return seen


def test_an_episode_is_a_function_of_its_seed_and_its_actions() -> None:
    actions = np.random.default_rng(0).uniform(-1, 1, (60, 3)).astype(np.float32)
    used, new = MujocoEnv(MUJOCO["Hopper"], V4), MujocoEnv(MUJOCO["Hopper"], V4)
    first = play(used, 5, actions)
    play(used, 6, actions[:7])
    for other in (play(used, 5, actions), play(new, 5, actions)):
        assert len(other) == len(first)
        for (one, *rest), (two, *same) in zip(first, other, strict=True):
            np.testing.assert_array_equal(one, two)
            assert rest == same
    assert not np.array_equal(play(new, 6, actions)[0][0], first[0][0])


def test_actions_are_clipped_and_scaled_to_the_bounds() -> None:
    env = MujocoEnv(MUJOCO["Humanoid"], V4)  # whose actions end at 0.4
    inner = env._env
    wanted = []
    original = inner.step
    inner.step = lambda action: (wanted.append(np.array(action)), original(action))[1]
    env.reset(0)
    env.step(np.full(17, 0.5, np.float32))
    env.step(np.full(17, 7.0, np.float32))
    np.testing.assert_allclose(wanted, [np.full(17, 0.2), np.full(17, 0.4)], rtol=1e-6)


def test_a_time_limit_truncates_and_a_fall_terminates() -> None:
    still, wild = np.zeros((40, 6), np.float32), np.ones((40, 3), np.float32)
    cheetah = play(MujocoEnv(MUJOCO["HalfCheetah"], SHORT), 0, still)
    assert (len(cheetah), cheetah[-1][2], cheetah[-1][3]) == (30, False, True)
    hopper = play(MujocoEnv(MUJOCO["Hopper"], V4), 0, wild)
    assert hopper[-1][2]
    assert not hopper[-1][3]


@pytest.mark.parametrize("version", ["v4", "v5"])
def test_every_environment_has_the_sizes_of_the_table(version: str) -> None:
    options = MujocoEnvironment(version=version, max_episode_steps=1000)  # type: ignore[arg-type]
    assert set(SIZES[version]) == set(MUJOCO) == set(load_task("mujoco").games)
    prints = set()
    for game in MUJOCO.values():
        envs = MujocoEnvs(game, options, 2)
        first = envs.reset([3, 3])
        assert first.shape == (2, SIZES[version][game.name])
        np.testing.assert_array_equal(*envs.step(np.zeros((2, game.actions), np.float32)).observation)
        envs.close()
        environment, fingerprint = environment_of(game, options)
        assert environment["id"] == f"{game.name}-{version}"
        prints.add(fingerprint)
    assert len(prints) == 5


# Replay.


def transition(number: int, *, terminal: bool = False, truncated: bool = False) -> tuple[tuple, dict[str, bool]]:
    """Observation 10 n, action n, reward n / 10, and what follows: 10 n + 10, or 10 n + 5 at an episode's end."""
    following = 10 * number + (5 if terminal or truncated else 10)
    row = (np.array([10 * number]), np.array([number / 100]), number / 10, np.array([following], np.float32))
    return row, {"terminal": terminal, "truncated": truncated}


def test_what_follows_is_the_next_observation_or_an_episodes_last() -> None:
    replay = VectorReplay(5, 1, 1)
    for number, ends in enumerate([{}, {"terminal": True}, {}, {"truncated": True}, {}, {}, {"terminal": True}]):
        row, end = transition(number, **ends)
        replay.add(*row, **end)
    batch = replay.gather(np.arange(2, 7), 0.9)  # the two oldest are overwritten
    np.testing.assert_array_equal(batch.s_tm1[:, 0], [20, 30, 40, 50, 60])
    np.testing.assert_array_equal(batch.s_t[:, 0], [30, 35, 50, 60, 65])
    np.testing.assert_allclose(batch.a_tm1[:, 0], [0.02, 0.03, 0.04, 0.05, 0.06])
    np.testing.assert_allclose(batch.r_t, [0.2, 0.3, 0.4, 0.5, 0.6], rtol=1e-6)
    np.testing.assert_allclose(batch.discount_t, [0.9, 0.9, 0.9, 0.9, 0.0], rtol=1e-6)  # a time limit is no terminal
    drawn = {
        int(value)
        for draw in range(20)
        for value in replay.sample(plan_of(), lambda _, d=draw: np.random.default_rng(d).random(4)).batch.s_tm1[:, 0]
    }
    assert drawn == {20, 30, 40, 50, 60}


def test_each_pass_over_a_trajectory_takes_every_row_once_in_an_order_of_its_own() -> None:
    plan = plan_of(replay="rollout", capacity=12, update_period=12, updates_per_period=6, warm_up=0)
    replay, rules = RolloutReplay(plan, 1, 1), Rules(Vectors(1, 1), 1, 1, np.inf)
    lane = Lane(plan, Streams("probe@1", "x", 0), replay, rules)
    assert lane.actor is not None
    lane.actor.begin(np.zeros(1, np.float32))
    for number in range(24):
        ended = lane.observe(
            np.array([number / 100], np.float32), np.array([number + 1.0], np.float32), 1.0,
            terminal=number % 5 == 4, truncated=False,
        )  # fmt: skip
        if ended is not None:
            lane.actor.begin(np.array([number + 1.0], np.float32))
    trajectory = replay.trajectory()
    np.testing.assert_array_equal(trajectory.s_tm1[:, 0], np.arange(12, 24))
    np.testing.assert_array_equal(np.flatnonzero(trajectory.ended), [2, 7])
    rows = np.arange(12, dtype=np.float32)
    fields = (rows[:, None], rows[:, None], rows, rows, rows[:, None], rows, np.ones(1, bool), {"advantage": rows})
    lane.replay.prepare(lambda trajectory: Batch(*fields))  # type: ignore[arg-type]
    orders = []
    for one_pass in range(2):
        taken = [lane.sample(6 + 3 * one_pass + position).batch for position in range(3)]
        order = np.concatenate([batch.r_t for batch in taken])
        assert sorted(order) == list(range(12))
        np.testing.assert_array_equal(order, np.concatenate([batch.extra["advantage"] for batch in taken]))
        orders.append(order)
    assert not np.array_equal(*orders)


# Whole runs.

SIZES_OF = {"sac": ("agent.batch_size=16",), "ppo": ()}
FRAMES = {"sac": "2000", "ppo": "4608"}
EVALUATED = {"sac": [500, 1000, 1500, 2000], "ppo": [2048, 4096]}  # PPO at the ends of its trajectories


def start(out: Path, agent: str, *more: str) -> subprocess.Popen[str]:
    settings = ["agent.hidden_units=8", *SIZES_OF[agent]]
    command = [sys.executable, "-m", "suite", "run", "--task", "smoke-mujoco", "--agent", agent, "--frames"]
    command += [FRAMES[agent], "--method", "magnitude_pruning", "--out", str(out), *more]
    for setting in settings:
        command += ["--set", setting]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


OPTIONS = ("--games", "Hopper", "--checkpoint-every", "400")


@pytest.fixture(scope="module")
def whole(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two finished lanes of the agent that a test names."""
    folder = tmp_path_factory.mktemp("whole")
    finish(start(folder, request.param, *OPTIONS, "--seeds", "0-1", "--lanes", "2"))
    return folder


@pytest.mark.nightly
@pytest.mark.parametrize("whole", ["sac", "ppo"], indirect=True)
def test_a_run_that_is_killed_goes_on_to_the_same_bits_alone_or_beside_others(whole: Path, tmp_path: Path) -> None:
    reference = read_run(find_runs(whole)[1])
    agent = reference.cell.spec.agent.id
    killed = start(tmp_path / "killed", agent, *OPTIONS, "--seeds", "1")
    kill_at(killed, tmp_path / "killed", 1600 if agent == "sac" else 2400)
    finish(start(tmp_path / "killed", agent, *OPTIONS, "--seeds", "1"))
    run = read_run(find_runs(tmp_path / "killed")[0])
    assert run.attempt.resumed_at > 0
    assert run.cell.seed == reference.cell.seed == 1
    assert content(run) == content(reference)
    assert len({row.learner for row in reference.checkpoints if row.updates}) >= 2
    assert reference.diagnostics[-1].values["active_parameters"] < reference.diagnostics[-1].values["parameters"]

    task = load_task("smoke-mujoco")
    assert task.evaluation is not None
    evaluations = sorted({row.agent_step for row in run.evaluation})
    assert evaluations == EVALUATED[agent]
    window = run.status.frames - task.score.window_length
    scored = [row.value for row in run.evaluation if row.agent_step > window]
    assert run.status.summary is not None
    assert run.status.summary.score == pytest.approx(np.mean(scored), rel=1e-12)
    verification = verify(run)
    assert (verification.episodes, verification.mismatches) == (len(scored), ())

    exported = final_policy(run)  # nothing was learnt after the last evaluation
    policy = Policy(run.cell.spec, MUJOCO["Hopper"], exported.params)
    env = MujocoEnv(MUJOCO["Hopper"], task.mujoco)
    row = run.evaluation[-1]
    observation = env.reset(row.emulator_seed)
    for action in np.frombuffer(row.unpack(12), "<f4").reshape(-1, 3)[:20]:
        np.testing.assert_allclose(policy.act(observation), action, atol=1e-5)
        observation = env.step(action)[0]


@pytest.mark.slow
@pytest.mark.parametrize("whole", ["sac"], indirect=True)
def test_verify_replays_the_physics(whole: Path, tmp_path: Path) -> None:
    path = tmp_path / "seed-0"
    shutil.copytree(find_runs(whole)[0], path)
    log = path / "evaluation.jsonl"
    rows = [json.loads(line) for line in log.read_text().splitlines()]
    rows[-1]["return"] += 0.001
    log.write_text("".join(json.dumps(row) + "\n" for row in rows))
    told = verify(read_run(path)).mismatches
    assert any("return" in line for line in told)
    assert any("status.json claims" in line for line in told)
    rows[-1]["return"] -= 0.001
    log.write_text("".join(json.dumps(row) + "\n" for row in rows[:-1]))
    assert any("is not whole" in line for line in verify(read_run(path)).mismatches)


@pytest.mark.nightly
@pytest.mark.parametrize("whole", ["sac"], indirect=True)
def test_a_film_shows_every_step_of_a_scored_episode_or_of_the_policy(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MUJOCO_GL", "egl")
    run = read_run(find_runs(whole)[0])
    row, film = run.evaluation[-1], tmp_path / "x.mp4"
    done = CliRunner().invoke(cli, ["video", str(run.path), "--episode", str(row.episode), "--out", str(film)])
    if done.exit_code == 3:  # without Mesa
        assert "no context can be made here by egl" in done.output
        assert list(tmp_path.iterdir()) == []
        return
    assert done.stdout == f"{film}: {row.length + 1:,} pictures, return {row.value:,.2f}\n"
    read = cv2.VideoCapture(str(film))
    pictures = []
    while (found := read.read())[0]:
        pictures.append(found[1])
    assert len(pictures) == row.length + 1
    assert {picture.shape for picture in pictures} == {(480, 480, 3)}
    assert all(np.std(picture) > 20 for picture in pictures)
    assert read.get(cv2.CAP_PROP_FPS) == pytest.approx(125)
    anew = CliRunner().invoke(cli, ["video", str(run.path), "--out", str(film)])
    assert "pictures, return" in anew.stdout
