"""Precedence: which submissions count, which come first, and which row of a cell stands.

What is proven more stands before what is proven less; among equals one's own run directories, then what arrived first
by the history of the results repository. Only what is stored is looked at, never when it came in here, so that any
order of ingests ends in the same standing; and no date that a submission says of itself.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, select

from leaderboard.bundles.levels import CLAIMED, RECOMPUTED, REPLAYED, SAMPLED, Grade, grade
from leaderboard.store.models import Attestation, Run, RunSubmission, Submission
from leaderboard.store.rows import RETRACTED, Flag, Rerun
from suite.records.record import FINISHED

Arrival = tuple[Any, ...]
"""What bundles are sorted by, the first first: their place in the history of the results repository; those without one
by the date of their first attestation, then by hash."""

Rank = tuple[tuple[float, float], bool, Arrival]
"""What results of one cell are sorted by, the one that stands first: proof, whose, arrival."""

OWN = (grade(SAMPLED)[0], 2.0)
"""The grade of a run directory that was not replayed: one was there. Every bundle that is not proven stands behind."""


@dataclass(frozen=True, slots=True)
class Claim:
    """What a bundle's word is worth.

    `current`: it is the newest bundle of its slug. `live`: it is, and is not retracted. `since`: the date of its first
    attestation if there is one, else the one that it says itself, for people.
    """

    sha256: str
    slug: str
    level: str
    flags: tuple[Flag, ...]
    attested_by: str | None
    attested_at: str | None
    evidence: str
    current: bool
    arrived: int | None
    since: str
    attested: bool
    reruns: tuple[Rerun, ...] = ()

    @property
    def live(self) -> bool:
        """Whether its runs count."""
        return self.current and not any(flag.code == RETRACTED for flag in self.flags)

    @property
    def arrival(self) -> Arrival:
        """What it is sorted by among bundles that are proven as far."""
        return _arrival(self.arrived, self.since if self.attested else "", self.sha256)

    @property
    def order(self) -> tuple[Any, ...]:
        """What it is sorted by among all bundles."""
        return _down(grade(self.level)), self.arrival


class Dated(Protocol):
    """What tells apart run directories of one's own."""

    @property
    def attempt(self) -> int:
        """The number of the attempt."""

    @property
    def started_at(self) -> str:
        """When it started."""

    @property
    def ended_at(self) -> str:
        """When it ended."""

    @property
    def digest(self) -> str:
        """Its content."""


class Row(Dated, Protocol):
    """What precedence looks at in a row of a run."""

    @property
    def state(self) -> str:
        """The state of the attempt."""

    @property
    def own(self) -> bool:
        """Whether a run directory was read."""

    @property
    def replayed(self) -> bool:
        """Whether that was played again."""


RowT = TypeVar("RowT", bound=Row)
DatedT = TypeVar("DatedT", bound=Dated)
KeyT = TypeVar("KeyT")


def read_claims(connection: Connection) -> dict[str, Claim]:
    """Return what every stored bundle's word is worth, by its SHA-256."""
    attested: dict[str, list[Any]] = defaultdict(list)
    for said in connection.execute(select(Attestation.__table__)):
        attested[said.sha256].append(said)
    columns = (Submission.sha256, Submission.slug, Submission.level, Submission.submitted_at, Submission.arrived)
    claims = {}
    for row in connection.execute(select(*columns)):
        claims[row.sha256] = _claim(row, attested[row.sha256])
    newest: dict[str, Claim] = {}
    for claim in claims.values():
        newest[claim.slug] = max(newest.get(claim.slug, claim), claim, key=_recency)
    return {one.sha256: replace(one, current=newest[one.slug] is one) for one in claims.values()}


def _claim(row: Any, words: Iterable[Any]) -> Claim:
    """Return a bundle's claim. Of attestations of one date, the one with more flags holds."""
    told = sorted(words, key=lambda said: (said.date, len(json.loads(said.flags)), said.digest))
    last = told[-1] if told else None
    return Claim(
        sha256=row.sha256,
        slug=row.slug,
        level=(last and last.level) or row.level,
        flags=tuple(Flag(*flag) for flag in json.loads(last.flags)) if last else (),
        attested_by=last.by if last else None,
        attested_at=last.date if last else None,
        evidence=last.evidence if last else "",
        current=True,
        arrived=row.arrived,
        since=told[0].date if told else row.submitted_at,
        attested=bool(told),
        reruns=tuple(Rerun(*rerun) for rerun in json.loads(last.reruns)) if last else (),
    )


