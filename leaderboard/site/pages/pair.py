"""The page of each pair: the verdict in a sentence, then the numbers, the games behind it, and what is missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from leaderboard.board import exports
from leaderboard.board.duels import Duel, table
from leaderboard.board.exports import Cell, Column, Table
from leaderboard.board.views import Curve, Site, TaskPage
from leaderboard.site import links
from leaderboard.site.book import Book, html
from leaderboard.site.downloads import printed
from leaderboard.site.drawing import charts, figures, pdf_bytes, plots, spans
from leaderboard.site.parts import Files, Part, all_files, part, whole
from leaderboard.site.text import decimals, fixed, signed
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.pairs import GameDifference
from leaderboard.statistics.sentences import p_text, remarks, sentence

FORMATS = ("csv", "json", "tex", "pdf")
"""What each pair's table of games can be downloaded as."""

COLUMNS = (
    Column("game", "Game"),
    Column("a", "A"),
    Column("b", "B"),
    Column("difference", "Difference"),
    Column("low", "Low"),
    Column("high", "High"),
    Column("share_of_iqm_difference", "Drives", 3),
)


def pages(book: Book) -> dict[str, bytes]:
    """Return the page of each pair and the files of its table, and those of the table of all pairs of a task."""
    return all_files(parts(book))


def parts(book: Book) -> Iterator[Part]:
    """Yield the table of all pairs of each task, and the page and the files of each pair."""
    tasks = {task.name: task for task in book.report.site.tasks}
    for name, pairs in book.duels.items():
        task = tasks[name]
        yield whole(stem(name), book.key(name), _table, task, pairs)
        curves = {curve.entry.config_id: curve for curve in task.full.curves}
        for duel in pairs:
            both = {key: curves[key] for key in (duel.a.config_id, duel.b.config_id) if key in curves}
            path = links.pair(name, duel.a.config_id, duel.b.config_id)
            yield part(path.removesuffix(".html"), _pair, book.frame, task.bare, duel, both)
            item = duel.comparison
            sides, base = (duel.a.config_id, duel.a.label, duel.b.config_id, duel.b.label), path.removesuffix(".html")
            kind = "of pairs by seed" if item.paired else "Welch's"
            yield part(f"{base} files", downloads, (*sides, kind), item.seeds, item.by_game, task.scale, base)


def _table(task: TaskPage, pairs: Sequence[Duel]) -> Files:
    return exports.files(table(task, pairs), stem(task.name), printed.pairs(task, pairs))


def _pair(site: Site, task: TaskPage, duel: Duel, curves: dict[str, Curve]) -> Files:
    path = links.pair(task.name, duel.a.config_id, duel.b.config_id)
    shown = values(duel, curves, task.full.iteration_length)
    return html(site, path, "pair.html", task=task, tab="Board", **shown)


def stem(task: str) -> str:
    """Return the path, without its end, of the table of all pairs of a task (.csv, .json, .tex)."""
    return f"{links.slug(task)}/compare/pairs"


def values(duel: Duel, curves: dict[str, Curve], step: int) -> dict[str, Any]:
    """Return what the template shows of a pair, whose curves have a point every `step` frames."""
    item, a, b = duel.comparison, duel.a, duel.b
    place, ticks = spans.axis([row.difference for row in item.by_game])
    whole, whole_ticks = spans.axis([item.difference, Estimate(item.margin, -item.margin, item.margin)])
    looks = charts.style(a), charts.style(b)
    traces = [
        plots.Trace.of(charts.curve_points(curves[entry.config_id], step), look)
        for entry, look in zip((a, b), looks, strict=True)
        if entry.config_id in curves
    ]
    return {
        "duel": duel,
        "sentence": sentence(item, a.label, b.label, p=duel.p, p_equal=duel.p_equal, pairs=duel.pairs),
        "remarks": remarks(item),
        "strip": _strip(duel),
        "rows": [(row, spans.span(row.difference, place)) for row in item.by_game],
        "ticks": ticks,
        "whole": spans.span(item.difference, whole),
        "whole_ticks": whole_ticks,
        "margin": (whole(-item.margin), whole(item.margin)),
        "plot": plots.plot(traces),
        "looks": looks,
        "area": _area(duel),
        "carried": _carried([("A", curves.get(a.config_id)), ("B", curves.get(b.config_id))]),
        "p_text": p_text,
        "formats": FORMATS,
        "stem": links.pair("", a.config_id, b.config_id).rpartition("/")[2].removesuffix(".html"),
    }


