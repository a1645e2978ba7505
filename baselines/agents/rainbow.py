"""Rainbow as Dopamine's compact one: C51 with 3-step returns and prioritized replay, without the other three parts."""

from __future__ import annotations

from baselines.agents import c51
from suite.contracts.agent import Agent
from suite.contracts.card import Value
from suite.contracts.encoder import MakeEncoder


def make(settings: dict[str, Value], network: MakeEncoder, actions: int) -> Agent:
    """Build Rainbow for `actions` discrete actions: C51 under the settings of this card."""
    return c51.make(settings, network, actions)
