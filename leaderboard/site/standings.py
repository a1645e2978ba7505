"""The rows of a board: aggregates, intervals, ranks, what is missing, and where the forest plot draws them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from leaderboard.site.views import Bar, Curve, CurvePoint, Entry, Span, Standing, Tick
from leaderboard.statistics import aggregate
from leaderboard.store.rows import StoredRun
from suite.tasks import GAMES, Task, human_normalized

Grouped = Mapping[str, Sequence[StoredRun]]


def standings(task: Task, grouped: Grouped, entries: Mapping[str, Entry], *, ranked: bool) -> tuple[Standing, ...]:
    """Return a row for each configuration: the complete ones by IQM, then the others by name.

    A rank goes to entries run here that have every game and an interval; published numbers are there for comparison.
    """
    rows = [_standing(task, entries[config_id], runs) for config_id, runs in grouped.items()]
    rows.sort(key=lambda row: (row.estimate is None, -row.estimate.value if row.estimate else 0.0, row.entry.label))
    rank, numbered = 0, []
    for row in rows:
        counts = ranked and not row.entry.published and row.estimate is not None and row.estimate.low is not None
        rank += counts
        numbered.append(replace(row, rank=rank) if counts else row)
    return tuple(numbered)


def forest(rows: Sequence[Standing]) -> tuple[tuple[Tick, ...], tuple[Standing, ...]]:
    """Return the axis that all rows share, from 0 or below, and the rows with their positions on it."""
    shown = [row.estimate for row in rows if row.estimate is not None]
    if not shown:
        return (), tuple(rows)
    low = min([0.0, *(e.value if e.low is None else e.low for e in shown)])
    high = max([0.0, *(e.value if e.high is None else e.high for e in shown)])
    step = _step(high - low)
    first, last = math.floor(low / step), max(math.ceil(high / step), math.floor(low / step) + 1)

    def place(value: float) -> float:
        return 100 * (value / step - first) / (last - first)

    ticks = tuple(Tick(place(step * i), f"{step * i:g}".replace("-", "\N{MINUS SIGN}")) for i in range(first, last + 1))
    return ticks, tuple(replace(row, bar=_bar(row, place)) for row in rows)


def curves(task: Task, grouped: Grouped, entries: Sequence[Entry]) -> tuple[Curve, ...]:
    """Return the IQM over iterations of complete entries; a point needs an episode in every run, or it is left out."""
    found = []
    for entry in entries:
        runs = [run for run in grouped[entry.config_id] if run.finished and GAMES[run.game].normalizable]
        shared = sorted(set.intersection(*(set(run.iterations) for run in runs)))
        if not shared:
            continue
        scores = _by_game(runs, [[_normalized(run.game, run.iterations[i]) for i in shared] for run in runs])
        frames = [(i + 1) * task.budget.iteration_frames for i in shared]
        points = zip(frames, aggregate.iqm_curve(scores), strict=True)
        found.append(Curve(entry, tuple(CurvePoint(frame, estimate) for frame, estimate in points)))
    return tuple(found)


def _standing(task: Task, entry: Entry, runs: Sequence[StoredRun]) -> Standing:
    counted = [run for run in runs if run.finished and GAMES[run.game].normalizable]
    scored = [run for run in counted if run.score is not None]
    seeds = Counter(run.game for run in scored)
    needed = sum(GAMES[name].normalizable for name in task.games)
    finished = [run for run in runs if run.finished]
    estimate, balanced = None, True
    if needed and len(seeds) == needed and len(scored) == len(counted):
        scores = _by_game(scored, [_normalized(run.game, run.score) for run in scored])
        estimate, balanced = aggregate.iqm_estimate(scores), aggregate.balanced(scores)
    return Standing(
        entry=entry,
        rank=None,
        estimate=estimate,
        bar=None,
        why=_why(estimate, seeds, needed, len(counted) - len(scored)) if needed else "no common scale",
        balanced=balanced,
        games=len(seeds) if needed else len({run.game for run in finished}),
        seeds=_span((seeds if needed else Counter(run.game for run in finished)).values()),
        sparsity=_span(run.sparsity for run in finished),
        parameters=_span(run.parameters for run in finished),
        active_parameters=_span(run.active_parameters for run in finished),
        notes=_notes(runs),
    )


def _why(estimate: aggregate.Estimate | None, seeds: Counter[str], needed: int, scoreless: int) -> str:
    if estimate is None:
        if len(seeds) < needed:
            return f"incomplete {len(seeds)}/{needed}"
        return f"incomplete: {scoreless} run{'s' * (scoreless > 1)} without a score"
    if estimate.low is None:
        fewest = aggregate.STATISTICS_POLICY.minimum_seeds
        return f"needs {fewest} seeds or more" if min(seeds.values()) < fewest else "no spread between seeds"
    return ""


def _notes(runs: Sequence[StoredRun]) -> tuple[str, ...]:
    states = Counter(run.state for run in runs)
    unfinished = [
        f"{states[state]} {state}" for state in ("running", "interrupted", "killed", "failed") if states[state]
    ]
    notes = [f"unfinished runs: {', '.join(unfinished)}"] if unfinished else []
    if states["diverged"]:
        notes.append(f"{states['diverged']} diverged")
    without = sum(run.finished and run.score is None for run in runs)
    if without:
        notes.append(f"{without} without an episode in the scored window")
    return tuple(notes)


def _by_game(runs: Sequence[StoredRun], values: Sequence[float | list[float]]) -> aggregate.Scores:
    """Gather a value, or a curve, of each run by its game."""
    rows: dict[str, list[float | list[float]]] = defaultdict(list)
    for run, value in zip(runs, values, strict=True):
        rows[run.game].append(value)
    return {name: np.array(block, dtype=np.float64) for name, block in rows.items()}


def _normalized(game: str, score: float | None) -> float:
    value = None if score is None else human_normalized(game, score)
    if value is None:
        raise ValueError(f"no normalized score on {game}")
    return value


def _span(values: Iterable[float | None]) -> Span | None:
    known = [value for value in values if value is not None]
    return Span(min(known), max(known)) if known else None


def _step(width: float) -> float:
    """Return a round distance that divides an axis into about four."""
    if width <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(width / 4))
    return next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= width / 4 * 0.999)


def _bar(row: Standing, place: Callable[[float], float]) -> Bar | None:
    if row.estimate is None:
        return None
    low, high = row.estimate.low, row.estimate.high
    return Bar(place(row.estimate.value), None if low is None else place(low), None if high is None else place(high))
