import importlib.util
import json
import shutil
import subprocess
import sys
import zipfile

import pytest
from click.testing import CliRunner

from leaderboard.cli.submit import submit
from leaderboard.store.ingest import ingest
from suite.errors import BadData, ExitCode, UsageError
from tests.support import attacks, honest


@pytest.fixture
def run():
    def invoke(*arguments):
        return CliRunner().invoke(submit, [str(argument) for argument in arguments])

    return invoke


@pytest.fixture
def finished(tmp_path):
    root = tmp_path / "runs"
    for one in attacks.good_runs():
        honest.write_run(one, root)
    return root


@pytest.fixture
def toml(tmp_path):
    path = tmp_path / "submission.toml"
    path.write_bytes(honest.TOML)
    return path


def test_what_is_packed_passes_its_check(run, finished, toml, tmp_path):
    out = tmp_path / "bundle.zip"
    done = run("pack", finished, "--out", out)
    assert done.exit_code == 0, done.output
    assert done.stdout.startswith(f"bundle: {out} (4 runs, 0.02 MB, SHA-256 ")
    done = run("check", out, "--report", tmp_path / "report.json")
    assert done.exit_code == 0
    assert done.stdout == "4 runs of smoke@1: 0 errors, 0 for review, 0 notes; level: recomputed\n"
    assert json.loads((tmp_path / "report.json").read_text())["level"] == "recomputed"


def test_the_same_runs_give_the_same_bytes_wherever_they_lie(run, finished, toml, tmp_path):
    first, second = tmp_path / "a.zip", tmp_path / "b.zip"
    assert run("pack", finished, "--out", first).exit_code == 0
    moved = finished.rename(tmp_path / "moved")
    parts = sorted(moved.glob("*/*/*"), reverse=True)
    assert run("pack", *parts, "--out", second, "--toml", toml).exit_code == 0
    assert first.read_bytes() == second.read_bytes() == attacks.good()


def test_paths_of_a_machine_that_older_records_hold_are_not_packed(run, finished, toml, tmp_path):
    out, path = tmp_path / "b.zip", next(finished.glob("*/*/Pong/seed-0")) / "provenance.json"
    content = json.loads(path.read_text())
    content["attempts"][0]["command"] = ["run", "--out", "/home/me/results", "--data=/home/me/data"]
    path.write_text(json.dumps(content))
    assert run("pack", finished, "--out", out).exit_code == 0
    with zipfile.ZipFile(out) as archive:
        documents = {name: archive.read(name) for name in archive.namelist()}
    assert not any(b"/home/me" in each for each in documents.values())
    assert sum(b'"--data=data"' in each for each in documents.values()) == 1
    assert "/home/me/results" in path.read_text()
    assert run("check", out).exit_code == 0


def test_json_says_what_was_packed(run, finished, toml, tmp_path):
    done = json.loads(run("pack", finished, "--out", tmp_path / "b.zip", "--json").stdout)
    assert done["schema"] == "leaderboard.submit.pack/1"
    assert (done["runs"], done["actions"], done["size_bytes"]) == (4, True, len(attacks.good()))
    assert done["sha256"] == honest.hashlib.sha256(attacks.good()).hexdigest()


def test_folders_of_what_is_written_are_made(run, finished, toml, tmp_path):
    out = tmp_path / "new/folder/bundle.zip"
    assert run("pack", finished, "--out", out, "--toml", toml).exit_code == 0
    assert run("check", out, "--report", tmp_path / "another/report.json").exit_code == 0
    assert (tmp_path / "another/report.json").is_file()


def test_a_wrong_path_or_name_is_said_before_a_template_is_written(run, finished, tmp_path):
    for arguments in ([tmp_path / "nothing", "--out", tmp_path / "b.zip"], [finished, "--out", tmp_path / "b.toml"]):
        done = run("pack", *arguments)
        assert isinstance(done.exception, UsageError)
        assert "template" not in str(done.exception)
    assert not (tmp_path / "submission.toml").exists()


