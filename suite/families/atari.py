"""Online Atari: an emulator for each lane, a replay of its frames, rebuilt from actions when a run goes on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import partial
from importlib import metadata
from typing import Any

from suite.agent import DataPlan
from suite.device import cpu_threads
from suite.envs.atari import AtariEnvs, emulator_options, rom_path, rom_sha256
from suite.envs.several import SeveralEnvs
from suite.families.base import Setup
from suite.group import Group
from suite.inputs import Frames
from suite.lane import Lane
from suite.placement import Placement, make_replay, replay_bytes
from suite.resume import play_to, restore_lane
from suite.tasks import Game, Task


class Atari:
    """See `Family`."""

    mixes_games = True

    def __init__(self, task: Task) -> None:
        self._options = task.atari

    def inputs(self, game: Game) -> Frames:
        """See `Family`."""
        return Frames(self._options.frame_stack, self._options.screen_size)

    def check(self, game: Game) -> None:
        """See `Family`."""
        rom_path(game)

    def environment(self, game: Game) -> tuple[dict[str, Any], str]:
        """See `Family`; the fingerprint is of emulator version, ROM and every option, threads left out."""
        environment: dict[str, Any] = {
            "ale_py": metadata.version("ale-py"),
            "rom": game.rom,
            "rom_sha256": rom_sha256(game),
            **emulator_options(self._options),
            "reseed_steps": self._options.reseed_steps,
        }
        relevant = {name: value for name, value in environment.items() if name not in ("num_threads", "batch_size")}
        return environment, hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]

    def replay_bytes(self, plan: DataPlan, steps: int, game: Game, placement: Placement) -> tuple[int, int]:
        """See `Family`."""
        return replay_bytes(plan, steps, self._options, game, placement)

    def start(self, setup: Setup) -> Group:
        """See `Family`."""
        lanes = [
            Lane(
                setup.plan,
                streams,
                make_replay(setup.plan, self._options, setup.placement),
                self._options,
                game.actions,
            )
            for streams, game in zip(setup.streams, setup.games, strict=True)
        ]
        for index, (lane, saved) in enumerate(zip(lanes, setup.saved, strict=True)):
            if saved is not None:
                restore_lane(
                    lane,
                    saved.state,
                    saved.arrays,
                    partial(self._several_of, setup.games[index]),
                    cpu_threads(),
                    partial(setup.look, index),
                )
        envs = self._several(setup.games)
        group = Group(setup.plan, lanes, setup.learners, envs)
        if setup.saved[0] is None:
            group.begin()
        else:
            seeds, segments = [lane.emulator_seed for lane in lanes], [lane.history()[-1] for lane in lanes]
            play_to(envs, seeds, segments, partial(setup.look, 0))
        return group

    def evaluation_envs(self, game: Game, count: int, threads: int) -> AtariEnvs:
        """See `Family`."""
        return AtariEnvs(game, self._options, count, min(count, threads))

    def execution(self, games: Sequence[Game], seeds: Sequence[int]) -> dict[str, str]:
        """See `Family`."""
        return {}

    def _several_of(self, game: Game, count: int) -> SeveralEnvs:
        return self._several([game] * count)

    def _several(self, games: Sequence[Game]) -> SeveralEnvs:
        kinds = len(set(games))

        def make(game: Game, count: int) -> AtariEnvs:
            return AtariEnvs(game, self._options, count, max(1, min(count, cpu_threads() // kinds)))

        return SeveralEnvs(games, make)
