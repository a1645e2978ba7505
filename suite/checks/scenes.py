"""Scenes of classic control, drawn from what an environment shows: a cart and a pole, two links, a car on its hills.

Sizes and marks are those of Gymnasium's own pictures (gymnasium 1.4.0 `envs/classic_control`), which need pygame.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.checks.film import opencv
from suite.experience.envs.base import Envs

Point = tuple[float, float]
Colour = tuple[int, int, int]

WIDTH = 480
"""Pixels of a picture."""

INK, BODY, ROD, JOINT, GOAL = (40, 40, 40), (47, 127, 208), (217, 96, 26), (184, 134, 11), (26, 154, 108)

BITS = 4
"""Of a pixel's fraction, in OpenCV's coordinates."""

RATES = {"CartPole": 50.0, "Acrobot": 15.0, "MountainCar": 30.0}
"""Pictures a second: Gymnasium's `render_fps`; the first is real time."""


class Canvas:
    """A white picture of the world between two corners, x to the right and y up, in the world's unit."""

    def __init__(self, left: float, bottom: float, right: float, top: float) -> None:
        self._cv2 = opencv()
        self._left, self._top, self._scale = left, top, WIDTH / (right - left)
        height = 2 * round((top - bottom) * self._scale / 2)  # even, as the encoder wants it
        self.pixels = np.full((height, WIDTH, 3), 255, np.uint8)

    def line(self, points: Sequence[Point], colour: Colour, width: float) -> None:
        """Draw a line through points, `width` wide."""
        thick = max(1, round(width * self._scale))
        self._cv2.polylines(self.pixels, [self._places(points)], False, colour, thick, self._cv2.LINE_AA, BITS)

    def shape(self, points: Sequence[Point], colour: Colour) -> None:
        """Fill a polygon."""
        self._cv2.fillPoly(self.pixels, [self._places(points)], colour, self._cv2.LINE_AA, BITS)

    def disc(self, centre: Point, radius: float, colour: Colour) -> None:
        """Fill a circle."""
        ((x, y),) = self._places([centre]).tolist()
        size = round(radius * self._scale * 2**BITS)
        self._cv2.circle(self.pixels, (x, y), size, colour, -1, self._cv2.LINE_AA, BITS)

    def _places(self, points: Sequence[Point]) -> NDArray[np.int32]:
        x, y = np.asarray(points, np.float64).T
        places = np.stack([x - self._left, self._top - y], axis=1) * self._scale
        return np.asarray(np.rint(places * 2**BITS), np.int32)


def cart_pole(state: Sequence[float]) -> NDArray[np.uint8]:
    """Draw a cart at x with a pole at an angle, clockwise from upright: [x, speed, angle, speed].

    An episode ends at the picture's edges.
    """
    x, _, angle, _ = state
    canvas = Canvas(-2.4, -0.7, 2.4, 1.5)
    canvas.line([(-2.4, 0.0), (2.4, 0.0)], INK, 0.01)
    canvas.shape(_box((x, 0.0), 0.4, 0.24, 0.0), INK)
    axle = (x, 0.06)
    canvas.line([axle, (x + math.sin(angle), 0.06 + math.cos(angle))], ROD, 0.08)
    canvas.disc(axle, 0.05, BODY)
    return canvas.pixels


def acrobot(state: Sequence[float]) -> NDArray[np.uint8]:
    """Draw two links of length 1 from [cos, sin of the first angle, of the second, ...], and the height to be reached.

    The first angle is that to straight down, the second that between the links.
    """
    first = math.atan2(state[1], state[0])
    second = first + math.atan2(state[3], state[2])
    middle = (math.sin(first), -math.cos(first))
    tip = (middle[0] + math.sin(second), middle[1] - math.cos(second))
    canvas = Canvas(-2.2, -2.2, 2.2, 2.2)
    canvas.line([(-2.2, 1.0), (2.2, 1.0)], GOAL, 0.02)
    canvas.line([(0.0, 0.0), middle], BODY, 0.2)
    canvas.line([middle, tip], ROD, 0.2)
    for joint in ((0.0, 0.0), middle):
        canvas.disc(joint, 0.1, JOINT)
    return canvas.pixels


def mountain_car(state: Sequence[float]) -> NDArray[np.uint8]:
    """Draw a car at x on its hills, and the flag to be reached: [x, speed]."""
    x = state[0]
    canvas = Canvas(-1.2, -0.05, 0.6, 1.2)
    canvas.line([(place, _height(place)) for place in np.linspace(-1.2, 0.6, 100).tolist()], INK, 0.006)
    pole = _height(0.5)
    canvas.line([(0.5, pole), (0.5, pole + 0.15)], INK, 0.006)
    canvas.shape([(0.5, pole + 0.15), (0.5, pole + 0.11), (0.58, pole + 0.13)], GOAL)
    slope = math.atan(3 * 0.45 * math.cos(3 * x))
    up = (-math.sin(slope), math.cos(slope))
    canvas.shape(_box((x + 0.06 * up[0], _height(x) + 0.06 * up[1]), 0.12, 0.06, slope), BODY)
    for side in (-0.035, 0.035):
        along = (x + side * math.cos(slope), _height(x) + side * math.sin(slope))
        canvas.disc((along[0] + 0.025 * up[0], along[1] + 0.025 * up[1]), 0.02, INK)
    return canvas.pixels


SCENES: dict[str, Callable[[Sequence[float]], NDArray[np.uint8]]] = {
    "CartPole": cart_pole,
    "Acrobot": acrobot,
    "MountainCar": mountain_car,
}


class SceneCamera:
    """Draws a game's scene from its observations, which lie between -1 and 1 where the state lies in its `bounds`."""

    def __init__(self, game: str, bounds: Sequence[Sequence[float]]) -> None:
        opencv()
        self._game = game
        self._low, self._high = (np.asarray(bound, np.float64) for bound in bounds)

    def picture(self, envs: Envs, seen: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the scene of an observation [D]."""
        state = (np.asarray(seen, np.float64) + 1) / 2 * (self._high - self._low) + self._low
        return SCENES[self._game](state.tolist())

    def rate(self, envs: Envs) -> float:
        """Return Gymnasium's own."""
        return RATES[self._game]


def _height(x: float) -> float:
    return 0.45 * math.sin(3 * x) + 0.55


def _box(centre: Point, width: float, height: float, angle: float) -> list[Point]:
    """Return the corners of a rectangle, turned counterclockwise."""
    sine, cosine = math.sin(angle), math.cos(angle)
    corners = [(-width / 2, -height / 2), (width / 2, -height / 2), (width / 2, height / 2), (-width / 2, height / 2)]
    return [(centre[0] + x * cosine - y * sine, centre[1] + x * sine + y * cosine) for x, y in corners]
