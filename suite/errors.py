"""Errors that a user can act on: what is wrong, where, and what to do; each knows its exit code."""

from __future__ import annotations

import difflib
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


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for a name that does not exist, with the nearest one that does."""
    names = sorted(known)
    lowered = {candidate.lower(): candidate for candidate in names}
    near = difflib.get_close_matches(name.lower(), lowered, n=1, cutoff=0.5)
    remedy = f"Did you mean {lowered[near[0]]!r}?" if near else f"Known: {', '.join(names)}."
    return UsageError(f"Unknown {kind} {name!r}.", remedy)
