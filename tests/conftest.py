"""The order of all tests (the longest first, so that no process is left alone with one at the end), quick programs.

No example of a property has a deadline: what takes how long is measured in `ci/bench`, not in tests.
"""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

os.environ.setdefault("SUITE_INSPECT_EVERY", "0")  # compiling an inspection takes longer than a test's training
settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
HERE = Path(__file__).resolve().parent


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the files of this folder itself, which hold the longest single tests, before all rooms."""
    items.sort(key=lambda item: item.path.parent != HERE)


@pytest.fixture
def quick_compilation() -> Iterator[None]:
    """Programs compiled fast, for those that run but a few times and whose numbers are compared within a tolerance."""
    from suite.checks.method.trial import quick_compilation

    with quick_compilation():
        yield
