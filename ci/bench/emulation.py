"""Atari without learning: our environments under random actions, and the frames of ALE alone."""

import itertools
from functools import partial
from typing import Any

import ale_py
import numpy as np
from serve import Round, Sample, timed

from suite.experience.envs.atari import AtariEnvs, rom_path
from suite.tasks import GAMES, load_task

LABEL = "suite"
TASK = load_task("atari40m")


def emulator(game: str, count: str, steps: str) -> Round:
    """Emulator and preprocessing alone, under random actions; seeded anew as seldom as in a run."""
    environments = AtariEnvs(GAMES[game], TASK.atari, int(count))
    random, seeds = np.random.default_rng(0), itertools.count()
    ticks = int(steps) // int(count)
    environments.reset([next(seeds) for _ in range(int(count))])
    since_seed = np.zeros(int(count), np.int64)

    def work(actions: Any) -> None:
        for row in actions:
            step = environments.step(row)
            since_seed[:] += 1
            ended = (step.discount == 0) | step.truncated
            if ended.any():
                due = ended & (since_seed >= TASK.atari.reseed_steps)
                environments.reset([next(seeds) if new else None for new in due[ended]], ended)
                since_seed[due] = 0

    def play() -> dict[str, Sample]:
        actions = random.integers(environments.actions, size=(ticks, int(count)))
        label = LABEL if count == "1" else f"{LABEL}, {count} at once"
        return {label: timed(ticks * int(count), partial(work, actions))}

    play()
    return play


def ale(game: str, steps: str) -> Round:
    """The frames of ALE alone under random actions, two of four in gray: the least that a step of any suite takes."""
    emulator = ale_py.ALEInterface()
    emulator.setFloat("repeat_action_probability", TASK.atari.sticky_action_probability)
    emulator.loadROM(rom_path(GAMES[game]))
    actions, screens = emulator.getMinimalActionSet(), np.zeros((2, 210, 160), np.uint8)
    random, skip = np.random.default_rng(0), TASK.atari.frame_skip

    def work() -> None:
        for chosen in random.integers(len(actions), size=int(steps)).tolist():
            for frame in range(skip):
                emulator.act(actions[chosen])
                if frame >= skip - len(screens):
                    emulator.getScreenGrayscale(screens[frame - skip])
            if emulator.game_over():
                emulator.reset_game()

    work()
    return lambda: {"ALE alone": timed(int(steps), work)}
