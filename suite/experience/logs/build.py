"""Building a sample: streamed out of the log's files, part by part, each whole or not there."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from suite import durable
from suite.errors import BadData
from suite.experience.logs.files import FileEntry, Tapped, check_space, exclusive, unwritable
from suite.experience.logs.layout import FRAME_BYTES, SCREEN, Place, file_name, frames_of, wrong_frames
from suite.experience.logs.npy import ArrayFile, header_bytes
from suite.experience.logs.sample import (
    ROW_ARRAYS,
    ROW_BYTES,
    Part,
    PartEntry,
    SampleFile,
    SamplePlan,
    find_sample,
    log_vectors,
    require_same,
    sample_path,
)
from suite.monitor import SILENT, Monitor


def build(plan: SamplePlan, monitor: Monitor = SILENT) -> SampleFile:
    """Build a sample, part by part; what an earlier call has finished is not done again.

    Holds a checkpoint's vectors and some MB of frames: less than 64 MiB beside the plan, for 1,000,000 rows.
    """
    place, path = plan.place, sample_path(plan.place, plan.selection)
    with exclusive(path):
        done = find_sample(path)
        if done is not None and [part.made_from for part in done.parts] == [part.made_from for part in plan.parts]:
            return done
        _clear(path, {f"ckpt-{part.checkpoint.suffix}" for part in plan.parts})
        there = [_built(path / f"ckpt-{part.checkpoint.suffix}", part) for part in plan.parts]
        left = sum(len(part.stored) for part, entry in zip(plan.parts, there, strict=True) if entry is None)
        check_space(path, left * (FRAME_BYTES + ROW_BYTES))
        entries = []
        for part, entry in zip(plan.parts, there, strict=True):
            monitor.say(f"{place.name}: checkpoint {part.checkpoint.suffix}, {len(part.stored):,} frames")
            entries.append(entry or _build_part(place, path / f"ckpt-{part.checkpoint.suffix}", part))
        sample = SampleFile(
            identity=plan.identity,
            source=plan.source,
            game=place.game,
            run=place.run,
            reading=plan.selection.reading,
            fraction=plan.selection.fraction,
            seed=plan.selection.seed,
            n_step=plan.selection.n_step,
            index_sha256=plan.index_sha256,
            parts=tuple(entries),
        )
        with unwritable(path):
            durable.replace_file(path / "sample.json", sample.model_dump_json(indent=1))
    return sample


def verify_samples(place: Place, monitor: Monitor = SILENT) -> Iterator[str]:
    """Read all samples of a run and yield in words which of their files are not those that were built."""
    remedy = "Delete its directory and issue `suite data sample` again."
    for file in sorted((place.folder / "samples").glob("*/sample.json")):
        path = file.parent
        try:
            sample = find_sample(path)
        except BadData as error:
            yield str(error)
            continue
        for part in () if sample is None else sample.parts:
            monitor.say(f"{place.name}: sample {path.name}, checkpoint {part.suffix}")
            for name, entry in part.files.items():
                if _hash(path / f"ckpt-{part.suffix}" / name) != entry:
                    yield f"{path / f'ckpt-{part.suffix}' / name} is not the file that was built. {remedy}"


def _clear(path: Path, wanted: set[str]) -> None:
    """Delete what is no part of the sample to build; first of all the word that it is whole."""
    with unwritable(path):
        names = sorted(entry.name for entry in path.iterdir() if entry.name not in wanted | {".lock"})
        for name in sorted(names, key=lambda name: name != "sample.json"):
            durable.remove_tree(path / name)


def _built(folder: Path, part: Part) -> PartEntry | None:
    """Return the entry of a part that is there and made from just this, else None after it is deleted."""
    if not folder.is_dir():
        return None
    try:
        entry = PartEntry.model_validate_json((folder / "part.json").read_bytes())
    except (OSError, ValidationError):
        entry = None
    if entry is not None and entry.made_from == part.made_from and _sizes(folder, entry):
        return entry
    with unwritable(folder):
        durable.remove_tree(folder)
    return None


def _sizes(folder: Path, entry: PartEntry) -> bool:
    return all(
        (folder / name).is_file() and (folder / name).stat().st_size == claimed.bytes
        for name, claimed in entry.files.items()
    )


def _build_part(place: Place, folder: Path, part: Part) -> PartEntry:
    """Build the part of one checkpoint under a hidden name, and give it its own once it is whole."""
    vectors = log_vectors(place, part.checkpoint)
    truncated = np.zeros(vectors.rows, np.uint8)
    truncated[list(part.checkpoint.truncated)] = 1
    drawn = np.zeros(vectors.rows, np.uint8)
    drawn[part.drawn] = 1
    arrays: dict[str, NDArray[Any]] = {
        "row": part.stored,
        "action": vectors.action[part.stored],
        "reward": vectors.reward[part.stored],
        "terminal": vectors.terminal[part.stored],
        "truncated": truncated[part.stored],
        "drawn": drawn[part.stored],
    }
    temporary = folder.with_name(f".tmp-{folder.name}")
    with unwritable(folder):
        durable.make_directory(temporary)
        files = {"frames.npy": _write(temporary / "frames.npy", _frames(place, part))}
        for name, values in arrays.items():
            header = header_bytes(ROW_ARRAYS[name], (len(part.stored),))
            content = values.astype(ROW_ARRAYS[name]).tobytes()
            files[f"{name}.npy"] = _write(temporary / f"{name}.npy", (header, content))
        entry = PartEntry(
            suffix=part.checkpoint.suffix,
            rows=len(part.stored),
            drawn=len(part.drawn),
            made_from=part.made_from,
            files=files,
        )
        durable.write_file(temporary / "part.json", entry.model_dump_json(indent=1).encode())
        durable.publish_directory(temporary, folder)
    return entry


def _frames(place: Place, part: Part) -> Iterator[bytes]:
    """Yield the file of the stored frames, as they come by in the checkpoint's; BadData if that is another by now."""
    path = place.logs / file_name("observation", part.checkpoint.suffix)
    file = ArrayFile(path, wrong_frames(part.checkpoint.capacity))
    yield header_bytes("|u1", (len(part.stored), SCREEN, SCREEN))
    begin = 0
    for frames in frames_of(file.contents()):
        low, high = np.searchsorted(part.stored, (begin, begin + len(frames)))
        if low < high:
            yield frames[part.stored[low:high] - begin].tobytes()
        begin += len(frames)
    require_same(path, FileEntry(bytes=file.size, sha256=file.sha256), part.checkpoint.files["observation"])


def _write(path: Path, pieces: Iterable[bytes]) -> FileEntry:
    tapped = Tapped(pieces)
    durable.write_file(path, tapped)
    return tapped.entry


def _hash(path: Path) -> FileEntry | None:
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return FileEntry(bytes=file.tell(), sha256=digest)
    except OSError:
        return None
