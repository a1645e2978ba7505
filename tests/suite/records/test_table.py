"""Runs as an Arrow table: the same from a directory and from a database, and what the notebook makes of it."""

import json
from pathlib import Path

import pytest

import suite
from leaderboard.store.ingest import ingest
from suite.errors import UsageError
from suite.records.table import TYPES
from suite.tasks import human_normalized, load_task
from tests.support.runs import make_run, make_spec

NOTEBOOK = Path(__file__).resolve().parents[3] / "docs/runs.ipynb"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two seeds of both smoke games in `runs`, and a database of them."""
    folder = tmp_path_factory.mktemp("table")
    for game in load_task("smoke").games:
        for seed in (0, 1):
            make_run(folder / "runs", make_spec(), game, seed)
    ingest([folder / "runs"], folder / "results.sqlite", references=False)
    return folder


def test_a_directory_and_its_database_give_the_same_table(folder: Path) -> None:
    ours, theirs = (suite.load_runs(folder / name) for name in ("runs", "results.sqlite"))
    order = [("config_id", "ascending"), ("game", "ascending"), ("seed", "ascending"), ("iteration", "ascending")]
    assert ours.sort_by(order).equals(theirs.sort_by(order))
    assert ours.column_names == list(TYPES)


def test_a_row_is_an_iteration_of_a_run(folder: Path) -> None:
    rows = suite.load_runs(str(folder / "runs")).to_pylist()
    assert {(row["game"], row["seed"]) for row in rows} == {(g, s) for g in ("Pong", "Breakout") for s in (0, 1)}
    for row in rows:
        assert row["frame"] == (row["iteration"] + 1) * 4_000
        assert row["normalized_return"] == human_normalized(row["game"], row["mean_return"])
        assert (row["task"], row["config_id"], row["state"]) == ("smoke@1", make_spec().config_id, "done")
    assert json.loads(rows[0]["settings"])["agent"]["id"] == rows[0]["agent"]


def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a directory"):
        suite.load_runs(tmp_path / "nothing")
    assert suite.load_runs(tmp_path).num_rows == 0


def test_the_notebook_runs(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    for cell in cells:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), "docs/runs.ipynb", "exec"), names)
    label = make_spec().label
    points = names["points"]
    assert list(points) == [label]  # type: ignore[call-overload]
    assert names["chart"].to_dict()["mark"]["type"] == "line"  # type: ignore[attr-defined]
