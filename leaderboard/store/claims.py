"""Precedence: which submissions count, which come first, and which row of a cell stands.

They look only at what is stored, never at when it came in, so that any order of ingests ends in the same standing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from sqlalchemy import Connection, select

from leaderboard.bundles.levels import LEVELS
from leaderboard.store.models import Attestation, Submission
from leaderboard.store.rows import RETRACTED, Flag
from suite.records.record import FINISHED

Precedence = tuple[bool, str, str]


@dataclass(frozen=True, slots=True)
class Claim:
    """What a bundle's word is worth.

    `current`: it is the newest bundle of its slug. `live`: it is, and is not retracted. `order` sorts bundles that
    hold different results of one cell: attested ones first, then by the date of the first attestation, or else the
    date that the bundle says it was submitted, then by hash.
    """

    sha256: str
    slug: str
    level: str
    flags: tuple[Flag, ...]
    attested_by: str | None
    attested_at: str | None
    evidence: str
    current: bool
    order: Precedence

    @property
    def live(self) -> bool:
        """Whether its runs count."""
        return self.current and not any(flag.code == RETRACTED for flag in self.flags)


class Row(Protocol):
    """What precedence looks at in a row of a run."""

    @property
    def state(self) -> str:
        """The state of the attempt."""

    @property
    def own(self) -> bool:
        """Whether a run directory was read."""

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


RowT = TypeVar("RowT", bound=Row)


def read_claims(connection: Connection) -> dict[str, Claim]:
    """Return what every stored bundle's word is worth, by its SHA-256."""
    attested: dict[str, list[Any]] = defaultdict(list)
    for word in connection.execute(select(Attestation.__table__)):
        attested[word.sha256].append(word)
    columns = (Submission.sha256, Submission.slug, Submission.level, Submission.submitted_at)
    rows = [tuple(row) for row in connection.execute(select(*columns))]
    newest: dict[str, tuple[str, str]] = {}
    for sha256, slug, _, submitted_at in rows:
        newest[slug] = max(newest.get(slug, ("", "")), (submitted_at, sha256))
    claims = {}
    for sha256, slug, level, submitted_at in rows:
        current = newest[slug] == (submitted_at, sha256)
        claims[sha256] = _claim(sha256, slug, level, submitted_at, attested[sha256], current)
    return claims


def _claim(sha256: str, slug: str, level: str, submitted_at: str, words: Iterable[Any], current: bool) -> Claim:
    """Return a bundle's claim. Of attestations of one date, the one with more flags holds."""
    told = sorted(words, key=lambda word: (word.date, len(json.loads(word.flags)), word.digest))
    last = told[-1] if told else None
    return Claim(
        sha256=sha256,
        slug=slug,
        level=(last and last.level) or level,
        flags=tuple(Flag(*flag) for flag in json.loads(last.flags)) if last else (),
        attested_by=last.by if last else None,
        attested_at=last.date if last else None,
        evidence=last.evidence if last else "",
        current=current,
        order=(not told, told[0].date if told else submitted_at, sha256),
    )


def stands(rows: Mapping[int, RowT], bundles: Mapping[int, Iterable[Claim]]) -> int | None:
    """Return which of one cell's rows stands, by the ids that `rows` and `bundles` share; None if none counts.

    Results come before unfinished attempts. Among results, one that was submitted comes before one that was not, and
    the earliest submission's first; among those that were not, the newest attempt is the result.
    """
    live: dict[int, Precedence | None] = {}
    for number, row in rows.items():
        orders = [claim.order for claim in bundles.get(number, ()) if claim.live]
        if orders or row.own:
            live[number] = min(orders) if orders else None
    finished = [number for number in live if rows[number].state in FINISHED]
    submitted = [(order, number) for number in finished if (order := live[number]) is not None]
    if submitted:
        return min(submitted)[1]
    return max(finished or live, key=lambda number: _age(rows[number]), default=None)


def superfluous(rows: Mapping[int, RowT], submitted: Iterable[int]) -> list[int]:
    """Return the unfinished attempts of one's own that a newer one, or a result, of one's own followed."""
    apart = set(submitted)
    own = [number for number, row in rows.items() if row.own]
    last = max(own, key=lambda number: (rows[number].state in FINISHED, _age(rows[number])), default=None)
    return [number for number in own if number not in apart and number != last and rows[number].state not in FINISHED]


def highest(levels: Iterable[str]) -> str:
    """Return the highest of some levels, `claimed` if there is none."""
    return max(levels, key=[str(level) for level in LEVELS].index, default=LEVELS[0])


def _age(row: Row) -> tuple[int, str, str, str]:
    return row.attempt, row.started_at, row.ended_at, row.digest