def test_a_template_is_written_once_and_must_be_filled_in(run, finished, tmp_path):
    out = tmp_path / "bundle.zip"
    first = run("pack", finished, "--out", out)
    assert isinstance(first.exception, UsageError)
    assert "is a template now" in str(first.exception)
    second = run("pack", finished, "--out", out)
    assert "is not filled in: title, contact, relationship, name, url, commit" in str(second.exception)
    path = tmp_path / "submission.toml"
    filled = path.read_text().replace('"FILL IN"', '"x"').replace('url = "x"', 'url = "https://a.org"')
    filled = filled.replace('contact = "x"', 'contact = "a@b.org"').replace('commit = "x"', 'commit = "0123456"')
    path.write_text(filled.replace('relationship = "x"', 'relationship = "first_party"'))
    assert run("pack", finished, "--out", out).exit_code == 0
    assert run("check", out).exit_code == 0


def test_an_unfinished_run_is_named_and_nothing_is_written(run, finished, toml, tmp_path):
    path = next(finished.glob("*/*/Pong/seed-0"))
    status = json.loads((path / "status.json").read_text()) | {"state": "running", "frames": 8000}
    (path / "status.json").write_text(json.dumps(status))
    done = run("pack", finished, "--out", tmp_path / "b.zip")
    assert isinstance(done.exception, BadData)
    assert str(path) in str(done.exception)
    assert "killed, not finished (8,000 of 16,000 frames)" in str(done.exception)
    assert not (tmp_path / "b.zip").exists()


def test_what_is_left_of_a_run_is_said_in_the_unit_of_its_task(run, toml, tmp_path):
    path = honest.write_run(honest.honest_run("smoke-mujoco", "Hopper"), tmp_path)
    status = json.loads((path / "status.json").read_text())
    (path / "status.json").write_text(json.dumps(status | {"state": "interrupted", "frames": 1000}))
    done = run("pack", path, "--out", tmp_path / "b.zip")
    assert f"interrupted, not finished (1,000 of {status['frames']:,} environment steps)" in str(done.exception)


def test_a_check_names_the_copies_in_a_database(run, finished, toml, tmp_path):
    copied = tmp_path / "copied"
    for source in finished.glob("*/*/Pong/seed-0"):
        told = copied / source.relative_to(finished)
        shutil.copytree(source, told)
        (told / "status.json").write_text((told / "status.json").read_text().replace("2026-01-01", "2026-02-02"))
    db = tmp_path / "results.sqlite"
    ingest([copied], db, references=False)
    assert run("pack", finished, "--out", tmp_path / "b.zip").exit_code == 0
    done = run("check", tmp_path / "b.zip", "--db", db)
    assert done.exit_code == 0
    assert "runs.repeated" in done.stdout
    assert "every episode is that of a run directory (2026-02-02)" in done.stdout
    assert "runs.repeated" not in run("check", tmp_path / "b.zip").stdout
    missing = run("check", tmp_path / "b.zip", "--db", tmp_path / "none.sqlite")
    assert isinstance(missing.exception, UsageError)


def test_a_run_whose_claims_do_not_hold_is_not_packed(run, finished, toml, tmp_path):
    path = next(finished.glob("*/*/Pong/seed-0"))
    lines = (path / "episodes.jsonl").read_text().splitlines(keepends=True)
    (path / "episodes.jsonl").write_text("".join(lines[:3] + lines[4:]))
    done = run("pack", finished, "--out", tmp_path / "b.zip")
    assert isinstance(done.exception, BadData)
    assert "episode 3 should end at agent step" in str(done.exception)


def test_several_tasks_and_no_runs_are_refused(run, finished, toml, tmp_path):
    honest.write_run(honest.honest_run("smoke100k"), finished)
    done = run("pack", finished, "--out", tmp_path / "b.zip")
    assert "runs of several tasks: smoke100k@1, smoke@1" in str(done.exception)
    (tmp_path / "empty").mkdir()
    done = run("pack", tmp_path / "empty", "--out", tmp_path / "b.zip")
    assert isinstance(done.exception, UsageError)


