"""Conservative Q-learning with 51 atoms (Kumar et al. 2022) from a fixed log: C51, with CQL's penalty on the means."""

from __future__ import annotations

from baselines.agents import c51, full_rainbow
from baselines.agents.common import adam, offline_plan
from baselines.agents.cql import penalty
from suite.agent import Agent, MakeEncoder
from suite.card import Value


def make(settings: dict[str, Value], network: MakeEncoder, actions: int) -> Agent:
    """Build CQL+C51 for `actions` discrete actions, plain or with double Q-learning and a dueling network."""
    plan = offline_plan(settings)
    if settings["double_dueling"]:
        parts = full_rainbow.Parts(support=c51.atoms(settings), penalty=penalty(settings))
        return full_rainbow.build(parts, network, actions, adam(settings), plan)
    return c51.build(settings, network, actions, plan, penalty(settings))
