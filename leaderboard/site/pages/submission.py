"""The page of each submission: who, what, how far it is proven, what was found, and what was held against it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from leaderboard.board import exports
from leaderboard.board.exports import Cell, Column, Table
from leaderboard.board.report import Report, each_once
from leaderboard.bundles.levels import word
from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.site.pages.run import PROVEN, facts, shown
from leaderboard.store.rows import StoredSubmission, SubmittedRun
from leaderboard.store.snapshot import Conflict
from suite.errors import UsageError

RUNS_SHOWN = 600
"""How many runs of a submission its page lists; the database has all."""

FINDINGS_SHOWN, ENVIRONMENTS_SHOWN, CONFLICTS_SHOWN = 200, 20, 100

FINDING = ("code", "severity", "where", "message", "remedy")
"""The columns of a finding."""

LIST = "submissions/list"
"""The path of the list of submissions as files, without their ends."""

RUN = (
    Column("config_id", "Configuration"),
    Column("entry", "Entry"),
    Column("game", "Game"),
    Column("seed", "Seed"),
    Column("environment_fingerprint", "Environment"),
    Column("state", "State"),
    Column("score", "Score", 1),
    Column("stands", "Stands"),
    Column("sha256", "SHA-256"),
)
"""The columns of a run; `stands`: no other result stands in its place, and it is not retracted."""

PRINTED = (1, 2, 3, 5, 6, 7)
"""Those that LaTeX shows."""

SLUG = "{slug}"
"""What stands for a submission's slug in the address of bundles."""

_LINK = re.compile(r"https://[A-Za-z0-9.-]+(?::\d+)?(?:/[A-Za-z0-9._~%/#?=&+,:@()-]*)?")


@dataclass(frozen=True, slots=True)
class Place:
    """A run of the submission; `path` leads to its page, "" where another result stands in its place."""

    run: SubmittedRun
    label: str
    path: str


def pages(book: Book) -> dict[str, bytes]:
    """Return a page for the newest bundle of each slug, and the list of all."""
    found = book.report.submissions
    rows = [_row(book.report, item) for item in found if item.current]
    files = exports.files(_listed_table(rows), LIST) if rows else {}
    files |= book.html(links.SUBMISSIONS, "submissions.html", current=rows, stem=LIST, offered=exports.offered(files))
    for item in found:
        if item.current:
            older = [other for other in found if other.slug == item.slug and other is not item]
            path = links.submission(item.slug)
            stem, values = path.removesuffix(".html"), _values(book, item, older)
            made = _downloads(item, _places(book, item, item.runs), values["findings"], stem)
            files |= made | book.html(path, "submission.html", stem=stem, offered=exports.offered(made), **values)
    return files


def _listed_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    names = ("submission", "title", "authors", "tasks", "submitted_at", "runs", "level", "flags")
    cells = tuple(
        (
            *(item.slug, item.title, "; ".join(row["authors"]), "; ".join(row["tasks"]), item.submitted_at),
            *(len(item.runs), item.level, "; ".join(flag.code for flag in item.flags) or None),
        )
        for row in rows
        for item in (row["item"],)
    )
    columns = tuple(Column(name, name.replace("_", " ").capitalize()) for name in names)
    return Table("submissions", "The newest bundle of every submission.", columns, cells)


def _downloads(
    item: StoredSubmission, places: Sequence[Place], grouped: Sequence[Sequence[str]], stem: str
) -> dict[str, bytes]:
    """Return the files of the runs and of the findings: for machines all of them, for LaTeX what the page shows."""
    made: dict[str, bytes] = {}
    if places:
        caption = f"The runs of the submission {item.slug}."
        rows = tuple(_run_cells(place) for place in places)
        heads = [RUN[i] for i in PRINTED]
        short = tuple(tuple(row[i] for i in PRINTED) for row in rows[:RUNS_SHOWN])
        listed = Table(item.slug, caption, tuple(heads), short)
        made |= exports.files(Table(item.slug, caption, RUN, rows), f"{stem}-runs", listed)
    if grouped:
        caption = f"What the check found in the submission {item.slug}."
        columns = tuple(Column(name, name.capitalize()) for name in FINDING)
        every = tuple(tuple(shown(row.get(name)) for name in FINDING) for row in _found(item))
        whole = Table(item.slug, caption, columns, every)
        made |= exports.files(whole, f"{stem}-findings", Table(item.slug, caption, columns, tuple(map(tuple, grouped))))
    return made


def _run_cells(place: Place) -> tuple[Cell, ...]:
    run = place.run
    return (
        *(run.config_id, place.label, run.game, run.seed, run.environment_fingerprint),
        *(run.state, run.score, bool(place.path), run.digest),
    )


def _found(item: StoredSubmission) -> list[Mapping[str, Any]]:
    findings = item.report.get("findings")
    return [row for row in findings if isinstance(row, Mapping)] if isinstance(findings, list) else []


def _row(report: Report, item: StoredSubmission) -> dict[str, Any]:
    """Return what the list shows of a submission: at most five authors, and the tasks of its runs."""
    own = {run.config_id for run in item.runs}
    tasks = [name for name, data in report.data.items() if own & data.configurations.keys()]
    authors = [author(entry) for entry in item.authors]
    return {"item": item, "tasks": tasks, "authors": [*authors[:5], "and others"] if len(authors) > 5 else authors}