def test_actions_that_are_too_large_are_left_out_and_that_is_said(run, finished, toml, tmp_path, monkeypatch):
    from leaderboard.bundles import pack

    bare = len(honest.bundle(honest.honest_runs(with_actions=False)))
    assert bare < len(attacks.good()) - 1000
    monkeypatch.setattr(pack, "PACKED_BYTES", bare + 500)
    done = run("pack", finished, "--out", tmp_path / "b.zip")
    assert done.exit_code == 0
    assert "it goes without them, so that its level is recomputed, not replayed" in done.stderr
    checked = run("check", tmp_path / "b.zip")
    assert checked.exit_code == 0
    assert "record.no_actions" in checked.stdout
    assert "level: recomputed" in checked.stdout
    monkeypatch.setattr(pack, "PACKED_BYTES", 500)
    assert "500 are allowed" in str(run("pack", finished, "--out", tmp_path / "c.zip").exception)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (b"third_party", b"friend", "relationship: Input should be 'first_party' or 'third_party' [schema.fields]"),
        (b"schema = 2", b"schema = 3", "schema: Input should be 2"),
        (b"https://example.org", b"ftp://example.org", "code.url"),
        (b'"Ada Example"', b"Ada Example", "toml.syntax"),
    ],
)
def test_a_wrong_submission_toml_is_named_when_packing(run, finished, toml, tmp_path, old, new, words):
    toml.write_bytes(honest.TOML.replace(old, new))
    done = run("pack", finished, "--out", tmp_path / "b.zip")
    assert isinstance(done.exception, BadData)
    assert words in str(done.exception)
    assert not (tmp_path / "b.zip").exists()


def test_a_component_that_is_not_here_goes_without_card(run, finished, toml, tmp_path):
    path = next(finished.glob("*/*/Pong/seed-0"))
    spec = json.loads((path / "spec.json").read_text())
    spec["spec"]["agent"]["card"] = "0" * 16
    from suite.tasks.configuration import Spec

    spec["config_id"] = Spec.model_validate(spec["spec"]).config_id
    (path / "spec.json").write_text(json.dumps(spec))
    toml.write_bytes(attacks.LEFT_OUT)
    done = run("pack", path, "--out", tmp_path / "b.zip")
    assert done.exit_code == 0
    assert "The agent dqn is not here as these runs used it" in done.stderr
    assert "cards.foreign" in run("check", tmp_path / "b.zip").stdout


def test_a_bundle_with_errors_exits_with_4_and_says_what_to_do(run, tmp_path):
    path = tmp_path / "bad.zip"
    path.write_bytes(next(one for one in attacks.ATTACKS if one.name == "cherry-picked seeds").make())
    done = run("check", path)
    assert isinstance(done.exception, BadData)
    assert done.exception.exit_code == ExitCode.BAD_DATA
    assert "error   seeds.chosen" in done.stdout
    assert "Breakout: seeds 1, 2, 3, 4, 5, 6 left out, submitted: 0, 7 (and 1 more)" in done.stdout
    assert "Submit every seed that was run." in done.stdout
    assert json.loads(run("check", path, "--json").stdout)["errors"] == 2


def test_a_bundle_that_is_not_there_is_a_mistake_in_the_command(run, tmp_path):
    assert isinstance(run("check", tmp_path / "none.zip").exception, UsageError)


@pytest.mark.parametrize("name", ["submission", "manifest", "environment", "run", "card", "attest", "report"])
def test_schemas_are_printed(run, name):
    schema = json.loads(run("schema", name).stdout)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["type"] == "object"


def test_every_published_schema_can_be_printed(run):
    from leaderboard.bundles.schema import MODELS
    from leaderboard.cli.submit import _SCHEMAS

    assert sorted(_SCHEMAS) == sorted(MODELS)
    assert run("schema", "nothing").exit_code == ExitCode.USAGE


def test_a_report_becomes_a_comment(run, tmp_path):
    path = tmp_path / "bad.zip"
    path.write_bytes(b"x")
    run("check", path, "--report", tmp_path / "report.json")
    assert run("comment", tmp_path / "report.json").stdout.startswith(
        "<!-- suite report -->\n**This bundle has errors.**"
    )
    refused = run("comment", path)
    assert isinstance(refused.exception, BadData)
    assert "--report" in refused.exception.remedy


@pytest.mark.parametrize("command", ["submit", "submit pack", "submit check"])
def test_help_is_light(command):
    program = (
        "import sys; from suite.cli.main import cli\n"
        f"cli({[*command.split(), '--help']!r}, standalone_mode=False)\n"
        "print(sorted({'jax', 'numpy', 'pydantic', 'pyarrow', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_pyarrow_is_only_needed_for_curves():
    assert importlib.util.find_spec("pyarrow") is not None
    program = "import leaderboard.bundles.bundle, sys; print('pyarrow' in sys.modules, 'jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False False"
