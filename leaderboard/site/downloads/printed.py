"""Tables for papers: the numbers as people print them, and what their captions say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from leaderboard.board.duels import Duel
from leaderboard.board.exports import Cell, Column, Table
from leaderboard.board.views import Board, Span, Standing, TaskPage
from leaderboard.site.text import NONE, decimals, fixed, si, span
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.ranks import Ranking

WIDEST = 6
"""How many entries stand beside each other in a table of games."""


def standings(task: TaskPage, board: Board, rankings: Mapping[str, Ranking]) -> Table:
    """Return the standings for print: in bold all whose rank may be the first.

    `rankings` are by configuration; entries without one are not in bold whatever their number, and without any there
    are no such columns. A dagger marks numbers that others published.
    """
    columns = [Column("entry", "Entry"), Column("iqm", "IQM", right=True)]
    columns += [Column("interval", "95% interval", right=True)]
    columns += [Column("group", "Group"), Column("rank", "Rank", right=True)] * bool(rankings)
    columns += [Column(name, name.capitalize(), right=True) for name in ("seeds", "sparsity", "parameters")]
    rows, bold = [], set()
    for index, row in enumerate(item for item in board.standings if item.estimate is not None):
        estimate, ranking = row.estimate, rankings.get(row.entry.config_id)
        assert estimate is not None
        cells: list[Cell] = [label(row), fixed(estimate.value, decimals(estimate)), interval(estimate)]
        if rankings:
            places = None if ranking is None else span(Span(ranking.low, ranking.high), "whole")
            cells += [None if ranking is None else ranking.group, places]
        cells += [span(row.seeds, "whole"), span(row.sparsity, "percent"), span(row.parameters)]
        rows.append(tuple(None if cell == NONE else cell for cell in cells))
        if ranking is not None and ranking.best:
            bold |= {(index, 0), (index, 1)}
    return Table(f"{task.name} standings", caption(task, board), tuple(columns), tuple(rows), frozenset(bold))


def games(task: TaskPage, board: Board, places: Sequence[int]) -> Table:
    """Return the mean raw returns of some entries, by their places on the board: a row for each game."""
    heads = [Column("game", task.games_word.capitalize().removesuffix("s"))]
    if task.aggregated:
        heads += [Column("random", "Random", 1), Column("human", "Human", 1)]
    heads += [Column(f"entry_{place + 1}", label(board.standings[place]), 1) for place in places]
    rows = []
    for row in board.games:
        cells: list[Cell] = [row.game, *((row.random, row.human) if task.aggregated else ())]
        cells += [None if cell is None else cell.score for cell in (row.cells[place] for place in places)]
        rows.append(tuple(cells))
    text = f"Mean raw returns over seeds. {task.title}."
    return Table(f"{task.name} {task.games_word}", text, tuple(heads), tuple(rows))


def all_games(task: TaskPage, board: Board) -> Table:
    """Return the mean returns of every entry: a column for each if they fit a page, else a row for each game."""
    if len(board.standings) <= WIDEST:
        return games(task, board, range(len(board.standings)))
    heads = (
        Column("game", task.games_word.capitalize().removesuffix("s")),
        Column("entry", "Entry"),
        Column("seeds", "Seeds"),
        Column("score", "Score", 1),
        *[Column("normalized", task.scale.capitalize())] * task.aggregated,
    )
    rows = tuple(
        (row.game, label(standing), cell.seeds, cell.score, *[cell.normalized] * task.aggregated)
        for row in board.games
        for standing, cell in zip(board.standings, row.cells, strict=True)
        if cell is not None
    )
    return Table(f"{task.name} {task.games_word}", f"Mean raw returns over seeds. {task.title}.", heads, rows)


def estimate(found: Estimate | None, digits: int | None = None) -> str | None:
    """Return a number with its interval behind it; None where there is no number."""
    if found is None:
        return None
    value = fixed(found.value, decimals(found) if digits is None else digits)
    return value if found.low is None else f"{value} {interval(found, digits)}"


def pairs(task: TaskPage, duels: Sequence[Duel]) -> Table:
    """Return the comparisons of pairs; bold where the difference is established over all pairs."""
    heads = (
        Column("a", "A"),
        Column("b", "B"),
        Column("difference", "A less B", right=True),
        Column("interval", "95% interval", right=True),
        Column("improvement", "P(A > B)", right=True),
        Column("p", "p (Holm)", right=True),
    )
    rows = tuple(
        (
            duel.a.label,
            duel.b.label,
            fixed(duel.comparison.difference.value, 3),
            interval(duel.comparison.difference, 3),
            fixed(duel.comparison.improvement.value),
            f"{duel.p:.2g}" if duel.p >= 1e-4 else "< 0.0001",
        )
        for duel in duels
    )
    bold = frozenset((i, 2) for i, duel in enumerate(duels) if duel.verdict in ("better", "worse"))
    return Table(f"{task.name} pairs", f"Differences of IQMs, A less B. {task.title}.", heads, rows, bold)


def caption(task: TaskPage, board: Board) -> str:
    """Return what a number of the standings is."""
    return (
        f"{task.title}: interquartile mean (IQM) of {task.scale} scores over {board.games_needed} "
        f"{task.games_word} and all seeds after {si(board.frames)} {task.unit}."
    )


def label(row: Standing) -> str:
    """Return what an entry is called; a dagger where others published its numbers, words where nobody replayed it."""
    name = row.entry.label.removesuffix(" (published)")
    return f"{name}\N{DAGGER}" if row.entry.published else f"{name}{row.mark}"


def interval(estimate: Estimate, digits: int | None = None) -> str:
    """Return an interval, or a word where there is none."""
    if estimate.low is None or estimate.high is None:
        return "none"
    digits = decimals(estimate) if digits is None else digits
    return f"[{fixed(estimate.low, digits)}, {fixed(estimate.high, digits)}]"
