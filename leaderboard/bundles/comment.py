"""A report as a Markdown comment: read again as something from outside, so that whoever wrote it can do no harm."""

from __future__ import annotations

import json

from pydantic import ValidationError

from leaderboard.bundles.check import plural
from leaderboard.bundles.findings import Rejected
from leaderboard.bundles.schema import ReportFile, ReportFinding, field_error
from leaderboard.bundles.strict import parse_json

REPORT_BYTES = 1_000_000
LISTED = 40
MARK = "<!-- suite report -->"
"""The first line of every comment, by which the next one finds it."""


def comment(content: bytes) -> str:
    """Return Markdown for the bytes of a report.json; Rejected unless it has the published form and is at most 1 MB.

    All text of the report stands in code spans, without the characters that could end one.
    """
    if len(content) > REPORT_BYTES:
        raise Rejected("json.size", "report.json", f"it has more than {REPORT_BYTES:,} bytes")
    try:
        report = ReportFile.model_validate_json(json.dumps(parse_json(content, "report.json")), strict=True)
    except ValidationError as error:
        raise field_error(error, "report.json") from error
    verdict = "has errors" if report.errors else "holds, as far as this check goes"
    counts = f"{plural(report.errors, 'error')}, {report.reviews} for review, {plural(report.notes, 'note')}"
    runs = plural(len(report.runs), "run")
    task = code(report.bundle.task or "no task")
    lines = [
        MARK,
        f"**This bundle {verdict}.** {counts}; {runs} of {task}; level {code(report.level)}.",
        "",
        "The check ran as the pull request left it; what counts is the one at the build, from the main branch.",
        "",
    ]
    if report.findings:
        lines += ["| | Code | Where | What | Remedy |", "|---|---|---|---|---|"]
        lines += [_row(finding) for finding in report.findings[:LISTED]]
    if len(report.findings) > LISTED:
        lines += ["", f"{len(report.findings) - LISTED} more are in report.json."]
    return "\n".join(lines) + "\n"


def code(text: str) -> str:
    """Return text as a Markdown code span that fits into a table: no backtick, bar or backslash is left in it."""
    safe = "".join(letter if " " <= letter <= "~" and letter not in "`|\\" else "'" for letter in text).strip()
    return f"`{safe}`" if safe else ""


def _row(finding: ReportFinding) -> str:
    cells = (finding.severity, finding.code, finding.where, finding.message, finding.remedy)
    return "| " + " | ".join(code(cell) for cell in cells) + " |"
