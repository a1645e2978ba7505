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
    from leaderboard.statistics.pairing import Pairing
    from leaderboard.statistics.pairs import Comparison, Judged

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
    help="Share of the lower score below which a difference does not matter.",
)
@click.option(
    "--planned",
    type=click.IntRange(2, 1_000),
    help="Seeds a game that were decided on before any was run; the task's own unless given.",
)
@click.option(
    "--paired/--unpaired",
    default=None,
    help="Compare runs of one seed with each other, or not, whatever the rule says: it pairs a method's entry and its "
    "dense twin where both have the same seeds in every game, five or more.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def compare(
    names: tuple[str, ...],
    db: Path,
    task: str | None,
    everyone: bool,
    margin: float,
    planned: int | None,
    paired: bool | None,
    as_json: bool,
) -> None:
    """Compare entries of a board: a verdict first, then the numbers behind it.

    A and B are labels of the board, words of one label alone, or ids of configurations or their beginnings. Differences
    are those of A less B. Of more than two entries every pair is compared, with p adjusted for all of them. p counts
    every look: with other seeds than the planned number it takes more to be sure.
    """
    chosen = _chosen(names, db, task, everyone=everyone)
    pairs = _compared(chosen, margin, planned, paired)
    areas = _areas(chosen, pairs)
    if as_json:
        click.echo(json.dumps(_document(chosen, pairs, areas, margin)))
        return
    for item in chosen:
        if not item.judged:
            click.echo(f"No verdict on {item.label}: {item.unjudged}.")
    alone = len(pairs) == 1
    lines = _pair(chosen, pairs[0, 1].comparison, areas.get((0, 1))) if alone else _table(chosen, pairs, areas)
    for line in itertools.chain(lines, _caveats(chosen)):
        click.echo(line)


_Pairs = dict[tuple[int, int], "Judged"]
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


def _compared(chosen: Sequence[Competitor], margin: float, planned: int | None, paired: bool | None) -> _Pairs:
    """Return the comparison of each pair, by their places, with its p adjusted for all of them."""
    from leaderboard.statistics import pairs

    seeds = len(chosen[0].task.default_seeds) if planned is None else planned
    growing = [not item.configuration.published for item in chosen]
    return pairs.judged(
        {
            (i, j): pairs.compare(
                chosen[i].scores,
                chosen[j].scores,
                margin=margin,
                planned=seeds,
                growing=(growing[i], growing[j]),
                pairing=_pairing(chosen[i], chosen[j], paired),
            )
            for i, j in itertools.combinations(range(len(chosen)), 2)
        }
    )


def _pairing(a: Competitor, b: Competitor, asked: bool | None) -> Pairing:
    """Return whether two entries are paired by seed: by the rule, or as it was asked for.

    Raises UsageError where it was asked for and cannot be done.
    """
    from leaderboard.board import twins
    from leaderboard.board.standings import seeds_of
    from leaderboard.statistics.pairing import matched
    from suite.errors import UsageError

    able = not (a.configuration.published or b.configuration.published) and matched(seeds_of(a.runs), seeds_of(b.runs))
    ruled = able and twins.are_twins(a.configuration, b.configuration)
    if asked and not able:
        raise UsageError(
            f"{a.label} and {b.label} cannot be paired: that takes the same seeds of both in every game, five or more, "
            "and 15 runs of each, made here.",
            "Leave out --paired, or run the seeds that are missing.",
        )
    if asked is None or asked == ruled:
        return "paired" if ruled else "unpaired"
    return "paired as asked" if asked else "unpaired as asked"


