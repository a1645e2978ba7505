"""Lanes on Atari: an emulator each, and a replay of its frames, rebuilt from actions when a run goes on."""

from __future__ import annotations

from functools import partial

from suite.experience.domains.atari import Atari
from suite.experience.envs.several import SeveralEnvs
from suite.experience.playback import play_to
from suite.experience.replay.placement import make_replay
from suite.learning.device import cpu_threads
from suite.running.families.base import Setup
from suite.running.group import Group
from suite.running.lane import Lane
from suite.running.resume import restore_lane
from suite.tasks import Game


def start(domain: Atari, setup: Setup) -> Group:
    """Return the lanes, begun or brought to their checkpoints."""
    lanes = [
        Lane(
            setup.plan, streams, make_replay(setup.plan, domain.options, setup.placement), domain.options, game.actions
        )
        for streams, game in zip(setup.streams, setup.games, strict=True)
    ]

    def several_of(game: Game, count: int) -> SeveralEnvs:
        return domain.environments([game] * count, cpu_threads())

    for index, (lane, saved) in enumerate(zip(lanes, setup.saved, strict=True)):
        if saved is not None:
            restore_lane(
                lane,
                saved.state,
                saved.arrays,
                partial(several_of, setup.games[index]),
                cpu_threads(),
                partial(setup.look, index),
            )
    envs = domain.environments(setup.games, cpu_threads())
    group = Group(setup.plan, lanes, setup.learners, envs)
    if setup.saved[0] is None:
        group.begin()
    else:
        play_to(envs, [lane.histories()[-1] for lane in lanes], lambda done, total: setup.look(0, 0, total))
    return group
