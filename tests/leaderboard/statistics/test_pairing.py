"""Pairs by seed against formulas, scipy and all ways to change sides."""

import itertools
import random

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy import stats

from leaderboard.statistics.influence import error_of, iqm_influence
from leaderboard.statistics.metrics import iqm
from leaderboard.statistics.pairing import exchange_p, matched, pair_error, pair_influence
from leaderboard.statistics.pairs import compare, verdict
from leaderboard.statistics.permutation import permutation_p
from leaderboard.statistics.power import seeds_needed, unit_variances
from leaderboard.statistics.sentences import PAIRED, remarks, sentence
from leaderboard.statistics.simulations import choices
from leaderboard.statistics.simulations.worlds import correlated, true_iqm


def pair(seed, *, shift=0.0, runs=5, games=6, own=0.03, common=0.1):
    """Return two entries whose runs of one seed have most of their luck in common."""
    source = np.random.default_rng(seed)
    luck = {f"game-{i}": source.normal(1 + i / 10, common, runs) for i in range(games)}
    return [{name: values + source.normal(up, own, runs) for name, values in luck.items()} for up in (shift, 0.0)]


def exact(a, b):
    """Return the exact p: all ways in which the runs of pairs change sides."""

    def statistic(left, right):
        return abs(iqm(left) - iqm(right)) / error_of(pair_influence(left, right))[0]

    seen, far = statistic(a, b) * (1 - 1e-9), []
    cells = [(name, i) for name in a for i in range(len(a[name]))]
    for changed in itertools.product((False, True), repeat=len(cells)):
        sides = [{name: values.copy() for name, values in side.items()} for side in (a, b)]
        for (name, i), change in zip(cells, changed, strict=True):
            if change:
                sides[0][name][i], sides[1][name][i] = sides[1][name][i], sides[0][name][i]
        far.append(statistic(*sides) >= seen)
    return np.mean(far)


def test_p_is_that_of_all_ways_to_change_sides():
    source = np.random.default_rng(4)
    sizes = {"x": 3, "y": 2, "z": 4}
    a, b = ({name: source.normal(up, 0.2, size) for name, size in sizes.items()} for up in (0.1, 0.0))
    expected = exact(a, b)
    assert 0.05 < expected < 0.95
    assert exchange_p(a, b) == pytest.approx(expected, abs=4 * expected / 200**0.5)


def test_the_smallest_p_is_one_in_all_relabellings_and_one():
    a, b = pair(0, shift=9.0)
    assert exchange_p(a, b) == 1 / 20_001
    assert exchange_p(a, b, permutations=99) == 0.01
    assert exchange_p(a, a) == 1.0


@given(st.integers(0, 2**31), st.randoms(use_true_random=False))
@example(175, random.Random(0))  # so far apart that p is the tail of Student's t
@settings(max_examples=8)
def test_a_paired_comparison_depends_on_no_order_of_pairs_and_swapping_turns_it_round(seed, source):
    a, b = pair(seed, shift=0.02)
    found = compare(a, b, pairing="paired")
    orders = {name: source.sample(range(5), 5) for name in a}
    again = compare(*({name: side[name][orders[name]] for name in reversed(side)} for side in (a, b)), pairing="paired")
    assert (again.p, again.seeds_needed) == (found.p, found.seeds_needed)
    assert again.difference.low == pytest.approx(found.difference.low, rel=1e-9)
    turned = compare(b, a, pairing="paired")
    assert turned.p == found.p
    assert turned.difference.low == pytest.approx(-found.difference.high, abs=1e-12)


def test_the_interval_is_that_of_the_differences_of_pairs_where_nothing_is_trimmed_away():
    """Games far apart, so that the middle half is the runs of two games and the others are winsorized to a constant."""
    source = np.random.default_rng(2)
    common = {f"{i}": 100.0 * i + source.normal(0, 1, 5) * (i in (1, 2)) for i in range(4)}
    a, b = ({n: v + source.normal(0, 0.1, 5) * (n in "12") for n, v in common.items()} for _ in range(2))
    error, freedom = error_of(pair_influence(a, b))
    parts = [np.var(a[name] - b[name], ddof=1) / 5 / 4 for name in "12"]
    assert error == pytest.approx(sum(parts) ** 0.5)
    assert freedom == pytest.approx(sum(parts) ** 2 / sum(part**2 / 4 for part in parts))
    found = compare(a, b, pairing="paired")
    half = stats.t.ppf(0.975, freedom) * error
    assert (found.difference.low, found.difference.high) == pytest.approx(
        (found.difference.value - half, found.difference.value + half)
    )
    for row in found.by_game:
        if row.game in "12":
            oracle = stats.ttest_rel(a[row.game], b[row.game]).confidence_interval()
            assert (row.difference.low, row.difference.high) == pytest.approx((oracle.low, oracle.high))


