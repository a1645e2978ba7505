"""Runs that other runs start from: what a method takes over from a finished run of the same game and seed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from suite.errors import BadData, UnfitEnvironment
from suite.records.attempts import has_started, home
from suite.records.checkpoints import CheckpointStore
from suite.records.keeping import require_checkpoints
from suite.records.learner_arrays import learner_arrays_of, learner_hash
from suite.records.record import Run, read_run, read_status
from suite.tasks.configuration import Cell


def source_path(root: Path, cell: Cell, source: str) -> Path:
    """Return where the run of the configuration `source` with this cell's game and seed lies in the same output."""
    return root / cell.spec.task_key / source / cell.game / f"seed-{cell.seed}"


def check_source(root: Path, cell: Cell, source: str) -> None:
    """Raise UnfitEnvironment if that run is not there, or not done."""
    path = source_path(root, cell, source)
    state = read_status(path).state if has_started(path) else "missing"
    if state != "done":
        raise UnfitEnvironment(
            f"{cell.spec.method_label} on {cell.game} with seed {cell.seed} starts from {path}, which is {state}.",
            "Run that configuration first, with the same --out.",
        )
    require_checkpoints(home(path))


def source_arrays(root: Path, cell: Cell, source: str) -> dict[str, NDArray[Any]]:
    """Return the arrays of that run's last checkpoint, once they are found to be the learner that its record names."""
    check_source(root, cell, source)
    return final_arrays(read_run(source_path(root, cell, source)))


def final_arrays(run: Run) -> dict[str, NDArray[Any]]:
    """Return the arrays of a finished run's last checkpoint; BadData unless its record names just this learner."""
    remedy = "Run that configuration again."
    require_checkpoints(run.folder)
    loaded = CheckpointStore(run.folder).newest()
    if loaded is None or loaded.agent_step != run.status.agent_steps:
        raise BadData(f"{run.path} has no checkpoint of its last agent step.", remedy)
    recorded = {row.agent_step: row.learner for row in run.checkpoints}
    if recorded.get(loaded.agent_step) != learner_hash(learner_arrays_of(loaded.arrays)):
        raise BadData(f"The last checkpoint of {run.path} is not the learner that its record names.", remedy)
    return loaded.arrays
