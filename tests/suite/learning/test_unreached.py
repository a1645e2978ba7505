"""What runs of real configurations do not reach, with numbers worked out by hand."""

import pytest

from suite.learning.build import unreached
from suite.running.request import Request, resolve
from suite.tasks import GAMES


def sentences(task: str, method: str, *settings: str, frames: int | None = None, agent: str | None = None) -> list[str]:
    network = "mlp" if task.endswith("mujoco") else "nature_cnn"
    (resolved,) = resolve(Request(task, agent, network, (method,), settings, frames))
    return list(unreached(resolved.spec, GAMES["Hopper" if network == "mlp" else "Pong"]))


@pytest.mark.parametrize("method", ["magnitude_pruning", "rigl+reset", "redo+shrink_and_perturb", "static_sparse"])
def test_full_budgets_reach_everything(method: str) -> None:
    assert sentences("atari40m", method) == []


def test_pruning_that_does_not_begin_within_4m_frames() -> None:
    (one,) = sentences("atari40m", "magnitude_pruning", frames=4_000_000)
    assert one == (
        "magnitude_pruning: never acts: it would first after 500,000 gradient steps, and the run has 245,000; "
        "sparsity 0 is reached, not 0.95."
    )


def test_a_mask_period_that_leaves_the_target_short() -> None:
    """Of 200 to 800 updates only 450 is a multiple: 0.95 (1 - (1 - 251 / 600)**3) = 0.763."""
    (one,) = sentences("smoke", "magnitude_pruning", "method.mask_period=450")
    assert one == "magnitude_pruning: sparsity 0.763 is reached, not 0.95."


def test_a_smoke_run_of_3200_frames_is_not_pruned() -> None:
    """800 agent steps, 500 of them warm-up: 75 gradient steps."""
    assert [one.partition(":")[0] for one in sentences("smoke", "magnitude_pruning+redo", frames=3_200)] == [
        "magnitude_pruning",
        "redo",
    ]
    (one,) = sentences("smoke", "reset", frames=3_200)
    assert one == "reset: acts 1 of 17 times: the last is due after 849 gradient steps, and the run has 75."


@pytest.mark.parametrize("method", ["rigl", "set", "random_pruning", "shrink_and_perturb", "reset", "redo"])
def test_methods_that_never_act_say_so(method: str) -> None:
    period = "method.period=900" if method in ("shrink_and_perturb", "reset", "redo") else "method.mask_period=700"
    (one,) = sentences("smoke", method, period, frames=12_000)  # 625 gradient steps
    assert one.startswith(f"{method}: never acts: it would first after ")


def test_a_run_within_the_warm_up_learns_nothing() -> None:
    assert sentences("smoke", "dense", frames=1_600) == [
        "dqn: learns nothing: the run ends before the first gradient step."
    ]


def test_ppo_keeps_a_high_step_size_on_a_shorter_budget() -> None:
    """500,000 steps are 244 trajectories of 320 updates, the whole budget 488; the step size is 0 after 489."""
    (one,) = sentences("mujoco", "dense", agent="ppo", frames=500_000)
    assert one == "ppo: share of the learning rate's decay 0.499 is reached, not 0.998."
    assert sentences("mujoco", "dense", agent="ppo") == []
