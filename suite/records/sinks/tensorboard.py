"""TensorBoard: event files, written by the package tensorboardX, which needs neither TensorFlow nor PyTorch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suite.records.record import CellFile
from suite.records.sinks.feed import Point


class TensorBoard:
    """The event files of a run, in the folder of its name."""

    def __init__(self, cell: CellFile, name: str, place: Path) -> None:
        from tensorboardX import SummaryWriter

        self._writer: Any = SummaryWriter(str(place / name))
        self._last = 0

    def write(self, points: Sequence[Point]) -> None:
        """Write every scalar at its frame."""
        for point in points:
            for name, value in point.values.items():
                self._writer.add_scalar(name, value, point.frame)
            self._last = point.frame
        self._writer.flush()

    def close(self, results: dict[str, float]) -> None:
        """Write what the run came to at its last frame."""
        for name, value in results.items():
            self._writer.add_scalar(f"results/{name}", value, self._last)
        self._writer.close()
