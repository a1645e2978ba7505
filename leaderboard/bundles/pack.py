"""Run directories to one bundle: the same runs and the same submission.toml give the same bytes."""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import suite
from leaderboard.bundles import limits
from leaderboard.bundles.archive import ALL_BYTES, ENTRIES, ENTRY_BYTES, PACKED_BYTES, Archive
from leaderboard.bundles.bundle import Bundle
from leaderboard.bundles.curves import Curve, parquet_version, write_curves
from leaderboard.bundles.environment import lock
from leaderboard.bundles.runs import document_name, to_document
from leaderboard.bundles.schema import EVALUATIONS, ROWS, VERSION
from leaderboard.bundles.strict import VALUES
from suite.contracts import registry
from suite.durable import replace_file
from suite.errors import BadData, SuiteError, UsageError
from suite.records.claims import check
from suite.records.command import without_places
from suite.records.find import find_runs
from suite.records.record import FINISHED, Attempt, Run, effective_state, read_run
from suite.tasks import load_task
from suite.tasks.configuration import Spec
from suite.tasks.specification import components

_TIME = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Packed:
    """A bundle as written: its file, size in bytes, SHA-256, and how many runs with or without their actions.

    `remarks`: sentences for whoever packs.
    """

    path: Path
    size: int
    sha256: str
    runs: int
    with_actions: bool
    remarks: tuple[str, ...]


def pack(paths: Sequence[Path], submission: bytes, out: Path, task: str | None = None) -> Packed:
    """Pack every run at or below `paths` into `out`, which is replaced whole.

    `task`: the list of games that it is judged complete for, by default that of the task which the cells name.
    Where the actions make it larger than a bundle may be, they are left out: nothing can be replayed then. Raises
    UsageError if there is no run, or runs of several tasks; BadData if one is unfinished or does not hold, or if
    submission.toml does not.
    """
    directories, with_actions = directories_of(paths), True
    try:
        content, remarks = _content(directories, submission, task, with_actions=True)
    except _TooLarge:
        with_actions = False
        content, remarks = _content(directories, submission, task, with_actions=False)
        remarks.append(
            "With the actions of the scored episodes this bundle would be too large: it goes without them, so that its "
            "level is recomputed, not replayed. Keep the run directories: `suite verify` replays those."
        )
    Bundle(out, Archive(content))  # what is wrong with submission.toml is better said now
    replace_file(out, content)
    return Packed(
        out, len(content), hashlib.sha256(content).hexdigest(), len(directories), with_actions, tuple(remarks)
    )


def directories_of(paths: Iterable[Path]) -> list[Path]:
    """Return all run directories at or below `paths`, each once, sorted; UsageError if there is none."""
    paths = list(paths)
    if not (found := sorted({path.resolve() for root in paths for path in find_runs(root)})):
        raise UsageError(f"There is no run at or below {', '.join(map(str, paths))}.", "Name what `suite run` wrote.")
    return found


class _TooLarge(UsageError):
    """What is to be packed is more than a bundle may hold."""


def _content(
    directories: Sequence[Path], submission: bytes, task: str | None, *, with_actions: bool
) -> tuple[bytes, list[str]]:
    """Return the bytes of a bundle and remarks; _TooLarge if a run or the whole is more than is allowed."""
    files, remarks = _files(directories, submission, task, with_actions)
    content = zipped(files)
    if len(content) > PACKED_BYTES:
        raise _TooLarge(
            f"{len(directories)} runs make a bundle of {len(content):,} bytes; {PACKED_BYTES:,} are allowed.",
            "Pack fewer runs, with partial = true in submission.toml.",
        )
    return content, remarks


