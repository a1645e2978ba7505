"""MinAtar's games are the package's own, an episode is a function of its seed and actions, and nothing is drawn."""

import sys

import numpy as np
import pytest

from suite.errors import ExitCode, UnfitEnvironment
from suite.experience.envs import minatar
from suite.experience.envs.minatar import MinAtarEnv
from suite.tasks import GAMES, MINATAR, load_task

OPTIONS = load_task("minatar").minatar
Steps = list[tuple[bytes, float, bool]]


def play(env: MinAtarEnv, seed: int, actions: np.ndarray) -> Steps:
    seen: Steps = [(env.reset(seed).tobytes(), 0.0, False)]
    for action in actions.tolist():
        picture, reward, over = env.step(action)
        seen.append((picture.tobytes(), reward, over))
        if over:
            break
    return seen


@pytest.mark.parametrize("name", MINATAR)
def test_an_episode_is_that_of_the_package_and_a_function_of_its_seed_and_actions(name: str) -> None:
    actions = np.random.default_rng(0).integers(0, 6, 400)
    used, new = MinAtarEnv(GAMES[name], OPTIONS), MinAtarEnv(GAMES[name], OPTIONS)
    first = play(used, 5, actions)
    play(used, 6, actions[:7] * 0 + 5)
    assert play(used, 5, actions) == play(new, 5, actions) == first
    assert play(new, 7, actions) != first
    package = minatar._package().Environment(OPTIONS.names[name])
    package.seed(5)
    package.reset()
    expected: Steps = [(package.state().tobytes(), 0.0, False)]
    for action in actions[: len(first) - 1].tolist():
        reward, over = package.act(action)
        expected.append((package.state().tobytes(), float(reward), bool(over)))
    assert first == expected


def test_the_last_action_is_repeated_as_often_as_the_task_says() -> None:
    env = MinAtarEnv(GAMES["MinAtarFreeway"], OPTIONS)
    env.reset(0)
    taken = []
    inner = env._env.env
    original = inner.act
    inner.act = lambda action: (taken.append(action), original(action))[1]
    for step in range(2000):
        env.step(step % 6)
    repeated = np.mean([action != step % 6 for step, action in enumerate(taken)])
    assert repeated == pytest.approx(0.1, abs=0.02)  # three standard errors


@pytest.mark.parametrize(("name", "episodes"), [("MinAtarAsterix", 300), ("MinAtarBreakout", 1000)])
def test_a_random_policy_has_the_score_of_the_table(name: str, episodes: int) -> None:
    env, rng = MinAtarEnv(GAMES[name], OPTIONS), np.random.default_rng(1)
    returns = [sum(step[1] for step in play(env, seed, rng.integers(0, 6, 1000))) for seed in range(episodes)]
    error = np.std(returns) / np.sqrt(episodes)
    assert np.mean(returns) == pytest.approx(GAMES[name].random_score, abs=4 * error)


def test_a_missing_package_is_said_with_the_line_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "minatar", None)
    minatar._package.cache_clear()
    with pytest.raises(UnfitEnvironment, match="minatar cannot be imported") as caught:
        MinAtarEnv(GAMES["MinAtarBreakout"], OPTIONS)
    minatar._package.cache_clear()
    assert caught.value.exit_code == ExitCode.UNFIT == 3
    assert "pip install --no-deps MinAtar==1.0.15" in str(caught.value.remedy)


def test_what_the_package_draws_with_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in {"minatar", "matplotlib", "seaborn"}]:
        monkeypatch.delitem(sys.modules, name)
    plotting = object()
    monkeypatch.setitem(sys.modules, "seaborn", plotting)  # type: ignore[arg-type]
    minatar._package.cache_clear()
    MinAtarEnv(GAMES["MinAtarBreakout"], OPTIONS)
    minatar._package.cache_clear()
    assert sys.modules["seaborn"] is plotting
    assert "matplotlib" not in sys.modules
