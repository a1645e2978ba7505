"""Outcomes of cells, and those who are told of them and of the way there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

from suite.errors import ExitCode
from suite.records.cause import Cause
from suite.records.record import State
from suite.tasks.configuration import Cell

Ending: TypeAlias = State | Literal["locked", "overtaken"]
"""How a cell ended in this process: `locked` if another one has it, `overtaken` if another one took it over."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a cell ended here; `error` is the code of a failure, `cause` what is to blame (`suite.records.cause`)."""

    cell: Cell
    state: Ending
    path: Path
    score: float | None = None
    message: str = ""
    error: ExitCode | None = None
    cause: Cause | None = None


class Progress(Protocol):
    """Who is told how far the lanes are; called from their threads."""

    def begin(self, cell: Cell, budget_frames: int) -> None:
        """A lane starts."""
        ...

    def advance(self, cell: Cell, frames: int, frames_per_second: float, last_return: float | None) -> None:
        """A lane has reached a frame."""
        ...

    def say(self, cell: Cell, text: str) -> None:
        """Something is worth a line."""
        ...

    def end(self, outcome: Outcome) -> None:
        """A lane has ended."""
        ...
