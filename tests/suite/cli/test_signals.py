"""What a command does when it is asked to stop, and that nothing of it stays."""

import signal
import threading
from collections.abc import Iterator
from itertools import product

import pytest

from suite.cli import signals
from suite.cli.signals import STOPPING, stop_once, stopping_signals


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """No signal is ignored, as some are where tests run in the background."""
    before = [signal.signal(number, signal.SIG_DFL) for number in STOPPING]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    for number, handler in zip(STOPPING, before, strict=True):
        signal.signal(number, handler)


def handlers() -> list[object]:
    return [signal.getsignal(number) for number in STOPPING]


def test_every_stopping_signal_is_told_and_the_handlers_from_before_come_back() -> None:
    before, told = handlers(), []
    with stopping_signals(told.append):
        for number in STOPPING:
            signal.raise_signal(number)
    assert told == list(STOPPING)
    assert handlers() == before


def test_a_handler_may_raise() -> None:
    def interrupt(number: int) -> None:
        raise InterruptedError

    before = handlers()
    with pytest.raises(InterruptedError), stopping_signals(interrupt):
        signal.raise_signal(signal.SIGUSR1)
    assert handlers() == before


def test_other_threads_leave_signals_alone() -> None:
    before, seen = handlers(), []

    def work() -> None:
        with stopping_signals(lambda number: None):
            seen.append(handlers())

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_what_was_ignored_before_stays_ignored() -> None:
    before, told = signal.signal(signal.SIGHUP, signal.SIG_IGN), []
    try:
        with stopping_signals(told.append):
            signal.raise_signal(signal.SIGHUP)
        assert told == []
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """A clock that tests move."""
    now = [100.0]
    monkeypatch.setattr(signals.time, "monotonic", lambda: now[0])
    return now


@pytest.mark.parametrize(("first", "second"), list(product(STOPPING, STOPPING)))
@pytest.mark.parametrize("gap", [0.0, 0.05, 30.0])
def test_only_a_second_ctrl_c_after_a_second_aborts(
    clock: list[float], first: signal.Signals, second: signal.Signals, gap: float
) -> None:
    aborted: list[float] = []
    with stop_once(lambda: aborted.append(clock[0])) as stop:
        signal.raise_signal(first)
        clock[0] += gap
        signal.raise_signal(second)
        assert stop.is_set()
    assert bool(aborted) == (first == second == signal.SIGINT and gap >= 1)


def test_a_burst_of_ctrl_c_is_one_and_a_later_one_is_meant(clock: list[float]) -> None:
    aborted: list[float] = []
    with stop_once(lambda: aborted.append(clock[0])):
        for _ in range(5):
            signal.raise_signal(signal.SIGINT)
            clock[0] += 0.1
        assert aborted == []
        clock[0] = 101.0
        signal.raise_signal(signal.SIGINT)
    assert aborted == [101.0]


def test_a_stopped_program_hears_no_signal_after_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    before = handlers()
    monkeypatch.setattr(signals, "ends_with_command", True)
    with stop_once(lambda: None):
        pass
    assert handlers() == before  # it was not stopped
    try:
        with stop_once(lambda: None):
            signal.raise_signal(signal.SIGTERM)
        assert set(handlers()) == {signal.SIG_IGN}
    finally:
        for number, handler in zip(STOPPING, before, strict=True):
            signal.signal(number, handler)


def test_a_signal_that_comes_while_another_is_handled_does_not_wait_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    class Event(threading.Event):
        busy = False

        def set(self) -> None:
            assert not self.busy, "the lock of an event is held: this would wait for ever"
            self.busy = True
            signal.raise_signal(signal.SIGTERM)
            self.busy = False
            super().set()

    monkeypatch.setattr(signals.threading, "Event", Event)
    with stop_once(lambda: None) as stop:
        signal.raise_signal(signal.SIGUSR1)
    assert stop.is_set()
