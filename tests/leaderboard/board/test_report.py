import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import replace

import numpy as np
import pytest

from leaderboard.board import learning, names, report, standings
from leaderboard.board.entries import read_boards
from leaderboard.site.drawing import charts
from leaderboard.site.pages import games
from leaderboard.statistics.curves import area_under_curve
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.metrics import iqm
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest
from suite.errors import BadData
from suite.tasks import human_normalized, load_task
from tests.support.runs import make_episodes

FAST = ("Pong", "Breakout")
BUDGET = load_task("smoke").budget.length
STEP = load_task("smoke").budget.iteration_length


@pytest.fixture
def page(tmp_path):
    """Ingest a folder and return the page of a task."""

    def build(root, task="smoke"):
        db = tmp_path / "results.sqlite"
        ingest([root], db, references=False)
        with ResultStore.open(db) as store, store.snapshot() as snapshot:
            return report.task_page(report.task_data(snapshot, load_task(task)))

    return build


def stored(folder):
    """Return the runs of smoke that `page` has ingested."""
    with ResultStore.open(folder / "results.sqlite") as store, store.snapshot() as snapshot:
        return snapshot.runs("smoke@1")


def fill(root, run_maker, spec, games=FAST, seeds=(0, 1), **rest):
    for game in games:
        for seed in seeds:
            run_maker(root, spec, game, seed, **rest)


def test_what_runs_did_not_reach_stands_beside_their_entry(tmp_path, run_maker, spec_maker, page):
    text = "magnitude_pruning: sparsity 0.763 is reached, not 0.95."
    pruned, dense = spec_maker(methods=("magnitude_pruning",)), spec_maker(methods=("dense",))
    fill(tmp_path / "runs", run_maker, pruned, unreached=(text,))
    run_maker(tmp_path / "runs", dense, "Pong", 0)
    run_maker(tmp_path / "runs", dense, "Breakout", 0, unreached=("dqn: learns nothing.",))
    notes = {row.entry.config_id: row.notes for row in page(tmp_path / "runs").full.standings}
    assert notes[pruned.config_id] == (f"not reached: {text}",)
    assert notes[dense.config_id] == ("not reached in 1 of 2 runs: dqn: learns nothing.",)


def test_a_complete_entry_has_everything(runs, page):
    found = page(runs)
    (row,) = found.full.standings
    assert (row.games, found.full.games_needed) == (2, 2)
    assert (row.seeds.low, row.seeds.high) == (2, 2)
    assert row.estimate.low < row.estimate.value < row.estimate.high
    assert row.why == ""
    assert row.bar is not None
    assert 0 <= row.bar.low <= row.bar.value <= row.bar.high <= 100
    assert [cell.seeds for game in found.full.games for cell in game.cells] == [2, 2]
    assert [point.frames for point in found.full.curves[0].points] == list(range(STEP, BUDGET + 1, STEP))
    assert found.runs_here == 4


def test_an_unofficial_task_ranks_nobody(runs, page):
    assert [row.ranking for row in page(runs).full.standings] == [None]


def test_official_entries_are_ranked_by_iqm(tmp_path, page, run_maker, spec_maker):
    games = load_task("atari40m").games
    for methods, level in ((("dense",), 1.0), (("magnitude_pruning",), 2.0), (("redo",), 1.5)):
        fill(tmp_path / "r", run_maker, spec_maker("atari40m", methods=methods), games, level=level)
    fill(tmp_path / "r", run_maker, spec_maker("atari40m", methods=("reset",)), games, seeds=(0,), level=9.0)
    fill(tmp_path / "r", run_maker, spec_maker("atari40m", methods=("l2",)), games[:14], level=9.0)
    rows = page(tmp_path / "r", "atari40m").full.standings
    assert [(row.entry.method, row.ranking and row.ranking.ordinal, row.why) for row in rows] == [
        ("reset", None, "needs 2 seeds in 12 games or more"),
        ("magnitude pruning", 1, ""),
        ("ReDo", 2, ""),
        ("dense", 3, ""),
        ("l2", None, "incomplete 14/15"),
    ]
    ranked = [row.ranking for row in rows if row.ranking is not None]
    assert [one.letters for one in ranked] == sorted(one.letters for one in ranked)
    assert all(one.low <= one.ordinal <= one.high <= 3 for one in ranked)
    # two seeds: what they have not seen lies on one side
    assert all((standings.PRELIMINARY in row.notes) == (row.ranking is not None) for row in rows)
    assert rows[0].estimate.low is None
    assert rows[-1].estimate is None
    assert rows[-1].bar is None


