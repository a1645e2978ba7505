"""The pairs of a board that have a page: all pairs of its first ten entries that were run here."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

from leaderboard.site import learning
from leaderboard.site.exports import Column, Table
from leaderboard.site.report import Report, TaskData
from leaderboard.site.standings import normalized_scores
from leaderboard.site.views import Entry, TaskPage
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.pairs import Comparison, Verdict, compare, holm, verdict

ENTRIES = 10
"""How many entries of a board are set against each other, best first: 45 pairs at most."""


@dataclass(frozen=True, slots=True)
class Duel:
    """A pair of entries, the one that stands higher on the board first.

    `p` is adjusted (Holm) for all `pairs` of the board that are shown; `verdict` rests on it. `area` is how far the
    IQM curve of A lies above that of B on average; None where the two have no complete iteration in common.
    """

    a: Entry
    b: Entry
    comparison: Comparison
    p: float
    pairs: int
    verdict: Verdict
    area: Estimate | None = None


def duels(task: TaskPage, data: TaskData) -> tuple[Duel, ...]:
    """Return the pairs of a task's full budget, in the order of the board; none where there is no common scale."""
    shown = [row.entry for row in task.full.standings if row.estimate is not None and not row.entry.published]
    chosen = shown[:ENTRIES]
    scores = {entry.config_id: normalized_scores(data.runs_of(entry.config_id)) for entry in chosen}
    found = {
        (a.config_id, b.config_id): compare(scores[a.config_id], scores[b.config_id])
        for a, b in itertools.combinations(chosen, 2)
    }
    adjusted = holm({key: item.p for key, item in found.items()})
    entries = {entry.config_id: entry for entry in chosen}
    frames = data.task.budget.frames
    curves = {key: learning.curve_scores(data.task, data.runs_of(key), frames) for key in entries}
    areas = learning.areas_between(data.task, curves, found, frames)
    return tuple(
        Duel(entries[a], entries[b], item, adjusted[a, b], len(found), verdict(item, adjusted[a, b]), areas.get((a, b)))
        for (a, b), item in found.items()
    )


def all_duels(report: Report) -> dict[str, tuple[Duel, ...]]:
    """Return the pairs of every task, by its name; tasks without any are left out."""
    found = {task.name: duels(task, report.data[task.name]) for task in report.site.tasks}
    return {name: pairs for name, pairs in found.items() if pairs}


def table(task: TaskPage, pairs: Sequence[Duel]) -> Table:
    """Return the comparisons in full, a row for each pair."""
    names = (
        "config_id_a", "config_id_b", "a", "b", "iqm_a", "iqm_b", "difference", "low", "high", "improvement",
        "improvement_low", "improvement_high", "p", "p_holm", "margin", "verdict_on_a", "seeds_min", "seeds_max",
        "seeds_needed", "area_difference", "area_low", "area_high",
    )  # fmt: skip
    rows = tuple(
        (
            *(duel.a.config_id, duel.b.config_id, duel.a.label, duel.b.label, item.a, item.b),
            *(item.difference.value, item.difference.low, item.difference.high),
            *(item.improvement.value, item.improvement.low, item.improvement.high),
            *(item.p, duel.p, item.margin, duel.verdict, *item.seeds, item.seeds_needed),
            *((duel.area.value, duel.area.low, duel.area.high) if duel.area else (None, None, None)),
        )
        for duel in pairs
        for item in (duel.comparison,)
    )
    columns = tuple(Column(name, name) for name in names)
    return Table(f"{task.name} pairs", f"Differences of IQMs, A less B. {task.title}.", columns, rows)
