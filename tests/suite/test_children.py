"""Child processes, started in a directory of modules that nobody may load."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from suite import children
from tests.support.surroundings import poisoned


def test_a_module_runs_in_an_empty_directory_and_loads_nothing_from_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = poisoned(tmp_path, monkeypatch)
    monkeypatch.setenv("SECRET", "not for children")
    done = children.run_module("sysconfig", seconds=60)  # of the standard library: it prints paths and variables
    assert done.returncode == 0
    assert str(tmp_path).encode() not in done.stdout
    program = "import json, os, sys; print(json.dumps([os.listdir(), os.environ.get('SECRET'), sys.path]))"
    done = children.run_module("timeit", ["-n1", "-r1", program], seconds=60)
    assert done.stdout.startswith(b"[[], null, ")
    assert str(tmp_path).encode() not in done.stdout
    assert not mark.exists()


def test_a_child_that_takes_too_long_is_ended() -> None:
    with pytest.raises(subprocess.TimeoutExpired):
        children.run_module("timeit", ["-n1", "-r1", "import time; time.sleep(60)"], seconds=0.5)


def test_a_pool_loads_nothing_from_the_current_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mark = poisoned(tmp_path, monkeypatch)
    monkeypatch.delenv("PYTHONPATH")  # whoever sets it means it, and this process has it, too
    monkeypatch.setenv("PYTHONSAFEPATH", "")
    with children.pool(1) as pool:
        assert pool.submit(len, "four").result(timeout=60) == 4
    assert not mark.exists()
