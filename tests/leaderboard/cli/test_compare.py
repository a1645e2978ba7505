import itertools
import json
import subprocess
import sys
from dataclasses import asdict

import pytest
from click.testing import CliRunner

from leaderboard.board import duels, learning, report, twins
from leaderboard.cli.compare import compare
from leaderboard.statistics.curves import area_between
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest
from suite.errors import UsageError
from suite.tasks import load_task
from tests.support.runs import make_run, make_spec


@pytest.fixture(scope="module")
def board(tmp_path_factory):
    """Return a database of the smoke task: three entries, the best far ahead, and one of another budget."""
    folder = tmp_path_factory.mktemp("board")
    runs = folder / "runs"
    for width, level in ((1, 1.0), (2, 1.01), (3, 4.0)):
        for game in ("Pong", "Breakout"):
            for seed in range(5):
                make_run(runs, make_spec(width=width), game, seed, level=level)
    make_run(runs, make_spec(width=4, frames=8_000), "Pong", 0)
    make_run(runs, make_spec(width=5), "Pong", 0)
    make_run(runs, make_spec(width=6), "Breakout", 0)
    ingest((runs,), folder / "results.sqlite", references=False, progress=lambda line: None)
    return folder / "results.sqlite"


@pytest.fixture(scope="module")
def twin_board(tmp_path_factory):
    """Return a database of the smoke task: a dense entry and two with a method, of which the second lacks a seed."""
    folder = tmp_path_factory.mktemp("twins")
    for method, level, lacks in (("dense", 1.0, ()), ("rigl", 1.2, ()), ("redo", 1.1, ("Pong", 7))):
        for game, seed in itertools.product(("Pong", "Breakout"), range(8)):
            if (game, seed) != lacks:
                make_run(folder / "runs", make_spec(methods=(method,)), game, seed, level=level)
    ingest((folder / "runs",), folder / "results.sqlite", references=False, progress=lambda line: None)
    return folder / "results.sqlite"


def run(*arguments):
    return CliRunner().invoke(compare, [str(argument) for argument in arguments])


def test_the_verdict_comes_first_then_the_numbers(board):
    done = run("impala 3", "impala 1", "--db", board)
    assert done.exit_code == 0, done.exception
    lines = done.stdout.splitlines()
    best, other = (f"DQN · Impala \N{MULTIPLICATION SIGN}{width} · dense" for width in (3, 1))
    assert lines[0].startswith(f"{best} is better than {other}: its interquartile mean is ")
    assert "smoke, 2 games, 5 seeds a game" in lines
    assert [line.split()[0] for line in lines if line.startswith(("Pong", "Breakout"))] in (
        ["Pong", "Breakout"],
        ["Breakout", "Pong"],
    )
    assert done.stderr == ""


def test_json_has_everything_and_is_the_same_twice(board):
    first, second = (run("impala 3", "impala 1", "--db", board, "--json") for _ in range(2))
    assert first.stdout == second.stdout
    content = json.loads(first.stdout)
    assert content["schema"] == "leaderboard.compare/2"
    assert [entry["label"] for entry in content["entries"]] == [
        f"DQN · Impala \N{MULTIPLICATION SIGN}{width} · dense" for width in (3, 1)
    ]
    (pair,) = content["pairs"]
    assert (pair["verdict"], pair["seeds"]) == ("better", [5, 5])
    assert pair["look"] == "other"
    assert pair["p"] < pair["p_looks"] == pair["p_holm"] < 0.05
    assert pair["difference"]["low"] > 0
    assert pair["difference"]["value"] == pytest.approx(pair["iqm_a"] - pair["iqm_b"])
    assert pair["sentence"] == run("impala 3", "impala 1", "--db", board).stdout.splitlines()[0]


def test_the_difference_of_the_areas_under_the_curves_stands_beside_it(board):
    content = json.loads(run("impala 3", "impala 1", "--db", board, "--json").stdout)
    area = content["pairs"][0]["area_difference"]
    task = load_task("smoke")
    with ResultStore.open(board) as store, store.snapshot() as snapshot:
        stored = snapshot.runs(task.key)
    sides = [
        learning.curve_scores(task, [one for one in stored if one.config_id == item["config_id"]], task.budget.length)
        for item in content["entries"]
    ]
    expected = area_between(*sides, learning.positions(task, task.budget.length))
    assert area == asdict(expected)
    assert area["low"] > 0
    lines = run("impala 3", "impala 1", "--db", board).stdout.splitlines()
    (line,) = [line for line in lines if line.startswith("  difference of mean heights")]
    assert f"+{expected.value:.3f}" in line
    every = json.loads(run("--all", "--task", "smoke", "--db", board, "--json").stdout)["pairs"]
    ids = {(pair["a"], pair["b"]): pair["area_difference"] for pair in every}
    assert ids[content["pairs"][0]["a"], content["pairs"][0]["b"]] == area


def test_several_entries_are_compared_in_pairs_with_groups(board):
    done = run("--all", "--task", "smoke", "--db", board, "--planned", 5)
    assert done.exit_code == 0, done.exception
    lines = done.stdout.splitlines()
    assert lines[0] == "2 of 3 pairs differ beyond doubt (p adjusted for all 3, Holm and for every look)."
    groups = {line.split()[3]: line.split()[-2:] for line in lines if line.startswith("DQN") and line.count("DQN") == 1}
    assert groups == {
        "\N{MULTIPLICATION SIGN}3": ["A", "1"],
        "\N{MULTIPLICATION SIGN}1": ["B", "2-3"],
        "\N{MULTIPLICATION SIGN}2": ["B", "2-3"],
    }


