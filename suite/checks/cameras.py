"""Who makes a picture of what an environment shows: of pixels, of a scene drawn from its state, of a simulated body."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from suite.checks.body import BodyCamera
from suite.checks.scenes import SceneCamera
from suite.experience.envs.base import Envs
from suite.tasks import Game, Task

HEIGHT = 336
"""Pixels of a film, at least: pictures are enlarged by a whole factor."""

ATARI_RATE, MINATAR_RATE = 60.0, 10.0
"""Frames a second: those of the console, and, of games without a clock, as many as can be followed."""

COLOURS = np.array(
    [
        *((255, 255, 255), (217, 96, 26), (47, 127, 208), (26, 154, 108), (180, 95, 192)),
        *((184, 134, 11), (200, 58, 58), (23, 152, 168), (111, 143, 31), (140, 115, 85)),
    ],
    np.uint8,
)
"""Of MinAtar's channels, the first of a cell that has any."""


class Camera(Protocol):
    """Makes pictures of the first of some environments."""

    def picture(self, envs: Envs, seen: NDArray[Any]) -> NDArray[np.uint8]:
        """Return a picture [height, width, 3], red first, of an environment that shows `seen`."""
        ...

    def rate(self, envs: Envs) -> float:
        """Return how many pictures, one for each agent step, make a second."""
        ...


class PixelCamera:
    """Frames of Atari in their grays, MinAtar's channels in colours, enlarged."""

    def __init__(self, rate: float) -> None:
        self._rate = rate

    def picture(self, envs: Envs, seen: NDArray[Any]) -> NDArray[np.uint8]:
        """Return what is seen, a frame uint8 [height, width] or channels [height, width, channels]."""
        if seen.ndim == 2:
            colours = np.repeat(seen.astype(np.uint8)[:, :, None], 3, axis=2)
        else:
            there = np.asarray(seen > 0)
            colours = COLOURS[np.argmax(there, axis=2) % len(COLOURS)] * np.max(there, axis=2, keepdims=True)
        factor = max(1, -(-HEIGHT // colours.shape[0]))
        return np.asarray(colours.repeat(factor, axis=0).repeat(factor, axis=1), np.uint8)

    def rate(self, envs: Envs) -> float:
        """As many as Atari shows to an agent, or MinAtar to a person."""
        return self._rate


def camera_of(task: Task, game: Game) -> Camera:
    """Return the camera of a task's game; UnfitEnvironment where it needs what is not here."""
    if task.family == "continuous":
        return BodyCamera()
    if task.family == "classic":
        return SceneCamera(game.name, task.classic.bounds[game.name])
    return PixelCamera(MINATAR_RATE if task.family == "minatar" else ATARI_RATE / task.atari.frame_skip)
