"""The run directory: the truth about one cell, append-only, readable while the run goes on.

What lies here is written by the cell's first attempt; later ones have the same files in folders of their own, and the
newest that has a status speaks for the run: see `suite.records.attempts`.

    spec.json          the cell: resolved spec, game, seed, departures from the published settings     (written once)
    provenance.json    per attempt: versions, git state, hardware, driver, image, ROM hash             (replaced whole)
    status.json        state, progress and, at the end, the score                                      (replaced whole)
    episodes.jsonl     one line per finished training episode                                          (appended)
    evaluation.jsonl   one line per evaluation episode, with its actions                               (appended)
    actions.jsonl      the actions of every scored episode, of those of its segment before it, and at
                       the end of the one that the budget cut off                                       (appended)
    diagnostics.jsonl  loss, sparsity, norms, and what inspections measured, at intervals              (appended)
    checkpoints.jsonl  hashes of the learner and of the actions so far, at each checkpoint of the schedule (appended)
    checkpoints/       what the next attempt goes on from: see `suite.records.checkpoints`              (replaced whole)
    attempts/          who owns the attempts, and the files of those after the first
    run.lock           held while a process writes here, where there are locks

Every row carries the number of its attempt. An attempt goes on from a checkpoint, at the agent step `resumed_at`: of
earlier attempts, only rows up to that step count. What they recorded beyond it is done again by the later one, and
stays. A line is a record once its newline is there: an unfinished last line, left by a kill, is ignored.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field

from suite.contracts.card import Value
from suite.errors import BadData
from suite.records.actions import pack, unpack
from suite.records.attempts import Follows, Part, attempts_below, folder_of, has_started, home, parts, read_log
from suite.records.cause import Cause
from suite.records.covariance import TEXT
from suite.records.ownership import is_held
from suite.records.reading import read_whole
from suite.tasks.configuration import Spec

LogT = TypeVar("LogT", bound="LogRow")

Whole = Annotated[int, Field(ge=-(2**53), le=2**53)]
"""A number of steps, frames, updates and the like: one that databases and JSON hold whatever they multiply it by."""

Seconds = Annotated[float, Field(ge=-1e10, le=1e10)]
"""A time that was taken; a rate, too. A negative one is for judging, not for reading."""

State = Literal["running", "done", "interrupted", "killed", "failed", "diverged"]
FINISHED: tuple[State, ...] = ("done", "diverged")
"""States that are results: nothing is left to do. A diverged run is one, and is not tried again."""


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class CellFile(_Row):
    """`spec.json`."""

    schema_version: Literal[1] = 1
    config_id: str
    spec: Spec
    game: str
    seed: Whole = Field(ge=0)
    departures: dict[str, Value] = {}


class Attempt(_Row):
    """One attempt's provenance: enough to say where a number comes from.

    `resumed_at`: the agent step of the checkpoint that it went on from, 0 if it started the cell. `execution`: how it
    was computed, and in what company; bits may depend on it, results do not. `unreached`: what the whole run does not
    reach of its methods and schedules, a sentence each; left out of the file where there is nothing to say.
    """

    attempt: Whole = Field(ge=1)
    started_at: str
    resumed_at: Whole = Field(default=0, ge=0)
    execution: dict[str, str | int | bool] = {}
    unreached: tuple[str, ...] = Field(default=(), exclude_if=lambda texts: not texts)
    command: tuple[str, ...] = ()
    suite_version: str
    git: dict[str, str | bool | None]
    packages: dict[str, str]
    hardware: dict[str, str | int | float | None]
    environment: dict[str, str | int | float | bool]
    environment_fingerprint: str


class ProvenanceFile(_Row):
    """`provenance.json`."""

    schema_version: Literal[1] = 1
    attempts: tuple[Attempt, ...]


class Summary(_Row):
    """What a finished run came to. `score` is None if no episode ended in the scored window.

    `wall_seconds`: those of all its attempts together.
    """

    score: float | None
    scored_episodes: Whole
    parameters: Whole
    active_parameters: Whole
    sparsity: float
    updates: Whole
    wall_seconds: Seconds


class ClosedAttempt(_Row):
    """An attempt that another one followed."""

    attempt: Whole
    state: State
    frames: Whole
    updated_at: str


class StatusFile(_Row):
    """`status.json`. `closed` lists how earlier attempts ended.

    From version 2 on, a finished run whose training is scored has the actions of the episode that was cut off at its
    end, and one that diverged those of its scored episodes.
    `differs_at`: the agent step of the first row that came out otherwise than an earlier attempt had recorded it.
    `wall_seconds`: what all attempts up to then have taken together; versions before did not record it.
    `cause`: of a failure, what is to blame, by the rule of `suite.records.cause`; versions before did not record it.
    """

    schema_version: Literal[1, 2] = 2
    state: State
    attempt: Whole = Field(ge=1)
    agent_steps: Whole
    frames: Whole
    budget_frames: Whole
    updates: Whole
    episodes: Whole
    last_return: float | None
    frames_per_second: Seconds | None
    started_at: str
    updated_at: str
    message: str = ""
    summary: Summary | None = None
    differs_at: Whole | None = None
    closed: tuple[ClosedAttempt, ...] = ()
    wall_seconds: Seconds | None = Field(default=None, exclude_if=lambda seconds: seconds is None)
    cause: Cause | None = Field(default=None, exclude_if=lambda cause: cause is None)

    @property
    def spent(self) -> float:
        """The seconds that all attempts had taken; of records that do not say so, those of the last that finished."""
        if self.wall_seconds is not None:
            return self.wall_seconds
        return 0.0 if self.summary is None else self.summary.wall_seconds


class LogRow(_Row):
    """A row of a log, about agent step `agent_step`."""

    attempt: Whole
    agent_step: Whole
    frame: Whole


class Episode(LogRow):
    """A finished training episode. `agent_step` and `frame` are those at which it ended; `value` is the raw return."""

    episode: Whole
    length: Whole
    value: float = Field(alias="return")
    end: Literal["terminated", "truncated"]
    emulator_seed: int


class Actions(_Row):
    """The actions of an episode that is scored, leads to one that is, or was cut off at the end; see `pack`."""

    attempt: Whole
    episode: Whole
    deflated: str

    @classmethod
    def pack(cls, attempt: int, episode: int, actions: bytes) -> Actions:
        """Return the row of an episode's actions."""
        return cls(attempt=attempt, episode=episode, deflated=pack(actions))

    def unpack(self, length: int) -> bytes:
        """Return the actions; BadData unless they are `length` in number."""
        return unpack(self.deflated, length, f"episode {self.episode}")


