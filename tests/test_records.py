"""Figures in the documents are those of the recorded runs that they speak of."""

import json
import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from leaderboard.statistics.conventions import STATISTICS
from suite.cli.main import cli

ROOT = Path(__file__).resolve().parent.parent
REAL_RUNS = "docs/real_runs.md"
GAMES = ("CartPole", "Acrobot", "MountainCar")
PairOf = Callable[[str, str], dict[str, Any]]
"""Compares two entries of `classic`; the comparison has its games by name."""


def record(path: str) -> Any:
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


def text(path: str) -> str:
    return " ".join((ROOT / path).read_text(encoding="utf-8").split())


def percent(share: float) -> str:
    return f"{round(100 * share, 1):g}"


def test_the_readme_says_how_fast_it_was() -> None:
    rows, readme = record("ci/bench/result.json")["rows"], text("README.md")
    names = ("host-breakout", "host-pong", "host16-breakout", "host16-pong")
    one, other, several, last = (f"{rows[name]['ratio']['dopamine']['median']:.1f}" for name in names)
    assert (
        f"made {one} times Dopamine's agent steps per CPU second on Breakout and {other} on Pong with one lane"
        in readme
    )
    assert f"{several} and {last} times with sixteen" in readme
    small = [rows[name]["ratio"]["dopamine"]["median"] for name in ("minatar-breakout", "classic-cartpole")]
    assert "on MinAtar's Breakout {:.1f} times and on CartPole {:.1f} times Dopamine's".format(*small) in readme
    ratios = {name: ratio["median"] for name, ratio in rows["replay"]["ratio"].items()}
    assert f"a replay batch came {ratios['dopamine']:.1f} times as fast" in readme
    assert f"{ratios['copy alone']:.2f} of the rate of copying its bytes alone" in readme
    costs = [ratio["median"] for ratio in rows["methods"]["ratio"].values()]
    assert f"none of {len(costs)} methods added more than 5 % to an ordinary update" in readme
    assert max(costs) < 1.05


def test_the_table_of_parts_that_take_turns_is_that_of_the_record() -> None:
    found, shown = record("ci/bench/overlap.json"), text("ci/bench/README.md")
    assert (found["lanes"], found["parts"]) == (8, 4)
    for row in found["rows"]:
        rates, ratio = row["agent_steps_per_s"], row["ratio"]
        cells = (f"{row['device_over_host']:g}", f"{rates['whole']:,.0f}", f"{rates['parts']:,.0f}")
        assert f"| {' | '.join(cells)} | {ratio['median']:.2f} [{ratio['min']:.2f} .. {ratio['max']:.2f}] |" in shown


def test_the_table_of_aims_has_the_ratios_of_the_bench() -> None:
    rows, shown = record("ci/bench/result.json")["rows"], text("ci/bench/README.md")

    def ratio(row: str, other: str) -> str:
        found = rows[row]["ratio"][other]
        return f"{found['median']:.2f} [{found['min']:.2f} .. {found['max']:.2f}]"

    lines = {
        "host's loop to Dopamine, Breakout": ratio("host-breakout", "dopamine"),
        "the same, Pong": ratio("host-pong", "dopamine"),
        "sixteen lanes, Breakout": ratio("host16-breakout", "dopamine"),
        "sixteen lanes, Pong": ratio("host16-pong", "dopamine"),
        "Nature": ratio("nature", "dopamine"),
        "Impala": ratio("impala", "dopamine"),
        "SAC to Stable-Baselines3": ratio("sac", "sb3"),
        "SAC to SBX": ratio("sac", "sbx"),
        "MinAtar's Breakout, ten lanes, to a plain loop": ratio("minatar-breakout", "plain loop"),
        "CartPole and Acrobot, ten lanes, to a plain loop": ", ".join(
            ratio(row, "plain loop") for row in ("classic-cartpole", "classic-acrobot")
        ),
    }
    assert [name for name, cell in lines.items() if f"| {name} | {cell} |" not in shown] == []
    assert len({row["date"] for row in rows.values()}) == 1


