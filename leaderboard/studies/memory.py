"""What a study was when its cells were begun, kept beside the runs: so that an edited one names what it left behind."""

from __future__ import annotations

import json
from pathlib import Path

from leaderboard.studies.expansion import Expanded
from suite import durable
from suite.errors import BadData, UnfitEnvironment
from suite.records.record import existing_state

FOLDER = "studies"


def remember(expanded: Expanded, out: Path) -> None:
    """Write down the cells of a study that is about to be run, beside those that it had before."""
    path = _file(expanded, out)
    cells = sorted({*known_cells(expanded, out), *(cell.path for _, cell in expanded.cells())})
    content = json.dumps({"schema": "suite.study.cells/1", "study": expanded.study.id, "cells": cells}, indent=0)
    try:
        durable.make_directory(path.parent)
        durable.replace_file(path, content.encode() + b"\n")
    except OSError as error:
        raise UnfitEnvironment(
            f"Cannot write {path}: {error.strerror or error}.", "Choose another place with --out."
        ) from error


def known_cells(expanded: Expanded, out: Path) -> list[str]:
    """Return the paths of the cells that a study of this name had when it was run before."""
    path = _file(expanded, out)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return [str(cell) for cell in content["cells"]]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BadData(f"{path} cannot be read ({error}).", "Delete it: the runs themselves are untouched.") from error


def strays(expanded: Expanded, out: Path) -> list[str]:
    """Return the cells that were run for a study of this name and no longer belong to it: it was edited since."""
    present = {cell.path for _, cell in expanded.cells()}
    return [path for path in known_cells(expanded, out) if path not in present and existing_state(out / path)]


def _file(expanded: Expanded, out: Path) -> Path:
    return out / FOLDER / f"{expanded.study.id}.{expanded.task.id}.json"
