import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from leaderboard.cli.board import leaderboard
from leaderboard.store import models
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
        "runs: 4 new, 0 updated, 0 known, 0 skipped, 0 damaged or refused",
        "published configurations added: 25",
    ]
    db = tmp_path / "small.sqlite"
    assert run("ingest", runs, "--db", db, "--no-references").exit_code == 0
    done = run("build", "--db", db, "--out", out)
    assert done.exit_code == 0
    assert f"site: {out / 'index.html'}" in done.stdout.splitlines()
    assert "smoke@1: 1 entries run here" in done.stderr


def test_json_is_one_object_on_stdout(run, runs, tmp_path):
    db, out = tmp_path / "results.sqlite", tmp_path / "site"
    first = json.loads(run("ingest", runs, "--db", db, "--no-references", "--json").stdout)
    assert first["schema"] == "leaderboard.ingest/2"
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
    assert "1 of 4 run directories and bundles" in done.exception.problem


def test_check_and_migrate_of_a_sound_database(run, runs, tmp_path):
    db = tmp_path / "results.sqlite"
    run("ingest", runs, "--db", db, "--no-references")
    done = run("check", "--db", db)
    assert done.stdout.splitlines()[0] == "runs: 4, scores computed again: 4, problems: 0"
    assert json.loads(run("check", "--db", db, "--json").stdout)["problems"] == []
    assert run("migrate", "--db", db).stdout == f"{db} has schema {models.SCHEMA_VERSION} already\n"
    assert json.loads(run("migrate", "--db", db, "--json").stdout)["copy"] is None


def test_check_of_a_changed_database_ends_in_exit_code_four(run, runs, tmp_path):
    db = tmp_path / "results.sqlite"
    run("ingest", runs, "--db", db, "--no-references")
    connection = sqlite3.connect(db)
    with connection:
        connection.execute("UPDATE run SET score = 99 WHERE game = 'Pong'")
    connection.close()
    done = run("check", "--db", db)
    assert isinstance(done.exception, BadData)
    assert "problems: 2" in done.stdout
    assert done.stderr.count("the score is 99.0") == 2


def test_an_old_database_is_migrated_by_command_and_refused_by_build(run, tmp_path):
    db = tmp_path / "results.sqlite"
    connection = sqlite3.connect(db)
    connection.executescript((Path(__file__).parent.parent / "store" / "schema-1.sql").read_text())
    connection.close()
    done = run("build", "--db", db, "--out", tmp_path / "site")
    assert isinstance(done.exception, BadData)
    assert "suite leaderboard migrate" in done.exception.remedy
    assert run("migrate", "--db", db).stdout.splitlines() == [
        f"{db}: schema 1 is now {models.SCHEMA_VERSION}",
        f"copy of the old one: {db}.schema-1.bak",
    ]
    assert run("check", "--db", db).exit_code == 0


def test_a_refused_bundle_ends_in_exit_code_four(run, runs, tmp_path):
    (tmp_path / "bundle.zip").write_bytes(b"no zip file")
    done = run("ingest", tmp_path, "--db", tmp_path / "results.sqlite", "--no-references")
    assert "runs: 4 new, 0 updated, 0 known, 0 skipped, 1 damaged or refused" in done.stdout
    assert "archive.format" in done.stderr
    assert isinstance(done.exception, BadData)
    assert done.exception.problem.startswith("1 of 5 run directories and bundles")


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
            "leaderboard.store.ingest, leaderboard.store.references, leaderboard.store.audit",
            ["jax", "altair", "pandas", "numpy", "scipy", "pyarrow", "alembic", "jinja2"],
        ),
        ("leaderboard.site.render", ["jax", "altair", "pandas"]),
    ],
)
def test_imports_stay_light(module, unwanted):
    script = f"import sys, {module}\nprint([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
