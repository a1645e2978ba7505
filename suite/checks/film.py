"""What an environment shows as a film: frames of Atari in their grays, MinAtar's channels in colours, enlarged."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from suite.errors import UnfitEnvironment, UsageError
from suite.tasks import Task

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


def require_pictures(task: Task) -> None:
    """Raise UsageError for a task whose environments show no picture."""
    if task.family not in ("atari", "offline", "minatar"):
        raise UsageError(
            f"What an environment of {task.id} shows is a list of numbers, no picture.",
            "Use `suite evaluate`; films are made of Atari and MinAtar.",
        )


def frames_per_second(task: Task) -> float:
    """Return how many pictures make a second of a film: as many as Atari shows to an agent, or MinAtar to a person."""
    return MINATAR_RATE if task.family == "minatar" else ATARI_RATE / task.atari.frame_skip


def picture(seen: NDArray[Any]) -> NDArray[np.uint8]:
    """Return what was seen as an enlarged picture uint8 [height, width, 3], red first."""
    if seen.ndim == 2:
        colours = np.repeat(seen.astype(np.uint8)[:, :, None], 3, axis=2)
    else:
        there = np.asarray(seen > 0)
        colours = COLOURS[np.argmax(there, axis=2) % len(COLOURS)] * np.max(there, axis=2, keepdims=True)
    factor = max(1, -(-HEIGHT // colours.shape[0]))
    return np.asarray(colours.repeat(factor, axis=0).repeat(factor, axis=1), np.uint8)


def write_film(path: Path, shown: Sequence[NDArray[Any]], frames_per_second: float) -> None:
    """Write pictures as an MPEG-4 film, whole or not at all.

    Raises UnfitEnvironment where the encoder is not installed, or the film cannot be written.
    """
    try:
        import cv2
    except ImportError as error:
        raise UnfitEnvironment(
            "Films need the package opencv-python-headless, which is not installed.",
            "Install it: pip install 'pruned-rl-suite[video]'.",
        ) from error
    height, width = picture(shown[0]).shape[:2]
    path.absolute().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.absolute().parent, prefix=".film") as folder:
        part = Path(folder) / "film.mp4"
        code = cv2.VideoWriter.fourcc(*"mp4v")
        writer = cv2.VideoWriter(str(part), code, frames_per_second, (width, height))
        if not writer.isOpened():
            raise UnfitEnvironment(f"Cannot write a film to {path}.", "Choose another place with --out.")
        for one in shown:
            writer.write(np.ascontiguousarray(picture(one)[:, :, ::-1]))
        writer.release()
        os.replace(part, path)  # noqa: PTH105 - the same file system, by the folder above
