"""The paper kit: a task's results as booktabs tables, vector figures, captions and BibTeX, in one folder.

Bold means the best group that cannot be told apart, never the best number. The same database gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from leaderboard.board import exports, report
from leaderboard.board.duels import Duel, duels
from leaderboard.board.duels import table as duel_table
from leaderboard.board.exports import Table, tex
from leaderboard.board.report import TaskData
from leaderboard.board.standings import normalized_scores
from leaderboard.board.views import Span, Standing, TaskPage
from leaderboard.site import folder, tables
from leaderboard.site.downloads import printed
from leaderboard.site.drawing import charts, figures, pdf_bytes
from leaderboard.site.drawing.charts import Line
from leaderboard.site.drawing.figures import Row
from leaderboard.site.drawing.panels import ENTRIES, FIGURE, panels, recorded
from leaderboard.site.paper import bibliography
from leaderboard.site.paper.choice import narrowed
from leaderboard.site.profiles import profile_lines
from leaderboard.site.text import span
from leaderboard.statistics import ranks
from leaderboard.statistics.conventions import STATISTICS, STATISTICS_POLICY
from leaderboard.store.database import ResultStore
from suite import __version__
from suite.contracts import registry
from suite.errors import UnfitEnvironment, UsageError
from suite.tasks import load_task

WIDTHS = {"column": 3.25, "text": 6.75}
"""Widths of figures, in inches."""

POINTS = 72
GAMES_ACROSS = {"column": 3, "text": 6}
"""How many entries stand side by side in a table of games."""

MARKER = ".pruned-rl-suite-paper"
"""The file by which a folder is known to be a kit of ours, and may be replaced."""


@dataclass(frozen=True, slots=True)
class KitReport:
    """What was written: the task's key, its entries, the figures' width in inches, sizes by name, the content hash."""

    task: str
    entries: int
    width: float
    files: dict[str, int]
    database: str


def write_kit(
    db: Path,
    task_name: str,
    out: Path,
    *,
    width: str = "column",
    entries: Sequence[str] = (),
    games: Sequence[str] = (),
) -> KitReport:
    """Write the kit of a task into `out`, which is replaced as a whole if it is a kit of ours, or made.

    `entries` and `games` choose some of them; see `choice.narrowed`. Raises UsageError for an unknown task, entry or
    game, a task without results, or an `out` that holds anything else; UnfitEnvironment if it cannot be written.
    """
    task = load_task(task_name)
    folder.check_target(out, MARKER, "a paper kit")
    with ResultStore.open(db) as store, store.snapshot() as snapshot:
        data, digest = narrowed(report.task_data(snapshot, task), entries, games), snapshot.digest()
    page = report.task_page(data)
    if not page.full.standings:
        raise UsageError(
            f"{db} has no results of {task.id} with its full budget.",
            "Put some in with `suite leaderboard ingest DIR --db FILE`.",
        )
    files = kit(page, data, digest, width=width)
    try:
        folder.write(files | {MARKER: f"{digest}\n".encode()}, out)
    except OSError as error:
        raise UnfitEnvironment(f"Cannot write {out}: {error.strerror or error}.", "Name another folder.") from error
    sizes = {name: len(content) for name, content in sorted(files.items())}
    return KitReport(page.key, len(page.full.standings), WIDTHS[width], sizes, digest)


def kit(page: TaskPage, data: TaskData, digest: str, *, width: str = "column") -> dict[str, bytes]:
    """Return the files of a kit by their names."""
    rankings = _rankings(page, data)
    pairs = duels(page, data) if page.aggregated else ()
    drawn = _figures(page, data, rankings, pairs, WIDTHS[width] * POINTS)
    floats = _tables(page, rankings, pairs, width) | _figure_floats(page, drawn, width)
    keys, unknown = _cited(page, data)
    files = {f"{name}.tex": text.encode() for name, text in floats.items()}
    files |= {f"figures/{name}.pdf": content for name, (content, _) in drawn.items()}
    files |= _data(page, pairs)
    files["protocol.tex"] = _protocol(page, digest).encode()
    files["references.bib"] = bibliography.bibtex(keys, unknown).encode()
    files["example.tex"] = _example(list(floats), sorted(set(keys))).encode()
    files["README.md"] = _readme(page, floats, drawn, digest, width).encode()
    return files


def _rankings(page: TaskPage, data: TaskData) -> dict[str, ranks.Ranking]:
    """Return the board's rankings; where nothing was run here, those of the published entries among themselves."""
    known = {row.entry.config_id: row.ranking for row in page.full.standings if row.ranking is not None}
    if known or not page.official or any(not entry.published for entry in page.full.entries):
        return known
    complete = [row for row in page.full.standings if row.estimate is not None and row.estimate.low is not None]
    scores = {row.entry.config_id: normalized_scores(data.runs_of(row.entry.config_id)) for row in complete}
    return ranks.rank(scores) if scores else {}


