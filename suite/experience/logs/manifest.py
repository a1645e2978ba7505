"""`manifest.json` of a logged run: where it is from, what each checkpoint holds, and every file's size and hash.

It is written anew after each checkpoint that is there as a whole, and says at last that all are.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from suite import durable
from suite.errors import BadData, UsageError
from suite.experience.logs.check import check_sequence, inspect
from suite.experience.logs.files import check_space, exclusive, unwritable
from suite.experience.logs.layout import Checkpoint, Place, file_name, missing_files, scan
from suite.monitor import SILENT, Monitor
from suite.tasks import game
from suite.tasks.configuration import Spec

PUBLIC = "dqn-replay"
"""The word for the public DQN Replay Dataset as a source."""


class Generated(BaseModel):
    """The run of this suite that a log was made from.

    `capacities`: of all checkpoints that its budget makes room for; where the unfinished last episode is longer than a
    checkpoint, some of them are not there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    task: str
    config_id: str
    seed: int = Field(ge=0)
    spec: Spec
    environment_fingerprint: str
    capacities: tuple[int, ...]


class Manifest(BaseModel):
    """`manifest.json`. `source` is one word for where the data are from; it is part of a sample's identity."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    source: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    game: str
    run: int = Field(ge=1)
    complete: bool = False
    generated: Generated | None = None
    checkpoints: tuple[Checkpoint, ...] = ()

    @property
    def capacities(self) -> dict[int, int]:
        """The capacities of the checkpoints, by suffix: what a sample's index set depends on."""
        if self.generated is not None:
            return dict(enumerate(self.generated.capacities))
        return {checkpoint.suffix: checkpoint.capacity for checkpoint in self.checkpoints}

    @property
    def rows(self) -> int:
        """Rows of all checkpoints."""
        return sum(checkpoint.rows for checkpoint in self.checkpoints)

    @property
    def bytes(self) -> int:
        """Bytes of all files."""
        return sum(checkpoint.bytes for checkpoint in self.checkpoints)

    def with_checkpoint(self, checkpoint: Checkpoint) -> Manifest:
        """Return the manifest with one more checkpoint."""
        return self.model_copy(update={"checkpoints": (*self.checkpoints, checkpoint)})


def manifest_path(place: Place) -> Path:
    """Return where a run's manifest is."""
    return place.folder / "manifest.json"


def find_manifest(place: Place) -> Manifest | None:
    """Return a run's manifest, complete or not, or None if it has none; BadData if it is damaged."""
    path = manifest_path(place)
    try:
        found = Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        detail = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror or error
        raise BadData(f"{path} is damaged ({detail}).", "Delete it and import or generate again.") from error
    if (found.game, found.run) != (place.game, place.run):
        raise BadData(
            f"{path} is that of {found.game} run {found.run}.", "Put this directory where its manifest says it belongs."
        )
    return found


def read_manifest(place: Place) -> Manifest:
    """Return the complete manifest of a run; BadData if it has none."""
    found = find_manifest(place)
    if found is None:
        raise BadData(
            f"{place.name} in {place.root} has no manifest.json.",
            f"Check the files and write it: suite data import {place.root} --out {place.root}",
        )
    if not found.complete:
        raise BadData(
            f"{manifest_path(place)} is not complete: importing or generating was stopped.",
            "Issue that command again; it goes on.",
        )
    return found


def write_manifest(place: Place, manifest: Manifest) -> None:
    """Replace a run's manifest."""
    with unwritable(manifest_path(place)):
        durable.replace_file(manifest_path(place), manifest.model_dump_json(indent=1))


