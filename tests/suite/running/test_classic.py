"""Classic control: environments, settings and schedules of its task, and whole runs, checked, killed and continued."""

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import gymnasium
import numpy as np
import pytest

from suite.checks.verify import verify
from suite.contracts import registry
from suite.contracts.agent import DataPlan
from suite.experience.domains.discrete import Classic
from suite.experience.envs.classic import ClassicEnv
from suite.experience.envs.discrete import DiscreteEnvs
from suite.experience.observations import Arrays
from suite.experience.replay.arrays import ArrayReplay
from suite.learning.build import at_game, build, programs_for, unreached
from suite.records.find import find_runs
from suite.records.record import read_run
from suite.running.request import Request, resolve
from suite.tasks import CLASSIC, GAMES, load_task
from suite.tasks.configuration import Spec
from tests.support.processes import content, finish, kill_at

TASK = load_task("classic")
AGENTS = ("c51", "dqn", "iqn", "m_iqn", "qr_dqn", "rainbow")


def spec_of(agent: str = "dqn", *methods: str) -> Spec:
    return resolve(Request("classic", agent, None, ("+".join(methods) or "dense",)))[0].spec


# Environments.


@pytest.mark.parametrize("game", sorted(CLASSIC))
def test_an_episode_is_gymnasiums_own_scaled_to_the_bounds(game: str) -> None:
    options, actions = TASK.classic, np.random.default_rng(1).integers(CLASSIC[game].actions, size=60)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        reference = gymnasium.make(options.names[game])
    env = ClassicEnv(CLASSIC[game], options)
    low, high = (np.asarray(bound) for bound in options.bounds[game])
    env.reset(3)
    seen, (raw, _) = env.reset(5), reference.reset(seed=5)
    for action in actions:
        np.testing.assert_allclose((seen + 1) / 2 * (high - low) + low, raw, rtol=1e-4, atol=1e-5)
        assert seen.dtype == np.float32
        raw, reward, terminated, _, _ = reference.step(int(action))
        (seen, *rest) = env.step(int(action))
        assert rest == [reward, terminated]
        if terminated:
            break


def test_a_cart_in_the_middle_is_zero_and_one_at_the_edge_is_one() -> None:
    env = ClassicEnv(CLASSIC["CartPole"], TASK.classic)
    env.reset(0)
    np.testing.assert_allclose(env._scaled(np.zeros(4, np.float32)), 0.0, atol=1e-6)
    edge = np.asarray([2.4, -5.0, np.pi / 12, 0.0], np.float32)
    np.testing.assert_allclose(env._scaled(edge), [1, -1, 1, 0], atol=1e-6)


def test_the_cap_truncates_and_is_no_terminal() -> None:
    game = CLASSIC["MountainCar"]
    envs = DiscreteEnvs(lambda: ClassicEnv(game, TASK.classic), game.actions, TASK.classic.cap(game), 2)
    envs.reset([0, 1])
    for step in range(1, 601):
        answer = envs.step([1, 1])
        assert answer.truncated.tolist() == [step == 600] * 2
        assert answer.discount.tolist() == [1.0, 1.0]
    with_first = envs.reset([7], np.asarray([True, False]))
    assert not with_first[1].any()
    assert envs.step([1, 1]).truncated.tolist() == [False, True]


def test_the_replay_sums_three_rewards_and_stops_at_a_terminal() -> None:
    """Rewards 1, 2, 4, 8: from the first 1 + 2/2 + 4/4 = 3; from the third, which is the last, 4."""
    plan = DataPlan(8, 2, 3, 0.5, 1, 1, 1, 1, 0.0, 1, "prioritized")
    replay = ArrayReplay(plan, Arrays((2,), "float32"))
    for number, reward in enumerate((1.0, 2.0, 4.0, 8.0, 16.0, 32.0)):
        shown = np.full(2, number, np.float32)
        replay.add(shown, number % 2, reward, shown + 1, terminal=number == 2, truncated=False)
    windows = replay.gather(np.asarray([0, 2]), 3, 0.5)
    assert windows.r_t.tolist() == [3.0, 4.0]
    assert windows.discount_t.tolist() == [0.0, 0.0]
    assert replay.gather(np.asarray([3]), 3, 0.5).discount_t.tolist() == [0.125]
    assert windows.frames[:, 0].tolist() == [[0, 0], [2, 2]]
    assert replay.sample_states(3, lambda redraw: np.asarray([0.0, 0.5, 0.99])).shape == (3, 2)


# The task.


def test_the_settings_are_those_of_revisiting_rainbow() -> None:
    """JohanSamir/revisiting_rainbow 7cd2bc6, Configs/*.gin; written out by hand."""
    assert (TASK.budget.length, TASK.budget.iteration_length) == (30_000, 1_000)
    assert TASK.score_window(30_000) == (27_000, 30_000)
    assert TASK.default_seeds == tuple(range(20))
    assert TASK.classic.max_episode_steps == {"CartPole": 200, "Acrobot": 500, "MountainCar": 600}
    common = {"batch_size": 128, "replay_capacity": 50_000, "warm_up": 500, "target_update_period": 100, "gamma": 0.99}
    common |= {"adam_epsilon": 3.125e-4, "epsilon_train": 0.01}
    for agent in AGENTS:
        settings = spec_of(agent).agent.settings
        assert {name: settings[name] for name in common} == common
        expected = (1e-3, 4) if agent == "dqn" else (1e-4, 2)
        assert (settings["learning_rate"], settings["update_period"]) == expected
    steps = {agent: spec_of(agent).agent.settings["n_step"] for agent in AGENTS}
    assert steps == {"c51": 1, "dqn": 1, "iqn": 1, "m_iqn": 1, "qr_dqn": 1, "rainbow": 3}
    rainbow, quantile, implicit = (spec_of(agent).agent.settings for agent in ("rainbow", "qr_dqn", "m_iqn"))
    assert (rainbow["v_max"], rainbow["atoms"], rainbow["replay"]) == (200.0, 51, "prioritized")
    assert (quantile["quantiles"], quantile["kappa"], quantile["replay"]) == (51, 1.0, "uniform")
    samples = ("online_samples", "target_samples", "action_samples", "embedding_size")
    assert [implicit[name] for name in samples] == [32, 32, 32, 64]
    assert [implicit[name] for name in ("temperature", "munchausen_scale", "log_policy_floor")] == [0.03, 1.0, -1.0]


