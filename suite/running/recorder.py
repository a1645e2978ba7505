"""One attempt at a cell, written down: rows, status, checkpoints."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Mapping, Sequence

from suite.errors import Overtaken
from suite.records.actions import pack
from suite.records.cause import Cause
from suite.records.checkpoints import Arrays, CheckpointStore, Loaded
from suite.records.keeping import LAST, Keep, note_kept
from suite.records.policy_file import write_kept_policy
from suite.records.record import (
    Actions,
    Checkpoint,
    Diagnostics,
    Episode,
    EvaluationRow,
    Run,
    State,
    StatusFile,
    Summary,
)
from suite.records.score import by_evaluation, score_of_rows, scored
from suite.records.writer import RunWriter
from suite.running import provenance
from suite.running.earlier import EarlierRows
from suite.running.evaluation import EvaluationEpisode
from suite.running.lane import FinishedEpisode
from suite.tasks import Task, load_task
from suite.tasks.configuration import Cell

STATUS_SECONDS = 5.0
RATE_MARKS = 6
"""The rate shown is that since the oldest of so many marks, one at each status: about the last half minute."""


class Recording:
    """The attempt that `writer` has opened. `step` is the agent step reached."""

    def __init__(self, cell: Cell, writer: RunWriter, keep: Keep = LAST) -> None:
        self.cell = cell
        self.path, self.folder = writer.path, writer.folder
        self.task: Task = load_task(cell.spec.task)
        self.store = CheckpointStore(writer.folder)
        self.keep = keep
        self.last_return: float | None = None
        self.step = 0
        self._updates = self._episodes = 0
        self._writer = writer
        self._skip = self.task.units_per_step
        self._started_at = provenance.utc_now()
        self._clock = time.monotonic()
        self._spent_before = 0.0 if writer.previous is None else writer.previous.spent
        self._marks: deque[tuple[float, int]] = deque(maxlen=RATE_MARKS)
        self._recent: list[Episode] = []  # that a score may count
        self._evaluation: list[EvaluationRow] = []
        self._earlier = EarlierRows()
        self._with_actions: set[int] = set()
        self._scheduled: set[int] = set()  # the agent steps whose checkpoints are not those of a stop

    def begin(self, loaded: Loaded | None, execution: dict[str, str | int | bool]) -> None:
        """Say where this attempt starts, and remember what earlier ones recorded from there on."""
        resumed_at = 0 if loaded is None else loaded.agent_step
        if (before := self._writer.before()) is not None:
            self._go_on_from(before, resumed_at)
            self._earlier = EarlierRows(before, resumed_at)
        number = self._writer.attempt
        self._writer.provenance(provenance.attempt(self.cell, number, resumed_at=resumed_at, execution=execution))
        self.step = resumed_at
        self.status("running")

    @property
    def differs_at(self) -> int | None:
        """The agent step from which on it differs from what an earlier attempt recorded; None if nothing does."""
        return self._earlier.differs_at

    def episode(self, episode: FinishedEpisode) -> None:
        """Write down a finished episode, with its actions if it may be scored."""
        row = Episode.model_validate(
            {
                "attempt": self._writer.attempt,
                "episode": episode.number,
                "agent_step": episode.agent_step,
                "frame": episode.agent_step * self._skip,
                "length": episode.length,
                "return": episode.raw_return,
                "end": "truncated" if episode.truncated else "terminated",
                "emulator_seed": episode.emulator_seed,
            }
        )
        if not by_evaluation(self.task) and scored(self.task, self.cell.spec.frames, [row]):
            self._write_actions(episode)
        self._writer.episode(row)
        self._note(row)
        self._earlier.compare(row)

    @property
    def evaluated(self) -> dict[int, int]:
        """The lengths of the evaluation episodes of the step that was reached which are written down, by number."""
        return {row.episode: row.length for row in self._evaluation if row.agent_step == self.step}

    def evaluation(self, episode: EvaluationEpisode) -> None:
        """Write down an evaluation episode of the step that was reached, with its actions if it may be scored."""
        frame = self.step * self._skip
        after, until = self.task.score_window(self.cell.spec.frames)
        row = EvaluationRow.model_validate(
            {
                "attempt": self._writer.attempt,
                "agent_step": self.step,
                "frame": frame,
                "episode": episode.number,
                "length": episode.length,
                "return": episode.raw_return,
                "end": "truncated" if episode.truncated else "terminated",
                "emulator_seed": episode.emulator_seed,
                "actions": pack(episode.actions) if after < frame <= until else "",
            }
        )
        self._writer.evaluation(row)
        if not self._recent:  # offline, nothing else is played
            self.last_return = row.value
        self._evaluation.append(row)
        self._earlier.compare(row)

    def ending(self, history: Sequence[Sequence[bytes]], episodes: int) -> None:
        """Write down what proves the score of a run that ends here, once `episodes` have finished.

        `history`: the actions of segments up to now by episode, the very last of which did not finish. Those of scored
        episodes are there already, unless it diverged: where the score's window begins is known only now.
        """
        if by_evaluation(self.task):
            return
        counted = scored(self.task, self.step * self._skip, self._recent)
        first = counted[0].episode if counted else episodes
        number = episodes + 1 - sum(map(len, history))
        for segment in history:
            if number + len(segment) > first:
                for offset, actions in enumerate(segment):
                    self._log_actions(number + offset, actions)
            number += len(segment)

    def diagnostics(self, step: int, updates: int, values: dict[str, float], covariance: str = "") -> None:
        """Write down named scalars, those that are not finite left out, and the gradients' covariance."""
        row = Diagnostics(
            attempt=self._writer.attempt,
            agent_step=step,
            frame=step * self._skip,
            updates=updates,
            values={name: value for name, value in values.items() if math.isfinite(value)},
            covariance=covariance,
        )
        self._writer.diagnostics(row)
        self._earlier.compare(row)

    def checkpoint_row(self, step: int, updates: int, learner: str, history: str) -> None:
        """Write down the hashes of a checkpoint of the schedule."""
        row = Checkpoint(
            attempt=self._writer.attempt,
            agent_step=step,
            frame=step * self._skip,
            updates=updates,
            learner=learner,
            history=history,
        )
        self._writer.checkpoint(row)
        self._scheduled.add(step)
        self._earlier.compare(row)

    def save(self, step: int, arrays: Arrays, state: bytes) -> None:
        """Write a checkpoint, once every row up to it is on the disk."""
        self._writer.sync()
        self.store.write(step, arrays, state, also=self._staying())

    def reach(self, step: int, updates: int, episodes: int) -> None:
        """Note progress; the status is written every few seconds."""
        self.step, self._updates, self._episodes = step, updates, episodes
        now = time.monotonic()
        if not self._marks:
            self._marks.append((now, step))
        if now - self._marks[-1][0] >= STATUS_SECONDS:
            self.status("running")
            self._marks.append((now, step))

    @property
    def spent(self) -> float:
        """The seconds that all attempts together have taken."""
        return round(self._spent_before + time.monotonic() - self._clock, 3)

    @property
    def rate(self) -> float | None:
        """Frames per second lately, compilation left out; None before anything is known."""
        if not self._marks or self.step == self._marks[0][1]:
            return None
        since, step = self._marks[0]
        return round((self.step - step) * self._skip / max(1e-9, time.monotonic() - since), 1)

    def summary(self, measures: Mapping[str, float], state: State) -> Summary:
        """Return what the run came to, at the step that it has reached."""
        frames = self.step * self._skip
        rows: Sequence[Episode | EvaluationRow] = self._evaluation if by_evaluation(self.task) else self._recent
        value, count = score_of_rows(self.task, self.cell.game, state, frames, rows)
        return Summary(
            score=value,
            scored_episodes=count,
            parameters=int(measures["parameters"]),
            active_parameters=int(measures["active_parameters"]),
            sparsity=measures["sparsity"] if math.isfinite(measures["sparsity"]) else 0.0,
            updates=self._updates,
            wall_seconds=self.spent,
        )

    def done(self, summary: Summary, message: str) -> None:
        """Write down that the run is done, and leave of its checkpoints what is to stay."""
        if self.step in self.store.steps():  # before the status: who finds "done" finds what stays, and at most more
            self.store.keep_only({self.step, *self._staying()})
        if self.keep.what == "policy":
            write_kept_policy(self.folder, self.cell, self.step, self.store)
        self.status("done", message=message, summary=summary)
        self._give_up()

    def diverged(self, summary: Summary, message: str) -> None:
        """Write down that the run left the numbers, and leave of its checkpoints, all from before that, what stays."""
        self.status("diverged", message=message, summary=summary)
        if self.keep.what == "final":
            self.store.keep_only(self._staying())
        self._give_up()

    def _staying(self) -> Sequence[int]:
        """Return the agent steps whose checkpoints are to stay, as things are now."""
        return self.keep.of([step for step in self.store.steps() if step in self._scheduled])

    def _give_up(self) -> None:
        if self.keep.what != "final":
            note_kept(self.folder, self.keep.what)
            self.store.keep_only(())

    def status(
        self, state: State, *, message: str = "", summary: Summary | None = None, cause: Cause | None = None
    ) -> None:
        """Replace the status."""
        self._writer.status(
            StatusFile(
                state=state,
                attempt=self._writer.attempt,
                agent_steps=self.step,
                frames=self.step * self._skip,
                budget_frames=self.cell.spec.frames,
                updates=self._updates,
                episodes=self._episodes,
                last_return=self.last_return,
                frames_per_second=self.rate,
                started_at=self._started_at,
                updated_at=provenance.utc_now(),
                message=message,
                summary=summary,
                differs_at=self.differs_at,
                closed=self._writer.closed_attempts(),
                wall_seconds=self.spent,
                cause=cause,
            )
        )

    def failure(self, message: str, trace: str, cause: Cause) -> None:
        """Write down that the attempt failed, as far as that can be written."""
        try:
            self.status("failed", message=message, cause=cause)
            (self.path / f"failure-{self._writer.attempt}.txt").write_text(trace, encoding="utf-8")
        except Exception:  # noqa: BLE001 - the disk is what failed: the attempt stays `running` and is found killed
            return

    @property
    def overtaken(self) -> Overtaken | None:
        """What to say if another process has taken over the cell, whatever went wrong here; else None."""
        return self._writer.overtaken

    def close(self) -> None:
        """Let go of the cell."""
        self._writer.close()

    def _write_actions(self, episode: FinishedEpisode) -> None:
        """Write down the actions of an episode, and of those of its segment before it: they lead to where it begins."""
        first = episode.number - len(episode.before)
        for number, actions in enumerate((*episode.before, episode.actions), start=first):
            self._log_actions(number, actions)

    def _log_actions(self, number: int, actions: bytes) -> None:
        if actions and number not in self._with_actions:
            self._writer.actions(Actions.pack(self._writer.attempt, number, actions))
            self._with_actions.add(number)

    def _go_on_from(self, before: Run, step: int) -> None:
        """Take in the rows up to a step, which stand."""
        standing = [row for row in before.episodes if row.agent_step <= step]
        self._with_actions = {row.episode for row in standing} & set(before.actions())
        self._evaluation = [row for row in before.evaluation if row.agent_step <= step]
        self._scheduled = {row.agent_step for row in before.checkpoints if row.agent_step <= step}
        for row in standing:
            self._note(row)

    def _note(self, row: Episode) -> None:
        self.last_return = row.value
        self._recent.append(row)
        oldest = row.frame - self.task.score.window_length
        if self._recent[0].frame <= oldest - self.task.score.window_length:  # now and then, not at every row
            self._recent = [kept for kept in self._recent if kept.frame > oldest]
