"""The pairs of a board that have a page: the leaders among themselves, and every entry against its plain self.

The leaders are the first ten entries that were run here and replayed: there is no verdict on others. The plain self of
an entry with a method is the same agent and network, setting by setting, without it: what the method changed.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from leaderboard.board import learning
from leaderboard.board.exports import Column, Table
from leaderboard.board.report import Report, TaskData
from leaderboard.board.standings import normalized_scores
from leaderboard.board.views import Entry, TaskPage
from leaderboard.board.workers import spread
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.metrics import Scores
from leaderboard.statistics.pairs import Comparison, Verdict, compare, judged

ENTRIES = 10
"""How many entries of a board are all set against each other, best first: 45 pairs at most."""

PLAIN = "dense"
"""The method that changes nothing."""

SECONDS_EACH = 0.15
"""About what comparing a pair takes on one processor, with five seeds of fifteen games."""


@dataclass(frozen=True, slots=True)
class Duel:
    """A pair of entries, the one that stands higher on the board first.

    `p` and `p_equal` are adjusted for every look and (Holm) for all `pairs` of the board that are shown; `verdict`
    rests on them. `area` is how far the
    IQM curve of A lies above that of B on average; None where the two have no complete iteration in common.
    """

    a: Entry
    b: Entry
    comparison: Comparison
    p: float
    p_equal: float
    pairs: int
    verdict: Verdict
    area: Estimate | None = None


def duels(task: TaskPage, data: TaskData) -> tuple[Duel, ...]:
    """Return the pairs of a task's full budget, in the order of the board; none where there is no common scale."""
    entries = {row.entry.config_id: row.entry for row in task.full.standings if row.estimate is not None and row.proven}
    chosen = pairs_shown(list(entries), data)
    ids = dict.fromkeys(itertools.chain.from_iterable(chosen))
    scores = {config_id: normalized_scores(data.runs_of(config_id)) for config_id in ids}
    compared = spread(
        partial(_compare, planned=len(data.task.default_seeds)),
        [(scores[a], scores[b]) for a, b in chosen],
        SECONDS_EACH * len(chosen),
    )
    found = judged(dict(zip(chosen, compared, strict=True)))
    frames = data.task.budget.length
    curves = {config_id: learning.curve_scores(data.task, data.runs_of(config_id), frames) for config_id in ids}
    areas = learning.areas_between(data.task, curves, found, frames)
    return tuple(
        Duel(
            entries[a],
            entries[b],
            item.comparison,
            item.p,
            item.p_equal,
            len(found),
            item.verdict,
            areas.get((a, b)),
        )
        for (a, b), item in found.items()
    )


def pairs_shown(ids: Sequence[str], data: TaskData) -> tuple[tuple[str, str], ...]:
    """Return the pairs that are compared among configurations in the order of the board, higher one first."""
    place = {config_id: i for i, config_id in enumerate(ids)}
    plain = plain_selves(ids, data)
    own = [sorted(pair, key=lambda config_id: place[config_id]) for pair in plain.items()]
    found = {(a, b) for a, b in (*itertools.combinations(ids[:ENTRIES], 2), *own)}
    return tuple(sorted(found, key=lambda pair: (place[pair[0]], place[pair[1]])))


def plain_selves(ids: Sequence[str], data: TaskData) -> dict[str, str]:
    """Return, for each configuration with a method, the one among `ids` that differs from it by that method alone."""
    specs = {config_id: spec for config_id in ids if (spec := data.configurations[config_id].spec) is not None}
    plain = {_without_methods(spec): config_id for config_id, spec in specs.items() if _methods(spec) == [PLAIN]}
    found = {config_id: plain.get(_without_methods(spec)) for config_id, spec in specs.items()}
    return {config_id: other for config_id, other in found.items() if other not in (None, config_id)}


def _methods(spec: Mapping[str, Any]) -> list[str]:
    return [method["id"] for method in spec["methods"]]


def _without_methods(spec: Mapping[str, Any]) -> str:
    return json.dumps({name: value for name, value in spec.items() if name != "methods"}, sort_keys=True)


def _compare(pair: tuple[Scores, Scores], planned: int) -> Comparison:
    return compare(*pair, planned=planned)


def all_duels(report: Report) -> dict[str, tuple[Duel, ...]]:
    """Return the pairs of every task, by its name; tasks without any are left out."""
    found = {task.name: duels(task, report.data[task.name]) for task in report.site.tasks}
    return {name: pairs for name, pairs in found.items() if pairs}


def table(task: TaskPage, pairs: Sequence[Duel]) -> Table:
    """Return the comparisons in full, a row for each pair."""
    names = (
        "config_id_a", "config_id_b", "a", "b", "iqm_a", "iqm_b", "difference", "low", "high", "improvement",
        "improvement_low", "improvement_high", "p", "look", "p_looks", "p_holm", "p_equal_holm", "margin",
        "verdict_on_a", "seeds_min", "seeds_max", "seeds_needed", "area_difference", "area_low", "area_high",
    )  # fmt: skip
    rows = tuple(
        (
            *(duel.a.config_id, duel.b.config_id, duel.a.label, duel.b.label, item.a, item.b),
            *(item.difference.value, item.difference.low, item.difference.high),
            *(item.improvement.value, item.improvement.low, item.improvement.high),
            *(
                item.p,
                item.look,
                item.p_looks,
                duel.p,
                duel.p_equal,
                item.margin,
                duel.verdict,
                *item.seeds,
                item.seeds_needed,
            ),
            *((duel.area.value, duel.area.low, duel.area.high) if duel.area else (None, None, None)),
        )
        for duel in pairs
        for item in (duel.comparison,)
    )
    columns = tuple(Column(name, name) for name in names)
    return Table(f"{task.name} pairs", f"Differences of IQMs, A less B. {task.title}.", columns, rows)
