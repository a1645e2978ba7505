"""Imports go one way: baselines -> suite <- leaderboard, from room to room inside them, and nothing light loads jax."""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
FLOORS = {
    "suite": (
        *("children errors rng durable durations", "monitor", "contracts", "tasks", "records"),
        *("experience", "learning", "running", "checks", "cli"),
    ),
    "leaderboard": ("statistics", "bundles", "store", "board", "studies", "site", "cli"),
    "baselines": ("losses networks", "parts", "agents methods"),
}
"""The rooms of each package from the ground up; those of one floor do not know each other."""
FILES = {
    file: ".".join(file.relative_to(ROOT).with_suffix("").parts)
    for name in FLOORS
    for file in (ROOT / name).rglob("*.py")
}
MODULES = {name.removesuffix(".__init__") for name in FILES.values()}


def imported(file: Path) -> set[str]:
    """Return what a file imports anywhere in it; `from suite import durable` is `suite.durable`."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively"
            full = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= full & MODULES or {node.module or ""}
    return found


def arrows(depth: int) -> set[tuple[str, str]]:
    """Return which parts of the packages import which others, a part being the first `depth` words of a name."""
    found = set()
    for file, name in FILES.items():
        parts = name.removesuffix(".__init__").split(".")
        for other in imported(file):
            others = other.split(".")
            if others[0] in FLOORS and min(len(parts), len(others)) >= depth and parts[:depth] != others[:depth]:
                found.add((".".join(parts[:depth]), ".".join(others[:depth])))
    return found


@pytest.mark.parametrize("package", FLOORS)
def test_every_module_is_in_a_room_that_imports_only_what_lies_below_it(package: str) -> None:
    floor = {f"{package}.{room}": height for height, rooms in enumerate(FLOORS[package]) for room in rooms.split()}
    boxes = {name for name in MODULES if name.startswith(f"{package}.") and name.count(".") == 1}
    assert boxes - {f"{package}.__main__"} == floor.keys()
    inside = [(one, other) for one, other in arrows(2) if one in floor and other in floor]
    assert len(inside) > 4
    assert [(one, other) for one, other in inside if floor[other] >= floor[one]] == []


def test_the_suite_has_few_rooms_on_few_floors() -> None:
    assert sum(len(rooms.split()) for rooms in FLOORS["suite"]) <= 14
    assert len(FLOORS["suite"]) <= 10


@pytest.mark.parametrize("depth", [2, 3])
def test_no_circle_between_rooms_nor_between_the_folders_and_modules_of_a_room(depth: int) -> None:
    graph: dict[str, set[str]] = {}
    for one, other in arrows(depth):
        graph.setdefault(one, set()).add(other)
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"a circle: {' <- '.join(error.args[1])}")


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        ("suite", {"baselines", "leaderboard"}),
        ("baselines", {"leaderboard"}),
        ("leaderboard", {"baselines", "jax", "flax", "optax", "ale_py"}),
    ],
)
def test_packages_import_only_what_they_may(folder: str, forbidden: set[str]) -> None:
    found = {file: {name.partition(".")[0] for name in imported(file)} for file in (ROOT / folder).rglob("*.py")}
    assert len(found) > 3
    assert {str(file): names & forbidden for file, names in found.items() if names & forbidden} == {}


@pytest.mark.parametrize(("one", "other"), [("agents", "methods"), ("methods", "agents")])
def test_agents_and_methods_never_meet(one: str, other: str) -> None:
    files = {file: imported(file) for file in (ROOT / "baselines" / one).rglob("*.py")}
    assert files
    assert not [file for file, names in files.items() if any(name.startswith(f"baselines.{other}") for name in names)]


@pytest.mark.parametrize(
    "command",
    [
        *("--help", "run --help", "leaderboard --help", "list", "status .", "method -h"),
        *("show magnitude_pruning", "show task smoke", "method new fine_method", "study --help", "study list"),
    ],
)
def test_light_commands_load_neither_jax_nor_the_emulator(command: str, tmp_path: Path) -> None:
    program = (
        "import sys; from suite.cli.main import cli\n"
        f"cli({command.split()!r}, standalone_mode=False)\n"
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
