"""Rows that earlier attempts at a cell recorded, against which an attempt that comes to them again is held."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from suite.records.record import EvaluationRow, LogRow, Run

Key = tuple[type[BaseModel], int, int]


class EarlierRows:
    """The rows of a run after the agent step `since`, as they were found; none without a run.

    `differs_at`: the agent step of the first row that came out otherwise than before, None as long as none has.
    """

    def __init__(self, run: Run | None = None, since: int = 0) -> None:
        rows = () if run is None else (*run.episodes, *run.evaluation, *run.diagnostics, *run.checkpoints)
        self.differs_at: int | None = None
        self._rows = {_key(row): _content(row) for row in rows if row.agent_step > since}

    def compare(self, row: LogRow) -> None:
        """Hold a row that was just written against the one that stood in its place, if there was one."""
        before = self._rows.pop(_key(row), None)
        if before is not None and before != _content(row) and self.differs_at is None:
            self.differs_at = row.agent_step


def _key(row: LogRow) -> Key:
    return type(row), row.agent_step, row.episode if isinstance(row, EvaluationRow) else 0


def _content(row: LogRow) -> dict[str, Any]:
    return row.model_dump(exclude={"attempt"})
