"""A directory that does harm: modules lie in it that a careless child process would load."""

from __future__ import annotations

from pathlib import Path

import pytest

MODULES = (
    *("numpy", "json", "suite", "leaderboard", "struct", "pickle", "selectors", "sitecustomize", "usercustomize"),
    *("ale_py", "gymnasium", "pyarrow", "multiprocessing", "tests"),
)


def poisoned(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Go to a folder of modules that leave a file when they are loaded, and name it to Python; return that file."""
    mark = folder / "executed"
    for name in MODULES:
        (folder / f"{name}.py").write_text(f"open({str(mark)!r}, 'a').write(__name__)\nraise SystemExit(3)\n")
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("PYTHONSTARTUP", str(folder / "numpy.py"))
    monkeypatch.setenv("PYTHONUSERBASE", str(folder))
    return mark
