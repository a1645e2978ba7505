"""Offline Atari: transitions from a log, nothing played but evaluation episodes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import jax
import numpy as np
from numpy.typing import NDArray

from suite.agent import DataPlan
from suite.data.dataset import OfflineData
from suite.data.sample import SampleFile, Selection, find_sample
from suite.envs.atari import AtariEnvs
from suite.errors import UnfitEnvironment, UsageError
from suite.families.atari import Atari
from suite.families.base import Setup
from suite.group import OfflineGroup
from suite.inputs import Frames
from suite.placement import Placement
from suite.replay.device import take
from suite.replay.frames import Windows
from suite.rng import Sampling, Streams
from suite.tasks import Game, Task


class OfflineLane:
    """One cell's host side: `step` counts updates. There is nothing to rebuild: the log stays where it is."""

    episodes = 0
    segments = 0
    chain = b""

    def __init__(self, plan: DataPlan, streams: Streams, data: OfflineData | DeviceData, step: int) -> None:
        self.step = step
        self.streams = streams
        self._plan = plan
        self._data = data
        self._sampling = Sampling(streams, plan.batch_size)

    def saved(self) -> tuple[dict[str, NDArray[Any]], tuple[tuple[int, ...], ...]]:
        """See `AnyLane`."""
        return {}, ()

    def sample(self, updates: int) -> Windows:
        """See `AnyLane`."""
        return self._data.sample(self._plan, lambda redraw: self._sampling.draw(updates, redraw))

    def sample_states(self, updates: int, count: int) -> Any:
        """See `AnyLane`."""
        return self._data.sample_states(count, lambda redraw: self.streams.uniform("states", updates, count))


class DeviceData:
    """A sample whose frames are in the accelerator's memory, for all lanes: what is drawn never crosses the bus."""

    def __init__(self, data: OfflineData) -> None:
        self._data = data
        self._frames = jax.device_put(data.all_frames())

    def sample(self, plan: DataPlan, uniform: Any) -> Windows:
        """See `OfflineData`."""
        return self._data.sample(plan, uniform, self._take)

    def sample_states(self, count: int, uniform: Any) -> Any:
        """See `OfflineData`."""
        return self._data.sample_states(count, uniform, self._take)

    def _take(self, rows: NDArray[np.int64]) -> Any:
        return take(self._frames, rows.astype(np.int32))


class Offline:
    """See `Family`."""

    mixes_games = True

    def __init__(self, task: Task, directory: Path | None, dataset: str | None) -> None:
        self._atari = Atari(task)
        self._directory = directory
        self._dataset = dataset

    def inputs(self, game: Game) -> Frames:
        """See `Family`."""
        return self._atari.inputs(game)

    def check(self, game: Game) -> None:
        """See `Family`: the emulator for evaluation, and at least one sample."""
        self._atari.check(game)
        self._samples(game)

    def environment(self, game: Game) -> tuple[dict[str, Any], str]:
        """See `Family`."""
        return self._atari.environment(game)

    def replay_bytes(self, plan: DataPlan, steps: int, game: Game, placement: Placement) -> tuple[int, int]:
        """See `Family`; mapped frames count, though the system may drop them: training that reads disks is slow."""
        size = find_sample(self._samples(game)[0])
        assert size is not None
        return (0, size.bytes) if placement is Placement.DEVICE else (size.bytes, 0)

    def start(self, setup: Setup) -> OfflineGroup:
        """See `Family`."""
        opened = [self._open(game, seed) for game, seed in zip(setup.games, setup.seeds, strict=True)]
        on_device = setup.placement is Placement.DEVICE
        lanes = [
            OfflineLane(
                setup.plan,
                streams,
                _on_device(data.path) if on_device else data,
                0 if saved is None else saved.state.agent_step,
            )
            for streams, data, saved in zip(setup.streams, opened, setup.saved, strict=True)
        ]
        return OfflineGroup(setup.plan, lanes, setup.learners)

    def evaluation_envs(self, game: Game, count: int, threads: int) -> AtariEnvs:
        """See `Family`."""
        return self._atari.evaluation_envs(game, count, threads)

    def execution(self, games: Sequence[Game], seeds: Sequence[int]) -> dict[str, str]:
        """See `Family`: the run and the hash of what each game's sample holds."""
        found = {}
        for game, seed in zip(games, seeds, strict=True):
            data = self._open(game, seed)
            found[f"{game.name}/{seed}"] = f"{data.sample_file.run}:{data.digest[:16]}"
        return {"data": " ".join(f"{cell}={content}" for cell, content in found.items())}

    def _open(self, game: Game, seed: int) -> OfflineData:
        """Return the sample of a seed: that of run seed + 1, counting round if there are fewer."""
        samples = self._samples(game)
        return _open(samples[seed % len(samples)])

    def _samples(self, game: Game) -> list[Path]:
        if self._directory is None:
            raise UnfitEnvironment("An offline task learns from logged data, and none is named.", "Give --data DIR.")
        found = [path for path, file in samples(self._directory, game.name) if _identity(file) == self._dataset]
        if not found:
            raise UnfitEnvironment(
                f"{self._directory} has no sample of {game.name} that is {self._dataset}.",
                f"Build it: {_command(self._directory, game.name)}",
            )
        return found


def samples(directory: Path, game: str = "*", words: str = "*") -> list[tuple[Path, SampleFile]]:
    """Return the whole samples in a data directory, by game and run; `words`: see `Selection`."""
    paths = [path.parent for path in directory.glob(f"{game}/*/samples/{words}/sample.json")]
    paths.sort(key=lambda path: (path.parents[2].name, path.parents[1].name.zfill(4)))
    return [(path, file) for path in paths if (file := find_sample(path)) is not None]


def identity_of(directory: Path, wanted: Selection) -> str:
    """Return what identifies the data in a configuration: source, selection and index set of the samples there.

    Where the index set depends on the game, as with `episodes`, each run's record names its own. UnfitEnvironment if
    there is no such sample, UsageError if samples of several sources or lengths stand side by side.
    """
    identities = {_identity(file) for _, file in samples(directory, words=wanted.words)}
    if not identities:
        options = f" --reading {wanted.reading} --fraction {wanted.fraction:g} --seed {wanted.seed}"
        raise UnfitEnvironment(
            f"{directory} has no sample {wanted.words}.",
            f"Build it: {_command(directory, 'GAME')}{options} --n-step {wanted.n_step}",
        )
    if len(identities) > 1:
        raise UsageError(
            f"The samples in {directory} are not of one kind: {', '.join(sorted(identities))}.",
            "Keep logs of different sources or lengths in directories of their own.",
        )
    return identities.pop()


def _identity(file: SampleFile) -> str:
    return f"{file.source}.{file.selection.words}" if file.reading == "episodes" else file.identity


def _command(directory: Path, game: str) -> str:
    return f"suite data sample {directory} --game {game} --run 1"


@cache
def _open(path: Path) -> OfflineData:
    return OfflineData.open(path)


@cache
def _on_device(path: Path) -> DeviceData:
    return DeviceData(_open(path))
