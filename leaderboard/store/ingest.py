"""Run directories and bundles into one database: a damaged one is named, the others are stored."""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from leaderboard.store import schema
from leaderboard.store.copies import Copy
from leaderboard.store.database import Ingested, ResultStore, Submitted, prepared
from leaderboard.store.intake import Placed, content_of, find_bundles, read_bundle
from leaderboard.store.references import add_references
from leaderboard.store.rows import NewRun
from leaderboard.store.snapshot import Conflict
from suite.errors import BadData, SuiteError, UsageError
from suite.records import record
from suite.records.attempts import has_started
from suite.records.find import find_runs

BATCH_RUNS = 64
BATCH_SECONDS = 2.0
"""How many runs, or those of how long, are stored in one transaction: a kill loses no more work than that."""

Progress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class IngestReport:
    """How many runs and bundles had which outcome, the damaged ones by name, and the database's content hash.

    `conflicts`: cells of which different results were submitted; what is proven further stands, all are kept. `copies`:
    runs with the episodes of another holder's run of another cell. `found`: how many run directories and bundles there
    are. `unproven`: how many finished run directories came in that nobody has replayed, which rank nowhere.
    """

    outcomes: dict[str, int]
    damaged: tuple[str, ...]
    references_added: int
    digest: str
    submissions: dict[str, int]
    conflicts: tuple[Conflict, ...]
    copies: tuple[Copy, ...]
    found: int
    unproven: int = 0


def ingest(
    paths: Sequence[Path], db: Path, *, references: bool = True, progress: Progress = lambda _: None
) -> IngestReport:
    """Store every run directory and bundle at or below `paths`; `progress` gets a line where something is amiss.

    A database of an older schema is migrated first, after a copy. Damaged run directories and refused bundles do not
    stop the others; the caller decides what they mean (the command exits with 4).
    """
    directories, bundles = _found(paths, progress)
    if not directories and not bundles:
        progress(f"no run directory and no bundle below {', '.join(map(str, paths))}")
    if schema.needs_migration(db):
        version, copy = schema.migrate(db)
        if copy is not None:  # else another process was faster
            progress(f"migrated {db} from schema {version}; the old one is {copy}")
    with ResultStore.open(db, create=True) as store:
        added = add_references(store) if references else 0
        intake = _Intake(store, progress)
        for path in directories:
            intake.directory(path)
        intake.flush()
        for placed in bundles:
            intake.bundle(placed)
        with store.snapshot() as snapshot:
            conflicts = tuple(snapshot.conflicts())
            copies = tuple(copy for copy in snapshot.copies() if copy.elsewhere)
            digest = snapshot.digest()
    for conflict in conflicts:
        progress(_said(conflict))
    for found in copies:
        progress(f"copy: {found.run.slug or 'a run directory'}: {found.run.where}: {found.findings()[0].message}")
    runs, submissions = dict(sorted(intake.runs.items())), dict(sorted(intake.submissions.items()))
    total, damaged = len(directories) + len(bundles), tuple(intake.damaged)
    return IngestReport(runs, damaged, added, digest, submissions, conflicts, copies, total, intake.unproven)


def _found(paths: Sequence[Path], progress: Progress) -> tuple[list[Path], list[Placed]]:
    """Return the run directories and bundles at or below some paths, sorted; a file is a bundle.

    What lies among the submissions of a results repository comes from outside: run directories there are left alone.
    """
    directories: set[Path] = set()
    bundles: set[Placed] = set()
    for path in paths:
        if not path.is_file():
            if not path.is_dir():
                raise UsageError(f"{path} does not exist.", "Name run directories, bundles, or folders that hold them.")
            directories.update(directory.resolve() for directory in find_runs(path))
        bundles.update(find_bundles(path))
    outside = {placed.path.parent.parent.resolve() for placed in bundles if placed.slug}
    foreign = {path for path in directories if outside.intersection(path.parents)}
    for path in sorted(foreign):
        progress(f"ignored: {path}: submissions are bundles, not run directories")
    return sorted(directories - foreign), sorted(bundles, key=lambda placed: placed.path)


class _Intake:
    """What comes in, in batches: read and checked one by one, stored many in one transaction."""

    def __init__(self, store: ResultStore, progress: Progress) -> None:
        self.runs: Counter[str] = Counter()
        self.submissions: Counter[str] = Counter()
        self.damaged: list[str] = []
        self.unproven = 0
        self._store = store
        self._progress = progress
        self._batch: list[tuple[Path, NewRun]] = []
        self._since = time.monotonic()

    def directory(self, path: Path) -> None:
        """Read a run directory; it is stored with its batch."""
        try:
            new = _read_directory(path)
        except BadData as error:
            self._refuse(path, error, "damaged")
            return
        if new is None:
            self._count(path, Ingested("skipped", "it has not started"))
            return
        self.unproven += new.row.state in record.FINISHED and not new.row.replayed
        self._batch.append((path, new))
        if len(self._batch) >= BATCH_RUNS or time.monotonic() - self._since > BATCH_SECONDS:
            self.flush()

    def flush(self) -> None:
        """Store the batch."""
        if self._batch:
            results = self._store.add_runs([new for _, new in self._batch])
            for (path, _), result in zip(self._batch, results, strict=True):
                self._count(path, result)
            self._batch.clear()
        self._since = time.monotonic()

    def bundle(self, placed: Placed) -> None:
        """Check a bundle and store it; one that is here already is not checked again."""
        try:
            result = self._bundle(placed)
        except BadData as error:
            self._refuse(placed.path, error, "refused")
            return
        except OverflowError as error:
            text = f"{placed.path} holds a number that the database cannot: {error}."
            self._refuse(placed.path, BadData(text, f"See `suite submit check {placed.path}`."), "refused")
            return
        self.submissions[result.outcome] += 1
        for run in result.runs:
            self._count(placed.path, run)

    def _bundle(self, placed: Placed) -> Submitted:
        content = content_of(placed.path)
        sha256 = hashlib.sha256(content).hexdigest()
        attestation = placed.attestation(sha256)
        known = self._store.place(sha256, placed.slug, attestation, placed.arrived)
        return known or self._store.add_submission(read_bundle(placed, content, sha256, attestation))

    def _refuse(self, path: Path, error: BadData, said: str) -> None:
        self.damaged.append(str(path))
        self._progress(f"{said}: {error}")

    def _count(self, path: Path, result: Ingested) -> None:
        self.runs[result.outcome] += 1
        if result.reason:
            self._progress(f"{result.outcome}: {path}: {result.reason}")


def _read_directory(path: Path) -> NewRun | None:
    """Return a run directory's run, ready to be stored, or None if it has not started."""
    if not has_started(path):
        return None
    run = _read(path)
    if run.status.state == "running" and record.effective_state(path, run.status) == "killed":
        run = _read(path)  # it may have ended while it was being read
    return prepared(run)


def _read(path: Path) -> record.Run:
    try:
        return record.read_run(path)
    except SuiteError:
        raise
    except OSError as error:
        raise BadData(f"{path} cannot be read: {error.strerror or error}.", "Mend its permissions.") from error


def _said(conflict: Conflict) -> str:
    stands, cell = conflict.stands, f"{conflict.config_id} {conflict.game} seed {conflict.seed}"
    standing = f"{stands.holder} ({stands.digest[:8]}, {stands.level})"
    others = ", ".join(f"{other.holder} ({other.digest[:8]}, {other.level})" for other in conflict.others)
    return f"conflict: {cell}: {standing} stands; different results: {others}"
