from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from rliable import metrics as oracle
from scipy import stats

from leaderboard.statistics import intervals, metrics, replicates
from leaderboard.statistics.conventions import STATISTICS, STATISTICS_POLICY
from leaderboard.statistics.intervals import Estimate, estimate, interval
from leaderboard.statistics.metrics import lay_out
from leaderboard.statistics.replicates import Replicates
from leaderboard.statistics.resampling import resamples
from tests.support.errors_of_scores import degrees_of_freedom, standard_error

FEW = replace(STATISTICS_POLICY, name="few", final_repetitions=400, curve_repetitions=200)
METRICS = ("iqm", "iqm_rliable", "mean", "median", "optimality_gap")

ragged = st.lists(
    hnp.arrays(
        np.float64, st.integers(1, 5), elements=st.one_of(st.floats(-50, 50), st.sampled_from([0.0, -0.0, 1.0]))
    ),
    min_size=1,
    max_size=6,
)


def some_scores(*counts, seed=0):
    rng = np.random.default_rng(seed)
    return {f"g{i:02}": rng.normal(0.3 * i, 0.5 + 0.1 * i, count) for i, count in enumerate(counts)}


@given(ragged, st.randoms(use_true_random=False))
@settings(max_examples=30)
def test_results_do_not_depend_on_any_order(blocks, source):
    scores = {f"g{i}": block for i, block in enumerate(blocks)}
    names = list(scores)
    source.shuffle(names)
    shuffled = {name: np.array(source.sample(scores[name].tolist(), len(scores[name]))) for name in names}
    for name in METRICS:
        assert estimate(name, scores, FEW) == estimate(name, shuffled, FEW)


@given(ragged)
@settings(max_examples=60)
def test_an_interval_holds_its_value_and_has_a_width(blocks):
    scores = {f"g{i}": block for i, block in enumerate(blocks)}
    for name in METRICS:
        found = estimate(name, scores, FEW)
        assert found.value == pytest.approx(getattr(metrics, name)(scores), rel=1e-12, abs=1e-12)
        assert (found.low is None) == (found.high is None)
        if max(len(block) for block in blocks) < 2:
            assert found.low is None
        if found.low is not None:
            assert found.low <= found.value <= found.high
            assert found.low < found.high
        if found.percentile_low is not None:
            assert found.percentile_low < found.percentile_high


def test_the_same_numbers_on_every_machine():
    # whole numbers over 50: the last bit of a power would be the processor's, and all draws hang on it
    matrix = np.square(np.arange(30.0)).reshape(5, 6) / 50
    scores = {f"game-{i:02}": matrix[:, i] for i in range(6)}
    found = intervals.estimate("iqm", scores)
    assert found == intervals.estimate("iqm", scores)
    ends = (found.value, found.low, found.high, found.percentile_low, found.percentile_high)
    assert ends == pytest.approx(GOLDEN, rel=1e-12)


GOLDEN = (4.583333333333333, 1.6745990608978034, 8.231792991271004, 2.4699833333333308, 7.344016666666663)


def test_conventional_ends_are_those_of_scipys_bootstrap():
    scores = some_scores(5, 5, 5, 5, 5, 5)
    matrix = np.stack(list(scores.values()), axis=1)
    theirs = stats.bootstrap(
        tuple(matrix.T),
        lambda *columns, axis: stats.trim_mean(np.concatenate(columns, axis=axis), 0.25, axis=axis),
        method="percentile",
        n_resamples=20_000,
        vectorized=True,
        rng=np.random.default_rng(0),
    ).confidence_interval
    ours = estimate("iqm_rliable", scores)
    width = theirs.high - theirs.low
    assert ours.percentile_low == pytest.approx(theirs.low, abs=0.04 * width)
    assert ours.percentile_high == pytest.approx(theirs.high, abs=0.04 * width)


def test_a_replicate_is_the_trimmed_mean_of_what_it_drew():
    scores = some_scores(5, 5, 5, 5)
    layout = lay_out(scores)
    found = replicates.of_points(layout, FEW, 50, "x")[0]  # 20 runs: a quarter is whole, as rliable trims
    counts = next(resamples(layout.sizes, layout.sizes, 50, replicates.key_of(FEW, "x", layout.sizes, layout.rows)))
    drawn = [np.repeat(layout.rows[:, 0], column.astype(int)) for column in counts.T]
    assert found.conventional == pytest.approx([oracle.aggregate_iqm(values) for values in drawn], rel=1e-12)


def test_a_replicates_error_is_the_influence_error_of_what_it_drew():
    scores = some_scores(4, 6, 3)
    layout = lay_out(scores)
    found = replicates.of_points(layout, FEW, 30, "x")[0]
    counts = next(resamples(layout.sizes, layout.sizes, 30, replicates.key_of(FEW, "x", layout.sizes, layout.rows)))
    blocks = np.split(layout.rows[:, 0], layout.starts[1:])
    rows = [b.mean() + np.sqrt(len(b) / (len(b) - 1)) * (b - b.mean()) for b in blocks]
    for i, column in enumerate(counts.T):
        parts = np.split(column.astype(int), layout.starts[1:])
        drawn = {name: np.repeat(row, part) for name, row, part in zip(layout.names, rows, parts, strict=True)}
        assert found.values[i] == pytest.approx(metrics.iqm(drawn))
        assert found.errors[i] == pytest.approx(standard_error(drawn) or 0.0, abs=1e-12)


