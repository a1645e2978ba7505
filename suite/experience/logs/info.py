"""A logged run's description, from file names, sizes, headers and its manifest alone."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from typing import Any

from suite.errors import BadData, SuiteError
from suite.experience.logs.layout import (
    ELEMENTS,
    Checkpoint,
    Place,
    file_name,
    missing_files,
    read_add_count,
    read_capacity,
    rows_below_cursor,
    scan,
)
from suite.experience.logs.manifest import Manifest, find_manifest
from suite.experience.logs.sample import READINGS, Selection, find_sample, make_plan


def describe(place: Place) -> dict[str, Any]:
    """Return what there is of a run, as JSON has it; what cannot be read is among its `problems`."""
    found, others = scan(place.logs)
    problems, checkpoints = [], []
    try:
        manifest = find_manifest(place)
    except BadData as error:
        manifest = None
        problems.append(str(error))
    for suffix, elements in found.items():
        if elements == set(ELEMENTS):
            try:
                checkpoints.append(_glance(place, suffix))
            except BadData as error:
                problems.append(str(error))
    whole = manifest is not None and manifest.complete
    assumed = (
        manifest
        if manifest is not None and whole
        else Manifest(source="unknown", game=place.game, run=place.run, checkpoints=tuple(checkpoints))
    )
    return {
        "game": place.game,
        "run": place.run,
        "source": None if manifest is None else manifest.source,
        "manifest": "none" if manifest is None else "complete" if whole else "incomplete",
        "checkpoints": len(checkpoints),
        "first_checkpoint": min(found, default=None),
        "last_checkpoint": max(found, default=None),
        "rows": sum(checkpoint.rows for checkpoint in checkpoints),
        "bytes": sum(_size(place, suffix) for suffix in found),
        "missing_checkpoints": [k for k in range(max(found, default=0)) if k not in found],
        "missing_files": missing_files(found),
        "not_read": others,
        "problems": problems,
        "samples": list(_samples(place)),
        "readings": list(_readings(place, assumed, known_ends=whole)) if checkpoints else [],
    }


def lines(document: dict[str, Any]) -> Iterator[str]:
    """Yield the same for people."""
    source = f", source {document['source']}" if document["source"] else ""
    yield (
        f"{document['game']} run {document['run']}: {document['checkpoints']} checkpoint(s), "
        f"{document['rows']:,} rows, {document['bytes'] / 2**20:,.1f} MiB, manifest {document['manifest']}{source}"
    )
    for title, key in (
        ("missing checkpoints", "missing_checkpoints"),
        ("missing files", "missing_files"),
        ("not read", "not_read"),
    ):
        names = document[key]
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            yield f"  {title}: {', '.join(str(name) for name in islice(names, 5))}{more}"
    for problem in document["problems"]:
        yield f"  {problem}"
    for reading in document["readings"]:
        if reading["frames"] is None:
            yield f"  {reading['words']:<22} {reading['problem']}"
        else:
            yield (
                f"  {reading['words']:<22} {reading['drawn']:>11,} rows {reading['frames']:>11,} distinct frames "
                f"{reading['bytes'] / 2**30:>8,.2f} GiB"
            )
    for sample in document["samples"]:
        yield f"  built: {sample}"


def _glance(place: Place, suffix: int) -> Checkpoint:
    """Return what a checkpoint's headers and counter say."""
    add_count, capacity = read_add_count(place.logs, suffix), read_capacity(place.logs, suffix)
    rows = rows_below_cursor(add_count, capacity)
    return Checkpoint(suffix=suffix, capacity=capacity, rows=rows, add_count=add_count, files={})


def _size(place: Place, suffix: int) -> int:
    paths = (place.logs / file_name(element, suffix) for element in ELEMENTS)
    return sum(path.stat().st_size for path in paths if path.is_file())


def _samples(place: Place) -> Iterator[str]:
    for file in sorted((place.folder / "samples").glob("*/sample.json")):
        try:
            found = find_sample(file.parent)
        except BadData as error:
            yield str(error)
        else:
            yield found.identity if found else f"{file.parent} is not whole"


def _readings(place: Place, manifest: Manifest, *, known_ends: bool) -> Iterator[dict[str, Any]]:
    for reading in READINGS:
        selection = Selection(reading)
        document: dict[str, Any] = {"words": selection.words, "drawn": None, "frames": None, "bytes": None}
        try:
            if reading == "episodes" and not known_ends:
                document["problem"] = "known once it is imported"
            else:
                plan = make_plan(place, manifest, selection)
                document |= {"drawn": plan.drawn, "frames": plan.frames, "bytes": plan.bytes}
        except SuiteError as error:
            document["problem"] = str(error)
        yield document
