"""The pairs of a board that have a page: the leaders among themselves, and every entry against its dense twin.

The leaders are the first ten entries that were run here and replayed: there is no verdict on others. The two kinds are
two questions, each with its own family of tests: what a method changes is not harder to see because there are more
leaders to compare.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from leaderboard.board import estimates, learning
from leaderboard.board.exports import Column, Table
from leaderboard.board.report import Report, TaskData
from leaderboard.board.standings import counted_games, normalized_scores
from leaderboard.board.twins import Twin, pairing_of
from leaderboard.board.views import Entry, TaskPage
from leaderboard.board.workers import spread
from leaderboard.statistics.conventions import STATISTICS
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.metrics import Scores
from leaderboard.statistics.pairing import Pairing
from leaderboard.statistics.pairs import Comparison, Judged, Verdict, compare, judged

ENTRIES = 10
"""How many entries of a board are all set against each other, best first: 45 pairs at most."""

SECONDS_EACH = 0.15
"""About what comparing a pair takes on one processor, with five seeds of fifteen games."""


TURNED: dict[Verdict, Verdict] = {"better": "worse", "worse": "better"}
"""What a verdict on one entry says of the other, where that is something else."""

Sides = tuple[Scores, Scores, Pairing]
"""The scores of two entries and whether runs of one seed are compared with each other."""


@dataclass(frozen=True, slots=True)
class Duel:
    """A pair of entries, the one that stands higher on the board first.

    `p` and `p_equal` are adjusted for every look and (Holm) for all `pairs` of the board that answer the same question;
    `verdict` rests on them. `twins`: one is the dense twin of the other. `area` is how far the IQM curve of A lies
    above that of B on average; None where the two have no complete iteration in common. `note` says which runs of a
    twin count, if not all do.
    """

    a: Entry
    b: Entry
    comparison: Comparison
    p: float
    p_equal: float
    pairs: int
    verdict: Verdict
    area: Estimate | None = None
    twins: bool = False
    note: str = ""


def duels(task: TaskPage, data: TaskData) -> tuple[Duel, ...]:
    """Return the pairs of a task's full budget, in the order of the board; none where there is no common scale."""
    entries, plain = _field(task, data)
    chosen = pairs_shown(list(entries), plain)
    ids = dict.fromkeys(itertools.chain.from_iterable(chosen))
    sides = [_sides(pair, plain, data) for pair in chosen]
    compared_pairs = comparisons(sides, len(data.task.default_seeds))
    found = _judged(dict(zip(chosen, compared_pairs, strict=True)), plain)
    frames = data.task.budget.length
    curves = {config_id: learning.curve_scores(data.task, data.runs_of(config_id), frames) for config_id in ids}
    areas = learning.areas_between(data.task, curves, chosen, frames)
    return tuple(
        Duel(
            entries[a],
            entries[b],
            found[a, b].comparison,
            found[a, b].p,
            found[a, b].p_equal,
            sum(_alike((a, b), other, plain) for other in chosen),
            found[a, b].verdict,
            areas.get((a, b)),
            _are_twins((a, b), plain),
            _note((a, b), plain),
        )
        for a, b in chosen
    )


def pairs_shown(ids: Sequence[str], plain: Mapping[str, Twin]) -> tuple[tuple[str, str], ...]:
    """Return the pairs that are compared among configurations in the order of the board, higher one first."""
    place = {config_id: i for i, config_id in enumerate(ids)}
    own = [(config_id, twin.config_id) for config_id, twin in plain.items() if twin.usable and config_id in place]
    ordered = [sorted(pair, key=lambda config_id: place[config_id]) for pair in own if pair[1] in place]
    found = {(a, b) for a, b in (*itertools.combinations(ids[:ENTRIES], 2), *ordered)}
    return tuple(sorted(found, key=lambda pair: (place[pair[0]], place[pair[1]])))


def _judged(compared: Mapping[tuple[str, str], Comparison], plain: Mapping[str, Twin]) -> dict[tuple[str, str], Judged]:
    """Return the comparisons with their verdicts, adjusted within each of the two families."""
    own = {pair: item for pair, item in compared.items() if _are_twins(pair, plain)}
    return judged(own) | judged({pair: item for pair, item in compared.items() if pair not in own})


def _are_twins(pair: tuple[str, str], plain: Mapping[str, Twin]) -> bool:
    return any(one in plain and plain[one].config_id == other for one, other in (pair, pair[::-1]))


def _alike(one: tuple[str, str], other: tuple[str, str], plain: Mapping[str, Twin]) -> bool:
    return _are_twins(one, plain) == _are_twins(other, plain)


