"""A task's scores against width, sparsity, weights, operations and time: who is best for what it costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from leaderboard.board import exports
from leaderboard.board.exports import Column, Table
from leaderboard.board.looks import style
from leaderboard.board.views import Entry, Span, Standing, TaskPage
from leaderboard.site import links, tables
from leaderboard.site.book import Book
from leaderboard.site.drawing import plot_files, plots
from leaderboard.site.drawing.scatter import Dot, front, scatter
from leaderboard.site.parts import Part, all_files
from leaderboard.studies.coverage import PAPER, RUNGS, Answer, Claims
from leaderboard.studies.definition import Claim, Study

APART = 1.1
"""How many times the least cost the most is at least: hours of one machine differ by themselves."""

ABOUT = ("width", "sparsity")
"""What the paper's claims that stand here are about."""

TIMES = "\N{MULTIPLICATION SIGN}"

Cost = Callable[[Standing], float | None]


@dataclass(frozen=True, slots=True)
class Quantity:
    """What scores are set against: its name for machines and people, how a row has it, and its axis.

    `cost`: less of it is better, so that there is a front of entries that none beats.
    """

    name: str
    title: str
    of: Cost
    log: bool = False
    cost: bool = True


@dataclass(frozen=True, slots=True)
class Panel:
    """A quantity's plot, and the configurations on its front."""

    quantity: Quantity
    plot: plots.Plot
    front: frozenset[str]


@dataclass(frozen=True, slots=True)
class Row:
    """An entry with its values in the order of the panels, and whether it is on the front of each."""

    standing: Standing
    values: tuple[float | None, ...]
    on_front: tuple[bool, ...]


def width(row: Standing) -> float | None:
    """Return the factor on a network's channels; None of a network without one."""
    text = row.entry.network.partition(f" {TIMES}")[2]
    return float(text) if text.replace(".", "", 1).isdigit() else None


QUANTITIES = (
    Quantity("width", "Width of the network", width, cost=False),
    Quantity("sparsity", "Sparsity at the end", lambda row: _high(row.sparsity), cost=False),
    Quantity("weights", "Weights that are not zero", lambda row: _high(row.active_parameters), log=True),
    Quantity("flops", "FLOPs of a forward pass, without the zeros", lambda row: row.flops.sparse, log=True),
    Quantity("hours", "Hours of a run", lambda row: _hours(row.seconds), log=True),
)
"""What scores are set against, in this order."""


def pages(book: Book) -> dict[str, bytes]:
    """Return a page for each task that has a common scale, and its charts."""
    return all_files(parts(book))


def parts(book: Book) -> Iterator[Part]:
    """Yield the page of each task that has a common scale, with its charts."""
    yield from book.of_aggregated("tradeoffs", _page)


def panels(task: TaskPage) -> tuple[Panel, ...]:
    """Return a panel for each quantity that at least two entries run here differ in, costs by more than a little."""
    rows = [row for row in task.full.standings if row.estimate is not None and not row.entry.published]
    found = []
    for quantity in QUANTITIES:
        dots = [dot for row in rows if (dot := _dot(row, quantity)) is not None]
        places = [dot.x for dot in dots]
        if len(set(places)) > 1 and not (quantity.log and max(places) < APART * min(places)):
            kept = frozenset(dot.key for dot in front(dots)) if quantity.cost else frozenset()
            found.append(Panel(quantity, scatter(dots, log=quantity.log, steps=quantity.cost), kept))
    return tuple(found)


def _page(book: Book, task: TaskPage) -> dict[str, bytes]:
    drawn = panels(task)
    rows = [_row(row, drawn) for row in task.full.standings if row.estimate is not None and not row.entry.published]
    base = links.tradeoffs(task.name).removesuffix(".html")
    made = exports.files(_table(task, rows, drawn), base) if drawn else {}
    if drawn:
        titled = tuple((panel.quantity.title, panel.plot) for panel in drawn)
        keys = [plot_files.Key.of(row.standing.entry.label, style(row.standing.entry)) for row in rows]
        picture = plot_files.Picture(titled, "", f"IQM, {task.scale}", tuple(keys), min(2, len(drawn)))
        made[f"{base}.pdf"] = plot_files.pdf(picture)
    return made | book.html(
        links.tradeoffs(task.name),
        "tradeoffs.html",
        task=task,
        panels=drawn,
        rows=rows,
        base=base,
        offered=exports.offered(made),
        verdicts=verdicts(book.claims, task.name),
    )


def verdicts(claims: Claims, task: str) -> list[tuple[Study, Claim, Answer]]:
    """Return the paper's claims about width and sparsity that a task can decide, those of which something was run."""
    found = []
    for asked in claims.asked:
        shown = asked.study.picture.kind == "final" and asked.study.picture.x.rpartition(".")[2] in ABOUT
        rung = task if task in RUNGS else PAPER
        if shown and (rung != PAPER or asked.study.task == task) and asked.answers[rung].started:
            found.append((asked.study, asked.claim, asked.answers[rung]))
    return found


def _row(row: Standing, drawn: Sequence[Panel]) -> Row:
    values = tuple(panel.quantity.of(row) for panel in drawn)
    return Row(row, values, tuple(row.entry.config_id in panel.front for panel in drawn))


def _dot(row: Standing, quantity: Quantity) -> Dot | None:
    x, found = quantity.of(row), row.estimate
    if x is None or found is None or (quantity.log and x <= 0):
        return None
    return Dot(
        row.entry.config_id, x, found.value, found.low, found.high, style(row.entry), series(row.entry, quantity)
    )


def series(entry: Entry, quantity: Quantity) -> str:
    """Return what the entries of one line share: all but the width, or all but the settings of a method."""
    if quantity.name == "sparsity":
        return f"{entry.agent} {entry.network} {entry.method}"
    told = " ".join(f"{path}={value}" for path, value in entry.told)
    return f"{entry.agent} {entry.network.partition(f' {TIMES}')[0]} {entry.method} {told}"


def _table(task: TaskPage, rows: Sequence[Row], drawn: Sequence[Panel]) -> Table:
    """Return every entry with its score, what it costs, and of what it is on the front."""
    columns = (
        *(*tables.ENTRY, Column("iqm", "IQM"), *tables.INTERVAL[:2]),
        *(Column(panel.quantity.name, panel.quantity.title) for panel in drawn),
        Column("front", "On the front of"),
    )
    cells = tuple(
        (
            *tables.entry_cells(row.standing.entry),
            *tables.estimate_cells(row.standing.estimate)[:3],
            *row.values,
            "; ".join(panel.quantity.name for panel, on in zip(drawn, row.on_front, strict=True) if on) or None,
        )
        for row in rows
    )
    return Table(f"{task.name}-tradeoffs", f"{task.title}: scores against what entries cost.", columns, cells)


def _high(span: Span | None) -> float | None:
    return span.high if span else None


def _hours(span: Span | None) -> float | None:
    return span.high / 3600 if span else None
