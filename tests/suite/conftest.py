"""What tests of the engine share: a cell, and a network so small that training takes no time."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from suite.contracts import registry
from suite.tasks.configuration import Cell, Component, Spec

TINY_MODULE = '''
"""Every sixth pixel, and one hidden layer."""

import jax
import jax.numpy as jnp
from flax import linen as nn

from suite.contracts.encoder import FEATURES, Layer


class Tiny(nn.Module):
    kernel_init: nn.initializers.Initializer

    @nn.compact
    def __call__(self, observation: jax.Array) -> jax.Array:
        x = observation[:, ::6, ::6].astype(jnp.float32).reshape((observation.shape[0], -1)) / 255.0
        return nn.relu(nn.Dense(16, kernel_init=self.kernel_init, name="dense")(x))

    @property
    def layers(self):
        return (Layer("dense", "dense", feeds=FEATURES),)


def make(settings, *, kernel_init):
    return Tiny(kernel_init)
'''
TINY_CARD = """
id = "tiny"
version = 1
title = "Tiny"
summary = "For tests."
"""


@pytest.fixture
def cell() -> Cell:
    """A cell that needs no plug-ins, for tests of what lies beside training."""
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


def install_tiny(root: Path) -> Path:
    """Lay out what pip would for a package with the network `tiny`; put `root` on the path to have it."""
    package = root / "tiny_network"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "tiny.py").write_text(TINY_MODULE)
    (package / "tiny.toml").write_text(TINY_CARD)
    metadata = root / "tiny_network-1.0.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: tiny-network\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text("[suite.networks]\ntiny = tiny_network.tiny:make\n")
    return root


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory for PYTHONPATH with the network `tiny` in it."""
    return install_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def tiny_everywhere(tiny_path: Path) -> Iterator[None]:
    """The network `tiny` in this process and in those that it starts, for all tests of a file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tiny_path))
        patch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tiny_path), os.environ.get("PYTHONPATH")])))
        registry.registered.cache_clear()
        yield
    registry.registered.cache_clear()


@pytest.fixture
def tiny(tiny_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The network `tiny` in this process."""
    monkeypatch.syspath_prepend(str(tiny_path))
    registry.registered.cache_clear()
    yield
    registry.registered.cache_clear()
