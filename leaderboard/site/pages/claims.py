"""The paper's claims: each with its verdict on every rung, the evidence, and how much of the protocol was run."""

from __future__ import annotations

from leaderboard.board.report import Report, TaskData
from leaderboard.site import links
from leaderboard.site.book import Book
from leaderboard.studies.coverage import PAPER, RUNGS, claims_of
from leaderboard.studies.evidence import Evidence

TITLES = {PAPER: "as in the paper", "minatar": "MinAtar", "classic": "classic control"}


def pages(book: Book) -> dict[str, bytes]:
    """Return the page."""
    found = claims_of(evidence_of(book.report))
    studies = list({asked.study.id: asked.study for asked in found.asked}.values())
    return book.html(
        links.CLAIMS,
        "claims.html",
        studies=studies,
        asked=found.asked,
        coverage=found.coverage,
        rungs=[(rung, TITLES[rung]) for rung in RUNGS],
    )


def evidence_of(report: Report) -> dict[str, Evidence]:
    """Return the results of a report by task."""
    return {name: _evidence(data) for name, data in report.data.items()}


def _evidence(data: TaskData) -> Evidence:
    runs = {config_id: data.runs_of(config_id) for config_id in {run.config_id for run in data.runs}}
    measures = {(row.config_id, row.game, row.seed): row.series for rows in data.diagnostics.values() for row in rows}
    return Evidence(runs, measures)
