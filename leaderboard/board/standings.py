"""The rows of a board: aggregates, intervals, ranks, what is missing, and where the forest plot draws them."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from leaderboard.board import learning
from leaderboard.board.estimates import CURVE, METRICS, Question, ask
from leaderboard.board.flops import flops
from leaderboard.board.views import Bar, Curve, CurvePoint, Entry, Span, Standing, Tick
from leaderboard.bundles.levels import LEVELS, RECOMPUTED, grade, word
from leaderboard.statistics import ranks
from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.statistics.curves import complete_points
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.metrics import Scores, balanced, iqm_rliable
from leaderboard.statistics.pairs import FEWEST_SEEDS
from leaderboard.store.rows import StoredRun
from suite.tasks import GAMES, Task, human_normalized

NEAR = 0.15
"""How far beyond what was run here the forest's axis reaches for more, as a share of its width."""

Grouped = Mapping[str, Sequence[StoredRun]]

PRELIMINARY = f"preliminary: fewer than {FEWEST_SEEDS} seeds in some game; runs that fail may not have shown yet"
"""What is said of a ranked entry with few seeds."""


def standings(
    task: Task,
    grouped: Grouped,
    entries: Mapping[str, Entry],
    specs: Mapping[str, Mapping[str, Any] | None],
    *,
    ranked: bool,
) -> tuple[Standing, ...]:
    """Return a row for each configuration: the complete ones by IQM, then the others by name; what is unproven below.

    A rank goes to entries run here that have every game and an interval, leave out no seed before one that they have,
    and were replayed whole; published numbers are there for comparison.
    """
    rows = [_standing(task, entries[config_id], runs, specs[config_id]) for config_id, runs in grouped.items()]
    rows.sort(key=_place)
    if not ranked:
        return tuple(rows)
    compared = {
        row.entry.config_id: normalized_scores(grouped[row.entry.config_id])
        for row in rows
        if row.judged and row.estimate is not None and row.estimate.low is not None
    }
    rankings = ranks.rank(compared) if compared else {}
    return tuple(_ranked(row, rankings.get(row.entry.config_id)) for row in rows)


def _ranked(row: Standing, ranking: ranks.Ranking | None) -> Standing:
    """Return a row with its rank; one from few seeds says so, since what these have not seen lies on one side only."""
    few = ranking is not None and row.seeds is not None and row.seeds.low < FEWEST_SEEDS
    return replace(row, ranking=ranking, notes=(*row.notes, *([PRELIMINARY] * few)))


def _place(row: Standing) -> tuple[object, ...]:
    value = -row.estimate.value if row.estimate else 0.0
    return row.unproven, row.estimate is None, value, row.entry.label


def normalized_scores(runs: Iterable[StoredRun]) -> Scores:
    """Return the human-normalized scores of the results among some runs, [runs] by game; games without a scale lack."""
    scored = _scored(runs)
    return _by_game(scored, [_normalized(run.game, run.score) for run in scored])


def seeds_of(runs: Iterable[StoredRun]) -> dict[str, list[int]]:
    """Return the seeds of the results among some runs by game, in the order of `normalized_scores`."""
    found: dict[str, list[int]] = defaultdict(list)
    for run in _scored(runs):
        found[run.game].append(run.seed)
    return dict(found)


def _scored(runs: Iterable[StoredRun]) -> list[StoredRun]:
    return [run for run in runs if run.finished and run.score is not None and GAMES[run.game].normalizable]


def scoreless_runs(runs: Iterable[StoredRun]) -> int:
    """Return how many results in games with a common scale have no score."""
    return sum(run.score is None for run in _counted(runs))


def skipped_seeds(task: Task, runs: Iterable[StoredRun]) -> list[int]:
    """Return the task's default seeds that some counted game lacks though it has a later one.

    Fewer seeds than the task's are its first ones: then nobody who saw the scores has picked among them.
    """
    held: dict[str, set[int]] = defaultdict(set)
    for run in _counted(runs):
        held[run.game].add(run.seed)
    wanted = ((seeds, seed) for seeds in held.values() for seed in task.default_seeds if seed < max(seeds))
    return sorted({seed for seeds, seed in wanted if seed not in seeds})


def picked(skipped: Sequence[int]) -> str:
    """Return in words that seeds were left out."""
    return f"without seed{'s' * (len(skipped) > 1)} {', '.join(map(str, skipped))} of some game, with later ones"


