"""A database examined: the file, its references, the rules of precedence, and every score from its own episodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row, func, select

from leaderboard.store import models
from leaderboard.store.claims import misplaced
from leaderboard.store.database import ResultStore
from leaderboard.store.details import unpacked
from leaderboard.store.engine import transaction
from suite.errors import BadData, SuiteError
from suite.records.claims import trace_of
from suite.records.score import by_evaluation, score_of_rows
from suite.tasks import load_task


@dataclass(frozen=True, slots=True)
class Audit:
    """How many runs there are, how many scores were computed again, and a sentence for each thing that is wrong."""

    runs: int
    scores: int
    problems: tuple[str, ...]
    digest: str


class _Ended(NamedTuple):
    frame: int
    length: int
    value: float
    end: str


def audit(path: Path) -> Audit:
    """Examine a database; nothing is changed. Raises what opening it raises.

    Where the file itself is not whole, the rest is not looked at, and the digest is "".
    """
    with ResultStore.open(path) as store:
        with transaction(store.engine, path, write=False) as connection:
            problems = list(_file(connection))
            if problems:
                return Audit(0, 0, tuple(problems), "")
        with store.snapshot() as snapshot, transaction(store.engine, path, write=False) as connection:
            problems += _standing(connection)
            count = connection.execute(select(func.count()).select_from(models.Run)).scalar_one()
            scores = 0
            for details in connection.execute(_DETAILS):
                found = _rescored(details)
                scores += found is not None
                problems += [found] if found else []
                problems += _retraced(details)
        return Audit(count, scores, tuple(problems), snapshot.digest())


def _file(connection: Connection) -> Iterator[str]:
    for (line,) in connection.exec_driver_sql("PRAGMA integrity_check"):
        if line != "ok":
            yield f"SQLite finds: {line}"
    for table, number, parent, _ in connection.exec_driver_sql("PRAGMA foreign_key_check"):
        yield f"row {number} of {table} belongs to no {parent}"


def _standing(connection: Connection) -> Iterator[str]:
    """Yield the cells in which another row stands than the rules say."""
    for row, found, chosen in misplaced(connection):
        yield f"{_cell(row)}: rows {found} stand where {chosen} should"


_DETAILS = (
    select(models.Run.__table__, models.Configuration.task, models.Recording.episodes, models.Recording.evaluation)
    .join(models.Configuration, models.Configuration.config_id == models.Run.config_id)
    .join(models.Recording, models.Recording.run_id == models.Run.id)
    .order_by(models.Run.id)
)


def _rescored(row: Row[Any]) -> str | None:
    """Compute a run's score again; return what is wrong with it, "" if nothing, None if it cannot be computed."""
    try:
        known = load_task(row.task.partition("@")[0])
    except SuiteError:
        return None
    column = row.evaluation if by_evaluation(known) else row.episodes
    if known.key != row.task or column is None:  # a copy without lists of episodes; schema 1 kept no evaluations
        return None
    try:
        rows = [_Ended(*one) for one in unpacked(column) or ()]
    except (BadData, TypeError):
        return f"{_cell(row)}: its episodes cannot be read"
    value, count = score_of_rows(known, row.game, row.state, row.frames, rows)  # type: ignore[type-var]
    if (value, count) == (row.score, row.scored_episodes):
        return ""
    return f"{_cell(row)}: the score is {row.score} over {row.scored_episodes}, its episodes give {value} over {count}"


def _retraced(row: Row[Any]) -> list[str]:
    """Return what is wrong with the hash by which copies of a run are found."""
    if row.episodes is None and row.evaluation is None:
        return []  # a copy without lists of episodes
    try:
        rows = [_Ended(*one) for one in unpacked(row.episodes) or unpacked(row.evaluation) or ()]
    except (BadData, TypeError):
        return []  # said already
    expected = trace_of((one.length, one.value) for one in rows) or None
    return [] if row.trace == expected else [f"{_cell(row)}: its trace is not that of its episodes"]


def _cell(row: Any) -> str:
    return f"{row.config_id} {row.game} seed {row.seed} ({row.environment_fingerprint})"
