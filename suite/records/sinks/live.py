"""Sinks that are fed while cells run, by a thread of their own: one that fails is named once, and training goes on."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from suite.records.sinks.feed import Feed
from suite.records.sinks.known import opener_of

SECONDS = 20.0


def check_sinks(names: Sequence[str]) -> None:
    """Raise UsageError for a name that is no sink's, and UnfitEnvironment for one that cannot be had."""
    for name in names:
        opener_of(name)


@contextlib.contextmanager
def feeding(names: Sequence[str], root: Path, say: Callable[[str], None], every: float = SECONDS) -> Iterator[None]:
    """Feed the named sinks from the runs below `root` until the context ends, and once more then.

    Each has the directory `root/sinks/NAME`. UnfitEnvironment, before anything begins, for one that cannot be had.
    """
    feeds = {name: Feed(root, root / "sinks" / name, opener_of(name)) for name in names}
    if not feeds:
        yield
        return
    stop = threading.Event()
    thread = threading.Thread(target=_keep_feeding, args=(feeds, stop, every, say), name="sinks", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _keep_feeding(feeds: dict[str, Feed], stop: threading.Event, every: float, say: Callable[[str], None]) -> None:
    last = False
    while not last:
        last = stop.wait(every)
        for name in list(feeds):
            try:
                feeds[name].feed()
                if last:
                    feeds[name].close()
            except Exception as error:  # noqa: BLE001 - whatever a sink does, training goes on
                del feeds[name]
                say(f"The sink {name} failed and gets nothing more: {type(error).__name__}: {error}")