def counted_games(task: Task) -> frozenset[str]:
    """Return the games of a task that enter the aggregate: those with a common scale."""
    return frozenset(name for name in task.games if GAMES[name].normalizable)


def forest(rows: Sequence[Standing]) -> tuple[tuple[Tick, ...], tuple[Standing, ...]]:
    """Return the axis that all rows share, and the rows with their positions on it.

    It holds what was run here, and of what others published what lies near, so that intervals stay wide enough to be
    seen; 0 is on it where that is near. Without an entry run here it holds all.
    """
    here = [row for row in rows if row.estimate is not None and not row.entry.published]
    ends = _ends(here or rows)
    if not ends:
        return (), tuple(rows)
    low, high = min(ends), max(ends)
    near = [end for end in (*_ends(rows), 0.0) if low - NEAR * (high - low) <= end <= high + NEAR * (high - low)]
    low, high = min(low, *near), max(high, *near)
    room = 0.02 * (high - low) or 0.5
    low, high = low - (room if low else 0.0), high + room
    step = _step(high - low)

    def place(value: float) -> float:
        return 100 * (value - low) / (high - low)

    marks = range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)
    ticks = tuple(Tick(place(step * i), f"{step * i:g}".replace("-", "\N{MINUS SIGN}")) for i in marks)
    return ticks, tuple(replace(row, bar=_bar(row, place)) for row in rows)


def _ends(rows: Iterable[Standing]) -> list[float]:
    """Return every number that the rows of a forest show."""
    found = [row.estimate for row in rows if row.estimate is not None]
    parts = ((e.value, e.low, e.high, e.percentile_low, e.percentile_high) for e in found)
    return [end for part in parts for end in part if end is not None]


def curves(task: Task, grouped: Grouped, entries: Sequence[Entry]) -> tuple[Curve, ...]:
    """Return the IQM over iterations of complete entries; a point needs an episode in every run, or it is left out.

    A run that diverged counts with its last value from there on.
    """
    found = []
    frames, ends = task.budget.length, learning.positions(task, task.budget.length)
    for entry in entries:
        scores = learning.curve_scores(task, grouped[entry.config_id], frames)
        under = learning.area(task, scores, frames)
        if under is None:
            continue
        kept = np.flatnonzero(complete_points(scores))
        held = learning.carried(task, grouped[entry.config_id], frames)
        points = zip(kept.tolist(), ask(Question(CURVE, _at(scores, kept))), strict=True)
        found.append(Curve(entry, tuple(CurvePoint(ends[i], one, held[i]) for i, one in points), ask(under)[0]))
    return tuple(found)


def questions(task: Task, grouped: Grouped, *, shortened: bool) -> list[Question]:
    """Return everything that the pages of a board will ask about its complete entries."""
    found = []
    for runs in grouped.values():
        scores = _complete(task, runs)
        if scores is None:
            continue
        found += [Question(metric, scores) for metric in (METRICS[:1] if shortened else METRICS)]
        if shortened:
            continue
        curve = learning.curve_scores(task, runs, task.budget.length)
        under = learning.area(task, curve, task.budget.length)
        if under is not None:
            found += [Question(CURVE, _at(curve, np.flatnonzero(complete_points(curve)))), under]
    return found


def _at(curve: Scores, kept: NDArray[np.int_]) -> Scores:
    """Return some points of a curve."""
    return {name: block[:, kept] for name, block in curve.items()}


def _counted(runs: Iterable[StoredRun]) -> list[StoredRun]:
    """Return the results in games that have a common scale."""
    return [run for run in runs if run.finished and GAMES[run.game].normalizable]


def _complete(task: Task, runs: Sequence[StoredRun]) -> Scores | None:
    """Return the scores of an entry that has every game, and a score of every result; None of another one."""
    counted = _counted(runs)
    scores = normalized_scores(counted)
    needed = counted_games(task)
    whole = bool(needed) and scores.keys() == needed and all(run.score is not None for run in counted)
    return scores if whole else None


