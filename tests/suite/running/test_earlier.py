from __future__ import annotations

from typing import Any

from suite.records.record import Diagnostics, LogRow, Run
from suite.running.earlier import EarlierRows


def row(step: int, value: float, attempt: int = 1) -> LogRow:
    return Diagnostics(attempt=attempt, agent_step=step, frame=4 * step, updates=step, values={"loss": value})


def earlier(rows: list[LogRow], since: int) -> EarlierRows:
    run: Any = type("Found", (), {"episodes": (), "evaluation": (), "checkpoints": (), "diagnostics": tuple(rows)})
    found: Run = run
    return EarlierRows(found, since)


def test_the_first_row_that_comes_out_otherwise_is_named_and_stays() -> None:
    rows = earlier([row(10, 0.1), row(20, 0.2), row(30, 0.3)], since=10)
    for again in (row(20, 0.2, attempt=2), row(30, 0.9, attempt=2), row(40, 0.4, attempt=2)):
        rows.compare(again)
    assert rows.differs_at == 30


def test_rows_up_to_where_it_goes_on_and_new_rows_differ_from_nothing() -> None:
    rows = earlier([row(10, 0.1)], since=10)
    rows.compare(row(10, 0.7, attempt=2))
    assert rows.differs_at is None
    nothing = EarlierRows()
    nothing.compare(row(10, 0.7))
    assert nothing.differs_at is None
