"""Where an attempt's files lie: each has its own, so that no two processes ever write to one file.

    episodes.jsonl, status.json, ..., checkpoints/    the first attempt's; in older records, those of all attempts
    attempts/2/episodes.jsonl, status.json, ...       the second one's
    attempts/2/follows.json                           the attempt that it goes on from: see `Follows`
    attempts/2.json, attempts/2.beat                  who owns the second attempt: see `suite.records.ownership`

A record is that of the newest attempt that has a status. Its logs begin with those of the attempt that it follows, as
long as these were when it took over: whatever an overtaken process may still append to its own files is no record.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from suite.errors import BadData
from suite.records.reading import read_rows, read_whole

RowT = TypeVar("RowT", bound=BaseModel)

FOLDER: Final = "attempts"
FOLLOWS: Final = "follows.json"
LOGS: Final = ("episodes.jsonl", "evaluation.jsonl", "actions.jsonl", "diagnostics.jsonl", "checkpoints.jsonl")


class Follows(BaseModel):
    """`follows.json`. `attempt`: whose folder holds the record that this one goes on from, 0 for none.

    `logs`: how many bytes of each log in that folder belong to the record.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    attempt: int = Field(ge=0)
    logs: dict[str, int] = {}


@dataclass(frozen=True, slots=True)
class Part:
    """A folder with logs of a record, by the number of its attempt, and how much of each log counts; None for all."""

    attempt: int
    folder: Path
    sizes: Mapping[str, int] | None = None

    def read(self, name: str) -> bytes:
        """Return as much of a file as belongs to the record; a file that is not there is empty."""
        file = self.folder / name
        content = file.read_bytes() if file.exists() else b""
        return content if self.sizes is None else content[: self.sizes.get(name, 0)]


def folder_of(run: Path, attempt: int) -> Path:
    """Return the folder of an attempt's files."""
    return run if attempt <= 1 else run / FOLDER / str(attempt)


def attempts_below(run: Path, suffix: str = "") -> list[int]:
    """Return the numbers of the attempts with a folder of their own, or with a file of that suffix; ascending."""
    try:
        names = [path.name for path in (run / FOLDER).iterdir() if path.name.endswith(suffix)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    numbers = (name.removesuffix(suffix) for name in names)
    return sorted(int(number) for number in numbers if number.isascii() and number.isdigit() and len(number) < 10)


def current(run: Path) -> int:
    """Return the number of the newest attempt that has a status in a folder of its own; 1 if there is none."""
    found = (number for number in reversed(attempts_below(run)) if (folder_of(run, number) / "status.json").exists())
    return next(found, 1)


def home(run: Path) -> Path:
    """Return the folder with status and provenance of a record, and with its checkpoints."""
    return folder_of(run, current(run))


def has_started(run: Path) -> bool:
    """Return whether any attempt has a status."""
    return (home(run) / "status.json").exists()


def parts(run: Path, follows: Follows | None = None) -> tuple[Part, ...]:
    """Return where the logs of a record lie, oldest first; with `follows` only what an attempt went on from."""
    found: list[Part] = []
    number, sizes = (current(run), None) if follows is None else (follows.attempt, follows.logs)
    while number:
        folder = folder_of(run, number)
        found.append(Part(number, folder, sizes))
        before = read_whole(folder / FOLLOWS, Follows) if number > 1 else Follows(attempt=0)
        if before.attempt >= number:
            raise BadData(f"{folder / FOLLOWS} names a later attempt.", "Move this run directory away.")
        number, sizes = before.attempt, before.logs
    return tuple(reversed(found))


def sizes_of(folder: Path) -> dict[str, int]:
    """Return the bytes of the complete rows of each log in a folder."""
    found = {}
    for name in LOGS:
        if (folder / name).exists():
            found[name] = (folder / name).read_bytes().rfind(b"\n") + 1
    return found


def read_log(places: tuple[Part, ...], name: str, model: type[RowT]) -> Iterator[RowT]:
    """Yield the rows of a log of a record."""
    for part in places:
        yield from read_rows(part.folder / name, model, None if part.sizes is None else part.sizes.get(name, 0))