def zipped(files: Mapping[str, bytes]) -> bytes:
    """Return files as a zip file: in the order of their names, with one fixed time."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _TIME)
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, files[name], zipfile.ZIP_DEFLATED, 9)
    return file.getvalue()


def manifest_of(files: Mapping[str, bytes], task: str, runs: Sequence[Mapping[str, Any]]) -> bytes:
    """Return manifest.json for these files; `runs` is its table of runs."""
    return document(
        {
            "schema_version": VERSION,
            "suite_version": suite.__version__,
            "parquet_version": parquet_version(),
            "task": task,
            "files": [
                {"path": name, "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
                for name, content in sorted(files.items())
            ],
            "runs": list(runs),
        }
    )


def document(content: Any) -> bytes:
    """Return a JSON document, sorted, for people to read."""
    return (json.dumps(content, sort_keys=True, indent=1, allow_nan=False) + "\n").encode()


def _files(
    directories: Sequence[Path], submission: bytes, task: str | None, with_actions: bool
) -> tuple[dict[str, bytes], list[str]]:
    """Return all files of the bundle, and what is to be said about them; runs are read and forgotten one by one."""
    files, claims, curves = {"submission.toml": submission}, {}, {}
    attempts: list[Attempt] = []
    specs: dict[str, Spec] = {}
    for path in directories:
        run = _read(path)
        name = document_name(run)
        if name in files:
            raise UsageError(f"{path} is a cell that is there twice.", "Name every run once.")
        claims[name], curves[name] = claim_of(run, name)
        limits.check_run({part: getattr(run, part).model_dump(mode="json") for part in limits.PARTS}, str(path))
        files[name] = _bounded(to_document(run, with_actions=with_actions), run)
        if sum(map(len, files.values())) > ALL_BYTES // 2:
            raise _TooLarge(f"{len(directories)} runs are too large for a bundle.", "Pack fewer, with partial = true.")
        attempts += run.provenance.attempts
        specs[run.cell.config_id] = run.cell.spec
    key = _key(specs.values(), task)
    cards, absent = cards_of(specs.values())
    files |= cards
    files["curves.parquet"] = write_curves(curve for _, curve in sorted(curves.items()))
    files["environment.json"] = document(lock(attempts))
    limits.check_values(content.count(b",") for name, content in files.items() if name.endswith(".json"))
    if len(files) + 1 > ENTRIES:
        raise UsageError(f"{len(directories)} runs are more than a bundle holds.", "Pack fewer, with partial = true.")
    manifest = manifest_of(files, key, [claim for _, claim in sorted(claims.items())])
    return files | {"manifest.json": manifest}, absent


def _key(specs: Iterable[Spec], task: str | None) -> str:
    """Return the key of the task that a bundle of these specs is of; UsageError if there are several, or it is not."""
    keys = sorted({spec.task_key for spec in specs})
    if len(keys) > 1:
        raise UsageError(f"These are runs of several tasks: {', '.join(keys)}.", "Pack one bundle for each.")
    if task is None:
        return keys[0]
    asked = load_task(task)
    if asked.protocol_key != keys[0]:
        raise UsageError(
            f"These are runs of {keys[0]}, not of {asked.protocol_key}, whose cells {asked.id} has.",
            "Name another --task, or leave it out.",
        )
    return asked.key


def claim_of(run: Run, name: str) -> tuple[dict[str, Any], Curve]:
    """Return a run's row of the manifest and its curve; BadData if what it says does not follow from its episodes."""
    cell, checked = run.cell, check(run, run.status.state)
    claim = {
        "path": name,
        "config_id": cell.config_id,
        "game": cell.game,
        "seed": cell.seed,
        "state": checked.state,
        "score": checked.score,
        "scored_episodes": checked.scored_episodes,
    }
    frames = load_task(cell.spec.task).budget.iteration_length
    return claim, Curve(cell.config_id, cell.game, cell.seed, frames, checked.iterations)


def _read(path: Path) -> Run:
    run = read_run(path)
    state = effective_state(path, run.status)
    if state not in FINISHED:
        raise BadData(
            f"{path} is {state}, not finished ({run.status.frames:,} of {run.cell.spec.frames:,} {_unit(run)}).",
            "Let it finish with the same `suite run` command, or name only finished runs.",
        )
    attempts = tuple(
        one.model_copy(update={"command": without_places(one.command)}) for one in run.provenance.attempts
    )  # earlier versions recorded whole paths
    return replace(run, provenance=run.provenance.model_copy(update={"attempts": attempts}))


def _unit(run: Run) -> str:
    try:
        return load_task(run.cell.spec.task).unit
    except SuiteError:
        return "frames or steps"  # a task that is unknown here is complained of later


def _bounded(content: bytes, run: Run) -> bytes:
    rows = len(run.episodes) > ROWS or len(run.evaluation) > EVALUATIONS
    if rows or len(content) > ENTRY_BYTES or content.count(b",") > VALUES:
        raise _TooLarge(f"{run.path} is too large for a bundle: {len(run.episodes):,} episodes.", "Leave it out.")
    return content


def cards_of(specs: Iterable[Spec]) -> tuple[dict[str, bytes], list[str]]:
    """Return the cards of all components, and a sentence for each that is not installed here as the runs used it."""
    files, absent = {}, []
    used = {(kind, part.id): part.card for spec in specs for kind, part in components(spec)}
    for (kind, name), digest in sorted(used.items()):
        card = registry.card(kind, name) if name in registry.registered(kind) else None
        if card is not None and card.digest == digest:
            files[f"cards/{kind}-{name}.json"] = document(card.model_dump(mode="json"))
        else:
            absent.append(f"The {kind} {name} is not here as these runs used it (card {digest}): it goes without card.")
    return files, absent
