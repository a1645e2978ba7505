import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from leaderboard.statistics.influence import iqm_influence
from leaderboard.statistics.metrics import iqm
from leaderboard.statistics.planning import ASSUMED_ERROR, Candidate, next_cells
from leaderboard.statistics.power import caution, quantiles, seeds_needed, unit_variances

GAMES = ("a", "b", "c", "d")


def made(seed=0, runs=5, spread=0.1, games=GAMES, hours=2.0, seeds=None):
    """Return a candidate with runs of seeds 0, 1, ... in every game; the games' scores overlap."""
    source = np.random.default_rng(seed)
    return Candidate(
        scores={name: source.normal(1.0, spread, runs) for name in games},
        seeds=seeds or {name: frozenset(range(runs)) for name in games},
        hours=dict.fromkeys(games, hours),
    )


def test_a_game_without_a_result_comes_first_then_the_tasks_own_seeds_then_precision():
    entry = made(runs=4, games=("a", "b", "c"), spread=0.3)
    plan = next_cells({"x": entry}, GAMES, range(5), limit=12)
    assert [(cell.game, cell.seed, cell.reason) for cell in plan.cells[:1]] == [("d", 0, "game")]
    own = {(cell.game, cell.seed) for cell in plan.cells if cell.reason == "seed"}
    assert own == {("a", 4), ("b", 4), ("c", 4), ("d", 1), ("d", 2), ("d", 3), ("d", 4)}
    assert [cell.reason for cell in plan.cells] == ["game"] + 7 * ["seed"] + 4 * ["precision"]
    assert plan.needs["x"].error is None


def test_the_next_seed_is_the_smallest_that_is_not_there():
    seeds = {"a": frozenset({0, 1, 3, 4}), "b": frozenset(range(5)), "c": frozenset(range(5)), "d": frozenset(range(5))}
    plan = next_cells({"x": made(spread=0.001, seeds=seeds)}, GAMES, range(5))
    assert [(cell.game, cell.seed) for cell in plan.cells] == [("a", 2)]
    assert plan.complete


def test_gains_are_the_share_of_the_allowed_variance_that_one_more_run_takes_away():
    entry = made(spread=0.5)
    plan = next_cells({"x": entry}, GAMES, range(5), detect=0.2, limit=1)
    unit = unit_variances(iqm_influence(entry.scores)[1])
    level = abs(iqm(entry.scores))
    wide = caution([(variance, 4) for variance in unit.values()]) ** 0.5
    runs = seeds_needed(0.2 * level / wide, unit, unit, planned=5)
    allowed = (0.2 * level / quantiles(runs, [*unit.values()] * 2, planned=5) / wide) ** 2 / 2
    best = max(unit, key=unit.get)
    (cell,) = plan.cells
    assert (cell.game, cell.seed, cell.reason, cell.basis) == (best, 5, "precision", "own")
    assert cell.gain == pytest.approx((unit[best] / 5 - unit[best] / 6) / allowed)
    need = plan.needs["x"]
    assert (need.seeds, need.basis) == (runs, "own")
    assert need.target == pytest.approx(allowed**0.5)
    assert need.error == pytest.approx((sum(unit.values()) / 5) ** 0.5)


def test_a_plan_carried_out_reaches_its_target_and_no_earlier():
    entry = made(spread=0.4)
    plan = next_cells({"x": entry}, GAMES, range(5), detect=0.3, limit=1_000)
    assert plan.complete
    unit = unit_variances(iqm_influence(entry.scores)[1])
    runs = dict.fromkeys(GAMES, 5)
    errors = [plan.needs["x"].error]
    for cell in plan.cells:
        runs[cell.game] += 1
        errors.append(sum(unit[name] / runs[name] for name in GAMES) ** 0.5)
    assert errors[-1] <= plan.needs["x"].target < errors[-2]
    assert 4 * (plan.needs["x"].seeds - 5) >= len(plan.cells), "spread evenly it takes as many runs or more"


def test_gain_counts_per_hour():
    entry = made(spread=0.5)
    unit = unit_variances(iqm_influence(entry.scores)[1])
    first, second = sorted(unit, key=unit.get, reverse=True)[:2]
    slow = Candidate(entry.scores, entry.seeds, dict.fromkeys(GAMES, 1.0) | {first: 1_000.0})
    plan = next_cells({"x": slow}, GAMES, range(5), detect=0.2, limit=1)
    assert plan.cells[0].game == second
    assert plan.cells[0].rate == plan.cells[0].gain


