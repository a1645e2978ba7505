"""Parts of the site: some files each, made anew only where what they are made from has changed.

A part's function gives its files from its inputs and from nothing else but the code, and its key is a hash of those
inputs: with the same code, the same key stands for the same bytes.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

Files = Mapping[str, bytes]
"""Contents by path."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part: `function` of `inputs()` gives its files.

    Inputs are gathered only where they are needed. `apart`: they can be sent to another process, which a page of one
    run can and one with the whole report cannot: that is made when all those are and no other process of the build is
    left, since it may take much memory.
    """

    name: str
    key: str
    function: Callable[..., Files]
    inputs: Callable[[], tuple[Any, ...]]
    apart: bool = False

    def job(self) -> Callable[[], Files]:
        """Return what makes the files."""
        return functools.partial(self.function, *self.inputs())

    def files(self) -> Files:
        """Return the files, made here and now."""
        return self.function(*self.inputs())


def part(name: str, function: Callable[..., Files], *inputs: Any) -> Part:
    """Return the part that a function makes of values; they can be sent away, and `repr` shows them whole."""
    return Part(name, key_of(inputs), function, lambda: inputs, apart=True)


def whole(name: str, key: str, function: Callable[..., Files], *inputs: Any) -> Part:
    """Return a part that is made here, from values of which `key` is the hash; see `Part`."""
    return Part(name, key, function, lambda: inputs)


def key_of(values: Any) -> str:
    """Return the hash of values by what `repr` shows of them."""
    return hashlib.sha256(repr(values).encode()).hexdigest()


def all_files(parts: Iterable[Part]) -> dict[str, bytes]:
    """Return the files of some parts together."""
    return {path: content for one in parts for path, content in one.files().items()}
