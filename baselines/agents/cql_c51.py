"""Conservative Q-learning with 51 atoms (Kumar et al. 2022) from a fixed log: C51, with CQL's penalty on the means."""

from __future__ import annotations

from baselines.agents import c51
from baselines.agents.cql import penalty
from baselines.parts import composed
from baselines.parts.value_based import adam, offline_plan
from suite.contracts.agent import Agent
from suite.contracts.card import Value
from suite.contracts.encoder import MakeEncoder


def make(settings: dict[str, Value], network: MakeEncoder, actions: int) -> Agent:
    """Build CQL+C51 for `actions` discrete actions, plain or with double Q-learning and a dueling network."""
    plan = offline_plan(settings)
    if settings["double_dueling"]:
        parts = composed.Parts(support=c51.atoms(settings), penalty=penalty(settings))
        return composed.build(parts, network, actions, adam(settings), plan)
    return c51.build(settings, network, actions, plan, penalty(settings))
