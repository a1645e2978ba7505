"""Runs as a tidy table of Apache Arrow: a row for each iteration of each run, which pandas and polars take as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from suite.records import claims
from suite.records.attempts import has_started
from suite.records.cause import Cause, cause_of
from suite.records.find import find_runs
from suite.records.record import FINISHED, effective_state, read_run
from suite.tasks import human_normalized, load_task
from suite.tasks.configuration import Spec

TYPES = {
    **{"task": "string", "config_id": "string", "label": "string", "agent": "string", "network": "string"},
    **{"width": "int64", "method": "string", "settings": "string", "game": "string", "seed": "int64"},
    **{"state": "string", "score": "float64", "normalized_score": "float64", "sparsity": "float64"},
    **{"wall_seconds": "float64", "budget": "int64", "iteration": "int64", "frame": "int64"},
    **{"mean_return": "float64", "normalized_return": "float64", "cause": "string"},
}
"""The columns with their types. `frame` and `budget` are in the task's unit, `settings` is the whole spec as JSON.

`cause`: what is to blame for a run that failed, was killed or diverged, by the rule of `suite.records.cause`.
"""


@dataclass(frozen=True)
class RunData:
    """What the table says of a run; `returns` are mean raw returns by iteration."""

    spec: Spec
    game: str
    seed: int
    state: str
    score: float | None
    sparsity: float | None
    wall_seconds: float | None
    returns: Mapping[int, float] = field(default_factory=dict)
    cause: Cause | None = None

    def rows(self) -> list[dict[str, Any]]:
        """Return a row for each iteration, or one without any."""
        spec, task = self.spec, load_task(self.spec.task)
        width = spec.network.settings.get("width")
        run = {
            "task": spec.task_key,
            "config_id": spec.config_id,
            "label": spec.label,
            "agent": spec.agent.id,
            "network": spec.network.id,
            "width": width if isinstance(width, int) else None,
            "method": spec.method_label,
            "settings": spec.canonical(),
            "game": self.game,
            "seed": self.seed,
            "state": self.state,
            "score": self.score,
            "normalized_score": None if self.score is None else human_normalized(self.game, self.score),
            "sparsity": self.sparsity,
            "wall_seconds": self.wall_seconds,
            "budget": spec.frames,
            "cause": cause_of(self.state, self.cause),
        }
        found = [
            run
            | {
                "iteration": index,
                "frame": min((index + 1) * task.budget.iteration_length, spec.frames),
                "mean_return": value,
                "normalized_return": human_normalized(self.game, value),
            }
            for index, value in sorted(self.returns.items())
        ]
        return found or [run | dict.fromkeys(("iteration", "frame", "mean_return", "normalized_return"))]


def table_of(runs: Iterable[RunData]) -> Any:
    """Return runs as an Arrow table."""
    import pyarrow as pa

    rows = [row for run in runs for row in run.rows()]
    schema = pa.schema([(name, pa.type_for_alias(kind)) for name, kind in TYPES.items()])
    return pa.Table.from_pylist(rows, schema=schema)


def runs_below(root: Path) -> Iterable[RunData]:
    """Yield the runs of every run directory at or below `root`; BadData for one that cannot be read."""
    for path in find_runs(root):
        if not has_started(path):
            continue
        run = read_run(path)
        spec, summary = run.cell.spec, run.status.summary
        task = load_task(spec.task)
        state = effective_state(path, run.status)
        rows = claims.curve_rows(task, run) if state in FINISHED else ()
        yield RunData(
            spec,
            run.cell.game,
            run.cell.seed,
            state,
            summary.score if summary else None,
            summary.sparsity if summary else None,
            summary.wall_seconds if summary else None,
            {item.iteration: item.mean_return for item in claims.iterations(task, rows)},
            run.status.cause,
        )
