"""The paper's claims on every rung: what was asked of each, what came out, and how much of the protocol was run."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass, field

from leaderboard.studies.definition import Claim, Study, load_study, study_names
from leaderboard.studies.evidence import Cell, Evidence
from leaderboard.studies.expansion import Expanded, expand
from leaderboard.studies.mapping import load_rung, on_rung
from leaderboard.studies.verdicts import Verdict, verdict

PAPER = ""
"""The rung that is the paper's own protocol."""

RUNGS = (PAPER, "minatar", "classic")
"""The rungs that a site shows, the highest first."""


@dataclass(frozen=True)
class Answer:
    """A claim on a rung: the verdict, or why it cannot be asked there. `started`: whether any of its cells was run."""

    verdict: Verdict | None
    why: str = ""

    @property
    def started(self) -> bool:
        """Whether any of its cells has a result."""
        return self.verdict is not None and self.verdict.missing < self.verdict.cells


@dataclass(frozen=True)
class Asked:
    """A claim of a study with its answers by rung."""

    study: Study
    claim: Claim
    answers: Mapping[str, Answer]


@dataclass(frozen=True)
class Coverage:
    """How many of a rung's cells have a result; each counted once, in however many studies it is."""

    done: int
    cells: int


@dataclass(frozen=True)
class Claims:
    """All claims, the coverage of each rung by study, and that of the whole rung under the name ""."""

    asked: tuple[Asked, ...]
    coverage: Mapping[str, Mapping[str, Coverage]] = field(default_factory=dict)


def claims_of(evidence: Mapping[str, Evidence]) -> Claims:
    """Return the claims of all studies of this package; `evidence` holds results by the name of a task."""
    studies = [load_study(name) for name in study_names()]
    coverage: dict[str, dict[str, Coverage]] = {}
    for rung in RUNGS:
        every: set[Cell] = set()
        done: set[Cell] = set()
        coverage[rung] = {}
        for study in studies:
            expanded, _ = _read(study.id, rung)
            if expanded is None or not expanded.points:
                continue
            cells = {(point.config_id, cell.game, cell.seed) for point, cell in expanded.cells()}
            there = evidence.get(expanded.task.id, Evidence()).cells(expanded)
            coverage[rung][study.id] = Coverage(len(there), len(cells))
            every |= cells
            done |= there
        coverage[rung][""] = Coverage(len(done), len(every))
    asked = tuple(
        Asked(study, claim, {rung: _answer(*_read(study.id, rung), claim, evidence) for rung in RUNGS})
        for study in studies
        for claim in study.claims
    )
    return Claims(asked, coverage)


@functools.cache
def _read(name: str, rung: str) -> tuple[Expanded | None, Mapping[str, str]]:
    study = load_study(name)
    if rung == PAPER:
        return expand(study), {}
    mapped = on_rung(study, load_rung(rung))
    return (None if mapped.study is None else expand(mapped.study)), mapped.claims


def _answer(
    expanded: Expanded | None, refused: Mapping[str, str], claim: Claim, evidence: Mapping[str, Evidence]
) -> Answer:
    if expanded is None or claim.id in refused:
        return Answer(None, refused.get(claim.id, "it cannot be asked there"))
    mapped = next(one for one in expanded.study.claims if one.id == claim.id)
    return Answer(verdict(expanded, mapped, evidence.get(expanded.task.id, Evidence())))
