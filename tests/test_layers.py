"""The dependency rule: baselines -> suite <- leaderboard, and nothing light loads jax."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def imported(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}


def packages(folder: str) -> dict[Path, set[str]]:
    files = (ROOT / folder).rglob("*.py")
    return {file: {name.partition(".")[0] for name in imported(file)} for file in files}


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("suite", {"baselines", "leaderboard"}),
        ("baselines", {"leaderboard"}),
        ("leaderboard", {"baselines", "jax", "flax", "optax", "ale_py"}),
    ],
)
def test_packages_import_only_what_they_may(folder: str, forbidden: set[str]) -> None:
    files = packages(folder)
    assert len(files) > 3
    assert {str(file): names & forbidden for file, names in files.items() if names & forbidden} == {}


@pytest.mark.parametrize(("one", "other"), [("agents", "methods"), ("methods", "agents")])
def test_agents_and_methods_never_meet(one: str, other: str) -> None:
    files = {file: imported(file) for file in (ROOT / "baselines" / one).rglob("*.py")}
    assert files
    assert not [file for file, names in files.items() if any(name.startswith(f"baselines.{other}") for name in names)]


@pytest.mark.parametrize(
    "command", ["suite --help", "suite run --help", "suite leaderboard --help", "suite list", "suite status ."]
)
def test_light_commands_load_neither_jax_nor_the_emulator(command: str, tmp_path: Path) -> None:
    program = (
        "import sys; from suite.cli.main import cli\n"
        f"cli({command.split()[1:]!r}, standalone_mode=False)\n"
        "print(sorted({'jax', 'ale_py', 'sqlalchemy', 'altair', 'scipy'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_three_packages_are_this_checkouts() -> None:
    import baselines
    import leaderboard
    import suite

    for package in (baselines, leaderboard, suite):
        assert Path(package.__file__ or "").resolve().is_relative_to(ROOT)
