import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rliable import metrics as oracle

from leaderboard.statistics import metrics
from leaderboard.statistics.metrics import lay_out

matrices = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 7), st.integers(1, 9)),
    elements=st.one_of(st.floats(-50, 50), st.sampled_from([0.0, -0.0, 1.0])),
)
CLOSE = {"rel": 1e-12, "abs": 1e-12}


def by_game(matrix):
    """[runs, games] as a mapping."""
    return {f"game-{i:02}": matrix[:, i] for i in range(matrix.shape[1])}


@given(matrices)
@settings(max_examples=150)
def test_point_estimates_are_rliables(matrix):
    scores = by_game(matrix)
    assert metrics.iqm_rliable(scores) == pytest.approx(oracle.aggregate_iqm(matrix), **CLOSE)
    assert metrics.mean(scores) == pytest.approx(oracle.aggregate_mean(matrix), **CLOSE)
    assert metrics.median(scores) == pytest.approx(oracle.aggregate_median(matrix), **CLOSE)
    assert metrics.optimality_gap(scores) == pytest.approx(oracle.aggregate_optimality_gap(matrix), **CLOSE)


@given(matrices)
@settings(max_examples=50)
def test_profiles_are_rliables(matrix):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from rliable import library
    taus = np.array([-50.0, -1.0, 0.0, 0.5, 1.0, 30.0])
    theirs = [library.run_score_deviation(matrix, tau) for tau in taus]
    assert metrics.profile(by_game(matrix), taus) == pytest.approx(theirs, **CLOSE)


@given(st.data())
@settings(max_examples=50)
def test_the_probability_of_improvement_is_rliables(data):
    first = data.draw(matrices)
    runs = data.draw(st.integers(1, 7))
    second = data.draw(hnp.arrays(np.float64, (runs, first.shape[1]), elements=st.sampled_from([-1.0, 0.0, 0.5, 1.0])))
    ours = metrics.probability_of_improvement(by_game(first), by_game(second))
    assert ours == pytest.approx(oracle.probability_of_improvement(first, second), **CLOSE)
    assert ours + metrics.probability_of_improvement(by_game(second), by_game(first)) == pytest.approx(1)


def test_ties_count_half_and_games_weigh_the_same():
    a = {"x": np.array([1.0, 2.0]), "y": np.array([5.0])}
    b = {"x": np.array([1.0]), "y": np.array([1.0, 2.0, 3.0])}
    # x: (a tie and a win) / 2, y: three wins
    assert metrics.probability_of_improvement(a, b) == (0.75 + 1) / 2


def test_sides_with_other_games_are_not_compared():
    with pytest.raises(ValueError, match="same games"):
        metrics.probability_of_improvement({"x": np.ones(2)}, {"y": np.ones(2)})


def test_the_boards_mean_trims_parts_of_runs():
    scores = {"a": np.array([0.0, 1.0, 2.0]), "b": np.array([3.0, 4.0, 50.0])}
    # six runs: rliable's trim leaves out one at each end, the board's one and a half
    assert metrics.iqm_rliable(scores) == (1 + 2 + 3 + 4) / 4
    assert metrics.iqm(scores) == pytest.approx((0.5 * 1 + 2 + 3 + 0.5 * 4) / 3)


def test_both_means_agree_where_a_quarter_is_whole():
    scores = by_game(np.random.default_rng(2).normal(size=(4, 15)))
    assert metrics.iqm_rliable(scores) == pytest.approx(metrics.iqm(scores), rel=1e-12)


def test_unequal_seeds_weigh_games_equally():
    even = {name: np.random.default_rng(i).normal(size=4) for i, name in enumerate("abcd")}
    repeated = even | {"a": np.tile(even["a"], 3)}
    assert metrics.balanced(even)
    assert not metrics.balanced(repeated)
    assert metrics.iqm(repeated) == pytest.approx(metrics.iqm(even), rel=1e-12)
    assert metrics.mean(repeated) == pytest.approx(metrics.mean(even), rel=1e-12)
    taus = np.linspace(-1, 1, 5)
    assert metrics.profile(repeated, taus) == pytest.approx(metrics.profile(even, taus))


def test_a_game_with_more_seeds_does_not_take_over():
    """Three games with 20 runs of 0 and twelve with 5 of 1: the middle half by games is all 1."""
    scores = {f"low-{i}": np.zeros(20) for i in range(3)} | {f"high-{i}": np.ones(5) for i in range(12)}
    assert metrics.iqm(scores) == pytest.approx(1.0)
    assert oracle.aggregate_iqm(np.concatenate(list(scores.values()))) == pytest.approx(0.5)


@pytest.mark.parametrize("scores", [{}, {"a": np.array([])}, {"a": np.array([1.0, np.nan])}])
def test_missing_values_are_refused(scores):
    with pytest.raises(ValueError, match=r"needs a run|finite"):
        metrics.iqm(scores)


def test_the_layout_forgets_every_order():
    scores = {"b": np.array([3.0, -0.0, 1.0]), "a": np.array([2.0, 5.0, 4.0])}
    layout = lay_out(scores)
    assert layout.names == ("a", "b")
    assert layout.rows[:, 0].tolist() == [2, 4, 5, 0, 1, 3]
    assert not np.signbit(layout.rows).any()
    assert layout.starts.tolist() == [0, 3]
