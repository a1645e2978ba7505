"""`suite compare`: is one entry better than another? Imports nothing heavy at the top."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from leaderboard.cli.options import database_option

if TYPE_CHECKING:
    from leaderboard.board.entries import Competitor
    from leaderboard.statistics.intervals import Estimate
    from leaderboard.statistics.pairs import Comparison

EXAMPLES = """\b
Examples:
  suite compare 3f9a 81c2 --db results.sqlite
  suite compare "iqn nature" "dqn impala" --task atari40m
  suite compare --all --task atari40m
"""


@click.command(epilog=EXAMPLES)
@click.argument("names", metavar="A B ...", nargs=-1)
@database_option
@click.option("--task", metavar="NAME", help="The task; needed where several have these entries.")
@click.option("--all", "everyone", is_flag=True, help="All complete entries of the task's full budget.")
@click.option(
    "--margin",
    type=click.FloatRange(0, 1, min_open=True),
    default=0.05,
    show_default=True,
    help="Share of the second entry's score below which a difference does not matter.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(names: tuple[str, ...], db: Path, task: str | None, everyone: bool, margin: float, as_json: bool) -> None:
    """Compare entries of a board: a verdict first, then the numbers behind it.

    A and B are labels of the board, words of one label alone, or ids of configurations or their beginnings. Differences
    are those of A less B. Of more than two entries every pair is compared, with p adjusted for all of them.
    """
    chosen = _chosen(names, db, task, everyone=everyone)
    pairs = _compared(chosen, margin)
    areas = _areas(chosen, pairs)
    if as_json:
        click.echo(json.dumps(_document(chosen, pairs, areas, margin)))
        return
    alone = len(pairs) == 1
    lines = _pair(chosen, pairs[0, 1][0], areas.get((0, 1))) if alone else _table(chosen, pairs, areas)
    for line in itertools.chain(lines, _caveats(chosen)):
        click.echo(line)


_Pairs = dict[tuple[int, int], tuple["Comparison", float]]
_Areas = dict[tuple[int, int], "Estimate"]


def _chosen(names: Sequence[str], db: Path, task: str | None, *, everyone: bool) -> list[Competitor]:
    from leaderboard.board.entries import find, read_boards, scoreless
    from leaderboard.statistics.metrics import iqm
    from suite.errors import UsageError

    boards = read_boards(db, task)
    if everyone:
        if names or task is None:
            raise UsageError("--all compares all entries of one task.", "Give --task NAME, and no entries.")
        chosen = [item for item in next(iter(boards.values())) if item.complete and not item.configuration.shortened]
        if not any(item.scores for items in boards.values() for item in items):
            raise scoreless(next(iter(boards.values()))[0].task, task)
        if len(chosen) < 2:
            raise UsageError(f"{task} has fewer than two complete entries.", "Run more; see `suite plan`.")
        return sorted(chosen, key=lambda item: (-iqm(item.scores), item.label))
    if len(names) < 2:
        raise UsageError("Two entries or more are compared.", "Name them, or give --all --task NAME.")
    chosen = find(names, boards)
    for item in chosen:
        if not item.scores:
            raise scoreless(item.task, item.label)
    if not set.intersection(*(set(item.scores) for item in chosen)):
        raise UsageError("These entries have no game in common.", "Run them on the same games; see `suite plan`.")
    return chosen


def _compared(chosen: Sequence[Competitor], margin: float) -> _Pairs:
    """Return the comparison of each pair, by their places, with its p adjusted for all of them."""
    from leaderboard.statistics import pairs

    found = {
        (i, j): pairs.compare(chosen[i].scores, chosen[j].scores, margin=margin)
        for i, j in itertools.combinations(range(len(chosen)), 2)
    }
    adjusted = pairs.holm({key: item.p for key, item in found.items()})
    return {key: (item, adjusted[key]) for key, item in found.items()}


def _areas(chosen: Sequence[Competitor], pairs: _Pairs) -> _Areas:
    """Return how far the learning curve of the first lies above the second's on average, of pairs that have both."""
    from leaderboard.board import learning

    found: _Areas = {}
    for games, alike in itertools.groupby(pairs, key=lambda pair: pairs[pair][0].games):
        places = {(str(i), str(j)): (i, j) for i, j in alike}
        curves = {
            f"{i}": learning.curve_scores(item.task, item.runs, item.configuration.frames, games)
            for i, item in enumerate(chosen)
        }
        task, frames = chosen[0].task, chosen[0].configuration.frames
        areas = learning.areas_between(task, curves, places, frames)
        found |= {places[names]: area for names, area in areas.items()}
    return found