def test_luck_that_both_share_does_not_count():
    a, b = pair(3, shift=0.06)
    alone, together = compare(a, b), compare(a, b, pairing="paired")
    assert together.difference.value == alone.difference.value
    assert (verdict(alone), verdict(together)) == ("open", "better")
    assert together.seeds_needed < alone.seeds_needed
    units = unit_variances(pair_influence(a, b))
    freedom = [pair_error(a, b)[1], None]
    assert together.seeds_needed == seeds_needed(together.difference.value, units, {}, freedom=freedom)
    assert together.p < 0.001 < 0.05 < alone.p == permutation_p(a, b)


def test_the_sentence_and_what_is_to_be_minded_say_that_runs_are_paired():
    a, b = pair(3, shift=0.06)
    words = {
        "unpaired": ", permutation p",
        "paired": ", paired by seed, permutation p",
        "paired as asked": ", paired by seed, as was asked for, permutation p",
        "unpaired as asked": ", not paired by seed, as was asked for, permutation p",
    }
    for pairing, expected in words.items():
        found = compare(a, b, pairing=pairing)
        assert expected in sentence(found, "A", "B")
        assert found.pairing == pairing
        assert (PAIRED in remarks(found)) == found.paired == (pairing in ("paired", "paired as asked"))


def test_pairs_that_are_too_much_alike_are_compared_unpaired():
    """Equal runs, or runs that differ in one game alone, say nothing of how differences vary."""
    a, b = pair(1)
    for other in (a, a | {"game-0": b["game-0"]}):
        assert pair_error(a, other) == (None, None)
        assert compare(a, other, pairing="paired") == compare(a, other)
        assert compare(a, other).difference.low is not None
    with pytest.raises(ValueError, match="as many runs of each"):
        compare(a, b | {"game-0": b["game-0"][:4]}, pairing="paired")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({"x": range(8), "y": range(8)}, {"x": range(8), "y": range(8)}, True),
        ({"x": range(8), "y": range(8), "z": [0]}, {"x": range(8), "y": range(8)}, True),
        ({"x": range(8), "y": range(8)}, {"x": range(8), "y": range(7)}, False),
        ({"x": range(8), "y": range(8)}, {"x": range(8), "y": range(1, 9)}, False),
        ({"x": range(8), "y": range(8)}, {"x": range(8), "y": range(7, -1, -1)}, False),
        ({"x": range(7), "y": range(7)}, {"x": range(7), "y": range(7)}, False),
        ({"x": range(30), "y": range(4)}, {"x": range(30), "y": range(4)}, False),
        ({"x": [0] * 20}, {"x": [0] * 20}, False),
        ({"x": range(20)}, {"y": range(20)}, False),
    ],
)
def test_pairs_need_the_same_seeds_and_enough_of_them(a, b, expected):
    assert matched(a, b) == expected


def test_simulated_pairs_correlate_as_they_should_and_have_the_means_of_their_world():
    for noise in ("real", "atari 100k", "rivals 100k"):
        sides = correlated("some", noise, 2, 20_000, 0.6, 0.1)
        assert all(len(side) == 2 for side in sides)
        for name in sides[0]:
            ranks = stats.spearmanr(sides[0][name], sides[1][name]).statistic
            assert ranks == pytest.approx(6 / np.pi * np.arcsin(0.3), abs=0.05)
            if not noise.startswith("rivals"):
                assert sides[1][name].mean() == pytest.approx(1.1 * sides[0][name].mean(), rel=0.05)
    first, second = correlated("some", "rivals 100k", 26, 2_000, 0.0, 0.0)
    assert (iqm(first), iqm(second)) == pytest.approx((1, 1), rel=0.02)
    base = correlated("some", "atari 100k", 26, 2_000, 0.0, 0.0)[0]
    assert min(abs(iqm(base) / true_iqm("atari 100k", entry) - 1) for entry in range(4)) < 0.02


@pytest.mark.slow
def test_pairs_without_a_difference_are_rarely_told_apart_and_correlation_is_used():
    """A small version of the table in docs/comparisons.md."""
    wrong = [choices._one_pair(f"test/{i}", "atari 100k", 26, 5, 0.9, 0.0) for i in range(40)]
    found = [choices._one_pair(f"test/{i}", "atari 100k", 26, 5, 0.9, 0.2) for i in range(10)]
    assert np.mean(wrong, axis=0)[1] < 0.15
    assert np.mean(found, axis=0)[1] > np.mean(found, axis=0)[0]


def test_influences_of_pairs_are_those_of_both_sides():
    a, b = pair(5)
    ours, theirs = iqm_influence(a)[1], iqm_influence(b)[1]
    assert all((found == ours[name] - theirs[name]).all() for name, found in pair_influence(a, b).items())
