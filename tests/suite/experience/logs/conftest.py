"""Tiny logs to test with: every frame says which row it is of, and a naive reference says what may be drawn."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from suite import durable
from suite.experience.logs.layout import PADDING, SCREEN, Place, Row, write_checkpoint
from suite.experience.logs.manifest import Manifest, import_run, write_manifest


def frame(number: int) -> NDArray[np.uint8]:
    """Return a frame that holds a number from 1 on; 0 is the frame of padding."""
    image = np.zeros((SCREEN, SCREEN), np.uint8)
    image[3, :4] = np.frombuffer(np.asarray(number, "<u4").tobytes(), np.uint8)
    return image


def numbers(frames: NDArray[np.uint8]) -> NDArray[np.uint32]:
    """Return the numbers [...] that frames [..., 84, 84] hold."""
    return np.ascontiguousarray(frames[..., 3, :4]).view("<u4")[..., 0]


@dataclass
class Log:
    """A log as it was made up: one entry a row, over all checkpoints. `ends`: `.`, `T`, `X`, or `p` for padding."""

    place: Place
    capacities: list[int]
    frames: list[int] = field(default_factory=list)
    actions: list[int] = field(default_factory=list)
    rewards: list[float] = field(default_factory=list)
    ends: str = ""

    def rows(self) -> Iterator[Row]:
        for number, action, reward, end in zip(self.frames, self.actions, self.rewards, self.ends, strict=True):
            yield Row(frame(number), action, reward, end == "T")

    def begin(self, checkpoint: int) -> int:
        return sum(self.capacities[:checkpoint])

    def size(self, checkpoint: int) -> int:
        return max(0, min(self.capacities[checkpoint], len(self.ends) - self.begin(checkpoint)))

    def windows(self, checkpoint: int, drawn: set[int], n_step: int, stored: set[int]) -> dict[int, list[int]]:
        """Return the windows that may be drawn from a checkpoint, by row: the numbers of their frames."""
        begin, found = self.begin(checkpoint), {}
        ends = self.ends[begin : begin + self.size(checkpoint)]
        for row in sorted(drawn):
            needed = range(row - PADDING, row + n_step + 1)
            if not all(other in stored for other in needed):
                continue
            if any(ends[other] in "TX" for other in range(row - PADDING, row)):
                continue
            first_end = next((ends[other] for other in range(row, row + n_step) if ends[other] in "TX"), ".")
            if first_end != "X":
                found[row] = [self.frames[begin + other] for other in needed]
        return found

    def outcome(self, checkpoint: int, row: int, n_step: int, gamma: float) -> tuple[float, float]:
        """Return the n-step return and discount from a row."""
        at, total = self.begin(checkpoint) + row, 0.0
        for step in range(n_step):
            total += gamma**step * self.rewards[at + step]
            if self.ends[at + step] == "T":
                return total, 0.0
        return total, gamma**n_step


def made_up(place: Place, episodes: str, capacities: list[int], seed: int = 0) -> Log:
    """Return a log of episodes such as `....T..X...`, padding put before each."""
    log, rng = Log(place, capacities), np.random.default_rng(seed)
    begins = True
    for end in episodes:
        for _ in range(PADDING if begins else 0):
            log.frames.append(0)
            log.actions.append(0)
            log.rewards.append(0.0)
            log.ends += "p"
        log.frames.append(len(log.frames) + 1)
        log.actions.append(int(rng.integers(1, 6)))  # never 0: that no row but padding is all zero
        log.rewards.append(float(rng.integers(-1, 2)))
        log.ends += end
        begins = end in "TX"
    return log


def write_log(log: Log) -> None:
    """Write a log's files, without a manifest."""
    durable.make_directory(log.place.logs)
    rows = log.rows()
    for suffix, capacity in enumerate(log.capacities):
        if log.size(suffix):
            write_checkpoint(log.place.logs, suffix, capacity, log.begin(suffix), rows)


def with_manifest(log: Log) -> Manifest:
    """Write a log's files and its manifest."""
    write_log(log)
    manifest = import_run(log.place, log.place, "made-up")
    write_manifest(log.place, manifest)
    return manifest


@pytest.fixture
def make_log(tmp_path: Path) -> Callable[..., Log]:
    """Return what writes a log with a manifest: episodes, capacities."""

    def make(episodes: str, capacities: list[int], game: str = "Pong", run: int = 1, seed: int = 0) -> Log:
        log = made_up(Place(tmp_path / "data", game, run), episodes, capacities, seed)
        with_manifest(log)
        return log

    return make


class Killed(BaseException):
    """The process is gone."""


class Mortal(durable.System):
    """Does `calls` calls that change the disk, and then no more, as if it had been killed; syncs are left out."""

    def __init__(self, calls: int = 1 << 60) -> None:
        self.left = calls
        self.done = 0

    def _live(self) -> None:
        if self.left <= 0:
            raise Killed
        self.left -= 1
        self.done += 1

    def create(self, path: Path) -> int:
        self._live()
        return super().create(path)

    def write(self, descriptor: int, data: memoryview) -> int:
        if self.left <= 0:
            raise Killed
        self.left -= 1
        self.done += 1
        if self.left == 0:  # half of it
            super().write(descriptor, data[: len(data) // 2])
            raise Killed
        return super().write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        self._live()

    def rename(self, old: Path, new: Path) -> None:
        self._live()
        super().rename(old, new)

    def unlink(self, path: Path) -> None:
        self._live()
        super().unlink(path)

    def mkdir(self, path: Path) -> None:
        self._live()
        super().mkdir(path)

    def rmdir(self, path: Path) -> None:
        self._live()
        super().rmdir(path)


def tree(path: Path) -> dict[str, bytes]:
    """Return all files below a directory, but for locks."""
    return {
        file.relative_to(path).as_posix(): file.read_bytes()
        for file in sorted(path.rglob("*"))
        if file.is_file() and file.name != ".lock"
    }


@pytest.fixture(autouse=True)
def no_syncs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here looks at a power cut: see test_durable.py for that."""
    monkeypatch.setattr(durable, "system", Mortal())


@pytest.fixture(scope="session")
def kit() -> SimpleNamespace:
    """The functions above, and what dies."""
    functions = (frame, numbers, made_up, write_log, with_manifest, tree)
    return SimpleNamespace(**{function.__name__: function for function in functions}, Mortal=Mortal, Killed=Killed)


@pytest.fixture
def die_everywhere(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Return what kills some work at every call that changes the disk, and lets another call of it end.

    `work(folder)` is done in fresh folders below `root`; `check(folder)` looks after each kill and at the end.
    """

    def run(root: Path, work: Callable[[Path], object], check: Callable[[Path, bool], None], stride: int = 1) -> int:
        root.mkdir()
        monkeypatch.setattr(durable, "system", counting := Mortal())
        work(root / "whole")
        check(root / "whole", True)
        for boundary in range(0, counting.done, stride):
            folder = root / str(boundary)
            monkeypatch.setattr(durable, "system", Mortal(boundary))
            with pytest.raises(Killed):
                work(folder)
            monkeypatch.setattr(durable, "system", Mortal())
            check(folder, False)
            work(folder)
            check(folder, True)
        return counting.done

    return run
