"""A film: pictures, written as MPEG-4 while they are made."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from suite.errors import UnfitEnvironment


def opencv() -> Any:
    """Return OpenCV, which draws and encodes; UnfitEnvironment where it is not installed."""
    try:
        import cv2
    except ImportError as error:
        raise UnfitEnvironment(
            "Films need the package opencv-python-headless, which is not installed.",
            "Install it: pip install 'pruned-rl-suite[video]'.",
        ) from error
    return cv2


class Film:
    """A film at `path`, there whole once the context ends well, else not at all. `pictures` counts them.

    Raises UnfitEnvironment where the encoder is not installed, or the film cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._cv2 = opencv()
        self._path = path.absolute()
        self._writer: Any = None
        self.pictures = 0

    def __enter__(self) -> Self:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(dir=self._path.parent, prefix=".film")
        self._part = Path(self._folder.name) / "film.mp4"
        return self

    def add(self, picture: NDArray[np.uint8], per_second: float) -> None:
        """Append a picture [height, width, 3], red first; all are of one size, and the first says how fast they go."""
        if self._writer is None:
            height, width = picture.shape[:2]
            code = self._cv2.VideoWriter.fourcc(*"mp4v")
            self._writer = self._cv2.VideoWriter(str(self._part), code, per_second, (width, height))
            if not self._writer.isOpened():
                raise UnfitEnvironment(f"Cannot write a film to {self._path}.", "Choose another place with --out.")
        self._writer.write(np.ascontiguousarray(picture[:, :, ::-1]))
        self.pictures += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.release()
        if kind is None:
            os.replace(self._part, self._path)  # noqa: PTH105 - the same file system, by the folder above
        self._folder.cleanup()