def test_a_missing_game_leaves_its_scores_visible(tmp_path, page, run_maker, spec_maker):
    fill(tmp_path / "r", run_maker, spec_maker(), games=("Pong",))
    found = page(tmp_path / "r")
    assert found.full.standings[0].why == "incomplete 1/2"
    assert [game.game for game in found.full.games] == ["Pong"]
    assert found.full.curves == ()


def test_unfinished_runs_enter_no_number(runs, page, run_maker, spec_maker):
    before = page(runs).full.standings[0].estimate
    run_maker(runs, spec_maker(), "Pong", 2, state="failed")
    run_maker(runs, spec_maker(), "Pong", 3, state="running")
    found = page(runs)
    row = found.full.standings[0]
    assert row.estimate == before
    assert row.notes == ("unfinished runs: 1 killed, 1 failed",)
    assert [(run.seed, run.state) for run in found.unfinished] == [(2, "failed"), (3, "killed")]


def test_a_diverged_run_without_a_score_is_not_passed_over(runs, page, run_maker, spec_maker):
    run_maker(runs, spec_maker(), "Pong", 2, state="diverged", episodes=[])
    row = page(runs).full.standings[0]
    assert row.estimate is None
    assert row.why == "incomplete: 1 run without a score"
    assert "1 diverged" in row.notes