def test_the_error_of_the_data_is_the_influence_error():
    for scores in (some_scores(5, 5, 5, 5), some_scores(4, 1, 3, 2, 5)):
        found = replicates.of_points(lay_out(scores), FEW, 10, "x")[0]
        assert found.error == pytest.approx(standard_error(scores))
        assert found.freedom == pytest.approx(degrees_of_freedom(scores))


def test_no_end_lies_further_out_than_half_as_much_again_as_students_t():
    """Of a hundred resamples five have a tenth of the error, and ratios ten times as large."""
    values = np.tile(np.linspace(-1, 1, 100), 20)
    errors = np.where(np.arange(2000) % 100 < 5, 0.1, 1.0)
    found = interval(Replicates(10.0, 0.5, ((0.25, 8),), 0.0, values, errors, values))
    t = stats.t.ppf(0.975, 8)
    assert found.high == pytest.approx(10 + 1.5 * t * np.std(values))
    assert found.low == pytest.approx(10 - t * np.std(values))


def test_the_wider_of_two_intervals_counts_at_each_end():
    """Ratios from -3 to 1 make [value - error, value + 3 error]; the deviation's t-interval is wider below."""
    ratios = np.linspace(-3, 1, 2001)
    values = ratios.copy()
    found = interval(Replicates(10.0, 1.0, ((1.0, 1000),), 0.0, values, np.ones(2001), values))
    lower, upper = np.quantile(ratios, [0.025, 0.975])
    spread = stats.t.ppf(0.975, 1000) * np.std(values)
    assert upper < spread < -lower
    assert (found.low, found.high) == pytest.approx((10 - spread, 10 - lower))


def test_few_runs_fall_back_on_the_errors_own_t_interval():
    values, errors = np.linspace(-1, 1, 100), np.ones(100)
    errors[:5] = 0
    found = interval(Replicates(0.0, 1.0, ((1.0, 3),), 0.0, values, errors, values))
    assert (found.low, found.high) == pytest.approx((-stats.t.ppf(0.975, 3), stats.t.ppf(0.975, 3)))


def test_no_interval_without_evidence_for_one():
    one_seed = {"a": np.array([1.0]), "b": np.array([3.0])}
    equal = {"a": np.array([1.0, 1.0]), "b": np.array([3.0, 3.0])}
    for scores in (one_seed, equal):
        assert intervals.estimate("iqm", scores) == Estimate(2.0, None, None)


@pytest.mark.parametrize(
    ("counts", "enough"), [((2, 1, 1, 1), False), ((5, 5, 1, 1), False), ((2, 2, 2, 1), True), ((2, 1), False)]
)
def test_two_runs_in_three_quarters_of_the_games_carry_an_interval(counts, enough):
    assert (intervals.estimate("iqm", some_scores(*counts)).low is not None) == enough


def test_runs_have_to_differ_in_several_games():
    """One saturated game said how far 14 others vary: 0.7591 to 0.7593 around 0.7592."""
    scores = {f"{i:02}": np.full(2, float(i)) for i in range(15)}
    scores["07"] = np.array([7.0, 7.001])
    assert intervals.estimate("iqm", scores).low is None
    for i in range(4):
        scores[f"{i:02}"] = np.array([0.0, 1.0]) + i
    assert intervals.estimate("iqm", scores).low is not None


def test_two_games_of_two_runs_have_an_interval():
    """The demo: every run that is kept is an edge, so that the influence error is 0 and the deviation decides."""
    found = intervals.estimate("iqm", {"a": np.array([0.1, 0.5]), "b": np.array([1.0, 1.3])})
    assert found.high - found.low > 2 * (found.percentile_high - found.percentile_low)


def test_missing_runs_widen_the_interval():
    whole = some_scores(5, 5, 5, 5, 5, 5, 5, 5)
    thin = {name: values[: 5 if i % 4 else 1] for i, (name, values) in enumerate(whole.items())}
    widths = []
    for scores in (whole, thin):
        found = estimate("mean", scores)
        widths.append(found.high - found.low)
    assert widths[1] > 1.1 * widths[0]


def test_the_gap_is_the_mean_of_capped_scores_turned_round():
    scores = some_scores(5, 5, 5)
    gap = estimate("optimality_gap", scores, FEW)
    capped = estimate("mean", {name: np.minimum(values, 1) for name, values in scores.items()}, FEW)
    assert (gap.low, gap.high) == (1 - capped.high, 1 - capped.low)
    assert gap.percentile_low == 1 - capped.percentile_high


def test_an_unknown_metric_is_refused():
    with pytest.raises(ValueError, match="no metric 'mode'"):
        estimate("mode", some_scores(2, 2))


def test_another_policy_draws_other_numbers():
    scores = some_scores(5, 5, 5, 5)
    renamed = replace(FEW, name="other")
    assert estimate("iqm", scores, FEW).low != estimate("iqm", scores, renamed).low
    assert (STATISTICS, STATISTICS_POLICY.name) == ("stats-v4", "stats-v3")