class EvaluationRow(LogRow):
    """A finished evaluation episode of the learner at `agent_step`.

    `actions`: as `pack` writes them; empty where the score does not count it.
    """

    episode: Whole
    length: Whole
    value: float = Field(alias="return")
    end: Literal["terminated", "truncated"]
    emulator_seed: int
    actions: str

    def unpack(self, width: int = 1) -> bytes:
        """Return the actions, of `width` bytes each; BadData unless they are `length` in number."""
        return unpack(self.actions, self.length, f"evaluation episode {self.episode}", width)


class Diagnostics(LogRow):
    """Named scalars at an agent step.

    `covariance`: where the network was inspected, cosines between gradients, see `suite.records.covariance`; left out
    of the file where there are none.
    """

    updates: Whole
    values: dict[str, float]
    covariance: str = Field(default="", max_length=TEXT, exclude_if=lambda text: not text)


class Checkpoint(LogRow):
    """What training had come to at a checkpoint of the schedule.

    `learner`: SHA-256 of parameters, target network, optimizer and methods. `history`: of all finished episodes'
    emulator seeds and actions, each chained to the one before.
    """

    updates: Whole
    learner: str
    history: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run directory as read: the rows that count, and the identity they belong to. `parts`: where its logs lie."""

    path: Path
    cell: CellFile
    provenance: ProvenanceFile
    status: StatusFile
    episodes: tuple[Episode, ...]
    diagnostics: tuple[Diagnostics, ...]
    checkpoints: tuple[Checkpoint, ...]
    evaluation: tuple[EvaluationRow, ...] = ()
    parts: tuple[Part, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder with its checkpoints, and with what `--keep` left of them."""
        return self.parts[-1].folder if self.parts else self.path

    @property
    def open_steps(self) -> int:
        """The agent steps of the training episode that had not finished when the run ended."""
        return self.status.agent_steps - (self.episodes[-1].agent_step if self.episodes else 0)

    @property
    def open_episode(self) -> int:
        """The number of that episode."""
        return self.episodes[-1].episode + 1 if self.episodes else 0

    @property
    def logs_the_end(self) -> bool:
        """Whether a record of this version holds the actions of that episode too."""
        return self.status.schema_version >= 2

    def actions(self) -> dict[int, Actions]:
        """Read the action logs of the episodes that count, by episode; the last may be one that did not finish."""
        recorded_by = {row.episode: row.attempt for row in self.episodes}
        recorded_by[self.open_episode] = self.status.attempt
        rows = read_log(self.parts, "actions.jsonl", Actions)
        # A later attempt may log an earlier one's episode, once it scores another of the same segment.
        return {
            row.episode: row for row in rows if row.episode in recorded_by and row.attempt >= recorded_by[row.episode]
        }

    @property
    def attempt(self) -> Attempt:
        """The provenance of the attempt that the status speaks of."""
        for attempt in self.provenance.attempts:
            if attempt.attempt == self.status.attempt:
                return attempt
        raise BadData(
            f"{self.path / 'provenance.json'} lacks attempt {self.status.attempt}.", "Move this run directory away."
        )