def test_hours_that_are_not_recorded_are_the_means_of_what_is():
    other = Candidate(made().scores, {}, {"a": 1.0, "b": 3.0})
    none = Candidate(made().scores, {}, {})
    plan = next_cells({"x": other, "y": none}, GAMES, range(1), limit=8)
    assert {(cell.entry, cell.game): cell.hours for cell in plan.cells} == {
        ("x", "a"): 1.0,
        ("x", "b"): 3.0,
        **dict.fromkeys([("x", "c"), ("x", "d"), *(("y", game) for game in GAMES)], 2.0),
    }
    unknown = next_cells({"y": none}, GAMES, range(1), limit=1).cells[0]
    assert unknown.hours is None


def test_few_runs_borrow_their_variances_and_say_so():
    pair = made(seed=1, runs=2)
    alone = next_cells({"x": made(seed=1, runs=1)}, GAMES, range(1), limit=1)
    assert alone.needs["x"].basis == "assumed"
    assert alone.needs["x"].error == pytest.approx(5**0.5 * ASSUMED_ERROR * abs(iqm(made(seed=1, runs=1).scores)))
    pooled = next_cells({"x": pair}, GAMES, range(2), others={"known": made(seed=2).scores}, limit=1)
    assert pooled.needs["x"].basis == "pooled"
    assert pooled.needs["x"].seeds is not None
    assert next_cells({"x": made(runs=3)}, GAMES, range(2), limit=1).needs["x"].basis == "own"


def test_runs_that_agree_by_chance_are_not_taken_as_certain():
    agreed = made(seed=4)
    agreed.scores["a"][:] = 1.0
    plan = next_cells({"x": agreed, "y": made(seed=5)}, GAMES, range(5), detect=0.01, limit=40)
    assert plan.needs["x"].basis == "pooled"
    assert any((cell.entry, cell.game, cell.basis) == ("x", "a", "pooled") for cell in plan.cells)
    assert all(cell.gain > 0 for cell in plan.cells)


def test_entries_with_fewest_gaps_are_completed_first():
    board = {"far": made(games=("a",)), "near": made(seed=3, games=("a", "b", "c"))}
    plan = next_cells(board, GAMES, range(5), limit=4)
    assert next((cell.entry, cell.game) for cell in plan.cells if cell.reason == "game") == ("near", "d")


def test_a_low_score_does_not_ask_for_endless_runs():
    low = Candidate({name: values / 1000 for name, values in made().scores.items()}, made().seeds, {})
    board = {"low": low, "usual": made(seed=1), "other": made(seed=2)}
    plan = next_cells(board, GAMES, range(5), limit=1_000)
    assert plan.needs["low"].target == pytest.approx(plan.needs["usual"].target, rel=0.5)
    assert plan.needs["low"].seeds == 5, "the task's own"


def test_games_without_a_scale_get_the_tasks_own_seeds_and_no_more():
    entry = Candidate({}, {"a": frozenset({0, 1, 2}), "b": frozenset({1})}, {"a": 1.0})
    plan = next_cells({"x": entry}, ("a", "b"), range(3), limit=50)
    assert {(cell.game, cell.seed) for cell in plan.cells} == {("b", 0), ("b", 2)}
    assert plan.complete
    assert plan.needs["x"].target == 0.0


boards = st.dictionaries(
    st.sampled_from("xyz"),
    st.tuples(st.integers(0, 99), st.integers(1, 6)).map(lambda drawn: made(seed=drawn[0], runs=drawn[1], spread=0.4)),
    min_size=1,
)


@given(boards, st.randoms(use_true_random=False))
@settings(max_examples=15)
def test_a_plan_depends_on_no_order(board, source):
    names, games = list(board), list(GAMES)
    source.shuffle(names)
    source.shuffle(games)
    shuffled = {
        name: Candidate({game: board[name].scores[game][::-1] for game in games}, board[name].seeds, board[name].hours)
        for name in names
    }
    first, second = (
        next_cells(items, order, range(5), limit=10) for items, order in ((board, GAMES), (shuffled, games))
    )
    assert [(cell.entry, cell.game, cell.seed) for cell in first.cells] == [
        (cell.entry, cell.game, cell.seed) for cell in second.cells
    ]
    assert len(first.cells) <= 10
    assert len({(cell.entry, cell.game, cell.seed) for cell in first.cells}) == len(first.cells)
    assert all(cell.seed not in board[cell.entry].seeds[cell.game] for cell in first.cells)
