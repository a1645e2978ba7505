"""What the demo takes in beside its own runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from suite.cli import demo
from suite.cli.main import cli


@pytest.mark.parametrize(
    ("found", "taken"),
    [
        (("arrivals.txt", "submissions/one/bundle.zip"), True),
        (("arrivals.txt",), False),
        (("submissions/one/bundle.zip",), False),
        (("seed-0/spec.json",), False),
        ((), False),
    ],
)
def test_only_a_results_repository_is_shown_beside(
    found: tuple[str, ...], taken: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody's own folder of that name, with a damaged run in it, must not end the demo after its training."""
    monkeypatch.chdir(tmp_path)
    for name in found:
        (tmp_path / "results" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "results" / name).touch()
    called: list[list[str]] = []
    monkeypatch.setattr(demo, "_main", lambda group, arguments: called.append(list(arguments)))
    assert CliRunner().invoke(cli, ["demo"]).exit_code == 0
    (ingest,) = [arguments for arguments in called if arguments[:2] == ["leaderboard", "ingest"]]
    assert ("results" in ingest) is taken
