from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from leaderboard.statistics import metrics
from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.statistics.proportions import poi_estimate, profile_estimates

FEW = replace(STATISTICS_POLICY, name="few", final_repetitions=300, curve_repetitions=300)

blocks = st.lists(
    st.tuples(*[hnp.arrays(np.float64, st.integers(1, 4), elements=st.sampled_from([0.0, 0.5, 1.0, 2.0]))] * 2),
    min_size=1,
    max_size=4,
)


@given(blocks)
@settings(max_examples=60)
def test_shares_lie_within_their_intervals_which_have_a_width(pairs):
    a, b = ({f"g{i}": pair[side] for i, pair in enumerate(pairs)} for side in (0, 1))
    taus = np.array([-1.0, 0.5, 5.0])
    shares = profile_estimates(a, taus, FEW)
    assert [share.value for share in shares] == pytest.approx(metrics.profile(a, taus).tolist())
    found = poi_estimate(a, b, FEW)
    assert found.value == metrics.probability_of_improvement(a, b)
    for share in (*shares, found):
        if share.low is None:
            assert min(np.mean([len(pair[side]) > 1 for pair in pairs]) for side in (0, 1)) < 0.75
        else:
            assert 0 <= share.low <= share.value <= share.high <= 1
            assert share.high - share.low > 1e-3


def test_a_share_of_nothing_or_everything_is_not_certain():
    scores = {f"g{i}": np.arange(5.0) + 1 for i in range(3)}
    none, everything = profile_estimates(scores, np.array([100.0, 0.0]))
    # one run in 15: 1/15 14/15 / (1/15)^2 = 14 flips, and Wilson's interval for 0 of 14: z^2 / (14 + z^2)
    z = 1.959964
    assert (none.low, none.high) == pytest.approx((0, z**2 / (14 + z**2)), abs=1e-6)
    assert (everything.low, everything.high) == pytest.approx((1 - z**2 / (14 + z**2), 1), abs=1e-6)
    assert none.percentile_low is None


def test_a_hand_computed_share():
    """Two games with 1 and 2 of 4 runs above, the only threshold: p = 3/8, 4 s^2 = (1/4 + 1/3) / 4 + (1/4)^2 / 4."""
    scores = {"a": np.array([0.0, 0, 0, 1]), "b": np.array([0.0, 0, 1, 1])}
    found = profile_estimates(scores, np.array([0.5]))[0]
    flips, z = 15 / 64 * 4 / (7 / 48 + 1 / 64), 1.959964
    center = (3 / 8 + z**2 / (2 * flips)) / (1 + z**2 / flips)
    half = z * np.sqrt(15 / 64 / flips + z**2 / (4 * flips**2)) / (1 + z**2 / flips)
    assert (found.low, found.high) == pytest.approx((center - half, center + half), abs=1e-6)


def test_one_game_whose_runs_disagree_does_not_decide_how_wide_a_profile_is():
    """Its own degrees of freedom would: 2 with three runs, and a band of half the figure around 1 run of 45.

    Nor do runs that all agree make the band vanish.
    """
    scores = {f"g{i:02}": np.zeros(3) for i in range(15)}
    widths = []
    for above in range(3):
        scores["g00"] = np.array([1.0] * above + [0.0] * (3 - above))
        found = profile_estimates(scores, np.array([0.5]))[0]
        widths.append(found.high - found.low)
    assert all(0.05 < width < 0.2 for width in widths)


def test_games_far_from_a_threshold_do_not_widen_a_profile():
    """Of 15 games one is near it: the band is that of its flips and little more, not of 15 games'."""
    scores = {f"g{i:02}": np.full(5, 10.0 * i) + np.arange(5) / 10 for i in range(15)}
    near = profile_estimates(scores, np.array([70.25]))[0]  # two runs of the eighth game lie above
    sure = 2 * 1.96 * np.sqrt(0.4 * 0.6 / 5) / 15
    assert near.value == pytest.approx((2 / 5 + 7) / 15)
    assert sure < near.high - near.low < 1.5 * sure


def test_improvement_is_symmetric():
    rng = np.random.default_rng(0)
    a = {name: rng.normal(0.4, 1, 5) for name in "abcdef"}
    b = {name: rng.normal(0.0, 1, 4) for name in "abcdef"}
    found, turned = poi_estimate(a, b), poi_estimate(b, a)
    assert 0 < found.low < found.value < found.high < 1
    assert (found.low, found.high) == pytest.approx((1 - turned.high, 1 - turned.low))
    assert (found.percentile_low, found.percentile_high) == pytest.approx(
        (1 - turned.percentile_high, 1 - turned.percentile_low), abs=0.02
    )


def test_orders_do_not_matter():
    rng = np.random.default_rng(1)
    a, b = ({name: rng.normal(size=4) for name in "abc"} for _ in range(2))
    turned = [{name: values[::-1] for name, values in reversed(side.items())} for side in (a, b)]
    assert poi_estimate(a, b, FEW) == poi_estimate(*turned, FEW)
    taus = np.linspace(-1, 1, 7)
    assert profile_estimates(a, taus, FEW) == profile_estimates(turned[0], taus, FEW)


def test_one_run_each_has_no_interval():
    a = {"x": np.ones(1), "y": np.zeros(1)}
    assert poi_estimate(a, a).low is None
    assert profile_estimates(a, np.array([0.5]))[0].low is None
