"""The script of the heavy proofs: what it answers to names, and what it keeps of the demo."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "ci/nightly/run"


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    loader = SourceFileLoader("nightly_run", str(SCRIPT))
    spec = importlib.util.spec_from_loader(loader.name, loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@pytest.mark.parametrize(("argument", "status"), [("--help", 0), ("nothing", 2)])
def test_names_that_are_no_proofs_are_answered(
    argument: str, status: int, run: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["run", argument])
    with pytest.raises(SystemExit) as ended:
        run.main()
    said = capsys.readouterr()
    assert ended.value.code == status
    assert "usage:" in said.out + said.err
    assert "slurm" in said.out + said.err


@pytest.mark.parametrize("megabytes", [59, 61])
def test_the_demo_runs_beside_the_results_and_may_leave_so_much(
    megabytes: int, run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def demo(command: list[str], *, cwd: str, check: bool) -> None:
        assert (Path(cwd) / "results/arrivals.txt").is_file()
        (Path(cwd) / "demo/site").mkdir(parents=True)
        for name, size in (("site/index.html", 10**6), ("results.sqlite", (megabytes - 1) * 10**6)):
            with (Path(cwd) / "demo" / name).open("wb") as file:
                file.truncate(size)

    monkeypatch.setattr(subprocess, "run", demo)
    if megabytes > run.DEMO_MB:
        with pytest.raises(SystemExit, match="leaves 61"):
            run.demo()
    else:
        assert run.demo() == ("suite demo", {"site_mb": 1.0, "left_mb": 59.0})


def test_a_record_says_where_a_proof_took_longer_than_it_is_to(run: Any) -> None:
    assert "slow" not in run.record("demo", "suite demo", {"wall_s": 239.0})
    assert "240 seconds" in run.record("demo", "suite demo", {"wall_s": 241.0})["slow"]
    assert "slow" not in run.record("kills", "pytest", {"wall_s": 1e4})
