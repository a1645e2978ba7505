"""Frozen releases: copies of the whole site under a name, kept side by side, and what moved from one to the next."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from leaderboard.board.answers import TaskAnswers
from leaderboard.board.report import Report
from leaderboard.site.folder import RELEASE
from suite.errors import BadData, UsageError

FOLDER = "releases"
SCHEMA = "leaderboard.release/1"

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,39}")


@dataclass(frozen=True, slots=True)
class Standing:
    """An entry on a board of a release: its label, place and letters, and the verdict against its dense twin, or ""."""

    label: str
    place: int
    group: str
    verdict: str


@dataclass(frozen=True, slots=True)
class Release:
    """A release: its name, newest result, version and database, and its boards by task and configuration."""

    name: str
    date: str
    version: str
    database: str
    boards: Mapping[str, Mapping[str, Standing]]

    def file(self) -> bytes:
        """Return what is kept of it beside its pages."""
        boards = {
            task: {key: [one.label, one.place, one.group, one.verdict] for key, one in own.items()}
            for task, own in self.boards.items()
        }
        content: dict[str, Any] = {"schema": SCHEMA, "name": self.name, "date": self.date, "version": self.version}
        content |= {"database": self.database, "boards": boards}
        return (json.dumps(content, indent=1, sort_keys=True) + "\n").encode()


def made(name: str, date: str, report: Report, answers: Mapping[str, TaskAnswers]) -> Release:
    """Return the release of a report under a name."""
    verdicts = {
        (task, one.entry.config_id): one.verdict for task, own in answers.items() for one in own.answers if one.judged
    }
    boards = {
        task.name: {
            row.entry.config_id: Standing(
                row.entry.label,
                row.ranking.ordinal if row.ranking else place,
                row.ranking.group if row.ranking else "",
                verdicts.get((task.name, row.entry.config_id), ""),
            )
            for place, row in enumerate((r for r in task.full.standings if not r.entry.published), start=1)
            if row.estimate is not None
        }
        for task in report.site.tasks
    }
    kept = {task: own for task, own in boards.items() if own}
    return Release(name, date, report.site.suite_version, report.site.database, kept)


def checked(name: str, known: tuple[Release, ...]) -> str:
    """Return a name that may be a release's; UsageError for one that is taken or no plain part of a path."""
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r} cannot be a release's name.", "Use letters, digits, dots, dashes: 2026-02.")
    if name in {release.name for release in known}:
        raise UsageError(f"There is a release {name} already, and releases never change.", "Choose another name.")
    return name


def kept(out: Path) -> tuple[Release, ...]:
    """Return the releases that a built site holds, the newest result first; BadData for one that cannot be read."""
    files = sorted((out / FOLDER).glob(f"*/{RELEASE}"))
    return tuple(sorted((_read(file) for file in files), key=lambda one: (one.date, one.name), reverse=True))


def _read(file: Path) -> Release:
    try:
        content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        boards = {task: {key: Standing(*row) for key, row in own.items()} for task, own in content["boards"].items()}
        return Release(content["name"], content["date"], content["version"], content["database"], boards)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BadData(f"{file} is no release: {error}.", "Remove its folder, or restore it.") from error


def moved(new: Release, old: Release | None) -> list[tuple[str, str, str]]:
    """Return what moved from one release to the next: task, entry, and what happened to it."""
    found = []
    for task, rows in new.boards.items():
        before = old.boards.get(task, {}) if old else {}
        for key, row in rows.items():
            told = _told(row, before.get(key))
            if told:
                found.append((task, row.label, told))
        found += [(task, row.label, "gone") for key, row in before.items() if key not in rows]
    return found


def _told(row: Standing, before: Standing | None) -> str:
    """Return what happened to an entry; "" where nothing did."""
    if before is None:
        return "new, and leads" if row.place == 1 else f"new, place {row.place}"
    parts = []
    if row.place != before.place:
        parts.append(f"{'leads now, ' if row.place == 1 else ''}from place {before.place} to {row.place}")
    if row.group != before.group:
        parts.append(f"group {before.group or 'none'} is now {row.group or 'none'}")
    if row.verdict != before.verdict:
        parts.append(f"against its dense twin: {before.verdict or 'none'} is now {row.verdict or 'none'}")
    return "; ".join(parts)