def import_run(source: Place, target: Place, word: str | None, monitor: Monitor = SILENT) -> Manifest:
    """Check a logged run from elsewhere, copy it into a data directory, and write its manifest.

    What an earlier call has done is not done again. `word` says where the data are from; a manifest of the source's own
    says it for itself, and its hashes must be those of the files. If both places are the same, nothing is copied.
    """
    actions = game(source.game).actions
    own = None if source == target else find_manifest(source)
    if own is not None and word is not None:
        raise UsageError(f"{manifest_path(source)} says that {source.name} is {own.source!r}.", "Leave out --source.")
    found = whole_checkpoints(source)
    with exclusive(target.folder):
        manifest = find_manifest(target) or Manifest(
            source=own.source if own else word or PUBLIC,
            game=target.game,
            run=target.run,
            generated=own.generated if own else None,
        )
        if manifest.complete:
            return manifest
        copy_to = None if source == target else target.logs
        if copy_to is not None:
            _check_space(source, target)
            with unwritable(copy_to):
                durable.make_directory(copy_to)
        done = [checkpoint.suffix for checkpoint in manifest.checkpoints]
        if done != found[: len(done)]:
            raise BadData(
                f"{source.logs} has other checkpoints than before.", f"Delete {target.folder} and begin anew."
            )
        for suffix in found[len(done) :]:
            monitor.say(f"{source.name}: checkpoint {suffix} of {found[-1]}")
            checkpoint = inspect(source.logs, suffix, actions, copy_to)
            if own is not None:
                checkpoint = _as_claimed(source, checkpoint, own)
            check_sequence(source.logs, (*manifest.checkpoints, checkpoint))
            manifest = manifest.with_checkpoint(checkpoint)
            write_manifest(target, manifest)
        manifest = manifest.model_copy(update={"complete": True})
        write_manifest(target, manifest)
    return manifest


def whole_checkpoints(place: Place) -> list[int]:
    """Return the suffixes of all checkpoints; BadData if there is none, or if one lacks a file."""
    found, _ = scan(place.logs)
    if not found:
        raise BadData(f"{place.logs} holds no checkpoint.", f"Files are named as {file_name('observation', 0)}.")
    if missing := missing_files(found):
        raise BadData(
            f"{place.logs} lacks {missing[0]}" + (f" and {len(missing) - 1} more files." if missing[1:] else "."),
            "Get them again, or do without their checkpoints: delete all files of these.",
        )
    return list(found)


def verify_run(place: Place, monitor: Monitor = SILENT) -> Iterator[str]:
    """Check every file of a run, and compare it with the manifest if there is one; yield what is wrong in words."""
    actions = game(place.game).actions
    manifest = find_manifest(place)
    found, _ = scan(place.logs)
    yield from (f"{place.logs / name} is missing." for name in missing_files(found))
    claimed = {} if manifest is None else {entry.suffix: entry for entry in manifest.checkpoints}
    if manifest is not None and not manifest.complete:
        yield f"{manifest_path(place)} is not complete."
    yield from (f"Checkpoint {k} of {place.logs} is missing." for k in sorted(claimed.keys() - found.keys()))
    sound = []
    for suffix, elements in found.items():
        monitor.say(f"{place.name}: checkpoint {suffix} of {max(found)}")
        if missing_files({suffix: elements}):
            continue
        if manifest is not None and suffix not in claimed:
            yield f"Checkpoint {suffix} of {place.logs} is not in the manifest."
        try:
            checkpoint = inspect(place.logs, suffix, actions)
            sound.append(checkpoint if manifest is None else _as_claimed(place, checkpoint, manifest))
        except BadData as error:
            yield str(error)
    try:
        check_sequence(place.logs, sound)
    except BadData as error:
        yield str(error)


def _as_claimed(place: Place, found: Checkpoint, manifest: Manifest) -> Checkpoint:
    """Return a manifest's word on a checkpoint, of which it knows more than its files say, if the files are those."""
    claimed = next((entry for entry in manifest.checkpoints if entry.suffix == found.suffix), None)
    if claimed is None:
        return found
    for element, entry in found.files.items():
        if claimed.files.get(element) != entry:
            raise BadData(
                f"{place.logs / file_name(element, found.suffix)} is not the file that its manifest names.",
                "Get it again from where it came from.",
            )
    if (claimed.rows, claimed.capacity, claimed.add_count) != (found.rows, found.capacity, found.add_count):
        raise BadData(
            f"{manifest_path(place)} says of checkpoint {found.suffix} what its files do not hold.",
            "Delete the manifest and import again.",
        )
    return claimed


def _check_space(source: Place, target: Place) -> None:
    """Refuse to begin a copy that does not fit."""
    needed = sum(path.stat().st_size for path in source.logs.iterdir() if path.is_file())
    there = sum(path.stat().st_size for path in target.logs.iterdir()) if target.logs.is_dir() else 0
    check_space(target.root, needed - there)
