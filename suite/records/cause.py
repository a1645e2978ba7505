"""Causes of runs that came to no good end: the infrastructure that they ran on, or the method that they ran.

The rule, for whoever tries again: what the infrastructure did may go well elsewhere or later; what the method did will
happen again.

    infrastructure   a killed process, a lost node, a cell that another process holds; memory that ran out, on the host
                     or the device; a device that was lost; a disk that is full, read-only or gone; data, checkpoints
                     or packages that are missing or damaged; whatever else `suite` ends with 3, 4 or 6 for
    method           divergence; a setting that is refused; every other error, which is one of the code of an agent, a
                     network or a method, or of the suite

An error that was raised because of another one, as Python knows it (`raise ... from`), has the infrastructure as its
cause if any of the chain has.
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from concurrent.futures import BrokenExecutor
from typing import Literal

from suite.errors import ExitCode, SuiteError, of_machine

Cause = Literal["infrastructure", "method"]

_OF_MACHINE = (MemoryError, ImportError, ConnectionError, TimeoutError, BrokenExecutor)
_ERRNO = frozenset(
    getattr(errno, name) for name in ("ENOMEM", "EMFILE", "ENFILE", "ENODEV", "ENXIO", "ESTALE", "ETIMEDOUT", "EAGAIN")
)
_XLA = ("RESOURCE_EXHAUSTED", "UNAVAILABLE", "DATA_LOSS", "DEADLINE_EXCEEDED")
"""How XLA's errors begin that tell of a device and not of a program."""
_XLA_DEVICE = ("CUDA_ERROR", "cudaError", "NCCL", "uncorrectable ECC")


def cause_of_error(error: BaseException) -> Cause:
    """Return the cause that an error has by the rule above."""
    return "infrastructure" if any(map(_of_infrastructure, _chain(error))) else "method"


def cause_of(state: str, recorded: Cause | None = None) -> Cause | None:
    """Return the cause of a state; None of those that are no failures, and of failures whose record says none.

    `recorded`: what the record of a run says, or the outcome of a cell.
    """
    if state == "diverged":
        return "method"
    if state in ("killed", "locked", "overtaken", "damaged"):
        return "infrastructure"
    return recorded if state == "failed" else None


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:
        seen.add(id(current))
        yield current
        current = current.__cause__


def _of_infrastructure(error: BaseException) -> bool:
    if isinstance(error, SuiteError):
        return error.exit_code in (ExitCode.UNFIT, ExitCode.BAD_DATA, ExitCode.LOCKED)
    if isinstance(error, _OF_MACHINE):
        return True
    if isinstance(error, OSError):
        return of_machine(error) is not None or error.errno in _ERRNO
    if type(error).__name__ in ("XlaRuntimeError", "JaxRuntimeError"):
        text = str(error)
        return text.startswith(_XLA) or any(mark in text for mark in _XLA_DEVICE)
    return False
