"""Diagnostics as small multiples: one panel for each quantity, a line for each entry, means over its runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from leaderboard.board.report import TaskData
from leaderboard.board.views import Entry
from leaderboard.site.drawing.charts import Line, Point
from leaderboard.site.drawing.plots import FARTHEST
from leaderboard.statistics.metrics import Array
from leaderboard.store.details import RunDiagnostics, Series

QUANTITIES = (
    ("sparsity", "Sparsity"),
    ("loss", "Loss"),
    ("q_variance", "Variance of Q"),
    ("q_target_variance", "Variance of targets"),
    ("q_norm", "Norm of Q"),
    ("mean_q", "Mean Q"),
    ("parameter_norm", "Parameter norm"),
    ("srank", "Rank of features (srank)"),
    ("stable_rank", "Stable rank of features"),
    ("effective_rank", "Effective rank of features"),
    ("dormant_0.1", "Dormant units (0.1)"),
    ("dormant_0.025", "Dormant units (0.025)"),
    ("dormant_0", "Dormant units (0)"),
    ("gradient_norm", "Gradient norm"),
    ("gradient_cosine", "Mean cosine of gradients"),
    ("weight_change", "Change of weights since the start"),
    ("update_size", "Change of weights in a step"),
    ("value_churn", "Churn of values"),
    ("policy_churn", "Churn of the best action"),
    ("mask_overlap", "Overlap with the masks before"),
    ("mask_explored", "Weights that ever lived"),
)
"""What is shown of what runs record, and what it is called; see docs/diagnostics.md."""

FIGURE = ("sparsity", "loss", "q_target_variance", "q_variance", "q_norm", "parameter_norm", "srank", "dormant_0.1")
"""What a figure on paper and a run's page show of them: those of figure 11 of arXiv 2402.12479, loss and sparsity."""

LAYERS = "sparsity/"
"""What the sparsity of a layer is recorded under, before its name."""

STEPS = 60
"""How many points a line has."""

ENTRIES = 8
"""How many entries share a panel."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel: its quantity, and a line for each entry that recorded it."""

    title: str
    lines: tuple[Line, ...]


Lines = Mapping[str, Mapping[str, Line]]
"""By configuration and quantity."""


def recorded(data: TaskData, config_id: str) -> Mapping[str, Line]:
    """Return the lines of an entry on the full budget by quantity; none where nothing was recorded."""
    entry, runs = data.entries[config_id], data.diagnostics.get(config_id, ())
    layers = sorted({name for run in runs for name in run.series if name.startswith(LAYERS)})
    names = (*(name for name, _ in QUANTITIES), *layers)
    lines = {name: mean_line(entry, runs, name, data.task.budget.length) for name in names}
    return {name: line for name, line in lines.items() if line is not None}


def panels(lines: Lines, chosen: Sequence[str], only: Collection[str] = ()) -> tuple[Panel, ...]:
    """Return the panels of the first of the chosen configurations; none where nothing was recorded.

    `only`: the quantities that are shown; all of them if it is empty.
    """
    return _panels(lines, chosen, [item for item in QUANTITIES if not only or item[0] in only])


def layers(lines: Lines, chosen: Sequence[str]) -> tuple[Panel, ...]:
    """Return a panel for the sparsity of each layer that the first of the chosen configurations mask."""
    names = sorted({name for one in _shown(lines, chosen) for name in one if name.startswith(LAYERS)})
    return _panels(lines, chosen, [(name, f"Sparsity of {name.removeprefix(LAYERS)}") for name in names])


def _panels(lines: Lines, chosen: Sequence[str], quantities: Sequence[tuple[str, str]]) -> tuple[Panel, ...]:
    shown = _shown(lines, chosen)
    found = [Panel(title, tuple(one[name] for one in shown if name in one)) for name, title in quantities]
    return tuple(panel for panel in found if panel.lines)


def _shown(lines: Lines, chosen: Sequence[str]) -> list[Mapping[str, Line]]:
    return [lines[config_id] for config_id in chosen if config_id in lines][:ENTRIES]


def mean_line(entry: Entry, runs: Sequence[RunDiagnostics], name: str, last: int, steps: int = STEPS) -> Line | None:
    """Return the mean over runs in equal stretches of training; one that no run has a value in is left out."""
    sums, counts = np.zeros(steps), np.zeros(steps)
    for run in runs:
        series = run.series.get(name)
        if series is not None:
            own, points = _stretches(series, last, steps)
            held = points > 0
            sums[held] += own[held] / points[held]
            counts += held
    places = np.flatnonzero(counts)
    if not len(places):
        return None
    means = (sums[places] / counts[places]).tolist()
    return Line(entry, tuple(Point((int(at) + 1) * last / steps, mean) for at, mean in zip(places, means, strict=True)))


def _stretches(series: Series, last: int, steps: int) -> tuple[Array, Array]:
    """Return the sum and the number of a run's values in each stretch, both [steps]."""
    frames, values = np.array(series.frames, dtype=np.int64), np.array(series.values, dtype=np.float64)
    values = np.clip(values, -FARTHEST, FARTHEST)  # no sum of them is infinite
    places = np.clip((frames - 1) * steps // last, 0, steps - 1)
    sums = np.bincount(places, values, steps).astype(np.float64)
    return sums, np.bincount(places, minlength=steps).astype(np.float64)