def downloads(
    sides: tuple[str, str, str, str, str],
    seeds: tuple[int, int],
    games: Sequence[GameDifference],
    scale: str,
    path: str,
) -> Files:
    """Return a pair's games as files: what its games alone decide, whatever else is compared on the board."""
    a, label_a, b, label_b, kind = sides
    caption = (
        f"A: {label_a}. B: {label_b}. {scale.capitalize()} means over {seeds[0]} to {seeds[1]} "
        f"seeds, and differences with 95 % intervals ({kind}), each game's own. Drives: by how much the difference of "
        "IQMs changes when that game's runs alone change sides."
    )
    made = exports.files(Table(f"{a} less {b}", caption, COLUMNS, tuple(map(_row, games))), path)
    return made | {f"{path}.pdf": printed_figure(games, scale)}


def printed_figure(games: Sequence[GameDifference], scale: str) -> bytes:
    """Return a pair's figure for papers as PDF: the difference in every game with its interval."""
    changes = [(row.game, row.difference) for row in games]
    rows = figures.difference_rows(changes)
    drawn = figures.intervals(rows, f"A less B, {scale}", width=234, row_height=11, reference=0.0)
    return pdf_bytes.from_svg(drawn)


def _row(row: GameDifference) -> tuple[Cell, ...]:
    return row.game, row.a, row.b, row.difference.value, row.difference.low, row.difference.high, row.share


def _strip(duel: Duel) -> list[tuple[str, str, str]]:
    item = duel.comparison
    digits = decimals(item.difference)
    return [
        ("IQM of A", fixed(item.a, digits), ""),
        ("IQM of B", fixed(item.b, digits), ""),
        ("difference", signed(item.difference.value, digits), _interval(item.difference, digits, sign=True)),
        *_heights(duel),
        ("probability of improvement", fixed(item.improvement.value), _interval(item.improvement, 2)),
        ("permutation p", p_text(item.p), ""),
        *[("p over all looks", p_text(item.p_looks), "")] * (item.look != "only"),
        (f"p over {duel.pairs} pairs (Holm)", p_text(duel.p), ""),
        *[("seeds", item.pairing, "")] * (item.pairing != "unpaired"),
        ("seeds a game", "\N{EN DASH}".join(map(str, dict.fromkeys(item.seeds))), ""),
        ("seeds for power 0.8", str(item.seeds_needed or "more than 1,000"), ""),
    ]


def _heights(duel: Duel) -> list[tuple[str, str, str]]:
    if duel.area is None:
        return []
    digits = decimals(duel.area)
    shown = signed(duel.area.value, digits)
    return [("difference of mean heights", shown, _interval(duel.area, digits, sign=True))]


def _area(duel: Duel) -> str:
    """Return the difference of the areas with its interval for the caption; "" where there is none."""
    return "".join(f"{value} {note}" for _, value, note in _heights(duel))


def _carried(curves: Sequence[tuple[str, Curve | None]]) -> str:
    """Return a sentence that says how many runs diverged; "" where none did."""
    counts = [(name, max(point.carried for point in curve.points)) for name, curve in curves if curve is not None]
    parts = [f"{count} of {name}" for name, count in counts if count]
    return f"Diverged runs: {', '.join(parts)}." if parts else ""


def _interval(estimate: Estimate, digits: int, *, sign: bool = False) -> str:
    if estimate.low is None or estimate.high is None:
        return "no interval"
    show = signed if sign else fixed
    return f"[{show(estimate.low, digits)}, {show(estimate.high, digits)}]"
