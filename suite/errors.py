"""Errors that a user can act on: what is wrong, where, and what to do; each knows its exit code."""

from __future__ import annotations

import difflib
import errno
import os
from collections.abc import Iterable
from enum import IntEnum


class ExitCode(IntEnum):
    """The documented exit codes of every `suite` command."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    UNFIT = 3
    BAD_DATA = 4
    CELLS_FAILED = 5
    LOCKED = 6
    """Another process has what this one wants, or has taken over what this one had."""
    INTERRUPTED = 75
    """Stopped by a signal, and resumable where it stood."""
    STOPPED = 130
    """Stopped by Ctrl-C where there is nothing to resume; 128 + SIGINT, as shells expect."""


class SuiteError(Exception):
    """An expected failure: one sentence of what is wrong and where, and a remedy."""

    exit_code = ExitCode.UNEXPECTED

    def __init__(self, problem: str, remedy: str = "") -> None:
        super().__init__(problem)
        self.problem = problem
        self.remedy = remedy

    def __str__(self) -> str:
        return f"{self.problem} {self.remedy}".strip()


_MACHINE = frozenset(
    getattr(errno, name)
    for name in ("EACCES", "EPERM", "EROFS", "ENOSPC", "EDQUOT", "EFBIG", "EIO", "EISDIR", "ENOTDIR", "ENAMETOOLONG")
)
"""Errors of the system that say something of a disk or its permissions, and nothing of a program."""


class Stopped(Exception):
    """The work was stopped on request; nothing is lost by it."""


class UsageError(SuiteError):
    """The command line or a setting is wrong."""

    exit_code = ExitCode.USAGE


class UnfitEnvironment(SuiteError):
    """The machine lacks something a run needs: a ROM, space, a writable directory, a device."""

    exit_code = ExitCode.UNFIT


class BadData(SuiteError):
    """A run directory, card or database cannot be read as what it claims to be."""

    exit_code = ExitCode.BAD_DATA


class Locked(SuiteError):
    """Another process holds what this one needs."""

    exit_code = ExitCode.LOCKED


class Overtaken(Locked):
    """Another process holds what this one had: it was not heard for long, and must write no more."""


def of_machine(error: OSError) -> UnfitEnvironment | None:
    """Return what a full or read-only disk, or missing permissions, mean to a user; None for other errors."""
    if error.errno not in _MACHINE:
        return None
    where = error.filename if error.filename2 is None else error.filename2
    text = f"{os.fsdecode(where)}: {error.strerror}." if where is not None else f"{error.strerror}."
    return UnfitEnvironment(text, "Check permissions and free space, or choose another place.")


def one_line(text: str) -> str:
    """Return text with escapes for what cannot be printed, line ends among it: a file's name may hold anything."""
    safe = (letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text)
    return "".join(safe)


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for a name that does not exist, with the nearest one that does."""
    names = sorted(known)
    lowered = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    remedy = f"Did you mean {lowered[near[0]]!r}?" if near else f"Known: {', '.join(names)}."
    return UsageError(f"Unknown {kind} {name!r}.", remedy)
