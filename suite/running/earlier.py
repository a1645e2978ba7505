"""Rows that earlier attempts at a cell recorded, against which an attempt that comes to them again is held."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from suite.records.record import Diagnostics, EvaluationRow, LogRow, Run

Key = tuple[type[BaseModel], int, int]
OF_INSPECTIONS_BEFORE = ("mask_overlap", "mask_explored")
"""Scalars that hang on when inspections were due, which a resumed run may be given anew."""


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
        if before is not None and _differ(before, _content(row)) and self.differs_at is None:
            self.differs_at = row.agent_step


def _key(row: LogRow) -> Key:
    return type(row), row.agent_step, row.episode if isinstance(row, EvaluationRow) else 0


def _content(row: LogRow) -> dict[str, Any]:
    """Return what a row says of training, an inspection's scalars side by side with the others."""
    if not isinstance(row, Diagnostics):
        return row.model_dump(exclude={"attempt"})
    told = row.model_dump(exclude={"attempt", "values", "covariance"})
    covariance = {"covariance": row.covariance} if row.covariance else {}
    scalars = {f"values/{name}": value for name, value in row.values.items() if name not in OF_INSPECTIONS_BEFORE}
    return told | covariance | scalars


def _differ(before: dict[str, Any], after: dict[str, Any]) -> bool:
    """Return whether anything that both say is not the same: either may have been inspected, and the other not."""
    return any(before[name] != after[name] for name in before.keys() & after.keys())
