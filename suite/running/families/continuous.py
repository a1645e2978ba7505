"""Lanes of continuous control: transitions or a trajectory each, rebuilt from actions when a run goes on."""

from __future__ import annotations

from functools import partial

from suite.experience.domains.continuous import Continuous
from suite.running.families.base import Setup
from suite.running.group import Group
from suite.running.lane import ACTIONS
from suite.running.vector_lane import VectorLane


def start(domain: Continuous, setup: Setup) -> Group:
    """Return the lanes, begun or brought to their checkpoints."""
    inputs = domain.inputs(setup.games[0])
    lanes = [VectorLane(setup.plan, streams, inputs) for streams in setup.streams]
    bodies, envs = domain.environments(setup.games[0], len(lanes))
    for index, (lane, saved) in enumerate(zip(lanes, setup.saved, strict=True)):
        if saved is not None:
            lane.restore(
                saved.state.agent_step,
                saved.state.episodes,
                [length for (length,) in saved.state.lengths],
                saved.arrays[ACTIONS],
                bytes.fromhex(saved.state.chain),
                bodies.members[index],
                partial(setup.look, index),
            )
    group = Group(setup.plan, lanes, setup.learners, envs)
    if setup.saved[0] is None:
        group.begin()
    return group
