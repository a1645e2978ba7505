"""Offline Atari: transitions from a log, nothing played but evaluation episodes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

from typing_extensions import override

from suite.contracts.agent import DataPlan
from suite.errors import UnfitEnvironment, UsageError
from suite.experience.domains.atari import Atari
from suite.experience.domains.base import Domain
from suite.experience.envs.atari import AtariEnvs
from suite.experience.envs.several import SeveralGames
from suite.experience.logs.dataset import OfflineData
from suite.experience.logs.replay import LoggedReplay, frames_on_device
from suite.experience.logs.sample import SampleFile, Selection, find_sample
from suite.experience.observations import Frames
from suite.experience.replay.placement import Placement
from suite.tasks import Game, Task


class Offline(Domain):
    """Logs of Atari, and an emulator for evaluation."""

    mixes_games = True
    plays = False
    seconds_per_step = 1.8e-4
    """What it takes to draw the batch of an update."""

    def __init__(self, task: Task, directory: Path | None, dataset: str | None) -> None:
        self._atari = Atari(task)
        self.reseed_steps = self._atari.reseed_steps
        self.reward_clip = self._atari.reward_clip
        self._directory = directory
        self._dataset = dataset

    @override
    def inputs(self, game: Game) -> Frames:
        return self._atari.inputs(game)

    @override
    def check(self, game: Game) -> None:
        """The emulator for evaluation must be there, and at least one sample."""
        self._atari.check(game)
        self._samples(game)

    @override
    def environment(self, game: Game) -> tuple[dict[str, Any], str]:
        return self._atari.environment(game)

    @override
    def replay_bytes(self, plan: DataPlan, steps: int, game: Game, placement: Placement) -> tuple[int, int]:
        """Mapped frames count, though the system may drop them: training that reads disks is slow."""
        size = find_sample(self._samples(game)[0])
        assert size is not None
        return (0, size.bytes) if placement is Placement.DEVICE else (size.bytes, 0)

    @override
    def replay(self, plan: DataPlan, game: Game, seed: int, placement: Placement) -> LoggedReplay:
        data = self.open(game, seed)
        return LoggedReplay(data, frames_on_device(data.path) if placement is Placement.DEVICE else None)

    @override
    def environments(self, games: Sequence[Game], threads: int) -> AtariEnvs | SeveralGames:
        """Training needs none."""
        return self._atari.environments(games, threads)

    @override
    def history_bytes_per_step(self, game: Game) -> int:
        """None: the log stays where it is."""
        return 0

    @override
    def evaluation_envs(self, game: Game, count: int, threads: int) -> AtariEnvs:
        return self._atari.evaluation_envs(game, count, threads)

    @override
    def execution(self, games: Sequence[Game], seeds: Sequence[int]) -> dict[str, str]:
        """The run and the hash of what each game's sample holds."""
        found = {}
        for game, seed in zip(games, seeds, strict=True):
            data = self.open(game, seed)
            found[f"{game.name}/{seed}"] = f"{data.sample_file.run}:{data.digest[:16]}"
        return {"data": " ".join(f"{cell}={content}" for cell, content in found.items())}

    def open(self, game: Game, seed: int) -> OfflineData:
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
