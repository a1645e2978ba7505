"""The method keeps the suite's contract: what `suite method check` says, as a test."""

from pathlib import Path

from suite.checks.method.check import check


def test_the_contract_is_kept() -> None:
    """Every check passes, installed or not."""
    (report,) = check(str(Path(__file__).resolve().parent.parent))
    assert [f"{result.name}: {result.detail}" for result in report.results if result.state == "FAILED"] == []
