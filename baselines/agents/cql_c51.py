"""Conservative Q-learning with 51 atoms (Kumar et al. 2022) from a fixed log: C51, with CQL's penalty on the means."""

from __future__ import annotations

from baselines.agents import c51
from baselines.agents.cql import penalty
from baselines.parts import composed
from baselines.parts.value_based import SupportSettings, adam, offline_plan
from suite.contracts.agent import Agent
from suite.contracts.encoder import MakeEncoder


class CQLC51Settings(SupportSettings):
    """Settings of CQL+C51."""

    conservatism: float
    double_dueling: bool


def make(settings: CQLC51Settings, network: MakeEncoder, actions: int) -> Agent:
    """Build CQL+C51 for `actions` discrete actions, plain or with double Q-learning and a dueling network."""
    plan = offline_plan(settings)
    if settings.double_dueling:
        parts = composed.Parts(support=c51.atoms(settings), penalty=penalty(settings.conservatism))
        return composed.build(parts, network, actions, adam(settings), plan)
    return c51.build(settings, network, actions, plan, penalty(settings.conservatism))
