"""Atari: frames of the Arcade Learning Environment, one emulator for each lane."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

from typing_extensions import override

from suite.contracts.agent import DataPlan
from suite.experience.domains.base import Domain
from suite.experience.envs.atari import AtariEnvs, rom_path, rom_sha256
from suite.experience.envs.several import SeveralGames
from suite.experience.observations import Frames
from suite.experience.replay.frames import FrameReplay
from suite.experience.replay.placement import Placement, make_replay, replay_bytes
from suite.tasks import Game, Task
from suite.tasks.environments import atari_options, fingerprint


class Atari(Domain):
    """Atari, one emulator for each lane."""

    mixes_games = True
    plays = True
    seconds_per_step = 5e-4

    def __init__(self, task: Task) -> None:
        self.options = task.atari
        self.reseed_steps = self.options.reseed_steps
        self.reward_clip = self.options.reward_clip

    @override
    def inputs(self, game: Game) -> Frames:
        return Frames(self.options.frame_stack, self.options.screen_size)

    @override
    def check(self, game: Game) -> None:
        rom_path(game)

    @override
    def environment(self, game: Game) -> tuple[dict[str, Any], str]:
        """The fingerprint is of emulator version, ROM and every option, threads left out."""
        environment: dict[str, Any] = {
            "ale_py": metadata.version("ale-py"),
            "rom_sha256": rom_sha256(game),
            **atari_options(self.options, game),
        }
        return environment, fingerprint(environment)

    @override
    def replay_bytes(self, plan: DataPlan, steps: int, game: Game, placement: Placement) -> tuple[int, int]:
        return replay_bytes(plan, steps, self.options, game, placement)

    @override
    def replay(self, plan: DataPlan, game: Game, seed: int, placement: Placement) -> FrameReplay:
        return make_replay(plan, self.options, placement)

    @override
    def history_bytes_per_step(self, game: Game) -> int:
        """Those of an action."""
        return self.options.action_bytes(game)

    @override
    def evaluation_envs(self, game: Game, count: int, threads: int) -> AtariEnvs:
        return AtariEnvs(game, self.options, count, min(count, threads))

    @override
    def execution(self, games: Sequence[Game], seeds: Sequence[int]) -> dict[str, str]:
        return {}

    @override
    def environments(self, games: Sequence[Game], threads: int) -> AtariEnvs | SeveralGames:
        """The emulators of a game share its part of the threads."""
        kinds = len(set(games))

        def make(game: Game, count: int) -> AtariEnvs:
            return AtariEnvs(game, self.options, count, max(1, min(count, threads // kinds)))

        return make(games[0], len(games)) if kinds == 1 else SeveralGames(games, make)
