"""Lanes begun or restored, one module for each domain."""

from __future__ import annotations

from suite.experience.domains import Domain
from suite.running.families.base import Saved, Setup
from suite.running.group import Training

__all__ = ["Saved", "Setup", "start_lanes"]


def start_lanes(domain: Domain, setup: Setup) -> Training:
    """Return the lanes of cells in a domain, begun or brought to their checkpoints."""
    from suite.experience.domains.atari import Atari
    from suite.experience.domains.continuous import Continuous
    from suite.experience.domains.offline import Offline
    from suite.running.families import atari, continuous, offline

    if isinstance(domain, Atari):
        return atari.start(domain, setup)
    if isinstance(domain, Continuous):
        return continuous.start(domain, setup)
    assert isinstance(domain, Offline)
    return offline.start(domain, setup)