def test_the_mountain_car_learns_ten_times_as_fast_and_its_support_is_half_as_wide() -> None:
    dqn, rainbow = spec_of(), spec_of("rainbow")
    assert at_game(dqn, CLASSIC["CartPole"]) is dqn
    car = at_game(dqn, CLASSIC["MountainCar"]).agent.settings
    assert car == dqn.agent.settings | {"learning_rate": 0.01}
    assert at_game(rainbow, CLASSIC["MountainCar"]).agent.settings["v_max"] == 100.0
    assert at_game(rainbow, CLASSIC["MountainCar"]).agent.settings["learning_rate"] == 1e-4


def test_exploration_is_constant_from_the_first_step_on() -> None:
    agent, _ = build(spec_of(), CLASSIC["CartPole"])
    assert {agent.plan.epsilon(step) for step in (1, 500, 501, 30_000)} == {0.01}
    assert agent.plan.updates_by(30_000) == 7_500 - 125


def test_an_observation_goes_through_two_layers_of_512_at_any_width() -> None:
    for width, units in ((1, 512), (3, 1536)):
        (resolved,) = resolve(Request("classic", width=width))
        shapes = programs_for(resolved.spec, CLASSIC["Acrobot"]).shapes().params["params"]
        kernels = [shapes["encoder"][name]["kernel"].shape for name in ("dense1", "dense2")]
        assert [*kernels, shapes["head"]["kernel"].shape] == [(6, units), (units, units), (units, 3)]


OURS = {name for name, point in registry.registered("method").items() if point.module.startswith("baselines.")}
METHODS = sorted(OURS - {"dense", "lottery_ticket", "jaxpruner"})
"""All but those that need another run, or another package."""
MASKS = {"magnitude_pruning", "random_pruning", "rigl", "set"}
INTERVENTIONS = {"redo", "reset", "shrink_and_perturb"}


@pytest.mark.parametrize("agent", ["dqn", "qr_dqn"])
def test_every_method_acts(agent: str) -> None:
    """Masks change at least 50 times within the budget, resets and recyclings come at least 5 times."""
    for name in METHODS:
        spec = spec_of(agent, name)
        programs = programs_for(spec, CLASSIC["CartPole"])
        assert unreached(spec, CLASSIC["CartPole"]) == ()
        (method,) = programs._methods
        acts = sum(update in method.due for update in range(programs.plan.updates_by(30_000)))
        assert acts >= (50 if name in MASKS else 5 if name in INTERVENTIONS else 0), name


# Whole runs.


def start(out: Path, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "suite", "run", "--task", "smoke-classic", "--games", "CartPole"]
    command += ["--method", "magnitude_pruning", "--checkpoint-every", "300", "--inspect-every", "600"]
    command += ["--out", str(out), *more]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.nightly
@pytest.mark.parametrize("agent", AGENTS)
def test_a_run_that_is_killed_goes_on_to_the_same_bits_alone_or_beside_others(agent: str, tmp_path: Path) -> None:
    finish(start(tmp_path / "whole", "--agent", agent, "--seeds", "0-1", "--lanes", "2"))
    reference = read_run(find_runs(tmp_path / "whole")[1])
    killed = start(tmp_path / "killed", "--agent", agent, "--seeds", "1")
    kill_at(killed, tmp_path / "killed", 600)
    finish(start(tmp_path / "killed", "--agent", agent, "--seeds", "1"))
    run = read_run(find_runs(tmp_path / "killed")[0])
    assert run.attempt.resumed_at > 0
    assert run.cell.seed == reference.cell.seed == 1
    assert content(run) == content(reference)
    assert reference.diagnostics[-1].values["active_parameters"] < reference.diagnostics[-1].values["parameters"]
    assert [row.agent_step for row in run.diagnostics if "srank" in row.values and row.covariance] == [600, 1200]
    assert run.status.message == ""

    last = [row.value for row in run.episodes if row.frame > 600]
    assert run.status.summary is not None
    assert run.status.summary.score == pytest.approx(np.mean(last), rel=1e-12)
    verification = verify(run)
    assert (verification.episodes, verification.mismatches) == (len(last), ())

    higher = [row.model_copy(update={"value": row.value + 1}) for row in run.episodes]
    assert verify(replace(run, episodes=higher)).mismatches


def test_a_domain_names_its_games_and_library() -> None:
    domain = Classic(TASK)
    environment, fingerprint = domain.environment(GAMES["Acrobot"])
    assert environment["id"] == "Acrobot-v1"
    assert environment["gymnasium"] == gymnasium.__version__
    assert len(fingerprint) == 16
    assert domain.inputs(GAMES["Acrobot"]).blank().shape == (6,)
