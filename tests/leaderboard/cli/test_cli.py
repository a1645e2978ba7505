import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from leaderboard.cli.board import leaderboard
from suite.errors import BadData, ExitCode, UsageError


@pytest.fixture
def run():
    def invoke(*arguments):
        return CliRunner().invoke(leaderboard, [str(argument) for argument in arguments])

    return invoke


def test_ingest_and_build(run, runs, tmp_path):
    db, out = tmp_path / "results.sqlite", tmp_path / "site"
    done = run("ingest", runs, "--db", db)
    assert done.exit_code == 0
    assert done.stdout.splitlines()[:2] == [
        "runs: 4 new, 0 updated, 0 known, 0 skipped, 0 damaged",
        "published configurations added: 21",
    ]
    db = tmp_path / "small.sqlite"
    assert run("ingest", runs, "--db", db, "--no-references").exit_code == 0
    done = run("build", "--db", db, "--out", out)
    assert done.exit_code == 0
    assert f"site: {out / 'index.html'}" in done.stdout.splitlines()
    assert "smoke@1: 1 configurations run here" in done.stderr


def test_json_is_one_object_on_stdout(run, runs, tmp_path):
    db, out = tmp_path / "results.sqlite", tmp_path / "site"
    first = json.loads(run("ingest", runs, "--db", db, "--no-references", "--json").stdout)
    assert first["schema"] == "leaderboard.store.ingest/1"
    assert (first["new"], first["damaged"], first["references_added"]) == (4, [], 0)
    second = json.loads(run("build", "--db", db, "--out", out, "--json").stdout)
    assert second["schema"] == "leaderboard.build/1"
    assert second["content_sha256"] == first["content_sha256"]


def test_damaged_directories_end_in_exit_code_four(run, runs, tmp_path):
    victim = next(iter(sorted(runs.rglob("status.json"))))
    victim.write_text("{")
    done = run("ingest", runs, "--db", tmp_path / "results.sqlite", "--no-references")
    assert "3 new" in done.stdout
    assert str(victim) in done.stderr
    assert isinstance(done.exception, BadData)
    assert done.exception.exit_code == ExitCode.BAD_DATA == 4
    assert "1 of 4 run directories" in done.exception.problem


def test_a_missing_database_is_a_usage_error(run, tmp_path):
    done = run("build", "--db", tmp_path / "none.sqlite", "--out", tmp_path / "site")
    assert isinstance(done.exception, UsageError)


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        (
            "leaderboard.cli",
            ["jax", "sqlalchemy", "altair", "pandas", "numpy", "jinja2", "rliable", "pydantic", "scipy"],
        ),
        (
            "leaderboard.site.render, leaderboard.store.ingest, leaderboard.store.references",
            ["jax", "altair", "pandas", "scipy"],
        ),
    ],
)
def test_imports_stay_light(module, unwanted):
    script = f"import sys, {module}\nprint([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
