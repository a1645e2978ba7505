"""Weights & Biases: a run of theirs for each of ours, offline unless WANDB_MODE says else; `wandb sync` sends it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from suite.records.record import CellFile
from suite.records.sinks.feed import Point

PROJECT = "pruned-rl-suite"


class WeightsAndBiases:
    """The run with the id of a cell, which goes on where it was fed before."""

    def __init__(self, cell: CellFile, name: str, place: Path) -> None:
        import wandb

        place.mkdir(parents=True, exist_ok=True)
        mode: Any = os.environ.get("WANDB_MODE", "offline")
        self._run: Any = wandb.init(
            project=os.environ.get("WANDB_PROJECT", PROJECT),
            id=f"{cell.config_id}-{cell.game}-{cell.seed}",
            name=f"{cell.spec.label} {cell.game} {cell.seed}",
            group=cell.config_id,
            config={"game": cell.game, "seed": cell.seed, **cell.spec.model_dump(mode="json")},
            dir=str(place),
            mode=mode,
            resume="allow",
            reinit="create_new",
            settings=wandb.Settings(console="off", disable_git=True, silent=True, x_disable_stats=True),
        )

    def write(self, points: Sequence[Point]) -> None:
        """Log every point, its frame as the step."""
        for point in points:
            self._run.log(dict(point.values), step=point.frame)

    def close(self, results: dict[str, float]) -> None:
        """Put what the run came to into its summary."""
        self._run.summary.update(results)
        self._run.finish()
