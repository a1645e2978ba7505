"""Progress on standard error: bars on a terminal, a line every half minute elsewhere. Rate, ETA, last return."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator
from typing import Protocol, TextIO

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from suite.records.outcome import Outcome, Progress
from suite.tasks import load_task
from suite.tasks.configuration import Cell

SECONDS_BETWEEN_LINES = 30.0


@contextlib.contextmanager
def open_progress(cells: int) -> Iterator[Display]:
    """Yield the progress display that suits standard error."""
    console = Console(stderr=True)
    if console.is_terminal:
        with _bars(console) as bars:
            yield _Terminal(bars, cells)
    else:
        yield _Lines(cells)


def _bars(console: Console) -> Bars:
    return Bars(
        TextColumn("{task.description}", justify="left"),
        BarColumn(bar_width=20),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[note]}"),
        TimeElapsedColumn(),
        console=console,
        redirect_stdout=False,
        redirect_stderr=False,
    )


def note(cell: Cell, frames: int, rate: float, last_return: float | None) -> str:
    """Return rate, time left and last return in a few words."""
    left = _clock((cell.spec.frames - frames) / rate) if rate > 0 else "?"
    last = "-" if last_return is None else f"{last_return:g}"
    unit = load_task(cell.spec.task).unit.rpartition(" ")[2]  # frames or steps
    return f"{rate:,.0f} {unit}/s  ETA {left}  return {last}"


def name(cell: Cell) -> str:
    """Return a short name for a cell."""
    return f"{cell.game} s{cell.seed} {cell.spec.method_label}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(int(seconds + 0.5), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}"


class Display(Progress, Protocol):
    """A progress display that results can be printed beside."""

    def result(self, line: str) -> None:
        """Print a line of results."""
        ...


class _Terminal:
    """Live bars: one for all cells, one for each that runs."""

    def __init__(self, bars: Bars, cells: int) -> None:
        self._bars = bars
        self._overall = bars.add_task("cells", total=cells, note=f"0/{cells}")
        self._cells = cells
        self._ended = 0
        self._tasks: dict[Cell, TaskID] = {}
        self._lock = threading.Lock()

    def begin(self, cell: Cell, budget_frames: int) -> None:
        with self._lock:
            self._tasks[cell] = self._bars.add_task(name(cell), total=budget_frames, note="compiling")

    def advance(self, cell: Cell, frames: int, frames_per_second: float, last_return: float | None) -> None:
        self._bars.update(self._tasks[cell], completed=frames, note=note(cell, frames, frames_per_second, last_return))

    def say(self, cell: Cell, text: str) -> None:
        self._bars.console.print(f"{name(cell)}: {text}", highlight=False, markup=False, soft_wrap=True)

    def end(self, outcome: Outcome) -> None:
        with self._lock:
            task = self._tasks.pop(outcome.cell, None)
            if task is not None:
                self._bars.remove_task(task)
            self._ended += 1
            self._bars.update(self._overall, completed=self._ended, note=f"{self._ended}/{self._cells}")

    def result(self, line: str) -> None:
        if sys.stdout.isatty():  # the terminal that the bars are on: above them
            self._bars.console.print(line, highlight=False, markup=False, soft_wrap=True)
        else:
            _write(sys.stdout, line)


class _Lines:
    """A plain line now and then, for logs."""

    def __init__(self, cells: int) -> None:
        self._cells = cells
        self._ended = 0
        self._lock = threading.Lock()
        self._last: dict[Cell, float] = {}

    def begin(self, cell: Cell, budget_frames: int) -> None:
        self._last[cell] = time.monotonic()
        self._print(f"{name(cell)}: starts, {budget_frames:,} {load_task(cell.spec.task).unit}")

    def advance(self, cell: Cell, frames: int, frames_per_second: float, last_return: float | None) -> None:
        now = time.monotonic()
        if now - self._last[cell] >= SECONDS_BETWEEN_LINES:
            self._last[cell] = now
            share = 100 * frames / cell.spec.frames
            self._print(f"{name(cell)}: {share:.1f} %  {note(cell, frames, frames_per_second, last_return)}")

    def say(self, cell: Cell, text: str) -> None:
        self._print(f"{name(cell)}: {text}")

    def end(self, outcome: Outcome) -> None:
        with self._lock:
            self._ended += 1
            self._print(f"{name(outcome.cell)}: {outcome.state} ({self._ended} of {self._cells} cells)")

    def result(self, line: str) -> None:
        with self._lock:
            _write(sys.stdout, line)

    def _print(self, text: str) -> None:
        _write(sys.stderr, text)


def _write(stream: TextIO, line: str) -> None:
    with contextlib.suppress(OSError):  # nobody reads on: the run directory has it all, training goes on
        print(line, file=stream, flush=True)
