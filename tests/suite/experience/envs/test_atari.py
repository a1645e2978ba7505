"""The environment is the real ALE with the paper's preprocessing, and an episode is its seed and its actions."""

import inspect
from collections.abc import Callable
from dataclasses import replace

import ale_py
import cv2
import numpy as np
import pytest
from ale_py import roms

from suite.errors import UnfitEnvironment
from suite.experience.envs.atari import AtariEnvs
from suite.tasks import ATARI, GAMES, load_task
from suite.tasks.environments import emulator_options

TASK = load_task("atari40m")


class StraightAtari:
    """Dopamine's preprocessing written out plainly: one emulator, four acts, two grayscale screens, area resize."""

    def __init__(self, rom: str, seed: int, sticky: float) -> None:
        self.ale = ale_py.ALEInterface()
        self.ale.setFloat("repeat_action_probability", sticky)
        self.ale.setInt("random_seed", seed)
        self.ale.loadROM(roms.get_rom_path(rom))
        self.actions = self.ale.getMinimalActionSet()
        self.ale.reset_game()

    def first(self) -> np.ndarray:
        return self._resize(self.ale.getScreenGrayscale())

    def step(self, action: int) -> tuple[np.ndarray | None, float, bool]:
        reward, screens = 0.0, []
        for frame in range(4):
            reward += self.ale.act(self.actions[action])
            if self.ale.game_over():
                return None, reward, True
            if frame >= 2:
                screens.append(self.ale.getScreenGrayscale())
        return self._resize(np.maximum(*screens)), reward, False

    @staticmethod
    def _resize(screen: np.ndarray) -> np.ndarray:
        return cv2.resize(screen.squeeze(), (84, 84), interpolation=cv2.INTER_AREA)


def compare(name: str, steps: int) -> int:
    """Play both with the same seed and actions up to the first game over; return the agent steps that were equal."""
    game = GAMES[name]
    envs = AtariEnvs(game, TASK.atari)
    # The vector environment seeds its emulator with the number it is given.
    reference = StraightAtari(game.rom, 123, TASK.atari.sticky_action_probability)
    np.testing.assert_array_equal(envs.reset([123])[0], reference.first())
    rng = np.random.default_rng(0)
    try:
        for step in range(1, steps + 1):
            action = int(rng.integers(game.actions))
            frame, reward, over = reference.step(action)
            got = envs.step(np.asarray([action]))
            assert got.reward[0] == reward
            assert (got.discount[0] == 0) == over
            if over:
                return step
            np.testing.assert_array_equal(got.observation[0], frame)
    finally:
        envs.close()
    return steps


@pytest.mark.parametrize("name", ["Pong", "Breakout", "Seaquest", "AirRaid", "VideoPinball"])
def test_frames_rewards_and_ends_equal_a_straight_implementation(name: str) -> None:
    assert compare(name, 400) > 100


@pytest.mark.nightly
def test_preprocessing_of_all_60_games(record_property: Callable[[str, object], None]) -> None:
    equal = {name: compare(name, 1000) for name in ATARI}
    record_property("games", len(equal))
    record_property("agent_steps_equal", sum(equal.values()))
    assert len(equal) == 60


def test_every_option_of_the_emulator_is_passed() -> None:
    arguments = set(inspect.signature(ale_py.AtariVectorEnv.__init__).parameters) - {"self", "game", "num_envs"}
    assert set(emulator_options(TASK.atari)) == arguments


def test_an_episode_depends_on_its_seed_and_actions_alone() -> None:
    actions = np.random.default_rng(1).integers(4, size=150)

    def play(envs: AtariEnvs) -> list[bytes]:
        frames = [envs.reset([7]).tobytes()]
        return frames + [envs.step(np.asarray([action])).observation.tobytes() for action in actions]

    fresh, used = AtariEnvs(GAMES["Breakout"], TASK.atari), AtariEnvs(GAMES["Breakout"], TASK.atari)
    used.reset([1])
    for action in actions[:60]:
        used.step(np.asarray([action]))
    assert play(fresh) == play(used)


def test_the_frame_cap_truncates_and_game_over_terminates() -> None:
    capped = TASK.atari.model_copy(update={"max_episode_frames": 40})
    envs = AtariEnvs(GAMES["Pong"], capped)
    envs.reset([0])
    ends = [envs.step(np.asarray([0])) for _ in range(10)]
    assert [bool(end.truncated[0]) for end in ends] == [False] * 9 + [True]
    assert all(end.discount[0] == 1 for end in ends)
    envs = AtariEnvs(GAMES["Pong"], TASK.atari)
    envs.reset([0])
    returned = 0.0
    for _ in range(3000):  # doing nothing loses 21 points in fewer
        end = envs.step(np.asarray([0]))
        returned += float(end.reward[0])
        if end.discount[0] == 0:
            break
    assert (returned, float(end.discount[0]), bool(end.truncated[0])) == (-21.0, 0.0, False)


def test_action_counts_of_the_table_are_the_emulators() -> None:
    for name in ("Pong", "Breakout", "MsPacman", "Boxing"):
        AtariEnvs(GAMES[name], TASK.atari).close()  # raises where they differ
    wrong = replace(GAMES["Pong"], actions=5)
    with pytest.raises(UnfitEnvironment, match="6 actions; the task expects 5"):
        AtariEnvs(wrong, TASK.atari)
