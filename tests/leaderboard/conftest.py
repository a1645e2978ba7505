"""What the tests of this folder share: synthetic run directories, and one database and site of the published curves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from leaderboard.site.render import build
from leaderboard.store.ingest import ingest
from suite.tasks import load_task
from suite.tasks.configuration import Spec
from tests.support.runs import make_run, make_spec, open_run
from tests.support.shared import made_once


@pytest.fixture(scope="session")
def published_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of the published curves alone, one for all tests: to read, never to change."""
    folder = made_once(tmp_path_factory, "published", lambda folder: ingest([], folder / "results.sqlite"))
    return folder / "results.sqlite"


@pytest.fixture(scope="session")
def published_site(published_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of that database, one for all tests."""
    made = made_once(tmp_path_factory, "published-site", lambda folder: build(published_database, folder / "site"))
    return made / "site"


def make_runs(root: Path) -> Path:
    """Write a complete smoke configuration: two games, two seeds."""
    for game in load_task("smoke").games:
        for seed in (0, 1):
            make_run(root, make_spec(), game, seed)
    return root


@pytest.fixture(scope="session")
def smoke_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The database of a complete smoke configuration alone, one for all tests: to read, never to change."""

    def make(folder: Path) -> None:
        ingest([make_runs(folder / "runs")], folder / "results.sqlite", references=False)

    return made_once(tmp_path_factory, "smoke", make) / "results.sqlite"


@pytest.fixture(scope="session")
def smoke_site(smoke_database: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of that database, one for all tests."""
    return made_once(tmp_path_factory, "smoke-site", lambda folder: build(smoke_database, folder / "site")) / "site"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Return a folder with a complete smoke configuration: two games, two seeds."""
    return make_runs(tmp_path / "runs")


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
