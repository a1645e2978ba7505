"""Synthetic run directories for the tests of this folder and all below it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from suite.tasks import load_task
from suite.tasks.configuration import Spec
from tests.support.runs import make_run, make_spec, open_run


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return a folder with a complete smoke configuration: two games, two seeds."""
    root = tmp_path / "runs"
    for game in load_task("smoke").games:
        for seed in (0, 1):
            make_run(root, make_spec(), game, seed)
    return root


@pytest.fixture
def run_maker() -> Callable[..., Path]:
    """Return `make_run`."""
    return make_run


@pytest.fixture
def spec_maker() -> Callable[..., Spec]:
    """Return `make_spec`."""
    return make_spec


@pytest.fixture
def run_holder() -> Callable[..., Any]:
    """Return `open_run`."""
    return open_run