def test_the_table_of_growth_is_that_of_its_record() -> None:
    figures, shown = record("ci/nightly/growth.json")["figures"], text("docs/store.md")
    for name in ("10_entries", "30_entries", "100_entries", "300_entries", "one_more", "one_more_whole"):
        pages, made, files = (int(figures[f"{name}_{what}"]) for what in ("pages", "pages_made", "files"))
        cells = (
            f"{figures[f'{name}_cpu_s']:.0f}",
            f"{figures[f'{name}_wall_s']:.0f}",
            f"{figures[f'{name}_memory_mb']:.0f} MB",
            f"{pages:,}" if made == pages else f"{made:,} of {pages:,} made",
            f"{files:,}",
            f"{figures[f'{name}_site_mb']:.0f} MB",
            f"{figures[f'{name}_largest_page_bytes'] / 1000:.0f} kB",
        )
        assert f"| {' | '.join(cells)} |" in shown, name


def test_the_readme_says_how_often_runs_were_killed() -> None:
    figures = record("ci/nightly/kills.json")["figures"]
    killed = f"{figures['kills']:.0f} kills, {figures['inside_a_write']:.0f} of them inside a checkpoint write"
    assert killed in text("README.md")


def seeds(row: dict[str, Any]) -> str:
    runs = row["runs"]
    return " and ".join(map(str, runs)) if isinstance(runs, list) else str(runs)


def comparison_rows(tables: dict[str, list[dict[str, Any]]]) -> list[str]:
    """Return the rows of all tables of docs/comparisons.md as it should show them, in their order."""
    ranks: dict[tuple[str, str], dict[str, str]] = {}
    for row in tables["ranks"]:
        cell = f"{percent(row['simultaneous coverage'])} (width {row['mean width']:.1f})"
        ranks.setdefault((row["noise"], seeds(row)), {})[row["scenario"]] = cell
    names = ("all equal", "two groups", "spaced")
    found = [[*key, *(cells.get(name, "") for name in names)] for key, cells in ranks.items()]
    tests = ("permutation, studentised", "permutation, plain", "interval of the difference", "percentile interval")
    found += [[row["noise"], seeds(row), *(percent(row[name]) for name in tests)] for row in tables["false positives"]]
    found += [
        [row["noise"], percent(row["effect"]), seeds(row), *(percent(row[name]) for name in tests)]
        for row in tables["power"]
    ]
    looks = (
        *("unadjusted, 3 to 10", "adjusted, 3 to 10", "adjusted, 2 to 50", "unadjusted, planned"),
        *("adjusted, planned", "unadjusted, 10", "adjusted, 10"),
    )
    found += [
        [row["noise"], percent(row["effect"]), *(percent(row[name]) for name in looks)] for row in tables["looks"]
    ]
    for row in tables["plans"]:
        shown = [f"{percent(row[f'{kind} power'])} ({row[f'{kind} seeds']:.1f})" for kind in ("plain", "shipped")]
        found.append([row["noise"], percent(row["effect"]), seeds(row), *shown])
    return [f"| {' | '.join(cells)} |" for cells in found]


def test_the_tables_of_comparisons_are_those_of_the_simulation() -> None:
    found = record("ci/nightly/comparisons.json")
    document = (ROOT / "docs/comparisons.md").read_text(encoding="utf-8")
    shown = document.partition("## How often it is right")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| .*\d.*\|$", shown, re.MULTILINE)) == sorted(comparison_rows(found["tables"]))
    assert f"{found['command'].partition(',')[0]}" in shown
    assert f"{found['figures']['cpu_s']} CPU seconds" in shown
    assert found["policy"] == STATISTICS


def pairing_rows(rows: list[dict[str, Any]], column: str) -> list[str]:
    """Return the rows of a table of pairs by seed: what each test finds, by correlation."""
    found: dict[tuple[str, str, str], list[str]] = {}
    for row in rows:
        unpaired, paired, interval = (percent(share) for share in row[column])
        key = (row["noise"], "3" if row["games"] == 3 else "all", seeds(row))
        found.setdefault(key, []).append(f"{unpaired}, **{paired}**, {interval}")
    return [f"| {' | '.join([*key, *cells])} |" for key, cells in found.items()]