def test_a_diverged_run_counts_with_its_last_value_to_the_end_of_the_budget(tmp_path, page, run_maker, spec_maker):
    spec = spec_maker()
    reached = round(0.4 * BUDGET)
    for game in FAST:
        for seed in (0, 1):
            run_maker(tmp_path / "r", spec, game, seed)
    run_maker(tmp_path / "r", spec, "Pong", 2, state="diverged", reached=reached, sparsity=0.3)
    ended = [row for row in make_episodes(spec, "Pong", 2, 1, 1.0) if row.frame <= reached]
    found = page(tmp_path / "r").full
    (curve,) = found.curves
    assert [point.frames for point in curve.points] == list(range(STEP, BUDGET + 1, STEP))
    index = (ended[-1].frame - 1) // STEP
    own = [row.value for row in ended if (row.frame - 1) // STEP == index]
    carried = human_normalized("Pong", sum(own) / len(own))
    scores = learning.curve_scores(load_task("smoke"), stored(tmp_path), BUDGET)
    assert scores["Pong"].shape == (3, BUDGET // STEP)
    assert scores["Pong"][2, index:] == pytest.approx([carried] * (BUDGET // STEP - index))
    assert [point.carried for point in curve.points] == [int(i > index) for i in range(BUDGET // STEP)]
    last_values = {game: block[:, -1] for game, block in scores.items()}
    assert curve.points[-1].estimate.value == pytest.approx(iqm(last_values))
    assert (found.standings[0].sparsity.low, found.standings[0].sparsity.high) == (0.0, 0.0)
    game_runs = [run for run in stored(tmp_path) if run.game == "Pong"]
    trace = games._trace(game_runs, STEP, BUDGET // STEP, charts.style(curve.entry))
    raw = [run.iterations.get(BUDGET // STEP - 1, sum(own) / len(own)) for run in game_runs]
    assert trace.points[-1].value == pytest.approx(sum(raw) / 3)


def test_only_diverged_runs_are_carried_forward(runs, page, tmp_path):
    page(runs)
    one = replace(stored(tmp_path)[0], iterations={0: 1.0, 2: 3.0})
    assert learning.progress(one, 5) == {0: 1.0, 2: 3.0}
    assert learning.progress(replace(one, state="diverged"), 5) == {0: 1.0, 2: 3.0, 3: 3.0, 4: 3.0}
    bad = replace(one, state="diverged", iterations={0: 1.0, 1: float("nan")})
    assert learning.progress(bad, 3) == {0: 1.0, 1: 1.0, 2: 1.0}
    assert learning.progress(replace(bad, iterations={}), 3) == {}


def test_the_sparsity_is_that_of_whole_runs_where_there_are_any(tmp_path, page, run_maker, spec_maker):
    spec = spec_maker(methods=("magnitude_pruning",))
    fill(tmp_path / "r", run_maker, spec, sparsity=0.95)
    run_maker(tmp_path / "r", spec, "Pong", 2, state="diverged", sparsity=0.4)
    row = page(tmp_path / "r").full.standings[0]
    assert (row.sparsity.low, row.sparsity.high) == (0.95, 0.95)
    assert row.active_parameters.low == row.active_parameters.high
    other = spec_maker(methods=("redo",))
    fill(tmp_path / "r", run_maker, other, state="diverged", sparsity=0.4)
    rows = page(tmp_path / "r").full.standings
    assert next(row for row in rows if row.entry.methods == ("redo",)).sparsity.high == 0.4


def test_the_mean_height_is_the_area_under_the_curve(runs, page, tmp_path):
    (curve,) = page(runs).full.curves
    scores = learning.curve_scores(load_task("smoke"), stored(tmp_path), BUDGET)
    ends = list(range(STEP, BUDGET + 1, STEP))
    assert curve.area == area_under_curve(scores, ends)
    heights = [point.estimate.value for point in curve.points]
    assert curve.area.value == pytest.approx(np.trapezoid(heights, ends) / (ends[-1] - ends[0]))


def test_shortened_budgets_are_apart(runs, page, run_maker, spec_maker):
    for frames in (BUDGET // 2, BUDGET // 4):
        fill(runs, run_maker, spec_maker(frames=frames))
    found = page(runs)
    assert len(found.full.standings) == 1
    assert [board.frames for board in found.shortened] == [BUDGET // 2, BUDGET // 4]
    assert all(row.ranking is None for board in found.shortened for row in board.standings)
    assert all(board.curves == () for board in found.shortened)


def test_an_iteration_without_an_episode_is_a_gap(tmp_path, page, run_maker, spec_maker):
    from suite.records.record import Episode

    def episodes(frames):
        rest = {"attempt": 1, "length": 1, "end": "terminated", "emulator_seed": 0}
        return [
            Episode(frame=frame, episode=i, agent_step=i + 1, **{"return": frame / 1000}, **rest)
            for i, frame in enumerate(frames)
        ]

    spec = spec_maker()
    for game in FAST:
        run_maker(tmp_path / "r", spec, game, 0, episodes=episodes([STEP // 2, STEP + 1, BUDGET]))
        run_maker(tmp_path / "r", spec, game, 1, episodes=episodes([STEP, 2 * STEP + 1, BUDGET - 4]))
    found = page(tmp_path / "r")
    assert [point.frames for point in found.full.curves[0].points] == [STEP, BUDGET]


def test_games_without_a_human_score_are_shown_and_left_out(tmp_path, page, run_maker, spec_maker):
    task = load_task("atari60")
    fill(tmp_path / "r", run_maker, spec_maker("atari60"), games=task.games, seeds=(0,))
    board = page(tmp_path / "r", "atari60").full
    assert (board.standings[0].games, board.games_needed) == (55, 55)
    assert board.standings[0].estimate is not None
    last = board.games[-5:]
    assert [row.game for row in last] == ["AirRaid", "Carnival", "ElevatorAction", "JourneyEscape", "Pooyan"]
    assert all(not row.aggregated and row.cells[0].normalized is None and row.cells[0].score for row in last)
    assert all(row.aggregated for row in board.games[:-5])


def test_departures_are_named_and_tell_entries_apart(tmp_path, page, run_maker, spec_maker):
    prune = ("magnitude_pruning",)
    plain = spec_maker(methods=prune, settings={"method.magnitude_pruning.sparsity": 0.95})
    other = spec_maker(methods=prune, width=3, settings={"method.magnitude_pruning.sparsity": 0.9})
    departures = {"method.magnitude_pruning.sparsity": 0.95, "network.width": 1}
    fill(tmp_path / "r", run_maker, plain)
    fill(tmp_path / "r", run_maker, other, departures=departures)
    entries = {entry.config_id: entry for entry in page(tmp_path / "r").full.entries}
    assert entries[plain.config_id].departures == ()
    changed = entries[other.config_id]
    assert [(d.path, d.value, d.published) for d in changed.departures] == [
        ("method.magnitude_pruning.sparsity", 0.9, 0.95),
        ("network.width", 3, 1),
    ]
    assert changed.label == "DQN · Impala ×3 · magnitude pruning (sparsity 0.9)"  # noqa: RUF001
    assert changed.command == (
        "suite run --task smoke --agent dqn --network impala --method magnitude_pruning "
        "--set method.magnitude_pruning.sparsity=0.9 --set network.width=3"
    )


def test_settings_that_tell_entries_apart_are_in_every_label_departing_or_not(tmp_path, page, run_maker, spec_maker):
    for gamma in (0.9, 0.99):
        fill(tmp_path / "r", run_maker, spec_maker(settings={"agent.gamma": gamma}))
    entries = page(tmp_path / "r").full.entries
    assert {entry.label.partition(" (")[2] for entry in entries} == {"gamma 0.9)", "gamma 0.99)"}
    assert {entry.told for entry in entries} == {(("agent.gamma", 0.9),), (("agent.gamma", 0.99),)}


def test_equal_names_get_their_ids(page, configurations):
    found = names.entries(configurations, {}, (), "smoke")
    assert {entry.label[-8:] for entry in found.values()} == {f"[{name[:6]}]" for name in found}


@pytest.fixture
def configurations(tmp_path, page, run_maker, spec_maker):
    """Return two configurations that differ in nothing that a label could name."""
    fill(tmp_path / "r", run_maker, spec_maker())
    page(tmp_path / "r")
    with ResultStore.open(tmp_path / "results.sqlite") as store, store.snapshot() as snapshot:
        (one,) = snapshot.configurations("smoke@1")
    return [one, replace(one, config_id="f" * 16)]


def test_the_forest_is_as_wide_as_what_was_run_here_and_arrows_stand_for_the_rest(published_database):
    with ResultStore.open(published_database) as store, store.snapshot() as snapshot:
        rows = report.task_page(report.task_data(snapshot, load_task("atari40m"))).full.standings
    first, *others = rows
    own = replace(first, entry=replace(first.entry, published=False), estimate=Estimate(1.0, 0.9, 1.1))
    far = [
        replace(row, estimate=Estimate(value, value, value))
        for row, value in zip(others, (1.05, 9.0, -9.0), strict=False)
    ]
    ticks, drawn = standings.forest([own, *far])
    assert drawn[0].bar.high - drawn[0].bar.low > 60
    assert [row.bar.beyond for row in drawn] == ["", "", "high", "low"]
    assert all(0 <= row.bar.value <= 100 for row in drawn)
    assert len(ticks) >= 3


def test_a_cell_in_two_environments_counts_once(runs, page, run_maker, spec_maker):
    run_maker(runs.parent / "more", spec_maker(), "Pong", 0, fingerprint="env-b", started_at="2026-03-01T00:00:00Z")
    page(runs)
    row = page(runs.parent / "more").full.standings[0]
    assert (row.seeds.low, row.seeds.high) == (2, 2)


def test_the_normalized_cell_is_the_mean_of_normalized_scores(runs, page):
    found = page(runs)
    for row in found.full.games:
        assert row.cells[0].normalized == pytest.approx(human_normalized(row.game, row.cells[0].score))


def test_results_of_an_unknown_task_stop_the_build(runs, tmp_path):
    import sqlite3

    db = tmp_path / "results.sqlite"
    ingest([runs], db, references=False)
    connection = sqlite3.connect(db)
    connection.execute("UPDATE configuration SET task = 'smoke@0'")
    connection.commit()
    connection.close()
    with ResultStore.open(db) as store, store.snapshot() as snapshot, pytest.raises(BadData, match="smoke@0"):
        report.read(snapshot)


def test_the_level_of_an_entry_is_the_lowest_of_its_results(runs, page, tmp_path):
    row = page(runs).full.standings[0]
    assert row.level == "replayed"
    with ResultStore.open(tmp_path / "results.sqlite") as store, store.snapshot() as snapshot:
        stored = snapshot.runs("smoke@1")
    one, other = (replace(run, level=level) for run, level in zip(stored, ("rerun", "replayed"), strict=False))
    failed = replace(stored[2], level="claimed", state="failed")
    found = standings.standings(
        load_task("smoke"), {"x": [one, other, failed]}, {"x": row.entry}, {"x": None}, ranked=False
    )
    assert found[0].level == "replayed"
    sampled = [
        replace(run, level=level) for run, level in zip(stored, ("sampled 3 of 4", "sampled 1 of 2"), strict=False)
    ]
    found = standings.standings(load_task("smoke"), {"x": [one, *sampled]}, {"x": row.entry}, {"x": None}, ranked=False)
    assert (found[0].level, found[0].proven) == ("sampled 1 of 2", False)


def test_an_entry_that_leaves_out_a_seed_before_one_that_it_has_is_not_judged(runs, page, tmp_path):
    row = page(runs).full.standings[0]
    assert (row.judged, row.skipped) == (True, ())
    with ResultStore.open(tmp_path / "results.sqlite") as store, store.snapshot() as snapshot:
        stored = snapshot.runs("smoke@1")
    picked, first = ([run for run in stored if run.seed == seed] for seed in (1, 0))
    (found,) = standings.standings(load_task("smoke"), {"x": picked}, {"x": row.entry}, {"x": None}, ranked=True)
    assert (found.judged, found.skipped, found.ranking) == (False, (0,), None)
    assert "not ranked: without seed 0 of some game, with later ones" in found.notes
    (found,) = standings.standings(load_task("smoke"), {"x": first}, {"x": row.entry}, {"x": None}, ranked=True)
    assert (found.judged, found.skipped) == (True, ())


def test_an_entry_with_a_run_without_a_score_is_not_judged_by_the_others(runs, page, tmp_path):
    page(runs)
    db = tmp_path / "results.sqlite"
    (one,) = read_boards(db, "smoke")["smoke"]
    assert (one.judged, one.complete, one.scoreless) == (True, True, 0)
    without = replace(one, runs=(replace(one.runs[0], score=None, state="diverged"), *one.runs[1:]))
    assert (without.judged, without.complete) == (False, False)
    assert without.unjudged.startswith("1 of its runs ended without a score")


def test_costs_are_ranges_over_runs(runs, page):
    row = page(runs).full.standings[0]
    assert (row.updates.low, row.updates.high) == (100, 100)
    assert (row.seconds.low, row.seconds.high) == (1.0, 1.0)
    assert row.flops.dense > row.parameters.high
    assert row.flops.sparse == row.flops.dense


def test_a_board_shows_the_runs_of_its_protocol_on_its_own_games(tmp_path, run_maker, spec_maker):
    """An entry of both lists' games, and one of the longer list's alone; Pong and Breakout are on both lists."""
    both, alone = spec_maker("atari40m"), spec_maker("atari60", width=3)
    fill(tmp_path / "r", run_maker, both, games=("Pong", "Breakout", "Alien"))
    fill(tmp_path / "r", run_maker, alone, games=("Alien",), seeds=(0,))
    db = tmp_path / "results.sqlite"
    ingest([tmp_path / "r"], db, references=False)
    with ResultStore.open(db) as store, store.snapshot() as snapshot:
        few, many = (report.task_data(snapshot, load_task(name)) for name in ("atari40m", "atari60"))
        assert snapshot.tasks() == ["atari40m@1"]
        everything = report.read(snapshot).data
    assert set(few.configurations) == set(few.entries) == {both.config_id}
    assert set(many.configurations) == {both.config_id, alone.config_id}
    assert {(run.game, run.seed) for run in few.runs} == {(game, seed) for game in FAST for seed in (0, 1)}
    assert len(many.runs) == 7
    assert [row.games for row in report.task_page(few).full.standings] == [2]
    found = {row.entry.config_id: (row.games, row.why) for row in report.task_page(many).full.standings}
    assert found == {both.config_id: (3, "incomplete 3/55"), alone.config_id: (1, "incomplete 1/55")}
    for data, name in ((few, "atari40m"), (many, "atari60")):
        assert data.entries[both.config_id].command.startswith(f"suite run --task {name} ")
    once = [(data.task.id, run.config_id, run.game) for data, run in report.each_once(everything.values())]
    assert Counter(once) == {
        ("atari40m", both.config_id, "Pong"): 2,
        ("atari40m", both.config_id, "Breakout"): 2,
        ("atari60", both.config_id, "Alien"): 2,
        ("atari60", alone.config_id, "Alien"): 1,
    }


def test_what_others_published_stays_on_the_board_that_it_is_of(published_database):
    with ResultStore.open(published_database) as store, store.snapshot() as snapshot:
        for name, games in (("atari40m", 15), ("atari60", 60)):
            data = report.task_data(snapshot, load_task(name))
            assert {key.rpartition(".")[2] for key in data.configurations} == {f"{name}@1"}
            assert len(data.configurations) == 10
            assert len({run.game for run in data.runs}) == games


def test_an_entry_is_looked_for_on_the_longer_list_only_if_it_has_more_games(tmp_path, run_maker, spec_maker):
    fill(tmp_path / "r", run_maker, spec_maker("atari40m"))
    fill(tmp_path / "r", run_maker, spec_maker("atari60", width=3), games=("Pong", "Alien"))
    db = tmp_path / "results.sqlite"
    ingest([tmp_path / "r"], db, references=False)
    widths = {name: sorted(item.configuration.width for item in items) for name, items in read_boards(db, None).items()}
    assert widths == {"atari40m": ["1", "3"], "atari60": ["3"]}
    assert len(read_boards(db, "atari60")["atari60"]) == 2


def test_a_database_from_before_two_lists_shared_cells_shows_the_longer_ones_runs_on_its_own_board(
    tmp_path, run_maker, spec_maker
):
    fill(tmp_path / "r", run_maker, spec_maker("atari60"))
    db = tmp_path / "results.sqlite"
    ingest([tmp_path / "r"], db, references=False)
    with closing(sqlite3.connect(db)) as connection, connection:
        connection.execute("UPDATE configuration SET task = 'atari60@1'")
    with ResultStore.open(db) as store, store.snapshot() as snapshot:
        few, many = (report.task_data(snapshot, load_task(name)) for name in ("atari40m", "atari60"))
    assert (len(few.configurations), len(few.runs)) == (0, 0)
    assert (len(many.configurations), len(many.runs)) == (1, 4)
    assert set(read_boards(db, None)) == {"atari60"}
