import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rliable import metrics

from leaderboard.statistics import aggregate
from leaderboard.statistics.aggregate import STATISTICS_POLICY, Policy

FEW = Policy("few", 0.25, 0.95, 500, 200, 2)

matrices = hnp.arrays(
    np.float64,
    st.tuples(st.integers(1, 7), st.integers(1, 9)),
    elements=st.one_of(st.floats(-50, 50), st.sampled_from([0.0, -0.0, 1.0])),
)


def by_game(matrix):
    """[runs, games] as a mapping."""
    return {f"game-{i:02}": matrix[:, i] for i in range(matrix.shape[1])}


@given(matrices)
@settings(max_examples=150, deadline=None)
def test_point_estimates_are_rliables(matrix):
    scores = by_game(matrix)
    close = {"rel": 1e-9, "abs": 1e-9}
    assert aggregate.iqm(scores) == pytest.approx(metrics.aggregate_iqm(matrix), **close)
    assert aggregate.mean(scores) == pytest.approx(metrics.aggregate_mean(matrix), **close)
    assert aggregate.median(scores) == pytest.approx(metrics.aggregate_median(matrix), **close)
    assert aggregate.optimality_gap(scores) == pytest.approx(metrics.aggregate_optimality_gap(matrix), **close)


@given(matrices, st.randoms(use_true_random=False))
@settings(max_examples=25, deadline=None)
def test_results_do_not_depend_on_any_order(matrix, source):
    scores = by_game(matrix)
    names = list(scores)
    source.shuffle(names)
    shuffled = {name: np.array(source.sample(scores[name].tolist(), len(scores[name]))) for name in names}
    assert aggregate.iqm_estimate(scores, FEW) == aggregate.iqm_estimate(shuffled, FEW)


def test_the_same_bytes_twice_and_on_every_machine():
    matrix = np.arange(30.0).reshape(5, 6) ** 1.5 / 10
    first, second = (aggregate.iqm_estimate(by_game(matrix)) for _ in range(2))
    assert first == second
    golden = (first.value, first.low, first.high)
    assert golden == pytest.approx(GOLDEN, rel=1e-12)


GOLDEN = (5.733237677392164, 3.5396446010719953, 8.250055611437942)


def test_resampling_is_stratified_uniform_and_does_not_depend_on_its_chunks():
    sizes = [2, 5, 1]
    counts = np.concatenate(list(aggregate._resamples(sizes, 4000, key=7)))
    other = np.concatenate(list(aggregate._resamples(sizes, 4000, key=7, chunk=999)))
    assert np.array_equal(counts, other)
    edges = np.cumsum([0, *sizes])
    for size, first, last in zip(sizes, edges, edges[1:], strict=False):
        assert (counts[:, first:last].sum(axis=1) == size).all()
        assert counts[:, first:last].mean(axis=0) == pytest.approx(1.0, abs=0.06)


def test_a_resample_is_the_trimmed_mean_of_the_values_it_drew():
    values = np.random.default_rng(3).normal(size=20)
    counts = next(aggregate._resamples([5, 5, 5, 5], 50, key=1))
    ours = aggregate._trimmed_means(values, np.ones(20), (5, 15), counts)
    theirs = [metrics.aggregate_iqm(np.repeat(values, row)) for row in counts]
    assert ours == pytest.approx(theirs, rel=1e-12)


def test_unequal_seeds_weigh_games_equally():
    rng = np.random.default_rng(0)
    even = {"a": rng.normal(size=4), "b": rng.normal(size=4), "c": rng.normal(size=4), "d": rng.normal(size=4)}
    repeated = even | {"a": np.tile(even["a"], 3)}
    assert not aggregate.balanced(repeated)
    assert aggregate.iqm(repeated) == pytest.approx(aggregate.iqm(even), rel=1e-12)


def test_no_interval_without_evidence_for_one():
    one_seed = {"a": np.array([1.0, 2.0]), "b": np.array([3.0])}
    assert aggregate.iqm_estimate(one_seed) == aggregate.Estimate(aggregate.iqm(one_seed), None, None)
    equal = {"a": np.array([1.0, 1.0]), "b": np.array([3.0, 3.0])}
    assert aggregate.iqm_estimate(equal) == aggregate.Estimate(2.0, None, None)


def test_a_curve_is_its_points():
    rng = np.random.default_rng(5)
    curves = {name: rng.normal(size=(3, 4)) for name in "abc"}
    points = aggregate.iqm_curve(curves)
    finals = [aggregate.iqm({name: values[:, p] for name, values in curves.items()}) for p in range(4)]
    assert [point.value for point in points] == finals
    assert all(point.low < point.value < point.high for point in points)


@pytest.mark.parametrize("scores", [{}, {"a": np.array([])}, {"a": np.array([1.0, np.nan])}])
def test_missing_values_are_refused(scores):
    with pytest.raises(ValueError, match=r"needs a run|finite"):
        aggregate.iqm(scores)


def test_another_policy_draws_other_numbers():
    scores = by_game(np.random.default_rng(1).normal(size=(5, 4)))
    renamed = Policy("other", 0.25, 0.95, 500, 200, 2)
    assert aggregate.iqm_estimate(scores, FEW).low != aggregate.iqm_estimate(scores, renamed).low
    assert STATISTICS_POLICY.name == "stats-v1"