def test_the_tables_of_pairs_by_seed_are_those_of_the_simulation() -> None:
    found = record("ci/nightly/choices.json")
    rows = found["tables"]["pairing"]
    document = (ROOT / "docs/comparisons.md").read_text(encoding="utf-8")
    shown = document.partition("## Runs of the same seed")[2].partition("\n## ")[0]
    expected = [line for column in ("false", "power") for line in pairing_rows(rows, column)]
    assert re.findall(r"^\| .*\d, \*\*.*\|$", shown, re.MULTILINE) == expected
    assert found["command"].rpartition(" ")[2] in shown
    assert found["policy"] == STATISTICS


def test_the_tables_of_statistics_are_those_of_the_simulation() -> None:
    found = record("ci/nightly/coverage.json")
    methods = ("percentile", "inflated", "influence t", "deviation t", "studentized", "shipped")
    metrics = ("iqm", "iqm_rliable", "mean", "median", "optimality_gap", "profile", "poi")
    expected = []
    for row in found["tables"]["methods"]:
        cells = [f"{100 * row[name][0]:.1f}" for name in methods]
        cells.append(f"{100 * row['shipped'][1]:.1f}, {100 * row['shipped'][2]:.1f}")
        cells.append(f"{row['percentile'][3]:.3f}, {row['shipped'][3]:.3f}")
        expected.append([row["noise"], *cells, row])
    for row in found["tables"]["metrics"]:
        cells = [f"{100 * row[name][0]:.1f} ({100 * row[name][1]:.1f})" for name in metrics]
        cells.append(f"{row['profile'][2]:.2f}")
        expected.append([row["noise"], *cells, row])
    lines = [f"| {row['runs']} | {100 * row['missing']:.0f} % | {' | '.join(cells)} |" for *cells, row in expected]
    lines += [
        f"| {row['runs']} | {100 * row['rliable']:+.2f} | {100 * row['exact']:+.2f} |"
        for row in found["tables"]["bias"]
    ]
    document = (ROOT / "docs/statistics.md").read_text(encoding="utf-8")
    for line in lines:
        assert line in document
    assert found["command"] in document
    assert found["policy"] == STATISTICS


def test_every_test_that_is_left_to_the_night_is_in_a_proof_of_the_night() -> None:
    places = re.findall(r'": "(tests/[^"]+)"', (ROOT / "ci/nightly/run").read_text(encoding="utf-8"))
    proofs = [path for each in places for path in each.split()]
    late = [
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "tests").rglob("test_*.py")
        if "mark.nightly" in file.read_text(encoding="utf-8") and file != Path(__file__)
    ]
    assert len(late) > 30
    assert [file for file in late if not any(file == path or file.startswith(f"{path}/") for path in proofs)] == []


def written(difference: Mapping[str, float], digits: int = 3) -> str:
    """Return a difference as docs/real_runs.md writes it."""
    value, low, high = (
        f"{difference[end]:+.{digits}f}".replace("-", "\N{MINUS SIGN}") for end in ("value", "low", "high")
    )
    return f"{value} ({low} to {high})"


def turned(difference: Mapping[str, float]) -> dict[str, float]:
    """Return the difference the other way round."""
    return {"value": -difference["value"], "low": -difference["high"], "high": -difference["low"]}


def rows_below(head: str) -> list[list[str]]:
    """Return the cells of the table of docs/real_runs.md that begins so, row by row."""
    shown = (ROOT / REAL_RUNS).read_text(encoding="utf-8")
    (table,) = re.findall(rf"^\| {re.escape(head)}[, ].*?\n\n", shown, re.DOTALL | re.MULTILINE)
    _, _, *rows = (line.strip("| ").split(" | ") for line in table.strip().splitlines())
    return rows


