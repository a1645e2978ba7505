"""The runs of a results database for `suite.load_runs`: those run here, each in its current attempt."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from leaderboard.store.database import ResultStore
from suite.records.table import RunData
from suite.tasks.configuration import Spec


def runs_of(file: Path) -> Iterator[RunData]:
    """Yield every run of a database that has a specification; what others published has none."""
    with ResultStore.open(file) as store, store.snapshot() as snapshot:
        for task in snapshot.tasks():
            specs = {item.config_id: item.spec for item in snapshot.configurations(task) if item.spec is not None}
            for run in snapshot.runs(task):
                if run.config_id in specs:
                    yield RunData(
                        Spec.model_validate(specs[run.config_id]),
                        run.game,
                        run.seed,
                        run.state,
                        run.score,
                        run.sparsity,
                        run.wall_seconds,
                        run.iterations,
                    )
