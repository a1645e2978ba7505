"""A run's means by iteration in little room: three hundred entries have a million of them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Mapping


class Means(Mapping[int, float]):
    """The means of iterations that follow each other from `first` on."""

    __slots__ = ("_first", "_values")

    def __init__(self, first: int, values: array[float]) -> None:
        self._first = first
        self._values = values

    def __getitem__(self, index: int) -> float:
        place = index - self._first
        if 0 <= place < len(self._values):
            return self._values[place]
        raise KeyError(index)

    def __iter__(self) -> Iterator[int]:
        return iter(range(self._first, self._first + len(self._values)))

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        """All that it holds, to the bit, and quickly: pages are known by hashes of what is shown of a million means."""
        return f"Means({self._first}, {self._values.tobytes().hex()})"


def compact(means: Mapping[int, float]) -> Mapping[int, float]:
    """Return the same means, in their order, in as little room as they take."""
    indices = list(means)
    if not indices or indices != list(range(indices[0], indices[0] + len(indices))):
        return means
    return Means(indices[0], array("d", means.values()))
