"""A bundle beside what a results database holds: copies of other submissions' runs, before it is submitted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from leaderboard.bundles.findings import Finding
from leaderboard.bundles.set_checks import RunFacts
from leaderboard.store.copies import Held
from leaderboard.store.database import ResultStore


def find_copies(db: Path, sha256: str, facts: Sequence[RunFacts]) -> list[Finding]:
    """Return findings about runs of a bundle whose episodes are those of other runs in a results database.

    Raises UsageError if there is no such database.
    """
    held = [(run.trace, Held(*_cell_of(run), run.digest, "", "")) for run in facts]
    with ResultStore.open(db) as store, store.snapshot() as snapshot:
        return [found for copy in snapshot.copies_of(sha256, held) for found in copy.findings()]


def _cell_of(run: RunFacts) -> tuple[str, str, int]:
    return run.claim.config_id, run.claim.game, run.claim.seed
