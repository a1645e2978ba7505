"""Signals that ask a command to stop while it works."""

from __future__ import annotations

import contextlib
import signal
import threading
import time
from collections.abc import Callable, Iterator

STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGXCPU)
"""What batch systems send some time before they kill, what a closed terminal sends, and Ctrl-C."""
IMPATIENT_SECONDS = 1.0
"""A Ctrl-C this long after the first one is meant; what passes signals on can send several at once."""
ends_with_command = False
"""Whether nothing follows a command in this process: `suite.cli.main.main` sets it."""


@contextlib.contextmanager
def stopping_signals(
    handle: Callable[[int], None], ignored_after: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Call `handle` for every such signal that comes meanwhile; it may raise. In the main thread alone: see `signal`.

    Elsewhere nothing is changed, nor for a signal that was ignored before (`nohup`). Afterwards every signal has its
    handler from before, or is ignored for good if `ignored_after()` says so then.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard = [number for number in STOPPING if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, lambda received, frame: handle(received)) for number in heard}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_IGN if ignored_after() else handler)


@contextlib.contextmanager
def stop_once(abort: Callable[[], None]) -> Iterator[threading.Event]:
    """Yield an event that the first stopping signal sets; only an impatient second Ctrl-C calls `abort`.

    Every other signal, pair or burst leaves the work to end in its own way. Where the process ends with its command,
    signals that come after that are ignored: the exit code that says that all is saved must not be lost to one more.
    """
    stop = threading.Event()
    asked = False
    first_interrupt: float | None = None

    def handle(number: int) -> None:
        nonlocal asked, first_interrupt
        if not asked:  # a signal may come while another one's handler sets the event, whose lock it holds
            asked = True
            stop.set()
        if number == signal.SIGINT:
            now = time.monotonic()
            if first_interrupt is not None and now - first_interrupt >= IMPATIENT_SECONDS:
                abort()
            first_interrupt = now if first_interrupt is None else first_interrupt

    with stopping_signals(handle, lambda: stop.is_set() and ends_with_command):
        yield stop
