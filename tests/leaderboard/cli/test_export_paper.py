import json
import subprocess
import sys

import pytest
from click.testing import CliRunner

from leaderboard.store.ingest import ingest
from suite.cli.main import cli


@pytest.fixture
def db(runs, tmp_path):
    """The database of a complete smoke configuration."""
    ingest([runs], tmp_path / "results.sqlite", references=False)
    return tmp_path / "results.sqlite"


def suite(*arguments):
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def test_export_gathers_its_kinds_from_entry_points():
    shown = suite("export", "--help")
    assert shown.exit_code == 0
    assert {"policy", "paper"} <= {line.split()[0] for line in shown.stdout.splitlines() if line.strip()}
    assert suite("export", "nothing").exit_code == 2


def test_help_loads_nothing_heavy():
    code = (
        "import sys; from click.testing import CliRunner; from suite.cli.main import cli;"
        "CliRunner().invoke(cli, ['export', 'paper', '--help']); CliRunner().invoke(cli, ['export', '--help']);"
        "heavy = ('jax', 'numpy', 'sqlalchemy', 'altair', 'pydantic', 'jinja2');"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


def test_paper_lists_its_files(db, tmp_path):
    done = suite("export", "paper", "--db", db, "--task", "smoke", "--out", tmp_path / "kit")
    assert done.exit_code == 0, done.output
    assert f"{tmp_path / 'kit' / 'table-standings.tex'}: " in done.stdout
    assert done.stdout.splitlines()[-1].startswith("1 entry of smoke@1, from database content ")


def test_json_is_one_object_with_a_schema(db, tmp_path):
    done = suite(
        "export", "paper", "--db", db, "--task", "smoke", "--out", tmp_path / "kit", "--width", "text", "--json"
    )
    document = json.loads(done.stdout)
    assert document["schema"] == "leaderboard.paper/1"
    assert (document["task"], document["entries"], document["width_in"]) == ("smoke@1", 1, 6.75)
    for file in document["files"]:
        assert (tmp_path / "kit" / file["path"]).stat().st_size == file["bytes"]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--task", "smoke"), 2),
        (("--out", "kit"), 2),
        (("--task", "no-such-task", "--out", "kit"), 2),
        (("--task", "smoke", "--out", "kit", "--width", "poster"), 2),
        (("--task", "atari40m", "--out", "kit"), 2),
        (("--task", "smoke", "--out", "results.sqlite"), 2),
    ],
)
def test_mistakes_of_usage_exit_with_2_and_write_nothing(db, tmp_path, monkeypatch, arguments, code):
    monkeypatch.chdir(tmp_path)
    done = suite("export", "paper", "--db", db, *arguments)
    assert done.exit_code == code
    assert not (tmp_path / "kit").exists()


def test_a_database_that_is_missing_or_none_is_named(tmp_path):
    missing = suite("export", "paper", "--db", tmp_path / "none.sqlite", "--task", "smoke", "--out", tmp_path / "kit")
    assert missing.exit_code == 2
    (tmp_path / "text.sqlite").write_text("no database")
    damaged = suite("export", "paper", "--db", tmp_path / "text.sqlite", "--task", "smoke", "--out", tmp_path / "kit")
    assert damaged.exit_code == 4
