"""Many run directories into one database: a damaged one is named, the others are stored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leaderboard.store.database import Ingested, ResultStore
from leaderboard.store.references import add_references
from suite import record
from suite.errors import BadData, SuiteError


@dataclass(frozen=True, slots=True)
class IngestReport:
    """How many run directories had which outcome, the damaged ones by name, and the database's content hash."""

    outcomes: dict[str, int]
    damaged: tuple[str, ...]
    references_added: int
    digest: str


def ingest(
    paths: Sequence[Path], db: Path, *, references: bool = True, progress: Callable[[str], None] = lambda _: None
) -> IngestReport:
    """Store every run directory at or below `paths`, in sorted order; `progress` gets a line where something is amiss.

    Damaged directories do not stop the others; the caller decides what they mean (the command exits with 4).
    """
    found = sorted({directory.resolve() for path in paths for directory in record.find_runs(path)})
    if not found:
        progress(f"no run directory below {', '.join(map(str, paths))}")
    outcomes: Counter[str] = Counter()
    damaged: list[str] = []
    with ResultStore.open(db, create=True) as store:
        added = add_references(store) if references else 0
        for path in found:
            try:
                result = _ingest_one(store, path)
            except BadData as error:
                damaged.append(str(path))
                progress(f"damaged: {error}")
                continue
            outcomes[result.outcome] += 1
            if result.reason:
                progress(f"{result.outcome}: {path}: {result.reason}")
        with store.snapshot() as snapshot:
            return IngestReport(dict(sorted(outcomes.items())), tuple(damaged), added, snapshot.digest())


def _ingest_one(store: ResultStore, path: Path) -> Ingested:
    if not (path / "status.json").exists():
        return Ingested("skipped", "it has not started")
    run = _read(path)
    if run.status.state == "running" and record.effective_state(path, run.status) == "killed":
        run = _read(path)  # it may have ended while it was being read
    return store.ingest(run)


def _read(path: Path) -> record.Run:
    try:
        return record.read_run(path)
    except SuiteError:
        raise
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror or error}.", "Mend its permissions.") from error
