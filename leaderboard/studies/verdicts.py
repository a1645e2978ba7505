"""Verdicts: whether the results that are there decide a claim, and what would.

A claim is a conjunction of tests. It *holds* where every test finds for it (each p below 0.05: the chance that all do
where one of them should not is at most that), *fails* where one test finds against it, Holm's bar counting all tests of
the claim, and is *open* otherwise. A contrast that lacks a game is not tested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.studies.contrasts import contrasts_of
from leaderboard.studies.definition import Claim
from leaderboard.studies.evidence import Evidence
from leaderboard.studies.expansion import Expanded
from leaderboard.studies.testing import Tested, tested

State = Literal["holds", "fails", "open"]
WORDS: dict[State, str] = {"holds": "holds", "fails": "fails", "open": "not yet decidable"}
LEVEL = 1 - STATISTICS_POLICY.level


@dataclass(frozen=True)
class Verdict:
    """What can be said of a claim, with the tests behind it; `sentence` is for people."""

    claim: Claim
    state: State
    tests: tuple[Tested, ...]
    cells: int
    missing: int
    sentence: str

    @property
    def words(self) -> str:
        """The state in words."""
        return WORDS[self.state]


def verdict(expanded: Expanded, claim: Claim, evidence: Evidence) -> Verdict:
    """Return what the results that are there say of a claim."""
    contrasts = contrasts_of(expanded, claim)
    tests = tuple(tested(expanded, contrast, evidence) for contrast in contrasts)
    state: State = "open"
    if tests and all(test.p_for < LEVEL for test in tests):
        state = "holds"
    elif any(test.p_against * len(tests) < LEVEL for test in tests):
        state = "fails"
    cells = {cell for contrast in contrasts for cell in contrast.cells(expanded.seeds)}
    missing = len(cells - evidence.cells(expanded))
    return Verdict(claim, state, tests, len(cells), missing, _sentence(state, tests, len(cells), missing))


def _sentence(state: State, tests: Sequence[Tested], cells: int, missing: int) -> str:
    """Return the verdict as a sentence: the state, the interval that decides it, and what would decide it."""
    if not cells:
        return "Not asked here: none of its cells is in this study."
    if state == "holds":
        weakest = max(tests, key=lambda test: test.p_for)
        return f"Holds: {_evidence(weakest, weakest.p_for)}{_of_all(tests)}."
    if state == "fails":
        worst = min(tests, key=lambda test: test.p_against)
        return f"Fails: {_evidence(worst, min(1.0, worst.p_against * len(tests)))}{_of_all(tests)}."
    if missing:
        part = f" {_evidence(known, known.p_for)};" if (known := _undecided(tests)) is not None else ""
        return f"Not yet decidable:{part} {missing:,} of its {cells:,} cells have no result."
    found = _undecided(tests)
    if found is None:
        return "Not yet decidable: too few runs differ to say how sure anything is."
    seeds = "more than 1,000" if found.seeds_needed is None else f"{found.seeds_needed}"
    return (
        f"Not yet decidable: {_evidence(found, found.p_for)}; {seeds} seeds a game would find such a difference, or "
        "one as large as the margin, with power 0.8."
    )


def _undecided(tests: Sequence[Tested]) -> Tested | None:
    """Return the test that is farthest from its claim, of those that have an interval."""
    known = [test for test in tests if test.difference is not None and test.difference.low is not None]
    return max(known, key=lambda test: test.p_for, default=None)


def _evidence(test: Tested, p: float) -> str:
    found = test.difference
    assert found is not None
    span = "" if found.low is None or found.high is None else f" [{found.low:+.3f}, {found.high:+.3f}]"
    share = "" if test.relative is None else f", {100 * test.relative.value:+.0f} %"
    return f"{test.label} is {found.value:+.3f}{span}{share} (p {p:.2g})"


def _of_all(tests: Sequence[Tested]) -> str:
    return "" if len(tests) == 1 else f", the one that decides of {len(tests)} tests"
