"""A member of a session: one cell in progress, seen from outside its training: its record, who watches it, its end."""

from __future__ import annotations

import threading
from collections.abc import Callable

from suite.errors import ExitCode
from suite.monitor import Monitor
from suite.records.cause import Cause, cause_of
from suite.records.checkpoints import Loaded
from suite.records.outcome import Ending, Outcome, Progress
from suite.rng import Streams
from suite.running.recorder import Recording
from suite.tasks import GAMES, Game


class Member(Monitor):
    """A cell that is recorded, and the checkpoint `loaded` that it goes on from, None if it begins.

    It passes on to the display what is worth a line, and is stopped once `stop` is set. `tell` hears how it ended.
    """

    def __init__(
        self,
        recording: Recording,
        loaded: Loaded | None,
        progress: Progress,
        stop: threading.Event,
        tell: Callable[[Outcome], None],
    ) -> None:
        self.recording = recording
        self.loaded = loaded
        self._cell = recording.cell
        self._progress = progress
        self._stop = stop
        self._tell = tell

    @property
    def step(self) -> int:
        """The agent step of the checkpoint, 0 without one."""
        return 0 if self.loaded is None else self.loaded.agent_step

    @property
    def game(self) -> Game:
        """The cell's game."""
        return GAMES[self._cell.game]

    @property
    def seed(self) -> int:
        """The cell's seed."""
        return self._cell.seed

    @property
    def streams(self) -> Streams:
        """The cell's random streams."""
        return Streams(self._cell.spec.task_key, self._cell.game, self._cell.seed)

    @property
    def stopped(self) -> bool:
        """Whether the work is to stop."""
        return self._stop.is_set()

    def say(self, text: str) -> None:
        """Show a line."""
        self._progress.say(self._cell, text)

    def begin(self) -> None:
        """Show that the cell starts."""
        self._progress.begin(self._cell, self._cell.spec.frames)

    def report(self, step: int, updates: int, episodes: int) -> None:
        """Show and record how far the cell has come."""
        self.recording.reach(step, updates, episodes)
        rate, last = self.recording.rate, self.recording.last_return
        self._progress.advance(self._cell, step * self.recording.task.units_per_step, rate or 0.0, last)

    def end(
        self,
        state: Ending,
        score: float | None = None,
        message: str = "",
        error: ExitCode | None = None,
        cause: Cause | None = None,
    ) -> None:
        """Unlock the cell, and tell how it ended, and what is to blame."""
        self.recording.close()
        why = cause_of(state, cause)
        self._tell(Outcome(self._cell, state, self.recording.path, score, message, error, why))
