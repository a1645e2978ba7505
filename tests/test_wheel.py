"""A wheel holds all that a run needs, and the commit that it was built from."""

import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of a commit of this tree's tracked files."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    tracked = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, tracked.decode().split("\0")):
        if name.split("/")[0] not in ("tests", "docs") and (ROOT / name).is_file():
            (source / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, source / name)
    for command in (["init", "-q"], ["add", "-A"], ["commit", "-qm", "all"]):
        subprocess.run(["git", "-c", "user.name=T", "-c", "user.email=t@example.org", *command], cwd=source, check=True)
    pip = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--wheel-dir", str(out)]
    subprocess.run([*pip, str(source)], check=True)
    (built,) = out.glob("*.whl")
    commit = subprocess.run(["git", "rev-parse", "HEAD"], cwd=source, capture_output=True, text=True, check=True).stdout
    return built.rename(built.with_name(f"{commit.strip()}-{built.name}"))


def test_it_names_its_commit(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        revision = archive.read("suite/REVISION").decode().strip()
    assert revision == wheel.name.partition("-")[0]
    assert re.fullmatch("[0-9a-f]{40}", revision)


def test_it_holds_every_file_of_the_packages(wheel: Path) -> None:
    listed = ["git", "ls-files", "suite", "baselines", "leaderboard"]
    tracked = subprocess.run(listed, cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    with zipfile.ZipFile(wheel) as archive:
        assert set(tracked) - set(archive.namelist()) == set()


def test_installed_alone_it_finds_its_components_and_says_its_commit(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    program = (
        "import suite, json; from suite.contracts import registry; from suite.running import provenance\n"
        "print(json.dumps([suite.__file__, sorted(registry.registered('agent')), provenance._git()['commit']]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "site")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert str(tmp_path / "site") in done.stdout
    assert '"dqn"' in done.stdout
    assert wheel.name.partition("-")[0] in done.stdout
