"""Atari: frames of the Arcade Learning Environment, one emulator for each lane."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import metadata
from typing import Any

from suite.contracts.agent import DataPlan
from suite.experience.envs.atari import AtariEnvs, rom_path, rom_sha256
from suite.experience.envs.several import SeveralEnvs
from suite.experience.observations import Frames
from suite.experience.replay.placement import Placement, replay_bytes
from suite.tasks import Game, Task
from suite.tasks.environments import atari_options, fingerprint


class Atari:
    """See `Domain`."""

    mixes_games = True

    def __init__(self, task: Task) -> None:
        self.options = task.atari

    def inputs(self, game: Game) -> Frames:
        """See `Domain`."""
        return Frames(self.options.frame_stack, self.options.screen_size)

    def check(self, game: Game) -> None:
        """See `Domain`."""
        rom_path(game)

    def environment(self, game: Game) -> tuple[dict[str, Any], str]:
        """See `Domain`; the fingerprint is of emulator version, ROM and every option, threads left out."""
        environment: dict[str, Any] = {
            "ale_py": metadata.version("ale-py"),
            "rom_sha256": rom_sha256(game),
            **atari_options(self.options, game),
        }
        return environment, fingerprint(environment)

    def replay_bytes(self, plan: DataPlan, steps: int, game: Game, placement: Placement) -> tuple[int, int]:
        """See `Domain`."""
        return replay_bytes(plan, steps, self.options, game, placement)

    def evaluation_envs(self, game: Game, count: int, threads: int) -> AtariEnvs:
        """See `Domain`."""
        return AtariEnvs(game, self.options, count, min(count, threads))

    def execution(self, games: Sequence[Game], seeds: Sequence[int]) -> dict[str, str]:
        """See `Domain`."""
        return {}

    def environments(self, games: Sequence[Game], threads: int) -> SeveralEnvs:
        """Return the emulators of lanes that are advanced together; those of a game share its part of the threads."""
        kinds = len(set(games))

        def make(game: Game, count: int) -> AtariEnvs:
            return AtariEnvs(game, self.options, count, max(1, min(count, threads // kinds)))

        return SeveralEnvs(games, make)
