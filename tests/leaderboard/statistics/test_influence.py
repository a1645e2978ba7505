import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from leaderboard.statistics import influence, metrics
from tests.support.errors_of_scores import degrees_of_freedom, standard_error


def games(rng, *counts):
    return {f"g{i}": rng.normal(i, 1 + 0.2 * i, count) for i, count in enumerate(counts)}


@given(st.lists(st.integers(1, 6), min_size=2, max_size=6), st.integers(0, 999))
@settings(max_examples=60)
def test_influences_are_the_derivative_of_the_mean(counts, seed):
    """A run moved by d moves the mean by d times its share, and its own influence by R - 1 times as much."""
    scores = games(np.random.default_rng(seed), *counts)
    value, found = influence.iqm_influence(scores)
    assert value == pytest.approx(metrics.iqm(scores), rel=1e-12, abs=1e-12)
    edges = influence.bounds(metrics.lay_out(scores))[1:3]
    step = 1e-7
    for name, values in scores.items():
        assert found[name].sum() == pytest.approx(0, abs=1e-9)
        for i in np.flatnonzero(~np.isin(values, edges)):  # an edge may be kept in part
            moved = values.copy()
            moved[i] += step
            after, influences = influence.iqm_influence(scores | {name: moved})
            slope, changed = (after - value) / step, influences[name]
            assert (changed[i] - found[name][i]) / step == pytest.approx(slope * (len(values) - 1), abs=1e-5)


def test_without_a_trim_it_is_the_standard_error_of_a_stratified_mean():
    scores = {"a": np.array([1.0, 2.0, 4.0]), "b": np.array([10.0, 14.0])}
    parts = {name: (values - values.mean()) / 2 for name, values in scores.items()}
    error, freedom = influence.error_of(parts)
    first, second = np.var(scores["a"], ddof=1) / 3 / 4, np.var(scores["b"], ddof=1) / 2 / 4
    assert error == pytest.approx(np.sqrt(first + second))
    assert freedom == pytest.approx((first + second) ** 2 / (first**2 / 2 + second**2 / 1))


def test_two_games_agree_with_welchs_test():
    rng = np.random.default_rng(4)
    a, b = rng.normal(0, 1, 6), rng.normal(3, 4, 4)
    oracle = stats.ttest_ind(a, b, equal_var=False)
    error, freedom = influence.error_of({"a": a - a.mean(), "b": b - b.mean()})
    assert (a.mean() - b.mean()) / error == pytest.approx(oracle.statistic)
    assert freedom == pytest.approx(oracle.df)


def test_a_hand_computed_interquartile_error():
    """Eight runs 1..8 in two games of four: 3..6 are kept, winsorized to 3 3 3 4 and 5 6 6 6."""
    scores = {"a": np.array([1.0, 2.0, 3.0, 4.0]), "b": np.array([5.0, 6.0, 7.0, 8.0])}
    value, found = influence.iqm_influence(scores)
    assert value == 4.5
    assert found["a"].tolist() == [-0.25, -0.25, -0.25, 0.75]
    assert standard_error(scores) == pytest.approx(np.sqrt(2 * 0.25 / 4))
    assert degrees_of_freedom(scores) == pytest.approx(6)


def test_the_error_is_that_of_repeated_experiments():
    rng = np.random.default_rng(8)
    means, spreads = np.linspace(0, 6, 15), np.linspace(0.5, 2, 15)
    values, errors = [], []
    for _ in range(400):
        scores = {f"{i:02}": rng.normal(m, s, 10) for i, (m, s) in enumerate(zip(means, spreads, strict=True))}
        values.append(metrics.iqm(scores))
        errors.append(standard_error(scores) ** 2)
    assert np.sqrt(np.mean(errors)) == pytest.approx(np.std(values), rel=0.12)


def test_a_game_with_one_run_is_lent_the_spread_of_the_others():
    rng = np.random.default_rng(0)
    several = {"a": rng.normal(size=5), "b": rng.normal(size=5)}
    centered = {name: values - values.mean() for name, values in several.items()}
    pooled = np.mean([np.var(values, ddof=1) for values in several.values()])
    alone = influence.error_of(centered)[0]
    lent, freedom = influence.error_of(centered | {"c": np.zeros(1)})
    assert lent**2 == pytest.approx(alone**2 + pooled)
    assert freedom == pytest.approx(influence.error_of(centered)[1])


@pytest.mark.parametrize("scores", [{"a": np.ones(1), "b": np.zeros(1)}, {"a": np.ones(3), "b": np.zeros(3)}])
def test_no_error_without_evidence(scores):
    assert standard_error(scores) is None
    assert degrees_of_freedom(scores) is None