def _sides(pair: tuple[str, str], plain: Mapping[str, Twin], data: TaskData, before: str | None = None) -> Sides:
    """Return the scores of both, of a twin those that count, and whether they are paired by seed: twins alone are.

    `before`: of the runs alone that had ended before that day (YYYY-MM-DD).
    """
    runs = {config_id: data.runs_of(config_id) for config_id in pair}
    for one, other in (pair, pair[::-1]):
        if one in plain and plain[one].config_id == other:
            runs[other] = plain[one].runs
    a, b = ([run for run in runs[key] if before is None or run.ended_at[:10] < before] for key in pair)
    pairing = pairing_of(a, b) if _are_twins(pair, plain) else "unpaired"
    return normalized_scores(a), normalized_scores(b), pairing


def twin_verdicts(task: TaskPage, data: TaskData, before: str | None = None) -> dict[str, Verdict]:
    """Return what is said of each proven entry against its dense twin, by its id; adjusted for all of them (Holm).

    `before`: see `_sides`; a pair counts once both have every game.
    """
    entries, plain = _field(task, data)
    own = {key: twin.config_id for key, twin in plain.items() if twin.usable}
    pairs = {key: sorted((key, twin), key=list(entries).index) for key, twin in own.items()}
    sides = {key: _sides((a, b), plain, data, before) for key, (a, b) in pairs.items()}
    needed = counted_games(data.task)
    whole = {key: side for key, side in sides.items() if needed == side[0].keys() == side[1].keys()}
    made = comparisons(list(whole.values()), len(data.task.default_seeds))
    found = judged(dict(zip(whole, made, strict=True)))
    return {
        key: one.verdict if pairs[key][0] == key else TURNED.get(one.verdict, one.verdict) for key, one in found.items()
    }


def _field(task: TaskPage, data: TaskData) -> tuple[dict[str, Entry], dict[str, Twin]]:
    """Return the entries that are judged, best first, and the dense twins among them, both by the entry's id."""
    entries = {row.entry.config_id: row.entry for row in task.full.standings if row.estimate is not None and row.judged}
    return entries, {key: twin for key, twin in data.twins.items() if key in entries and twin.config_id in entries}


def _note(pair: tuple[str, str], plain: Mapping[str, Twin]) -> str:
    """Return which runs of a twin count; "" where all do."""
    for one, other in (pair, pair[::-1]):
        if one in plain and plain[one].config_id == other and plain[one].same_submission:
            return f"Of the dense twin, the runs of the same submission count: {plain[one].same_submission}."
    return ""


def comparisons(sides: Sequence[Sides], planned: int) -> list[Comparison]:
    """Return the comparison of each two sides; those that were made before are remembered."""
    keys = [estimates.key_of_pair("comparison", a, b, (STATISTICS, planned, pairing)) for a, b, pairing in sides]
    open_ones = {key: pair for key, pair in zip(keys, sides, strict=True) if key not in compared}
    made = spread(partial(_compare, planned=planned), list(open_ones.values()), SECONDS_EACH * len(open_ones))
    compared.update(zip(open_ones, made, strict=True))
    asked.update(keys)
    return [compared[key] for key in keys]


compared: dict[bytes, Comparison] = {}
"""Comparisons by the hash of what was compared."""

asked: set[bytes] = set()
"""Those of them that this process asked for."""


def _compare(sides: Sides, planned: int) -> Comparison:
    a, b, pairing = sides
    return compare(a, b, planned=planned, pairing=pairing)


def all_duels(report: Report) -> dict[str, tuple[Duel, ...]]:
    """Return the pairs of every task, by its name; tasks without any are left out."""
    found = {task.name: duels(task, report.data[task.name]) for task in report.site.tasks}
    return {name: pairs for name, pairs in found.items() if pairs}


def table(task: TaskPage, pairs: Sequence[Duel]) -> Table:
    """Return the comparisons in full, a row for each pair."""
    names = (
        "config_id_a", "config_id_b", "a", "b", "iqm_a", "iqm_b", "difference", "low", "high", "improvement",
        "improvement_low", "improvement_high", "p", "pairing", "look", "p_looks", "p_holm", "p_equal_holm", "margin",
        "verdict_on_a", "seeds_min", "seeds_max", "seeds_needed", "area_difference", "area_low", "area_high",
    )  # fmt: skip
    rows = tuple(
        (
            *(duel.a.config_id, duel.b.config_id, duel.a.label, duel.b.label, item.a, item.b),
            *(item.difference.value, item.difference.low, item.difference.high),
            *(item.improvement.value, item.improvement.low, item.improvement.high),
            *(
                item.p,
                item.pairing,
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