def _standing(task: Task, entry: Entry, runs: Sequence[StoredRun], spec: Mapping[str, Any] | None) -> Standing:
    counted = _counted(runs)
    scored = [run for run in counted if run.score is not None]
    seeds = Counter(run.game for run in scored)
    needed = len(counted_games(task))
    finished = [run for run in runs if run.finished]
    scores = _complete(task, runs)
    estimate = None if scores is None else ask(Question(METRICS[0], scores))[0]
    whole = [run for run in finished if run.state == "done"] or finished  # one that diverged stopped amid a schedule
    sparsity = _span(run.sparsity for run in whole)
    skipped = () if entry.published else tuple(skipped_seeds(task, runs))
    return Standing(
        entry=entry,
        ranking=None,
        estimate=estimate,
        rliable=None if scores is None else iqm_rliable(scores),
        bar=None,
        why=_why(estimate, seeds, needed, len(counted) - len(scored)) if needed else "no common scale",
        balanced=scores is None or balanced(scores),
        games=len(seeds) if needed else len({run.game for run in finished}),
        seeds=_span((seeds if needed else Counter(run.game for run in finished)).values()),
        sparsity=sparsity,
        parameters=_span(run.parameters for run in finished),
        active_parameters=_span(run.active_parameters for run in whole),
        flops=flops(spec, sparsity.high if sparsity else None),
        seconds=_span(run.wall_seconds for run in finished),
        updates=_span(run.updates for run in finished),
        level=level_of(entry, runs),
        notes=_notes(task, runs, skipped),
        skipped=skipped,
    )


def level_of(entry: Entry, runs: Iterable[StoredRun]) -> str:
    """Return the lowest level among the results of an entry."""
    known = [run.level for run in runs if run.finished and word(run.level) in LEVELS]
    return "published" if entry.published else min(known, key=grade, default=RECOMPUTED)


def _why(estimate: Estimate | None, seeds: Counter[str], needed: int, scoreless: int) -> str:
    if estimate is None:
        if len(seeds) < needed:
            return f"incomplete {len(seeds)}/{needed}"
        return f"incomplete: {scoreless} run{'s' * (scoreless > 1)} without a score"
    if estimate.low is None:
        fewest, games = STATISTICS_POLICY.minimum_seeds, math.ceil(STATISTICS_POLICY.seeded * needed)
        enough = sum(count >= fewest for count in seeds.values()) >= games
        some = f"{games} games or more" if games > 1 else "a game"
        return "no spread between seeds" if enough else f"needs {fewest} seeds in {some}"
    return ""


def _notes(task: Task, runs: Sequence[StoredRun], skipped: Sequence[int]) -> tuple[str, ...]:
    states = Counter(run.state for run in runs)
    unfinished = [
        f"{states[state]} {state}" for state in ("running", "interrupted", "killed", "failed") if states[state]
    ]
    notes = [f"unfinished runs: {', '.join(unfinished)}"] if unfinished else []
    if skipped:
        notes.append(f"not ranked: {picked(skipped)}")
    if states["diverged"]:
        notes.append(f"{states['diverged']} diverged")
    without = sum(run.finished and run.score is None for run in runs)
    if without:
        notes.append(f"{without} without an episode in the scored window")
    notes += [f"trained again: {text}" for text in reruns(task, runs)]
    missed = Counter(text for run in runs for text in run.unreached)
    for text, count in missed.items():
        notes.append(f"not reached{'' if count == len(runs) else f' in {count} of {len(runs)} runs'}: {text}")
    return tuple(notes)


def reruns(task: Task, runs: Iterable[StoredRun]) -> list[str]:
    """Return which cells were drawn and trained again to the same hash, and how far, in words."""
    found = []
    for run in runs:
        if run.reruns:
            done, steps = run.reruns[0].agent_step, max(1, task.agent_steps(run.frames))
            share = f"{min(100.0, 100 * done / steps):.2g} %"
            found.append(f"{run.game} seed {run.seed} to agent step {done:,} ({share}), the same hash")
    return found


def _by_game(runs: Sequence[StoredRun], values: Sequence[float]) -> Scores:
    """Gather a value of each run by its game."""
    rows: dict[str, list[float]] = defaultdict(list)
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
    found = row.estimate
    ends = (found.low, found.high, found.percentile_low, found.percentile_high)
    low, high, thin_low, thin_high = (None if end is None else min(max(place(end), 0.0), 100.0) for end in ends)
    at = place(found.value)
    beyond = "low" if at < -1e-9 else "high" if at > 100 + 1e-9 else ""
    return Bar(min(max(at, 0.0), 100.0), low, high, thin_low, thin_high, beyond)