def checked_bundles(address: str) -> str:
    """Return an address of bundles; UsageError unless it is https, plain, and says where the slug stands."""
    if address and (SLUG not in address or not safe_link(address.replace(SLUG, "slug"))):
        raise UsageError(
            f"--bundles {address!r} is no address of bundles.",
            f"Give one that starts with https:// and has {SLUG} where a submission's slug stands.",
        )
    return address


def safe_link(text: Any) -> str:
    """Return a link if it is https, plain and not too long, else "": nothing else becomes one."""
    return text if isinstance(text, str) and len(text) <= 300 and _LINK.fullmatch(text) else ""


def _values(book: Book, item: StoredSubmission, older: list[StoredSubmission]) -> dict[str, Any]:
    report, grouped = book.report, _grouped(_found(item))
    return {
        "item": item,
        "older": older,
        "authors": [author(entry) for entry in item.authors],
        "links_out": [pair for pair in map(_named_link, item.links) if pair[1]],
        "proven": PROVEN.get(word(item.level), ""),
        "conflicts": (several := _conflicts(report, item))[:CONFLICTS_SHOWN],
        "conflicts_in_all": len(several),
        "labels": _labels(report),
        "bundle": book.bundles.replace(SLUG, quote(item.slug, safe="")),
        "findings": grouped[:FINDINGS_SHOWN],
        "findings_in_all": len(grouped),
        "runs": _places(book, item, item.runs[:RUNS_SHOWN]),
        "runs_in_all": len(item.runs),
        "environment": environments(item.environment),
        "stated": stated(item.statement),
        "cards": sorted(str(name) for name in item.cards),
    }


def _labels(report: Report) -> dict[str, str]:
    labels: dict[str, str] = {}
    for data in report.data.values():
        labels = {key: entry.label for key, entry in data.entries.items()} | labels
    return labels


def _conflicts(report: Report, item: StoredSubmission) -> list[Conflict]:
    """Return the cells in which a submission's result stands before another one, or behind it."""
    found = {
        one.cell: one
        for data in report.data.values()
        for one in data.conflicts
        if any(item.slug in result.slugs for result in (one.stands, *one.others))
    }
    return [one for _, one in sorted(found.items())]


def _grouped(findings: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Return rows of code, severity, where, message and remedy: what was found alike in many places is one row."""
    places: dict[tuple[str, ...], list[str]] = {}
    for row in findings:
        code, severity, where, *rest = (shown(row.get(key)) for key in FINDING)
        places.setdefault((code, severity, *rest), []).append(where)
    return [
        [code, severity, f"{where[0]} and {len(where) - 1} more" if len(where) > 1 else where[0], *rest]
        for (code, severity, *rest), where in places.items()
    ]


def author(entry: Any) -> str:
    """Return an author for people: the name, with the affiliation in brackets."""
    if not isinstance(entry, Mapping):
        return shown(entry)
    name, where = shown(entry.get("name")), shown(entry.get("affiliation"))
    return f"{name} ({where})" if where else name


def _named_link(entry: Any) -> tuple[str, str]:
    """Return a link's name and target from a pair of them; the target is "" unless it is safe."""
    name, target = entry if isinstance(entry, list | tuple) and len(entry) == 2 else ("", entry)
    target = safe_link(target)
    return f"{shown(name)[:40]}: {target}" if name else target, target


def stated(statement: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return what the submitters say about their runs, as rows; what they left out is left out."""
    rows = [("relationship", {"first_party": "by the method's authors", "third_party": "by others"}.get(
        shown(statement.get("relationship")), ""))]  # fmt: skip
    for part, name in (("code", "commit"), ("compute", "device"), ("compute", "hours"), ("tuning", "budget_runs"),
                       ("tuning", "games_used"), ("tuning", "selection_rule")):  # fmt: skip
        table = statement.get(part)
        value = table.get(name) if isinstance(table, Mapping) else None
        rows.append((f"{part}: {name.replace('_', ' ')}", _listed(value)))
    rows += [(name.replace("_", " "), _listed(statement.get(name), " ")) for name in ("deviations", "known_issues")]
    return [(name, value) for name, value in rows if value]


def environments(recorded: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the environments of a bundle's runs, a row for each fingerprint."""
    found = recorded.get("environments")
    rows = []
    for item in found[:ENVIRONMENTS_SHOWN] if isinstance(found, list | tuple) else ():
        if isinstance(item, Mapping):
            more = f"suite {shown(item.get('suite_version'))}, {shown(item.get('attempts'))} attempts"
            packages = "; ".join(f"{key} {value}" for key, value in facts(item.get("packages"))[:12])
            rows.append((shown(item.get("fingerprint")), f"{more}; {packages}" if packages else more))
    return rows


def _listed(value: Any, between: str = "; ") -> str:
    return between.join(map(shown, value[:20])) if isinstance(value, list | tuple) else shown(value)


def _places(book: Book, item: StoredSubmission, runs: Sequence[SubmittedRun]) -> list[Place]:
    """Return runs of a submission with the entries that they belong to; those of a retracted one lead nowhere."""
    labels = _labels(book.report)
    homes = {
        (run.config_id, run.game, run.seed, run.digest): links.run(book.runs_page(run.config_id, run.game), run.seed)
        for _, run in each_once(book.report.data.values())
    }
    return [
        Place(
            run,
            labels.get(run.config_id, run.config_id),
            homes.get((run.config_id, run.game, run.seed, run.digest), ""),
        )
        for run in runs
    ]
