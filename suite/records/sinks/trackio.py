"""Trackio: a local database, which `trackio show` opens; nothing is sent anywhere."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suite.records.record import CellFile
from suite.records.sinks.feed import Point

PROJECT = "pruned-rl-suite"


class Trackio:
    """The run with the name of a cell, which goes on where it was fed before."""

    def __init__(self, cell: CellFile, name: str, place: Path) -> None:
        os.environ.setdefault("TRACKIO_DIR", str(place.resolve()))  # read when the package is imported
        import trackio

        with contextlib.redirect_stdout(sys.stderr):  # it greets; standard output is for results
            self._run: Any = trackio.init(
                project=PROJECT,
                name=f"{cell.config_id}-{cell.game}-{cell.seed}",
                group=cell.config_id,
                config={"game": cell.game, "seed": cell.seed, "label": cell.spec.label},
                resume="allow",
                embed=False,
                auto_log_gpu=False,
                auto_log_cpu=False,
            )

    def write(self, points: Sequence[Point]) -> None:
        """Log every point, its frame as the step."""
        for point in points:
            self._run.log(dict(point.values), step=point.frame)

    def close(self, results: dict[str, float]) -> None:
        """Log what the run came to."""
        if results:
            self._run.log({f"results/{name}": value for name, value in results.items()})
        with contextlib.redirect_stdout(sys.stderr):
            self._run.finish()
