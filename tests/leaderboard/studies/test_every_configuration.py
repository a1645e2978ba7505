"""Every figure of the paper, trained from nothing: one cell of each distinct configuration, and its picture of them."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from leaderboard.studies.definition import load_study, study_names
from leaderboard.studies.mapping import load_rung, on_rung
from suite.cli.main import cli
from suite.learning.device import processors
from suite.records.record import read_run

FIGURES = sorted(
    (name for name in study_names() if name.startswith("fig") and load_study(name).arms), key=lambda name: int(name[3:])
)
PARTS = {
    "smoke": ("Breakout", 2_064),  # 16 agent steps after the warm-up
    "smoke100k": ("Breakout", 2_024),
    "smoke-offline": ("Breakout", 20),
    "smoke-mujoco": ("Hopper", 512),  # to the first evaluation
    "classic": ("CartPole", 8_000),  # past the first pruning, without which there is no ticket
}
"""The one game of each small task, and a budget, in its unit, in which there are some gradient steps."""
LONGER = {"fig19": 2_048}
"""PPO's are at the end of its first trajectory."""
LOG = ("--rows-per-checkpoint", "1000", "--network", "nature_cnn", "--set", "agent.warm_up=500", "--threads", "1")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the cells of all figures are, so that none is trained twice, and logged data where they are wanted.

    FIGURES names a folder that stays, with which a proof that was stopped goes on.
    """
    root = Path(os.environ.get("FIGURES") or tmp_path_factory.mktemp("figures"))
    if (root / "data").exists():
        return root
    logged = ("data", "generate", "--game", "Breakout", "--frames", "20000", "--out", str(root / "data"), *LOG)
    done = call(*logged)
    assert done.exit_code == 0, done.output
    sampled = call("data", "sample", str(root / "data"), "--game", "Breakout", "--fraction", "0.5")
    assert sampled.exit_code == 0, sampled.output
    return root


@pytest.fixture(scope="module")
def trained(folder: Path) -> Path:
    """Where the cells are once all cores have trained what they found missing; what failed is left to the tests.

    Each core goes through the figures from a place of its own, and passes over what another one has or is training.
    """
    cores = processors()

    def train(core: int) -> None:
        first = core * len(FIGURES) // cores
        for name in FIGURES[first:] + FIGURES[:first]:
            if not draws_tickets(name):  # a ticket waits for its source
                command = (sys.executable, "-m", "suite", "study", "run", *asked(name, folder), "--json")
                subprocess.run(command, capture_output=True, check=False)

    with ThreadPoolExecutor(cores) as pool:
        list(pool.map(train, range(cores)))
    return folder


@pytest.fixture(scope="module")
def counted(record_testsuite_property: Callable[[str, object], None]) -> Iterator[dict[str, float]]:
    """How many seconds the cell of each configuration took, those of earlier attempts with FIGURES included."""
    found: dict[str, float] = {}
    yield found
    record_testsuite_property("configurations", len(found))
    record_testsuite_property("trained_s", sum(found.values()))


def draws_tickets(name: str) -> bool:
    return any(arm.method == "lottery_ticket" for arm in load_study(name).arms)


def rung_of(name: str) -> str:
    return "classic" if draws_tickets(name) else "smoke"


def task_of(name: str) -> str:
    """Return the small task of a study."""
    study = on_rung(load_study(name), load_rung(rung_of(name))).study
    assert study is not None
    return study.task


def part_of(name: str, data: Path) -> tuple[str, ...]:
    """Return the options that reduce a study to one game, one seed and a small budget."""
    task = task_of(name)
    game, frames = PARTS[task]
    return (
        *(name, "--on", rung_of(name), "--games", game, "--seeds", "0", "--frames", f"{LONGER.get(name, frames)}"),
        *(("--data", str(data)) if task == "smoke-offline" else ()),
    )


def runs_of(name: str, folder: Path) -> Path:
    return folder / ("tickets" if draws_tickets(name) else "runs")


def asked(name: str, folder: Path) -> tuple[str, ...]:
    """Return the options with which the cells of a reduced study are trained."""
    keep = () if draws_tickets(name) else ("--keep", "policy")  # tickets start from checkpoints
    return (*part_of(name, folder / "data"), "--out", str(runs_of(name, folder)), *keep)


def test_every_figure_can_be_asked_of_the_small_tasks() -> None:
    assert len(FIGURES) == 29  # all but Figure 2, which is a formula
    tasks = {name: task_of(name) for name in FIGURES}
    assert set(tasks.values()) == set(PARTS)
    others = [name for name, task in tasks.items() if task != "smoke"]
    assert others == ["fig7", "fig8", "fig9", "fig13", "fig18", "fig19"]


@pytest.mark.nightly
@pytest.mark.parametrize("name", FIGURES)
def test_a_figure_is_drawn_from_one_cell_of_each_of_its_configurations(
    name: str, trained: Path, counted: dict[str, float], tmp_path: Path
) -> None:
    part, runs = part_of(name, trained / "data"), runs_of(name, trained)
    done = call("study", "run", *asked(name, trained), "--json")
    assert done.exit_code == 0, done.output
    planned = json.loads(call("study", "plan", *part, "--out", str(runs), "--json").stdout)
    assert planned["cells_missing"] == 0
    for cell in planned["cells"]:
        counted[cell["config_id"]] = read_run(runs / cell["path"]).status.wall_seconds or 0.0
    drawn = call("study", "figure", *part, "--results", str(runs), "--to", str(tmp_path))
    assert drawn.exit_code == 0, drawn.output
    assert f"{planned['cells_total']} of {planned['cells_total']} cells" in drawn.output
    assert {path.suffix for path in tmp_path.iterdir()} == {".csv", ".json", ".pdf", ".svg"}
    document = json.loads((tmp_path / f"{name}-{rung_of(name)}.json").read_text())
    assert all(row["done"] == row["cells"] for row in document["rows"])
    assert {claim["verdict"] for claim in document["claims"]} <= {"not yet decidable"}  # of one seed