def _tables(page: TaskPage, rankings: Mapping[str, ranks.Ranking], pairs: Sequence[Duel], width: str) -> dict[str, str]:
    """Return the floats of all tables by their files' names, without the end."""
    board, found = page.full, {}
    if page.aggregated:
        table = printed.standings(page, board, rankings)
        found["table-standings"] = _float(
            "table*", _fitted(table), f"{_n(page)} {_bold(page, rankings)}", "standings", small=True
        )
    across, places = GAMES_ACROSS[width], range(len(board.standings))
    for part, first in enumerate(places[::across]):
        table = printed.games(page, board, list(places[first : first + across]))
        words = f"{page.title}: mean raw returns over seeds. No number is in bold: single games are not tested."
        name = "table-games" if len(places) <= across else f"table-games-{part + 1}"
        found[name] = _float("table*", _fitted(table), words + _dagger(page), name.removeprefix("table-"), small=True)
    if pairs:
        table = printed.pairs(page, pairs)
        words = (
            f"{page.title}: differences of IQMs, with 95% intervals (Welch, influence functions), the probability of "
            f"improvement and a stratified permutation p, adjusted for looks at other numbers of seeds and for all "
            f"{len(pairs)} pairs (Holm); intervals are not. In bold: established at 5%.{_paired(pairs)}"
        )
        found["table-pairs"] = _float("table*", _fitted(table), words, "pairs", small=True)
    return found


def _paired(pairs: Sequence[Duel]) -> str:
    """Return the sentence that says which pairs are paired by seed; "" where none is."""
    count = sum(duel.comparison.paired for duel in pairs)
    how = "permuted and measured pair by pair of runs of one seed"
    return f" {count} of them, an entry and its dense twin each, are {how}." if count else ""


def _figures(
    page: TaskPage,
    data: TaskData,
    rankings: Mapping[str, ranks.Ranking],
    pairs: Sequence[Duel],
    width: float,
) -> dict[str, tuple[bytes, str]]:
    """Return the figures by name, as PDF, each with its caption."""
    board = page.full
    complete = [row for row in board.standings if row.estimate is not None]
    found: dict[str, tuple[bytes, str]] = {}
    featured = {entry.config_id for entry in board.featured}
    curves = [curve for curve in board.curves if curve.entry.config_id in featured]
    height = 0.5 * width if width < 300 else 0.36 * width
    if curves:
        step = board.iteration_length
        drawn = {"": [Line(curve.entry, charts.curve_points(curve, step)) for curve in curves]}
        made = figures.lines_pdf(drawn, page.unit, f"IQM, {page.scale}", width=width, height=height)
        words = f"{_n(page)} Sample efficiency: IQM by iteration, with pointwise intervals."
        found["curves"] = made, words + _left_out(page, len(curves))
    lines = profile_lines(page, data, featured)
    if lines:
        axes = f"{page.scale} score", "share of runs above it"
        made = figures.lines_pdf({"": lines}, *axes, width=width, height=height)
        found["profiles"] = made, f"{_n(page)} Performance profiles: the share of runs above each score."
    if complete:
        rows = [_row(row, rankings) for row in complete]
        made = pdf_bytes.from_svg(figures.intervals(rows, f"IQM, {page.scale}", width=width, row_height=12))
        words = "Entries that share a letter cannot be told apart. " if rankings else ""
        found["intervals"] = made, f"{_n(page)} {words}Hollow marks: published by others."
    if first := [duel for duel in pairs if duel.a is pairs[0].a]:
        rows = [Row.of(duel.b, duel.comparison.improvement) for duel in first]
        svg = figures.intervals(
            rows, "probability of improvement", width=width, row_height=12, reference=0.5, domain=(0, 1)
        )
        words = f"{_n(page)} Probability that a run of {first[0].a.label} is above one of the others."
        found["improvement"] = pdf_bytes.from_svg(svg), words
    here = [entry.config_id for entry in page.full.entries if not entry.published]
    recording = {key: recorded(data, key) for key in [key for key in here if key in data.diagnostics][:ENTRIES]}
    if small := panels(recording, list(recording), FIGURE):
        shown = {panel.title: panel.lines for panel in small}
        found["diagnostics"] = (
            figures.lines_pdf(shown, page.unit, "", width=width, height=height / 2, columns=2),
            f"{page.title}: diagnostics, means over all runs of an entry.",
        )
    return found


