"""The task MinAtar has the settings of Revisiting Rainbow, and every method acts in it."""

from typing import Any

import pytest

from suite.contracts import registry
from suite.learning.build import build, full_updates, unreached
from suite.running.request import Request, resolve
from suite.tasks import GAMES, MINATAR, load_task

TASK = load_task("minatar")
BREAKOUT = GAMES["MinAtarBreakout"]
SPARSE = ("magnitude_pruning", "random_pruning", "rigl", "set")
PLASTIC = ("redo", "reset", "shrink_and_perturb")
ALWAYS = ("dense", "l2_features", "l2_init", "static_sparse", "weight_decay")
ELSEWHERE = ("jaxpruner", "lottery_ticket")  # need another package, or a run to start from


def settings_of(agent: str) -> dict[str, Any]:
    (resolved,) = resolve(Request("minatar", agent))
    assert resolved.spec.network.id == "minatar_cnn"
    return dict(resolved.spec.agent.settings)


def test_a_run_is_ten_million_steps_and_its_score_that_of_the_last_tenth() -> None:
    assert TASK.games == tuple(MINATAR)
    assert (TASK.default_seeds, TASK.unit, TASK.units_per_step) == ((0, 1, 2, 3, 4), "environment steps", 1)
    assert TASK.score_window(10_000_000) == (9_000_000, 10_000_000)
    assert TASK.score.rule == "mean_training_return"
    agent, _ = build(resolve(Request("minatar"))[0].spec, BREAKOUT)
    assert full_updates(TASK, agent.plan) == 2_500_000
    assert agent.plan.updates_by(10_000_000) == 2_499_750  # the first after 1,004 steps
    assert (agent.plan.epsilon(1_000), agent.plan.epsilon(126_000), agent.plan.epsilon(251_000)) == (1.0, 0.505, 0.01)


def test_the_agents_settings_are_those_of_revisiting_rainbow() -> None:
    common = {"gamma": 0.99, "adam_epsilon": 3.125e-4, "batch_size": 32, "replay_capacity": 100_000, "warm_up": 1_000}
    common |= {"update_period": 4, "target_update_period": 1_000, "epsilon_train": 0.01, "epsilon_decay": 250_000}
    quantiles = {"learning_rate": 1e-4, "n_step": 1, "kappa": 1.0}
    samples = {"online_samples": 32, "target_samples": 32, "action_samples": 32, "embedding_size": 64}
    for agent, own in {
        "dqn": {"learning_rate": 2.5e-4, "n_step": 1, "optimizer": "adam", "loss": "mse"},
        "rainbow": {"learning_rate": 1e-4, "n_step": 3, "atoms": 51, "v_max": 100.0, "replay": "prioritized"},
        "c51": {"learning_rate": 1e-4, "n_step": 1, "atoms": 51, "v_max": 100.0},
        "qr_dqn": quantiles | {"quantiles": 51, "replay": "uniform"},
        "iqn": quantiles | samples,
        "m_iqn": quantiles | samples | {"temperature": 0.03, "munchausen_scale": 0.9, "log_policy_floor": -1.0},
    }.items():
        found = settings_of(agent)
        assert {name: found[name] for name in common | own} == common | own, agent


def test_every_method_is_named_here() -> None:
    own = {name for name, point in registry.registered("method").items() if point.module.startswith("baselines.")}
    assert own == {*SPARSE, *PLASTIC, *ALWAYS, *ELSEWHERE}


@pytest.mark.parametrize(("method", "least"), [(name, 50) for name in SPARSE] + [(name, 5) for name in PLASTIC])
def test_every_method_acts_often_enough_within_the_budget(method: str, least: int) -> None:
    (resolved,) = resolve(Request("minatar", methods=(method,)))
    assert unreached(resolved.spec, BREAKOUT) == ()
    _, (built,) = build(resolved.spec, BREAKOUT)
    due = [update for update in (built.due.start, built.due[-1]) if update < 2_499_750]
    assert len(due) == 2
    assert len(built.due) >= least


def test_pruning_goes_from_a_fifth_to_four_fifths() -> None:
    _, (built,) = build(resolve(Request("minatar", methods=("magnitude_pruning",)))[0].spec, BREAKOUT)
    assert built.milestones == {"pruning starts": 500_000, "pruning ends": 2_000_000}


@pytest.mark.parametrize("method", ALWAYS)
def test_what_acts_at_every_update_or_from_the_start_reaches_all(method: str) -> None:
    assert unreached(resolve(Request("minatar", methods=(method,)))[0].spec, BREAKOUT) == ()
