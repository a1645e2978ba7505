"""Rainbow as Dopamine's compact one: C51 with 3-step returns and prioritized replay, without the other three parts."""

from __future__ import annotations

from baselines.agents import c51
from baselines.parts.value_based import PrioritySettings
from suite.contracts.agent import Agent
from suite.contracts.encoder import MakeEncoder


class RainbowSettings(c51.C51Settings, PrioritySettings):
    """Settings of Rainbow."""


def make(settings: RainbowSettings, network: MakeEncoder, actions: int) -> Agent:
    """Build Rainbow for `actions` discrete actions: C51 under the settings of this card."""
    return c51.make(settings, network, actions)