def _row(row: Standing, rankings: Mapping[str, ranks.Ranking]) -> Row:
    ranking = rankings.get(row.entry.config_id)
    assert row.estimate is not None
    return Row.of(row.entry, row.estimate, ranking.group if ranking else "")


def _n(page: TaskPage) -> str:
    """Return the sentences that say what every number of the task is: the metric, n, the interval and its method."""
    board = page.full
    complete = [row for row in board.standings if row.estimate is not None and row.seeds is not None]
    seeds = [end for row in complete if row.seeds is not None for end in (row.seeds.low, row.seeds.high)]
    n = span(Span(min(seeds), max(seeds)), "whole") if seeds else "0"
    return (
        f"{printed.caption(page, board)} n = {n} runs per {page.games_word.removesuffix('s')} and entry. "
        f"Intervals: {100 * STATISTICS_POLICY.level:g}% over seeds, games fixed (statistics policy "
        f"{STATISTICS})."
    )


def _bold(page: TaskPage, rankings: Mapping[str, ranks.Ranking]) -> str:
    if not rankings:
        return "No entry is in bold: nothing is ranked." + _dagger(page)
    return (
        "Entries that share a letter cannot be told apart. In bold: those whose rank may be the first; rank intervals "
        "hold simultaneously (max-t)." + _dagger(page)
    )


def _dagger(page: TaskPage) -> str:
    return " \N{DAGGER} Published by others, not run here." if page.entries_published else ""


def _left_out(page: TaskPage, shown: int) -> str:
    left = len(page.full.curves) - shown
    return f" {left} more entries are in data/curves.csv." if left else ""


FITTED = "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
"""Makes what follows, up to a brace, smaller if it is wider than the page, and leaves it alone otherwise."""


def _float(kind: str, body: str, text: str, label: str, *, small: bool) -> str:
    """Return a float: the caption above a table, below a figure."""
    head = rf"\caption{{{tex(text)}}}" + "\n" + rf"\label{{{'tab' if kind.startswith('table') else 'fig'}:{label}}}"
    size = "\\small\n" if small else ""
    inside = f"{head}\n{size}{body}" if kind.startswith("table") else f"{body}{head}\n"
    return f"\\begin{{{kind}}}[t]\n\\centering\n{inside}\\end{{{kind}}}\n"


def _fitted(table: exports.Table) -> str:
    return f"{FITTED}{exports.latex(table)}}}\n"


def _figure_floats(page: TaskPage, drawn: Mapping[str, tuple[bytes, str]], width: str) -> dict[str, str]:
    kind, across = ("figure", r"\columnwidth") if width == "column" else ("figure*", r"\textwidth")
    return {
        f"figure-{name}": _float(
            kind, f"\\includegraphics[width={across}]{{figures/{name}.pdf}}\n", text, name, small=False
        )
        for name, (_, text) in drawn.items()
    }


def _data(page: TaskPage, pairs: Sequence[Duel]) -> dict[str, bytes]:
    """Return the numbers behind every table and figure."""
    found: dict[str, Table] = {"standings": tables.standings(page, page.full), "games": tables.games(page, page.full)}
    if page.full.curves:
        found["curves"] = tables.curves(page, page.full.curves)
    if pairs:
        found["pairs"] = duel_table(page, pairs)
    files: dict[str, bytes] = {}
    for name, table in found.items():
        files |= {f"data/{name}.csv": exports.csv_file(table), f"data/{name}.json": exports.json_file(table)}
    return files


