"""The signals that ask a command to stop, while it works."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
"""SIGUSR1 is what batch systems can send some time before they kill."""


@contextlib.contextmanager
def stopping_signals(handle: Callable[[], None]) -> Iterator[None]:
    """Call `handle` for every such signal that comes meanwhile; it may raise. In the main thread alone: see `signal`.

    Elsewhere nothing is changed. Afterwards every signal has its handler from before.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, lambda received, frame: handle()) for number in STOPPING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