def _areas(chosen: Sequence[Competitor], pairs: _Pairs) -> _Areas:
    """Return how far the learning curve of the first lies above the second's on average, of pairs that have both."""
    from leaderboard.board import learning

    found: _Areas = {}
    for games, alike in itertools.groupby(pairs, key=lambda pair: pairs[pair].comparison.games):
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
    if all(entry.judged for entry in chosen):
        yield sentence(item, a, b)
        yield from remarks(item)
    yield ""
    seeds = "-".join(map(str, dict.fromkeys(item.seeds)))
    yield f"{chosen[0].task.id}, {len(item.games)} game{'s' * (len(item.games) > 1)}, {seeds} seeds a game"
    for label, value in ((a, item.a), (b, item.b)):
        yield f"  {label:<{width}}  IQM {value:.3f}"
    yield f"  {'difference':<{width}}  {_estimate(item.difference, signed)}"
    if area is not None:
        yield f"  {'difference of mean heights':<{width}}  {_estimate(area, signed)}"
    yield f"  {'P(A better than B)':<{width}}  {_estimate(item.improvement, '{:.2f}'.format)}"
    yield f"  {'permutation p':<{width}}  {p_text(item.p)}"
    if item.pairing != "unpaired":
        yield f"  {'seeds':<{width}}  {item.pairing}"
    if item.look != "only":
        yield f"  {'p over all looks':<{width}}  {p_text(item.p_looks)}"
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
    from leaderboard.statistics.ranks import rank
    from leaderboard.statistics.sentences import p_text, remarks, signed

    verdicts = {place: _verdict(chosen, *place, item) for place, item in pairs.items()}
    established = sum(verdict in ("better", "worse") for verdict in verdicts.values())
    looks = "" if all(item.comparison.look == "only" for item in pairs.values()) else " and for every look"
    yield f"{established} of {len(pairs)} pairs differ beyond doubt (p adjusted for all {len(pairs)}, Holm{looks})."
    width = max(len(item.label) for item in chosen)
    if len({tuple(sorted(item.scores)) for item in chosen}) == 1 and all(item.judged for item in chosen):
        rankings = list(rank({f"{i:06}": item.scores for i, item in enumerate(chosen)}).values())
        wide = max(5, *(len(found.group) for found in rankings))
        yield f"\n{'entry':<{width}}  {'group':<{wide}}  rank"
        for place in sorted(range(len(chosen)), key=lambda i: (rankings[i].ordinal, chosen[i].label)):
            found = rankings[place]
            span = f"{found.low}" if found.low == found.high else f"{found.low}-{found.high}"
            yield f"{chosen[place].label:<{width}}  {found.group:<{wide}}  {span}"
    names = f"{'A':<{width}}  {'B':<{width}}"
    yield f"\n{names}  {'A - B':>8}  {'95 % interval':>18}  {'p (Holm)':>9}  {'heights':>8}  A is"
    for (i, j), item in pairs.items():
        difference = item.comparison.difference
        low, high = difference.low, difference.high
        span = "" if low is None or high is None else f"[{signed(low)}, {signed(high)}]"
        yield (
            f"{chosen[i].label:<{width}}  {chosen[j].label:<{width}}  {signed(difference.value):>8}  {span:>18}  "
            f"{p_text(item.p):>9}  {signed(areas[i, j].value) if (i, j) in areas else '':>8}  {verdicts[i, j]}"
        )
    yield "intervals: each pair's own, not adjusted for the number of pairs"
    if areas:
        yield "heights: difference of the mean heights of the two learning curves; its interval is in --json"
    counts = Counter(remark for item in pairs.values() for remark in remarks(item.comparison))
    yield from (f"{remark} ({count} of {len(pairs)} pairs)" for remark, count in counts.items())


def _verdict(chosen: Sequence[Competitor], i: int, j: int, item: Judged) -> str:
    """Return what is said of a pair: nothing of entries that nobody replayed whole."""
    return item.verdict if chosen[i].judged and chosen[j].judged else "not judged"


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

    from leaderboard.statistics.sentences import remarks, sentence

    rows = []
    for (i, j), judged in pairs.items():
        item, p = judged.comparison, judged.p
        rows.append(
            {
                "a": chosen[i].configuration.config_id,
                "b": chosen[j].configuration.config_id,
                "verdict": _verdict(chosen, i, j, judged),
                "sentence": sentence(
                    item, chosen[i].label, chosen[j].label, p=p, p_equal=judged.p_equal, pairs=len(pairs)
                )
                if chosen[i].judged and chosen[j].judged
                else "",
                "remarks": remarks(item),
                "p_holm": p,
                "p_equal_holm": judged.p_equal,
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
                "level": item.level,
                "caveats": item.configuration.caveats,
            }
            for item in chosen
        ],
        "pairs": rows,
    }
