"""The order of all tests: the longest first, so that no process is left alone with one at the end."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("SUITE_INSPECT_EVERY", "0")  # compiling an inspection takes longer than a test's training
HERE = Path(__file__).resolve().parent


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of this folder itself, which hold the longest single tests, before all rooms."""
    items.sort(key=lambda item: item.path.parent != HERE)