def read_run(path: Path, follows: Follows | None = None) -> Run:
    """Read a run directory, or what an attempt goes on from; BadData names the file and the line that is wrong."""
    places = parts(path, follows)
    folder = places[-1].folder
    status = read_whole(folder / "status.json", StatusFile)
    require_whole(path, places)
    provenance = read_whole(folder / "provenance.json", ProvenanceFile)
    attempts = [attempt for attempt in provenance.attempts if attempt.attempt <= status.attempt]
    return Run(
        path,
        read_cell(path),
        provenance,
        status,
        tuple(standing(read_log(places, "episodes.jsonl", Episode), attempts)),
        tuple(standing(read_log(places, "diagnostics.jsonl", Diagnostics), attempts)),
        tuple(standing(read_log(places, "checkpoints.jsonl", Checkpoint), attempts)),
        tuple(standing(read_log(places, "evaluation.jsonl", EvaluationRow), attempts)),
        places,
    )


def standing(rows: Iterable[LogT], attempts: Iterable[Attempt]) -> Iterator[LogT]:
    """Yield the rows that count: each attempt's up to the step at which a later one took over."""
    until: dict[int, float] = {}
    limit = float("inf")
    for attempt in sorted(attempts, key=lambda attempt: attempt.attempt, reverse=True):
        until[attempt.attempt] = limit
        limit = min(limit, attempt.resumed_at)
    for row in rows:
        if row.agent_step <= until.get(row.attempt, -1):
            yield row


def read_cell(path: Path) -> CellFile:
    """Read `spec.json`."""
    return read_whole(path / "spec.json", CellFile)


def read_provenance(path: Path) -> ProvenanceFile:
    """Read `provenance.json`, as the newest attempt that has a status wrote it."""
    return read_whole(home(path) / "provenance.json", ProvenanceFile)


def read_status(path: Path) -> StatusFile:
    """Read `status.json` as it was written last; see `effective_state` for whether its writer still lives."""
    return read_whole(home(path) / "status.json", StatusFile)


def require_whole(path: Path, places: Iterable[Part]) -> None:
    """Raise BadData if a run that has a status lacks a file that every such run has."""
    places = list(places)
    needed = [path / "spec.json", places[-1].folder / "provenance.json"]
    for file in (*needed, *(place.folder / "episodes.jsonl" for place in places)):
        if not file.exists():
            raise BadData(
                f"{file} is missing, though status.json is there.",
                "Bring it back, or move this run directory away; the run will then start anew.",
            )


def effective_state(path: Path, status: StatusFile) -> State:
    """Return the state, with `running` turned into `killed` if nobody has the cell any more; see `is_held`."""
    if status.state == "running" and not is_held(path, status.attempt):
        return "killed"
    return status.state


def existing_state(path: Path) -> State | None:
    """Return the state of a whole record; None where there is none, or a damaged one, which its own cell will tell."""
    try:
        if not has_started(path):
            return None
        require_whole(path, parts(path))
        return effective_state(path, read_status(path))
    except BadData:
        return None


def limits(path: Path, attempt: int) -> list[tuple[Path, float]]:
    """Return the folders of the attempts before one, newest first, with the step up to which checkpoints there count.

    They count as far as the rows beside them do: up to where the attempt that followed went on.
    """
    attempts = read_provenance(path).attempts if has_started(path) else ()
    followers = [place.attempt for place in parts(path)][1:]
    found = []
    for number in (*reversed([number for number in attempts_below(path) if number < attempt]), 1):
        if number < attempt:
            first = next((follower for follower in followers if follower > number), None)
            after = [each.resumed_at for each in attempts if first is not None and each.attempt >= first]
            found.append((folder_of(path, number), min(after, default=math.inf)))
    return found
