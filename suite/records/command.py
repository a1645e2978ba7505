"""A command as a record has it, which is for the world to see: without the places of somebody's machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePosixPath


def without_places(arguments: Sequence[str]) -> tuple[str, ...]:
    """Return arguments, each absolute path among them, alone or after `--option=`, as its last component."""
    return tuple(map(_without_place, arguments))


def _without_place(argument: str) -> str:
    option, equals, value = argument.partition("=")
    if option.startswith("-") and equals:
        return f"{option}={_last(value)}"
    return _last(argument)


def _last(text: str) -> str:
    return PurePosixPath(text).name if text.startswith("/") else text
