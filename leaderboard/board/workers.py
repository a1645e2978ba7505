"""Work on all processors: one pool of processes, started where it first pays and kept for the rest of the build.

What a function returns must not depend on where it ran; then nothing here changes a byte. Functions, what they are
given and what they return cross to other processes: they must be picklable.
"""

from __future__ import annotations

import functools
import multiprocessing
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from typing import TypeVar

from suite import children
from suite.learning import device

Item = TypeVar("Item")
Result = TypeVar("Result")

START_SECONDS = 3.0
"""What starting the pool costs, most of it imports: less work than that is done here."""

SEND_SECONDS = 0.3
"""Less work than that is done here even where the pool runs already."""


AHEAD = 8
"""How many items of a stream are under way for each processor."""


def spread(function: Callable[[Item], Result], items: Sequence[Item], seconds: float) -> list[Result]:
    """Return `function` of every item in their order; `seconds` is about what all of them take on one processor."""
    if len(items) < 2 or not _pays(seconds):
        return [function(item) for item in items]
    chunk = max(1, min(8, len(items) // (4 * processors())))
    return list(_pool().map(function, items, chunksize=chunk))


def stream(function: Callable[[Item], Result], items: Iterable[Item], seconds: float) -> Iterator[Result]:
    """Yield `function` of every item in their order, a few of which are under way at a time.

    So neither all items nor all results are in memory together; `seconds` is as for `spread`.
    """
    if not _pays(seconds):
        yield from map(function, items)
        return
    waiting: deque[Future[Result]] = deque()
    for item in items:
        waiting.append(_pool().submit(function, item))
        if len(waiting) >= AHEAD * processors():
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def end() -> None:
    """End the pool's processes, which gives their memory back; what needs them later starts others."""
    if _pool.cache_info().currsize:
        _pool().shutdown()
        _pool.cache_clear()


def processors() -> int:
    """Return how many processors this process may use: one, if it is itself one of a pool."""
    return 1 if multiprocessing.parent_process() is not None else device.processors()


def _pays(seconds: float) -> bool:
    running = _pool.cache_info().currsize > 0
    return processors() > 1 and seconds >= (SEND_SECONDS if running else START_SECONDS)


@functools.cache
def _pool() -> ProcessPoolExecutor:
    return children.pool(processors())