def _recency(claim: Claim) -> tuple[Any, ...]:
    """Return what bundles of one slug are sorted by, the newest last."""
    return (
        claim.arrived is not None,
        claim.arrived or 0,
        claim.attested,
        claim.since if claim.attested else "",
        claim.sha256,
    )


def _arrival(arrived: int | None, attested: str, sha256: str) -> Arrival:
    return arrived is None, arrived or 0, not attested, attested, sha256


def _down(value: Grade) -> tuple[float, float]:
    return -value[0], -value[1]


def own_level(row: Row) -> str:
    """Return how far a run directory is proven."""
    return REPLAYED if row.replayed else RECOMPUTED


def rank_of(row: Row, claims: Iterable[Claim]) -> Rank | None:
    """Return what a row is sorted by among the results of its cell; None if nobody holds it whose word counts."""
    found: list[Rank] = [(_down(grade(claim.level)), True, claim.arrival) for claim in claims if claim.live]
    if row.own:
        found.append((_down(max(OWN, grade(own_level(row)))), False, ()))
    return min(found, default=None)


def foremost(ranks: Mapping[KeyT, Rank], rows: Mapping[KeyT, DatedT]) -> KeyT | None:
    """Return which result stands: the first by rank; of one's own run directories alike in it, the newest attempt."""
    if not ranks:
        return None
    first = min(ranks.values())
    return max((key for key, rank in ranks.items() if rank == first), key=lambda key: _age(rows[key]))


def stands(rows: Mapping[int, RowT], bundles: Mapping[int, Iterable[Claim]]) -> int | None:
    """Return which of one cell's rows stands, by the ids that `rows` and `bundles` share; None if none counts.

    Results come before unfinished attempts, of which the newest stands.
    """
    ranks = {
        number: rank for number, row in rows.items() if (rank := rank_of(row, bundles.get(number, ()))) is not None
    }
    finished = {number: rank for number, rank in ranks.items() if rows[number].state in FINISHED}
    if finished:
        return foremost(finished, rows)
    return max(ranks, key=lambda number: _age(rows[number]), default=None)


def misplaced(connection: Connection) -> Iterator[tuple[Any, list[int], int | None]]:
    """Yield the cells in which another row stands than should: one of their rows, who stands, and who should."""
    claims = read_claims(connection)
    bundles: dict[int, list[Claim]] = defaultdict(list)
    for number, sha256 in connection.execute(select(RunSubmission.run_id, RunSubmission.sha256)):
        bundles[number].append(claims[sha256])
    cells: dict[tuple[str, str, int, str], dict[int, Any]] = defaultdict(dict)
    for row in connection.execute(select(Run.__table__)):
        cells[row.config_id, row.game, row.seed, row.environment_fingerprint][row.id] = row
    for _, rows in sorted(cells.items()):
        found = [number for number, row in rows.items() if row.current]
        chosen = stands(rows, bundles)
        if found != [chosen] * (chosen is not None):
            yield next(iter(rows.values())), found, chosen


def superfluous(rows: Mapping[int, RowT], submitted: Iterable[int]) -> list[int]:
    """Return the unfinished attempts of one's own that a newer one, or a result, of one's own followed."""
    apart = set(submitted)
    own = [number for number, row in rows.items() if row.own]
    last = max(own, key=lambda number: (rows[number].state in FINISHED, _age(rows[number])), default=None)
    return [number for number in own if number not in apart and number != last and rows[number].state not in FINISHED]


def highest(levels: Iterable[str]) -> str:
    """Return the highest of some levels, `claimed` if there is none."""
    return max(levels, key=grade, default=CLAIMED)


def _age(row: Dated) -> tuple[int, str, str, str]:
    return row.attempt, row.started_at, row.ended_at, row.digest
