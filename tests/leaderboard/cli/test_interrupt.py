"""Ctrl-C: one line, exit code 130, nothing half written, and the same command does the rest."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.testing import CliRunner

from leaderboard.store.audit import audit
from leaderboard.store.ingest import ingest
from suite.cli.main import cli
from suite.errors import ExitCode
from tests.support import synthetic

SAID = "Stopped. What was finished stands; issue the same command again for the rest.\n"

SUITE = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored
from leaderboard.store import ingest
from suite.cli.main import main
ingest.BATCH_RUNS = 1
main()
"""

PACK = """
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from leaderboard.bundles import pack
from suite.cli.main import main
real = pack.zipped
def interrupted(files):
    content = real(files)
    os.kill(os.getpid(), signal.SIGINT)
    return content
pack.zipped = interrupted
main()
"""


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", script, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ)


def stored(db: Path) -> int:
    """How many runs there are; 0 while there is no table."""
    try:
        connection = sqlite3.connect(f"file:{db}?mode=ro", uri=True, timeout=30)
        try:
            return int(connection.execute("SELECT count(*) FROM run").fetchone()[0])
        finally:
            connection.close()
    except sqlite3.OperationalError:
        return 0


@pytest.mark.slow
def test_an_ingest_that_is_stopped_leaves_a_sound_database_and_the_next_one_completes_it(tmp_path: Path) -> None:
    plan = synthetic.Plan("atari40m", 1, 10, 5, actions=False, missing=0, failed=0, diverged=0)
    synthetic.write(tmp_path / "runs", plan)
    db = tmp_path / "results.sqlite"
    command = ("leaderboard", "ingest", tmp_path / "runs", "--db", db, "--no-references")
    process = start(SUITE, *command)
    while stored(db) < 3 and process.poll() is None:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=300)
    assert (process.returncode, out, errors) == (ExitCode.STOPPED, "", SAID)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["results.sqlite", "runs"]
    found = audit(db)
    assert found.problems == ()
    assert 3 <= found.runs < 50
    done = subprocess.run([sys.executable, "-c", SUITE, *map(str, command)], capture_output=True, text=True, check=True)
    assert f"runs: {50 - found.runs} new, 0 updated, {found.runs} known" in done.stdout
    assert audit(db).digest == ingest([tmp_path / "runs"], tmp_path / "apart.sqlite", references=False).digest


@pytest.mark.slow
def test_a_pack_that_is_stopped_leaves_the_bundle_from_before(tmp_path: Path) -> None:
    synthetic.write(tmp_path / "runs", synthetic.Plan("smoke", 1, missing=0, failed=0, diverged=0))
    (tmp_path / "submission.toml").write_bytes(synthetic.STATEMENT)
    (tmp_path / "bundle.zip").write_text("the one from before")
    process = start(PACK, "submit", "pack", tmp_path / "runs", "--out", tmp_path / "bundle.zip")
    out, errors = process.communicate(timeout=300)
    assert (process.returncode, out, errors) == (ExitCode.STOPPED, "", SAID)
    assert (tmp_path / "bundle.zip").read_text() == "the one from before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.zip", "runs", "submission.toml"]


@pytest.mark.parametrize(
    ("function", "command"),
    [
        ("leaderboard.site.render.build", ["leaderboard", "build"]),
        ("leaderboard.store.audit.audit", ["leaderboard", "check"]),
        ("leaderboard.store.schema.migrate", ["leaderboard", "migrate"]),
        ("leaderboard.bundles.check.check_bundle", ["submit", "check", __file__]),
    ],
)
def test_every_command_ends_with_the_same_line_and_code(
    function: str, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(function, stop)
    done = CliRunner().invoke(cli, command)
    assert (done.exit_code, done.stdout, done.stderr) == (130, "", SAID)
