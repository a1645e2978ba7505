"""verified.json: that `suite verify` played a finished run again, whole, and of which content that is true."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

import suite
from suite.durable import replace_file
from suite.records.attempts import LOGS, Part, parts

FILE = "verified.json"

CONTENT = (
    "spec.json",
    "provenance.json",
    "status.json",
    "episodes.jsonl",
    "evaluation.jsonl",
    "actions.jsonl",
    "checkpoints.jsonl",
)
"""The files of a run directory on which the answer depends."""


class VerifiedFile(BaseModel):
    """`verified.json`. `content` is the hash of what was played again, `episodes` and `frames` how much that was."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    suite_version: str
    content: str
    episodes: int
    frames: int


def content_of(path: Path) -> str:
    """Return the SHA-256 of what a run directory holds; a file that is not there is empty."""
    total, places = hashlib.sha256(), parts(path)
    for name in CONTENT:
        within = places if name in LOGS else [Part(1, path)] if name == "spec.json" else places[-1:]
        content = b"".join(place.read(name) for place in within)
        total.update(f"{name} {len(content)}\n".encode() + content)
    return total.hexdigest()


def write_verified(path: Path, content: str, episodes: int, frames: int) -> None:
    """Say of a run directory, whose content had this hash before, that it was played again and came out the same."""
    said = VerifiedFile(suite_version=suite.__version__, content=content, episodes=episodes, frames=frames)
    replace_file(path / FILE, said.model_dump_json(indent=1))


def is_verified(path: Path) -> bool:
    """Return whether a run directory was played again as it stands now."""
    try:
        said = VerifiedFile.model_validate_json((path / FILE).read_bytes())
        return said.content == content_of(path)
    except (OSError, ValidationError):
        return False
