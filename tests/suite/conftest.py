"""A cell that needs no plug-ins, for tests of what lies beside training."""

import pytest

from suite.spec import Cell, Component, Spec


@pytest.fixture
def cell() -> Cell:
    spec = Spec(
        task="smoke",
        task_version=1,
        frames=16_000,
        shortened=False,
        agent=Component(id="dqn", version=1, settings={"gamma": 0.99}),
        network=Component(id="nature_cnn", version=1, settings={"width": 1}),
        methods=(Component(id="dense", version=1),),
    )
    return Cell(spec, "Pong", 0)
