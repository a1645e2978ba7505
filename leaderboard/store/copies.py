"""Runs whose every episode is that of another run: found by the hash of them, told, and judged by people alone.

Runs are deterministic, so that whoever trains the same cell again on the same type of machine finds the same episodes:
that confirms a result. Under another configuration, game or seed nothing but a copy, or a setting without effect, is
left as an explanation.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from leaderboard.bundles.findings import Finding, finding
from leaderboard.store.claims import Claim

REPEATED = "runs.repeated"
COPIED = "runs.copied"


@dataclass(frozen=True, slots=True)
class Held:
    """A run as a submission holds it, or a run directory, whose `slug` is "".

    `since`: the date of the submission's first attestation if it is `attested`, else the one that it says itself.
    `arrival`: what submissions are sorted by, the first first.
    """

    config_id: str
    game: str
    seed: int
    digest: str
    slug: str
    since: str
    attested: bool = False
    retracted: bool = False
    arrival: tuple[Any, ...] = ()

    @property
    def cell(self) -> tuple[str, str, int]:
        """What was run."""
        return self.config_id, self.game, self.seed

    @property
    def where(self) -> str:
        """The cell in words."""
        return f"{self.config_id[:8]} {self.game} seed {self.seed}"

    @property
    def holder(self) -> str:
        """Who holds it, and since when, in words."""
        if not self.slug:
            return f"a run directory ({self.since[:10]})"
        retracted = ", retracted since" if self.retracted else ""
        return f"{self.slug} ({'attested' if self.attested else 'submitted'} {self.since[:10]}{retracted})"


@dataclass(frozen=True, slots=True)
class Copy:
    """A run, and those of others with the same episodes: the first that arrived before others, directories last."""

    run: Held
    others: tuple[Held, ...]

    def findings(self) -> list[Finding]:
        """Return a finding for each kind of other: the same cell again, and another cell."""
        found = []
        for code, others in ((COPIED, self.elsewhere), (REPEATED, self.repeated)):
            if others:
                more = f" and {len(others) - 1} more" if len(others) > 1 else ""
                what = "" if code == REPEATED else f"{others[0].where} in "
                text = f"every episode is that of {what}{others[0].holder}{more}"
                found.append(finding(code, self.run.where, text))
        return found

    @property
    def repeated(self) -> tuple[Held, ...]:
        """Those of the same configuration, game and seed."""
        return tuple(other for other in self.others if other.cell == self.run.cell)

    @property
    def elsewhere(self) -> tuple[Held, ...]:
        """Those of another configuration, game or seed."""
        return tuple(other for other in self.others if other.cell != self.run.cell)


class Traces:
    """Who holds which episodes: of every run, those who hold it now, by the hash of its episodes."""

    def __init__(self, rows: Iterable[Any], bundles: Mapping[int, Sequence[Claim]]) -> None:
        """Take rows of runs, and the bundles that hold each; a bundle that a newer one replaced holds nothing."""
        self._held: dict[str, list[Held]] = defaultdict(list)
        for row in rows:
            if row.trace:
                self._held[row.trace] += _holders(row, bundles.get(row.id, ()))
        for held in self._held.values():
            held.sort(key=_precedence)

    def others(self, trace: str | None, run: Held) -> Copy | None:
        """Return the copies of a run, or None: neither those of its own holder, nor its own run directory."""
        found = tuple(other for other in self._held.get(trace or "", ()) if _is_other(run, other))
        return Copy(run, found) if found else None

    def copies(self) -> list[Copy]:
        """Return every held run of which there are copies, by holder and cell."""
        found = [self.others(trace, run) for trace, held in self._held.items() if len(held) > 1 for run in held]
        return sorted((copy for copy in found if copy is not None), key=lambda copy: (copy.run.slug, copy.run.where))


def _holders(row: Any, claims: Iterable[Claim]) -> list[Held]:
    key = (row.config_id, row.game, row.seed, row.digest)
    found = [
        Held(*key, claim.slug, claim.since, claim.attested, not claim.live, claim.arrival)
        for claim in claims
        if claim.current
    ]
    return [*found, *([Held(*key, "", row.ended_at)] if row.own else [])]


def _precedence(held: Held) -> tuple[object, ...]:
    return not held.slug, held.arrival, held.slug, held.cell, held.digest


def _is_other(run: Held, other: Held) -> bool:
    """Return whether this is somebody else's, and not the run directory or the bundle of the same run."""
    one_run = (run.cell, run.digest) == (other.cell, other.digest)
    return run.slug != other.slug and not (one_run and "" in (run.slug, other.slug))
