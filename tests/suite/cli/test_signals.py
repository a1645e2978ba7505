"""What a command does when it is asked to stop, and that nothing of it stays."""

import signal
import threading

import pytest

from suite.cli.signals import STOPPING, stopping_signals


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in STOPPING]


def test_every_stopping_signal_is_told_and_the_handlers_from_before_come_back() -> None:
    before, told = handlers(), []
    with stopping_signals(lambda: told.append("stop")):
        for number in STOPPING:
            signal.raise_signal(number)
    assert told == ["stop"] * 3
    assert handlers() == before


def test_a_handler_may_raise() -> None:
    def interrupt() -> None:
        raise InterruptedError

    before = handlers()
    with pytest.raises(InterruptedError), stopping_signals(interrupt):
        signal.raise_signal(signal.SIGUSR1)
    assert handlers() == before


def test_other_threads_leave_signals_alone() -> None:
    before, seen = handlers(), []

    def work() -> None:
        with stopping_signals(lambda: None):
            seen.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]
