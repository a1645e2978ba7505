import json
import shlex

import pytest
from click.testing import CliRunner

from leaderboard.cli.plan import plan
from leaderboard.store.ingest import ingest
from suite.cli.run import run as run_command
from suite.errors import UsageError


@pytest.fixture
def database(tmp_path, run_maker, spec_maker):
    """Return a function that stores runs, (width, game, seed, state) each, of the smoke task."""

    def make(*cells):
        for width, game, seed, state in cells:
            run_maker(tmp_path / "runs", spec_maker(width=width), game, seed, state=state, level=1 + width / 10)
        ingest((tmp_path / "runs",), tmp_path / "results.sqlite", references=False, progress=lambda line: None)
        return tmp_path / "results.sqlite"

    return make


def run(*arguments):
    return CliRunner().invoke(plan, [str(argument) for argument in arguments])


def whole(width, seeds=2):
    return [(width, game, seed, "done") for game in ("Pong", "Breakout") for seed in range(seeds)]


def test_missing_cells_come_first_with_a_command_that_suite_run_takes(database):
    db = database(*whole(1), (2, "Pong", 0, "done"), (2, "Pong", 1, "interrupted"))
    done = run("--db", db, "--json")
    assert done.exit_code == 0, done.exception
    content = json.loads(done.stdout)
    assert content["schema"] == "leaderboard.plan/1"
    first = content["cells"][0]
    assert (first["game"], first["seed"], first["reason"]) == ("Breakout", 0, "game")
    own = {(cell["game"], cell["seed"]) for cell in content["cells"] if cell["reason"] == "seed"}
    assert own == {("Breakout", 1), ("Pong", 1)}, "an interrupted run is still to be done"
    words = shlex.split(first["command"])
    assert words[:2] == ["suite", "run"]
    parsed = run_command.make_context("run", words[2:])
    assert (parsed.params["games"], parsed.params["seeds"]) == ("Breakout", "0")


def test_the_text_says_what_is_needed_and_where_variances_come_from(database):
    done = run("--db", database(*whole(1, seeds=4)), "--detect", "0.02", "--power", "0.9", "--limit", "3")
    assert done.exit_code == 0, done.exception
    lines = done.stdout.splitlines()
    assert lines[0] == "To find a difference of 2 % between two entries with power 0.9:"
    assert lines[2].startswith("DQN · Impala \N{MULTIPLICATION SIGN}1 · dense")
    assert lines[2].endswith("its own runs")
    assert lines[4].startswith("3 cells, about ")
    assert sum(line.startswith("suite run --task smoke ") for line in lines) == 3
    seeds = [line.rpartition(" ")[2] for line in lines if line.startswith("suite run")]
    assert seeds[0] == "4"


def test_smaller_differences_and_more_power_need_more_seeds(database):
    db = database(*whole(1, seeds=4))

    def needed(*options):
        (entry,) = json.loads(run("--db", db, "--json", *options).stdout)["entries"].values()
        return entry["seeds"]

    assert needed("--detect", "0.02") > needed("--detect", "0.05") > needed("--detect", "0.5") == 2
    assert needed("--detect", "0.05", "--power", "0.95") > needed("--detect", "0.05", "--power", "0.5")


def test_only_the_named_entry_is_planned_for(database):
    db = database(*whole(1), *whole(2), (1, "Pong", 9, "done"))
    content = json.loads(run("--db", db, "--entry", "impala 2", "--detect", "0.01", "--json").stdout)
    assert [entry["label"] for entry in content["entries"].values()] == [
        "DQN · Impala \N{MULTIPLICATION SIGN}2 · dense"
    ]
    assert {cell["entry"] for cell in content["cells"]} == set(content["entries"])


def test_a_finished_plan_says_so(database):
    done = run("--db", database(*whole(1, seeds=5)), "--detect", "5")
    assert done.stdout.splitlines()[-1] == "Nothing more to start: every run is done or under way."


def test_without_an_entry_of_its_own_there_is_nothing_to_plan(published_database):
    done = run("--db", published_database, "--task", "atari40m")
    assert isinstance(done.exception, UsageError)
    assert "no entry of a full budget that was run here" in done.exception.problem
