"""Failures of the infrastructure and failures of the method are told apart by one rule, everywhere alike."""

import errno
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest

from suite.errors import BadData, Locked, SuiteError, UnfitEnvironment, UsageError
from suite.records.cause import cause_of, cause_of_error
from suite.records.record import StatusFile, read_status
from suite.records.table import runs_below, table_of
from tests.support.runs import make_run


class XlaRuntimeError(RuntimeError):
    """Named as jaxlib names its own."""


def chained(error: Exception, cause: Exception) -> Exception:
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.ESTALE, "Stale file handle"),
        PermissionError(errno.EACCES, "Permission denied"),
        MemoryError(),
        ModuleNotFoundError("No module named 'ale_py'"),
        ConnectionResetError(),
        BrokenProcessPool("A child died."),
        XlaRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes."),
        XlaRuntimeError("INTERNAL: CUDA_ERROR_ECC_UNCORRECTABLE"),
        UnfitEnvironment("Too little memory."),
        BadData("No log of Pong."),
        Locked("Another process is running it."),
        chained(RuntimeError("The replay is gone."), MemoryError()),
    ],
)
def test_what_may_go_well_elsewhere_is_the_infrastructures(error: Exception) -> None:
    assert cause_of_error(error) == "infrastructure"


@pytest.mark.parametrize(
    "error",
    [
        ZeroDivisionError("division by zero"),
        FileNotFoundError(errno.ENOENT, "No such file"),  # the suite says BadData of data that it misses
        XlaRuntimeError("INVALID_ARGUMENT: Dimensions do not fit."),
        XlaRuntimeError("INTERNAL: Error calling callback: ValueError"),
        UsageError("This setting is refused."),
        SuiteError("A defect."),
        chained(ValueError("A shape."), KeyError("mask")),
    ],
)
def test_what_will_happen_again_is_the_methods(error: Exception) -> None:
    assert cause_of_error(error) == "method"


def test_a_chain_that_bites_its_own_tail_ends() -> None:
    one, other = ValueError("one"), ValueError("other")
    one.__cause__, other.__cause__ = other, one
    assert cause_of_error(one) == "method"


def test_a_state_has_its_cause_and_a_failure_the_one_that_was_recorded() -> None:
    found = {state: cause_of(state) for state in ("done", "running", "interrupted", "failed", "killed", "diverged")}
    assert {state for state, cause in found.items() if cause is None} == {"done", "running", "interrupted", "failed"}
    assert (found["killed"], found["diverged"], cause_of("locked")) == ("infrastructure", "method", "infrastructure")
    assert (cause_of("failed", "method"), cause_of("done", "method")) == ("method", None)


def test_a_record_says_a_cause_only_where_there_is_one_and_the_table_has_it(tmp_path: Path) -> None:
    for seed, state in enumerate(("done", "diverged", "failed")):
        path = make_run(tmp_path, seed=seed, state=state)
        assert "cause" not in (path / "status.json").read_text()
    failed = read_status(path).model_copy(update={"cause": "infrastructure"})
    (path / "status.json").write_text(failed.model_dump_json())
    assert StatusFile.model_validate_json((path / "status.json").read_text()) == failed
    rows = {row["state"]: row["cause"] for row in table_of(runs_below(tmp_path)).to_pylist()}
    assert rows == {"done": None, "diverged": "method", "failed": "infrastructure"}
