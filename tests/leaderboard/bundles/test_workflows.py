"""The workflow files of a results repository: what they may do, and what they never do."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from leaderboard.store.intake import arrivals

FOLDER = Path(__file__).resolve().parents[3] / "ci/workflows"
FILES = sorted(FOLDER.glob("*.yml"))

HARMLESS = {
    "github.event.pull_request.number",
    "github.event.workflow_run.id",
    "github.event.workflow_run.head_sha",
    "github.repository",
    "github.token",
}
"""Contexts that nobody outside can write text into."""


def load(path: Path) -> dict[Any, Any]:
    content: dict[Any, Any] = yaml.safe_load(path.read_text())
    return content


def triggers(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = load(path)[True]  # YAML reads the key `on` as true
    return found


def steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in load(path)["jobs"].values() for step in job["steps"]]


def test_all_three_are_there() -> None:
    assert [path.name for path in FILES] == ["build.yml", "comment.yml", "validate.yml"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_actions_are_pinned_by_commit_and_say_their_release(path: Path) -> None:
    used = re.findall(r"uses: (\S+)( # v\d+\.\d+\.\d+)?", path.read_text())
    assert used
    for action, release in used:
        assert re.fullmatch(r"actions/[a-z-]+@[0-9a-f]{40}", action)
        assert release


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_nothing_is_permitted_but_what_a_job_names(path: Path) -> None:
    content = load(path)
    assert content["permissions"] == {}
    allowed = {
        ("validate", "validate"): {"contents": "read"},
        ("comment", "comment"): {"actions": "read", "pull-requests": "write"},
        ("build", "build"): {"contents": "read"},
        ("build", "publish"): {"pages": "write", "id-token": "write"},
    }
    for name, job in content["jobs"].items():
        assert job["permissions"] == allowed[path.stem, name]
        assert 0 < job["timeout-minutes"] <= 60
        assert job["runs-on"] == "ubuntu-24.04"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_no_text_from_outside_reaches_a_shell(path: Path) -> None:
    text = path.read_text()
    assert set(re.findall(r"\$\{\{\s*(.*?)\s*\}\}", text)) <= HARMLESS
    for step in steps(path):
        assert "${{" not in step.get("run", "")
        assert step.get("run", "set -euo pipefail").startswith("set -euo pipefail")
    assert "secrets." not in text


def test_no_workflow_with_rights_takes_a_pull_requests_code() -> None:
    assert all("pull_request_target" not in triggers(path) for path in FILES)
    assert list(triggers(FOLDER / "validate.yml")) == ["pull_request"]
    assert list(triggers(FOLDER / "comment.yml")) == ["workflow_run"]
    assert not [step for step in steps(FOLDER / "comment.yml") if "checkout" in step.get("uses", "")]
    assert sorted(triggers(FOLDER / "build.yml")) == ["push", "workflow_dispatch"]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_checkouts_leave_no_token_behind(path: Path) -> None:
    for step in steps(path):
        if "checkout" in step.get("uses", ""):
            assert step["with"]["persist-credentials"] is False


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_containers_have_no_network_and_no_rights(path: Path) -> None:
    runs = [step["run"] for step in steps(path) if "docker run" in step.get("run", "")]
    assert len(runs) == 1
    for wanted in ("--network none", "--read-only", "--cap-drop ALL", "no-new-privileges", "--user 65532:65532"):
        assert wanted in runs[0]
    assert "--memory" in runs[0]
    assert "--pids-limit" in runs[0]


DOCKER = """\
#!/bin/sh
echo "$@" >> "$LOG"
case "$*" in *" ingest "*) exit "$INGEST" ;; esac
"""


@pytest.mark.parametrize(("code", "goes_on"), [(0, True), (4, True), (1, False), (3, False)])
def test_a_new_bundle_is_compared_with_those_that_are_there_even_if_one_of_them_no_longer_holds(
    code: int, goes_on: bool, tmp_path: Path
) -> None:
    (script,) = [step["run"] for step in steps(FOLDER / "validate.yml") if "docker run" in step.get("run", "")]
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    settings = {
        "PATH": f"{tmp_path}:{os.environ['PATH']}",
        "LOG": f"{tmp_path}/log",
        "INGEST": f"{code}",
        "IMAGE": "it",
    }
    done = subprocess.run(["bash", "-c", script], env=settings, cwd=tmp_path, check=False)
    lines = [line.partition(" it ")[2] for line in (tmp_path / "log").read_text().splitlines()[1:]]
    assert lines[0] == "leaderboard ingest /there --db /known/results.sqlite --no-references"
    check = "submit check /in/bundle.zip --db /known/results.sqlite --report /report/report.json --replay --minutes 40"
    assert lines[1:] == [check] * goes_on
    assert (done.returncode == 0) is goes_on


def test_the_build_takes_the_order_of_arrival_from_the_history_of_the_branch(tmp_path: Path) -> None:
    """Whatever the dates of commits say; a bundle that lies where another one did arrived when it came there."""
    (script,) = [step["run"] for step in steps(FOLDER / "build.yml") if "docker run" in step.get("run", "")]
    (line,) = [line for line in script.splitlines() if line.startswith("git log")]
    checkout = next(step for step in steps(FOLDER / "build.yml") if "checkout" in step.get("uses", ""))
    assert checkout["with"]["fetch-depth"] == 0

    def git(*words: str, date: str = "2026-01-01T00:00:00Z") -> None:
        names = {
            "GIT_AUTHOR_NAME": "a",
            "GIT_AUTHOR_EMAIL": "a@b",
            "GIT_COMMITTER_NAME": "a",
            "GIT_COMMITTER_EMAIL": "a@b",
        }
        dates = {"GIT_AUTHOR_DATE": date, "GIT_COMMITTER_DATE": date, "GIT_CONFIG_GLOBAL": "/dev/null"}
        subprocess.run(["git", *words], cwd=tmp_path, check=True, capture_output=True, env=os.environ | names | dates)

    def commit(slug: str, content: str, date: str) -> None:
        folder = tmp_path / "submissions" / slug
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "bundle.zip").write_text(content)
        git("add", ".", date=date)
        git("commit", "-qm", slug, date=date)

    git("init", "-q", "-b", "main")
    commit("later", "1", "2026-05-01T00:00:00Z")
    git("checkout", "-qb", "branch")
    commit("backdated", "1", "2001-01-01T00:00:00Z")
    git("checkout", "-q", "main")
    commit("second", "1", "2026-05-02T00:00:00Z")
    git("merge", "-q", "--no-ff", "-m", "merged", "branch", date="2026-05-03T00:00:00Z")
    commit("later", "2", "2001-01-01T00:00:00Z")
    subprocess.run(["bash", "-c", line], cwd=tmp_path, check=True)
    found = arrivals(tmp_path / "arrivals.txt")
    assert found == {
        f"submissions/{slug}/bundle.zip": place for slug, place in (("second", 1), ("backdated", 2), ("later", 3))
    }


PATTERN = re.compile(r"pattern='\^(.*)'\$'\\t''(.*)\$'")


@pytest.mark.parametrize(
    ("line", "allowed"),
    [
        (":000000 100644 0000000 1234567 A\tsubmissions/my-method-2026/bundle.zip", True),
        (":000000 100644 0000000 1234567 A\tsubmissions/a/bundle.zip", True),
        (":100644 100644 abcdef0 1234567 M\tsubmissions/my-method/bundle.zip", False),
        (":000000 120000 0000000 1234567 A\tsubmissions/my-method/bundle.zip", False),
        (":000000 100755 0000000 1234567 A\tsubmissions/my-method/bundle.zip", False),
        (":000000 100644 0000000 1234567 A\tsubmissions/my-method/attest.toml", False),
        (":000000 100644 0000000 1234567 A\t.github/workflows/build.yml", False),
        (":000000 100644 0000000 1234567 A\tsubmissions/../bundle.zip", False),
        (":000000 100644 0000000 1234567 A\tsubmissions/a/b/bundle.zip", False),
        (":000000 100644 0000000 1234567 A\tsubmissions/$(id)/bundle.zip", False),
    ],
)
def test_a_pull_request_adds_one_bundle_and_nothing_else(line: str, allowed: bool) -> None:
    found = PATTERN.search((FOLDER / "validate.yml").read_text())
    assert found is not None
    assert bool(re.fullmatch(found[1] + "\t" + found[2], line)) is allowed
