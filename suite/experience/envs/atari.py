"""Atari through ALE's C++ vector environment, with every option explicit and episodes started by us.

A segment is an emulator seed of ours and the actions of the episodes that follow: a pure function of these, since the
library's own autoreset never acts. Every episode begins with a reset of ours, and the first one after `reseed_steps`
agent steps with a new seed. To seed is to load the ROM anew, 100 ms here, as much as some 250 agent steps: once an
episode, it would take a fifth of the emulator's time. Frames are bit for bit those of Dopamine's preprocessing: ALE
grayscale, maximum of the last two frames of a skip, area resize.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, cast

import ale_py
import numpy as np
from ale_py import roms
from gymnasium.spaces import Discrete
from numpy.typing import NDArray
from typing_extensions import override

from suite.errors import UnfitEnvironment
from suite.experience.envs.base import Envs, TimeStep
from suite.tasks import Environment, Game
from suite.tasks.environments import emulator_options

ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)


class AtariEnvs(Envs):
    """E emulators of one game; see `Envs`."""

    idle = 0

    def __init__(self, game: Game, options: Environment, num_envs: int = 1, threads: int = 1) -> None:
        rom_path(game)
        self.num_envs = num_envs
        self.actions = game.actions
        self._envs = ale_py.AtariVectorEnv(game.rom, num_envs, **emulator_options(options, threads))
        self._lives = np.zeros(num_envs, np.int32) if options.terminal_on_life_loss else None
        self._strengths = np.ones(num_envs, np.float32)  # of paddles; discrete actions ignore them
        offered = int(cast(Discrete, self._envs.single_action_space).n)
        if offered != game.actions:
            raise UnfitEnvironment(
                f"This ale-py gives {game.name} {offered} actions; the task expects {game.actions}.",
                "Install the ale-py version of the lock file.",
            )

    @override
    def reset(self, seeds: Sequence[int | None], mask: NDArray[np.bool_] | None = None) -> NDArray[np.uint8]:
        """Start an episode in each (masked) environment; return the newest frames [E, height, width].

        `seeds` has one entry per environment that is reset: a seed, or None to go on with the random numbers at hand.
        """
        options = None if mask is None else {"reset_mask": mask}
        numbers = np.asarray([-1 if seed is None else seed for seed in seeds], np.int64)
        observation, info = self._envs.reset(seed=numbers, options=options)
        if self._lives is not None:
            began = slice(None) if mask is None else mask
            self._lives[began] = np.asarray(info["lives"])[began]
        return np.asarray(observation[:, 0], np.uint8)

    @override
    def send(self, actions: Sequence[Any] | NDArray[Any]) -> None:
        """Begin to repeat each action for a frame skip."""
        chosen = np.asarray(actions, np.int64)
        self._envs.ale.send(chosen, self._strengths)  # the wrapper's own send, without its checks

    @override
    def receive(self) -> TimeStep:
        observation, reward, terminated, truncated, info = self._envs.ale.recv()
        life_lost = None
        if self._lives is not None:
            lives = np.asarray(info["lives"], np.int32)
            life_lost = (lives < self._lives) & ~terminated & ~truncated
            self._lives = lives
        return TimeStep(
            observation[:, 0],
            reward.astype(np.float32),
            (~terminated).astype(np.float32),
            truncated & ~terminated,
            life_lost,
        )

    @override
    def close(self) -> None:
        """Stop the emulator threads."""
        self._envs.close()


def rom_path(game: Game) -> Path:
    """Return the ROM file of a game, or raise UnfitEnvironment."""
    try:
        path = roms.get_rom_path(game.rom)
    except (FileNotFoundError, KeyError, OSError):
        path = None
    if path is None or not Path(path).is_file():
        raise UnfitEnvironment(
            f"The ROM of {game.name} ({game.rom}.bin) is missing from the installed ale-py.",
            "Reinstall ale-py; its wheels bring the ROMs.",
        )
    return Path(path)


@cache
def rom_sha256(game: Game) -> str:
    """Return the SHA-256 of a game's ROM file."""
    return hashlib.sha256(rom_path(game).read_bytes()).hexdigest()