@pytest.fixture(scope="module")
def pair_of(tmp_path_factory: pytest.TempPathFactory) -> PairOf:
    """Ingest the results of this repository; return what compares its entries."""
    board = str(tmp_path_factory.mktemp("results") / "board.sqlite")
    run = partial(CliRunner().invoke, cli, catch_exceptions=False)
    assert run(["leaderboard", "ingest", str(ROOT / "results"), "--no-references", "--db", board]).exit_code == 0

    def compared(one: str, other: str) -> dict[str, Any]:
        (pair,) = json.loads(run(["compare", one, other, "--db", board, "--json"]).stdout)["pairs"]
        return pair | {"games": {each["game"]: each for each in pair["by_game"]}}

    return compared


@pytest.mark.parametrize(
    ("head", "dense", "pruned"),
    [
        ("environment | dense | 95 % pruned", "dqn 1 dense", "dqn 1 magnitude pruning (sparsity 0.95)"),
        ("environment, at width 2", "dqn 2 dense", "dqn 2 magnitude"),
        ("environment, Rainbow", "rainbow dense", "rainbow magnitude"),
    ],
)
def test_the_tables_of_dense_and_pruned_are_what_the_results_give(
    pair_of: PairOf, head: str, dense: str, pruned: str
) -> None:
    pair = pair_of(pruned, dense)
    *games, whole = rows_below(head)
    assert [row[0] for row in games] == list(GAMES)
    for name, of_dense, of_pruned, difference in games:
        one = pair["games"][name]
        assert (of_dense, of_pruned) == (f"{one['b']:.3f}", f"{one['a']:.3f}")
        assert difference == written(turned(one["difference"]))
    assert whole[1:] == [f"{pair['iqm_b']:.3f}", f"{pair['iqm_a']:.3f}", written(turned(pair["difference"]))]
    verdict, told = {
        "dqn 1 dense": ("equal", "(p {p_equal:.3f} for a larger one; {p_looks:.2f} for any at all"),
        "dqn 2 dense": ("equal", "(p {p_equal:.3f} for a difference of 5 % or more)"),
        "rainbow dense": ("open", "(p {p_looks:.0f} with every look counted; {p:.2f} for this one)"),
    }[dense]
    assert (pair["verdict"], told.format_map(pair) in text(REAL_RUNS)) == (verdict, True)


def test_what_is_said_of_rainbow_beside_dqn_is_what_the_results_give(pair_of: PairOf) -> None:
    apart = pair_of("rainbow dense", "dqn 1 dense")
    assert apart["verdict"] == "open"
    assert f"both dense, is {written(apart['difference'])}:" in text(REAL_RUNS)
    needed = pair_of("rainbow magnitude", "rainbow dense")["seeds_needed"]
    assert f"{needed} seeds would find" in text(REAL_RUNS)


def test_what_is_said_of_width_and_tickets_is_what_the_results_give(pair_of: PairOf) -> None:
    wider = pair_of("dqn 2 dense", "dqn 1 dense")
    by_id = pair_of("l2_init", "dqn x1 dense")  # ids of methods are words of an entry too
    assert by_id == pair_of("L2 Init", "dqn 1 dense")
    assert (wider["verdict"], wider["p_equal"] < 1e-4) == ("equal", True)
    ticket = pair_of("lottery ticket", "dqn 1 magnitude pruning (sparsity 0.95)")
    assert ticket["verdict"] == "open"
    shown = " ".join(text(REAL_RUNS).split())
    assert f"width 2 less width 1 is {written(wider['difference'])}, practically equal" in shown
    gain = written(ticket["difference"]).removeprefix("+")
    assert f"they gain {gain}, MountainCar {written(ticket['games']['MountainCar']['difference'])};" in shown


