from __future__ import annotations

from typing import Any

import pytest

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


@pytest.mark.parametrize("inspected_before", [True, False])
def test_whether_a_row_was_inspected_is_no_difference(inspected_before: bool) -> None:
    plain = Diagnostics(attempt=1, agent_step=20, frame=80, updates=20, values={"loss": 0.2})
    values = {"loss": 0.2, "srank": 3.0, "mask_overlap": 0.5}
    inspected = plain.model_copy(update={"values": values, "covariance": "AAAA"})
    first, then = (inspected, plain) if inspected_before else (plain, inspected)
    rows = earlier([first], since=10)
    rows.compare(then.model_copy(update={"attempt": 2}))
    assert rows.differs_at is None


@pytest.mark.parametrize(
    ("changed", "differs_at"),
    [
        ({"values": {"loss": 0.2, "srank": 3.0, "mask_overlap": 0.9}}, None),  # there was no inspection in between
        ({"values": {"loss": 0.2, "srank": 4.0, "mask_overlap": 0.5}}, 20),
        ({"values": {"loss": 0.3}}, 20),
        ({"covariance": "AAAB"}, 20),
        ({"updates": 21}, 20),
    ],
)
def test_what_both_rows_say_is_compared(changed: dict[str, Any], differs_at: int | None) -> None:
    values = {"loss": 0.2, "srank": 3.0, "mask_overlap": 0.5}
    first = Diagnostics(attempt=1, agent_step=20, frame=80, updates=20, values=values, covariance="AAAA")
    rows = earlier([first], since=10)
    rows.compare(first.model_copy(update={"attempt": 2, **changed}))
    assert rows.differs_at == differs_at
