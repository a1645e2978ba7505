"""Lanes of continuous control: transitions or a trajectory each, rebuilt from actions when a run goes on."""

from __future__ import annotations

from functools import partial

from suite.experience.domains.continuous import Continuous
from suite.experience.playback import play_to
from suite.running.families.base import Setup
from suite.running.group import Group
from suite.running.lane import ACTIONS
from suite.running.vector_lane import VectorLane


def start(domain: Continuous, setup: Setup) -> Group:
    """Return the lanes, begun or brought to their checkpoints."""
    inputs = domain.inputs(setup.games[0])
    lanes = [VectorLane(setup.plan, streams, inputs) for streams in setup.streams]
    for index, (lane, saved) in enumerate(zip(lanes, setup.saved, strict=True)):
        if saved is not None:
            alone = domain.environments(setup.games[0], 1)
            lane.restore(
                saved.state.agent_step,
                saved.state.episodes,
                [length for (length,) in saved.state.lengths],
                saved.arrays[ACTIONS].tobytes(),
                bytes.fromhex(saved.state.chain),
                alone,
                partial(setup.look, index),
            )
            alone.close()
    envs = domain.environments(setup.games[0], len(lanes))
    group = Group(setup.plan, lanes, setup.learners, envs)
    if setup.saved[0] is None:
        group.begin()
    else:
        play_to(envs, [lane.histories()[-1] for lane in lanes], lambda done, total: setup.look(0, 0, total))
    return group