def test_entries_go_by_label_id_or_beginning(board):
    content = json.loads(run("impala 3", "impala 1", "--db", board, "--json").stdout)
    ids = [entry["config_id"] for entry in content["entries"]]
    spelled = [entry["label"] for entry in content["entries"]]
    for names in (ids, [name[:6] for name in ids], spelled, ["impala x3", "Impala X1 dense"]):
        assert json.loads(run(*names, "--db", board, "--json").stdout) == content


@pytest.mark.parametrize(
    ("arguments", "problem", "remedy"),
    [
        (["impala 3"], "Two entries or more", "--all"),
        (["dqn", "impala 1"], "'dqn' means several entries of smoke", "Name one in full"),
        (["rainbow", "impala 1"], "No entry is called 'rainbow'", "DQN · Impala \N{MULTIPLICATION SIGN}1 · dense"),
        (["dqn impala 11", "impala 1"], "No entry is called 'dqn impala 11'", "Near matches: "),
        (["impala 1", "DQN · Impala \N{MULTIPLICATION SIGN}1 · dense"], "named twice", "different ones"),
        (["impala 4", "impala 1"], "different budgets", "one budget"),
        (["impala 5", "impala 6"], "no game in common", "same games"),
        (["--all"], "one task", "--task"),
        (["impala 1", "impala 2", "--task", "nowhere"], "nowhere", ""),
        (["impala 1", "impala 2", "--task", "atari40m"], "has no results of atari40m", "ingest"),
    ],
)
def test_what_cannot_be_compared_is_said(board, arguments, problem, remedy):
    done = run(*arguments, "--db", board)
    assert isinstance(done.exception, UsageError)
    assert problem in done.exception.problem
    assert remedy in done.exception.remedy
    assert done.stdout == ""


def test_games_that_one_entry_lacks_are_named(board):
    done = run("impala 5", "impala 1", "--db", board)
    assert "Compared on the one game that both have; left out, because only one has them: Breakout." in done.stdout
    assert "Preliminary: some game has fewer than 5 runs." in done.stdout


def test_published_entries_are_compared_with_their_caveats(published_database):
    done = run("iqn nature", "dqn impala", "--db", published_database, "--task", "atari40m")
    assert done.exit_code == 0, done.exception
    lines = done.stdout.splitlines()
    assert lines[0].startswith("IQN · Nature CNN (published) is worse than DQN · Impala (published)")
    assert any("Impala network, its width among it, is unpublished" in line for line in lines)


def test_several_tasks_with_both_entries_ask_for_one(published_database):
    done = run("iqn nature", "dqn impala", "--db", published_database)
    assert isinstance(done.exception, UsageError)
    assert "atari40m, atari60" in done.exception.problem
    assert "--task" in done.exception.remedy


def test_returns_without_a_common_scale_are_not_aggregated(published_database):
    done = run("--all", "--db", published_database, "--task", "mujoco")
    assert isinstance(done.exception, UsageError)
    assert "mujoco has no score on a common scale" in done.exception.problem


def test_names_of_several_tasks_say_where_each_is(published_database):
    done = run("sac", "iqn nature", "--db", published_database)
    assert isinstance(done.exception, UsageError)
    assert "'sac' is in mujoco; 'iqn nature' is in atari40m, atari60" in done.exception.problem


@pytest.mark.parametrize("module", ["leaderboard.cli.compare", "leaderboard.cli.plan"])
def test_imports_stay_light(module):
    unwanted = ["numpy", "scipy", "sqlalchemy", "pydantic", "jinja2", "jax"]
    script = f"import sys, {module}\nprint([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"


def test_an_entry_and_its_dense_twin_with_the_same_seeds_are_paired(twin_board):
    plain, method, other = "impala dense", "impala rigl", "impala redo"
    arguments = ("--db", twin_board, "--task", "smoke", "--json")
    found = {
        (names, asked): json.loads(run(*names, *arguments, *asked).stdout)["pairs"][0]
        for names, asked in [
            *itertools.product([(method, plain)], [(), ("--paired",), ("--unpaired",)]),
            *itertools.product([(other, plain)], [(), ("--unpaired",)]),
        ]
    }
    assert [pair["pairing"] for pair in found.values()] == ["paired", "paired", "unpaired as asked"] + 2 * ["unpaired"]
    by_rule, asked, alone = (found[(method, plain), asked] for asked in ((), ("--paired",), ("--unpaired",)))
    assert by_rule == asked
    assert by_rule["difference"]["value"] == alone["difference"]["value"]
    assert by_rule["difference"]["low"] != alone["difference"]["low"]
    assert ", paired by seed, permutation p" in by_rule["sentence"]
    assert ", not paired by seed, as was asked for, permutation p" in alone["sentence"]
    refused = run(other, plain, *arguments, "--paired")
    assert isinstance(refused.exception, UsageError)
    assert "cannot be paired" in refused.exception.problem


def test_the_site_pairs_the_same(twin_board):
    with ResultStore.open(twin_board) as store, store.snapshot() as snapshot:
        data = report.task_data(snapshot, load_task("smoke"))
    assert len(data.twins) == 2
    pairings = {
        data.entries[key].methods: duels._sides((key, twin.config_id), data.twins, data)[2]
        for key, twin in data.twins.items()
    }
    assert pairings == {("rigl",): "paired", ("redo",): "unpaired"}
    key, twin = next((key, twin) for key, twin in data.twins.items() if data.entries[key].methods == ("rigl",))
    turned = duels._sides((twin.config_id, key), data.twins, data)
    assert (turned[2], duels._sides((key, twin.config_id), {}, data)[2]) == ("paired", "unpaired")
    assert twins.are_twins(data.configurations[key], data.configurations[twin.config_id])