def _cited(page: TaskPage, data: TaskData) -> tuple[list[str], list[tuple[str, str]]]:
    """Return the keys of all papers that the kit rests on, and the cards that name no paper that is known."""
    keys, unknown = list(bibliography.ALWAYS), []
    keys += bibliography.FAMILIES[data.task.family]
    sources = {item.source for item in data.configurations.values()}
    keys += [key for source, key in bibliography.PUBLISHED.items() if source in sources]
    for item in data.configurations.values():
        if item.frames != page.full.frames:
            continue
        parts: list[tuple[registry.Kind, str]] = [("agent", item.agent), ("network", item.network)]
        parts += [("method", name) for name in item.method.split("+")]
        for kind, name in parts:
            line = _paper(kind, name)
            found = bibliography.cited(line)
            keys += found
            if line and not found:
                unknown.append((name, line))
    return keys, unknown


def _paper(kind: registry.Kind, name: str) -> str:
    """Return what an installed card says about its paper; published entries have their agents' names in print."""
    known = registry.registered(kind)
    plain = name if name in known else name.lower().replace("-", "_")
    return registry.card(kind, plain).paper if plain in known else ""


def _protocol(page: TaskPage, digest: str) -> str:
    """Return the appendix: the protocol, where it departs from the published one, and what identifies every number."""
    lines = [rf"\section*{{Protocol: {tex(page.title)}}}", tex(page.protocol), ""]
    if page.deviations:
        lines += [r"\paragraph{Departures from the published protocol}", r"\begin{itemize}"]
        lines += [rf"\item {tex(text)}" for text in page.deviations]
        lines += [r"\end{itemize}"]
    if page.footnotes:
        lines += [r"\paragraph{Published numbers}", r"\begin{itemize}"]
        lines += [rf"\item {tex(text)}" for text in page.footnotes]
        lines += [r"\end{itemize}"]
    lines += [
        rf"\paragraph{{Identity}} Task {tex(page.key)}; suite {tex(__version__)}; statistics policy "
        rf"{tex(STATISTICS)}; results database, SHA-256 {digest[:32]}\allowbreak {digest[32:]}.",
        r"\begin{itemize}",
        *(rf"\item {tex(entry.label)}: \texttt{{{tex(entry.config_id)}}}" for entry in page.full.entries),
        r"\end{itemize}",
    ]  # fmt: skip
    return "\n".join(lines) + "\n"


def _example(floats: Sequence[str], keys: Sequence[str]) -> str:
    lines = [
        r"\documentclass[twocolumn]{article}",
        r"\usepackage[T1]{fontenc}",
        r"\usepackage[utf8]{inputenc}",
        r"\usepackage{booktabs,graphicx}",
        r"\begin{document}",
        *(rf"\input{{{name}}}" for name in floats),
        r"\clearpage",
        r"\input{protocol}",
        rf"\nocite{{{','.join(keys)}}}",
        r"\bibliographystyle{plain}",
        r"\bibliography{references}",
        r"\end{document}",
    ]
    return "\n".join(lines) + "\n"


def _readme(
    page: TaskPage, floats: Mapping[str, str], drawn: Mapping[str, tuple[bytes, str]], digest: str, width: str
) -> str:
    lines = [
        f"# {page.key}: tables and figures",
        "",
        f"From a results database with content SHA-256 `{digest}`, by `suite export paper --task {page.name} --width "
        f"{width}` of pruned-rl-suite {__version__}. The same database gives the same bytes.",
        "",
        "| file | holds |",
        "|---|---|",
        *(
            f"| `{name}.tex` | a float with its caption and label; needs `booktabs` and `graphicx` |"
            for name in floats
            if name.startswith("table")
        ),
        *(
            f"| `figure-{name}.tex`, `figures/{name}.pdf` | a float around a vector figure {WIDTHS[width]:g} in wide |"
            for name in drawn
        ),
        "| `protocol.tex` | the protocol for an appendix, with the identity of every configuration |",
        "| `references.bib` | what the cards of agents, networks and methods cite, and what the numbers rest on |",
        "| `example.tex` | a document with all of it: `pdflatex example && bibtex example && pdflatex example` |",
        "| `data/` | the same numbers in full, as CSV and JSON |",
        "",
        "Bold marks the group of the best, of which no entry can be told apart from the first, not the largest number. "
        "Entries with a dagger were published by others and not run here.",
        "",
        "Captions say what every number is. Keep n, the interval and the policy's name when you shorten them.",
    ]
    return "\n".join(lines) + "\n"