def test_the_table_of_methods_is_what_the_results_give(pair_of: PairOf) -> None:
    (_, dense, *_), *rows = rows_below("method | IQM")
    shown, equal = text(REAL_RUNS), {}
    assert len(rows) == 11
    for name, iqm, difference, *games, verdict in rows:
        short = name.partition(",")[0].removesuffix(" 95 % sparse").lower()
        words: str = {"resets of the last layer": "reset"}.get(short, short)
        pair = pair_of(words, "dqn 1 dense")
        assert (iqm, dense) == (f"{pair['iqm_a']:.3f}", f"{pair['iqm_b']:.3f}")
        assert games == [f"{pair['games'][game]['a']:.3f}" for game in GAMES]
        assert difference == written(pair["difference"])
        assert verdict.startswith({"equal": "practically equal"}.get(pair["verdict"], pair["verdict"]))
        assert pair["verdict"] != "worse" or pair["p_looks"] < 1e-5
        if pair["verdict"] == "equal":
            equal[words] = f"{pair['p_equal']:.3f}" if pair["p_equal"] >= 1e-6 else "below 0.000001"
        if words in ("lottery ticket", "rigl", "set", "static sparse", "l2 features"):
            value, interval = written(pair["games"]["MountainCar"]["difference"]).split(" ", 1)
            assert re.search(rf"{re.escape(value)} (over dense )?{re.escape(interval)}", shown)
    told = "(p {lottery ticket}, {set}, {weight decay} and {l2 init} for a difference of 5 % or more)"
    assert told.format_map(equal) in shown


def test_the_table_of_sparsities_is_what_the_results_give(pair_of: PairOf) -> None:
    rows = rows_below("weights pruned | IQM")
    assert [row[0] for row in rows] == ["50 %", "90 %", "95 %"]
    for share, iqm, difference, *games, verdict in rows:
        pair = pair_of(f"dqn 1 magnitude pruning (sparsity {float(share.removesuffix(' %')) / 100:g})", "dqn 1 dense")
        assert iqm == f"{pair['iqm_a']:.3f}"
        assert games == [f"{pair['games'][game]['a']:.3f}" for game in GAMES]
        assert difference == written(pair["difference"])
        assert (verdict, pair["verdict"]) == ("practically equal", "equal")
        assert share == "95 %" or pair["p_equal"] < 1e-6
    apart = pair_of("magnitude pruning (sparsity 0.9)", "dqn 1 magnitude pruning (sparsity 0.95)")["games"]["CartPole"]
    value, low, high = (f"{apart['difference'][end]:.3f}" for end in ("value", "low", "high"))
    assert f"{value} less than at 90 % (its own interval {low} to {high}, not adjusted)" in text(REAL_RUNS)


def test_the_table_beside_dopamine_is_the_record_of_its_proof() -> None:
    found = record("ci/nightly/classic_peer.json")["figures"]
    rows = rows_below("environment | ours | Dopamine")
    assert [row[0] for row in rows] == [*GAMES, "interquartile mean of all"]
    for name, *figures in rows:
        one = found[name if name in found else "iqm"]
        apart = dict(zip(("value", "low", "high"), one["difference"], strict=True))
        assert apart["low"] <= 0 <= apart["high"]
        assert figures == [f"{one['ours']:.3f}", f"{one['dopamine']:.3f}", written(apart)]
        assert one.get("runs", [20, 20]) == [20, 20]


def test_the_table_on_minatar_beside_dopamine_is_the_record_of_its_proof() -> None:
    found = record("ci/nightly/minatar_peer.json")
    one, repaired = (found[part]["MinAtarBreakout"] for part in ("figures", "figures_whole"))
    for (_, *figures), each in zip(rows_below("Dopamine's replay | ours"), (one, repaired), strict=True):
        apart = dict(zip(("value", "low", "high"), each["difference"], strict=True))
        runs = ", ".join(map(str, each["runs"]))
        assert figures == [f"{each['ours']:.2f}", f"{each['dopamine']:.2f}", written(apart, 2), runs]
    _, low, high = repaired["difference"]
    assert low <= 0 <= high < one["difference"][1]
    lost = f"{repaired['dopamine'] - one['dopamine']:.1f} of {repaired['dopamine']:.1f} points in MinAtar's Breakout"
    assert lost in text("docs/sources.md")
    kept = {end: [each["reward"] for each in steps] for end, steps in found["kept_of_four_steps"].items()}
    assert kept["terminated"] == [1.0, 2.0, 3.0]
    assert kept["terminated, whole"] == [1.0, 2.0, 3.0, 4.0]