def _pair(chosen: Sequence[Competitor], item: Comparison, area: Estimate | None) -> Iterator[str]:
    """Yield the lines of a single pair."""
    from leaderboard.statistics.sentences import p_text, remarks, sentence, signed

    a, b = (entry.label for entry in chosen)
    width = max(len(a), len(b), 26)
    yield sentence(item, a, b)
    yield from remarks(item)
    yield ""
    seeds = "-".join(map(str, dict.fromkeys(item.seeds)))
    yield f"{chosen[0].task.id}, {len(item.games)} games, {seeds} seeds a game"
    for label, value in ((a, item.a), (b, item.b)):
        yield f"  {label:<{width}}  IQM {value:.3f}"
    yield f"  {'difference':<{width}}  {_estimate(item.difference, signed)}"
    if area is not None:
        yield f"  {'difference of mean heights':<{width}}  {_estimate(area, signed)}"
    yield f"  {'P(A better than B)':<{width}}  {_estimate(item.improvement, '{:.2f}'.format)}"
    yield f"  {'permutation p':<{width}}  {p_text(item.p)}"
    yield f"  {'practically equal within':<{width}}  \N{PLUS-MINUS SIGN}{item.margin:.3f}"
    yield f"  {'seeds a game for power 0.8':<{width}}  {item.seeds_needed or 'unknown, or more than 1,000'}"
    yield ""
    names = max(len(row.game) for row in item.by_game)
    yield f"{'game':<{names}}  {'A':>9}  {'B':>9}  {'A - B':>9}  {'95 % interval':>21}  {'drives':>8}"
    for row in item.by_game:
        low, high = row.difference.low, row.difference.high
        span = "" if low is None or high is None else f"[{signed(low)}, {signed(high)}]"
        yield (
            f"{row.game:<{names}}  {row.a:>9.3f}  {row.b:>9.3f}  {signed(row.difference.value):>9}  {span:>21}  "
            f"{signed(row.share):>8}"
        )
    yield "drives: by how much the difference of IQMs changes when that game's runs alone change sides"
    if area is not None:
        yield "mean height: of the IQM curve over the budget, the area under it over the distance"


def _table(chosen: Sequence[Competitor], pairs: _Pairs, areas: _Areas) -> Iterator[str]:
    """Yield the lines of several pairs: groups first where all are complete, then a row for each pair."""
    from leaderboard.statistics.pairs import verdict
    from leaderboard.statistics.ranks import rank
    from leaderboard.statistics.sentences import p_text, remarks, signed

    established = sum(verdict(item, p) in ("better", "worse") for item, p in pairs.values())
    yield f"{established} of {len(pairs)} pairs differ beyond doubt (p adjusted for all {len(pairs)}, Holm)."
    width = max(len(item.label) for item in chosen)
    if len({tuple(sorted(item.scores)) for item in chosen}) == 1:
        rankings = list(rank({f"{i:06}": item.scores for i, item in enumerate(chosen)}).values())
        wide = max(5, *(len(found.group) for found in rankings))
        yield f"\n{'entry':<{width}}  {'group':<{wide}}  rank"
        for place in sorted(range(len(chosen)), key=lambda i: (rankings[i].ordinal, chosen[i].label)):
            found = rankings[place]
            span = f"{found.low}" if found.low == found.high else f"{found.low}-{found.high}"
            yield f"{chosen[place].label:<{width}}  {found.group:<{wide}}  {span}"
    names = f"{'A':<{width}}  {'B':<{width}}"
    yield f"\n{names}  {'A - B':>8}  {'95 % interval':>18}  {'p (Holm)':>9}  {'heights':>8}  A is"
    for (i, j), (item, p) in pairs.items():
        low, high = item.difference.low, item.difference.high
        span = "" if low is None or high is None else f"[{signed(low)}, {signed(high)}]"
        yield (
            f"{chosen[i].label:<{width}}  {chosen[j].label:<{width}}  {signed(item.difference.value):>8}  {span:>18}  "
            f"{p_text(p):>9}  {signed(areas[i, j].value) if (i, j) in areas else '':>8}  {verdict(item, p)}"
        )
    if areas:
        yield "heights: difference of the mean heights of the two learning curves; its interval is in --json"
    counts = Counter(remark for item, _ in pairs.values() for remark in remarks(item))
    yield from (f"{remark} ({count} of {len(pairs)} pairs)" for remark, count in counts.items())


def _caveats(chosen: Sequence[Competitor]) -> Iterator[str]:
    """Yield what has to be known about numbers that others published."""
    for caveat in dict.fromkeys(caveat for item in chosen for caveat in item.configuration.caveats):
        yield f"Published numbers: {caveat}"


def _estimate(estimate: Estimate, text: Any) -> str:
    if estimate.low is None or estimate.high is None:
        return str(text(estimate.value))
    return f"{text(estimate.value)}  [{text(estimate.low)}, {text(estimate.high)}]"


def _document(chosen: Sequence[Competitor], pairs: _Pairs, areas: _Areas, margin: float) -> dict[str, Any]:
    """Return everything as plain values; pairs name entries by their ids."""
    from dataclasses import asdict

    from leaderboard.statistics.pairs import verdict
    from leaderboard.statistics.sentences import remarks, sentence

    rows = []
    for (i, j), (item, p) in pairs.items():
        rows.append(
            {
                "a": chosen[i].configuration.config_id,
                "b": chosen[j].configuration.config_id,
                "verdict": verdict(item, p),
                "sentence": sentence(item, chosen[i].label, chosen[j].label, p=p, pairs=len(pairs)),
                "remarks": remarks(item),
                "p_holm": p,
                "area_difference": asdict(areas[i, j]) if (i, j) in areas else None,
                **{("iqm_" + key if key in ("a", "b") else key): value for key, value in asdict(item).items()},
            }
        )
    return {
        "schema": "leaderboard.compare/2",
        "task": chosen[0].task.key,
        "margin": margin,
        "entries": [
            {
                "config_id": item.configuration.config_id,
                "label": item.label,
                "published": item.configuration.published,
                "caveats": item.configuration.caveats,
            }
            for item in chosen
        ],
        "pairs": rows,
    }
