"""The feed of a sink from run directories: what was recorded and not yet sent, in the order of its frames.

A pass takes of a run that goes on what lies before the frame of its status, which is on the disk by then, and of one
that has ended everything. How far a run was fed stands in `DIR/fed/<run>.json`, so that nothing is sent twice when the
same command is issued again. Where an attempt did steps again, what was sent first stays: the record is the truth.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

from pydantic import BaseModel, ConfigDict

from suite.durable import replace_file
from suite.errors import BadData
from suite.records.attempts import has_started
from suite.records.find import find_runs
from suite.records.reading import read_whole
from suite.records.record import (
    FINISHED,
    CellFile,
    Episode,
    EvaluationRow,
    Run,
    StatusFile,
    read_cell,
    read_run,
    read_status,
)


class Point(NamedTuple):
    """Named scalars at a frame, or whatever the task's unit is."""

    frame: int
    values: dict[str, float]


class Sink(Protocol):
    """Where the points of one run go."""

    def write(self, points: Sequence[Point]) -> None:
        """Take points, in the order of their frames."""
        ...

    def close(self, results: dict[str, float]) -> None:
        """Take what the run came to, nothing as long as it goes on, and let go of it."""
        ...


class Opener(Protocol):
    """Opens the sink of a run, again where it was fed before. `name`: the run's path; `place`: the sink's directory."""

    def __call__(self, cell: CellFile, name: str, place: Path) -> Sink:
        """Open it."""
        ...


class Fed(BaseModel):
    """How far a run was fed: up to that frame, and whether to its end."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    frame: int = -1
    ended: bool = False


class Feed:
    """The feed of one sink from all runs below a directory."""

    def __init__(self, root: Path, place: Path, opener: Opener) -> None:
        self._root = root
        self._place = place
        self._open = opener
        self._sinks: dict[str, Sink] = {}
        self._seen: dict[str, StatusFile] = {}

    def feed(self) -> tuple[int, list[str]]:
        """Send what is new; return how many points that were, and a sentence for each run that cannot be read."""
        count, unread = 0, []
        for path in find_runs(self._root) if self._root.is_dir() else ():
            try:
                count += self._feed_run(path)
            except BadData as error:
                unread.append(str(error))
        return count, unread

    def close(self) -> None:
        """Let go of the sinks of runs that go on."""
        while self._sinks:
            self._sinks.popitem()[1].close({})

    def _feed_run(self, path: Path) -> int:
        name = str(path.relative_to(self._root)) if path != self._root else path.name
        note = self._place / "fed" / f"{name}.json"
        if not has_started(path) or self._seen.get(name) == (status := read_status(path)):
            return 0  # it has just been made, or says what it said
        before = read_whole(note, Fed) if note.exists() else Fed()
        if before.ended:
            return 0
        points, fed, results = _new(path, status, before)
        if points or fed.ended:
            if name not in self._sinks:
                self._sinks[name] = self._open(read_cell(path), name, self._place)
            self._sinks[name].write(points)
            if fed.ended:
                self._sinks.pop(name).close(results)
            note.parent.mkdir(parents=True, exist_ok=True)
            replace_file(note, fed.model_dump_json())
        self._seen[name] = status
        return len(points)


def _new(path: Path, status: StatusFile, before: Fed) -> tuple[list[Point], Fed, dict[str, float]]:
    """Return the points of a run beyond what was fed, how far it is fed with them, and what it came to.

    `status`: as it was read before the logs; what it speaks of stands in them.
    """
    ended = status.state in FINISHED
    until = math.inf if status.state != "running" else status.frames
    points = [point for point in points_of(read_run(path)) if before.frame < point.frame < until]
    frame = max([before.frame, *(point.frame for point in points)])
    summary = status.summary
    results = {} if summary is None else {"sparsity": summary.sparsity, "wall_seconds": summary.wall_seconds}
    if summary is not None and summary.score is not None:
        results["score"] = summary.score
    return points, Fed(frame=frame, ended=ended), results


def points_of(run: Run) -> list[Point]:
    """Return what a run recorded, a point for each frame at which something was: means, where there were several."""
    found: defaultdict[int, defaultdict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for frame, values in _rows(run):
        for name, value in values.items():
            found[frame][name].append(value)
    return [
        Point(frame, {name: math.fsum(values) / len(values) for name, values in sorted(names.items())})
        for frame, names in sorted(found.items())
    ]


def _rows(run: Run) -> Iterator[tuple[int, dict[str, float]]]:
    yield from _episodes("train", run.episodes)
    yield from _episodes("evaluation", run.evaluation)
    for row in run.diagnostics:
        yield row.frame, {f"diagnostics/{name}": value for name, value in row.values.items()}


def _episodes(kind: str, rows: Iterable[Episode | EvaluationRow]) -> Iterator[tuple[int, dict[str, float]]]:
    for row in rows:
        yield row.frame, {f"{kind}/return": row.value, f"{kind}/length": float(row.length)}
