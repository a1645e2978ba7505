import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rliable import metrics as rliable
from scipy import stats

from leaderboard.statistics import looks, pairs, permutation, power
from leaderboard.statistics.influence import iqm_influence
from leaderboard.statistics.intervals import Estimate
from leaderboard.statistics.metrics import iqm
from leaderboard.statistics.pairs import compare, holm, verdict
from leaderboard.statistics.permutation import permutation_p
from leaderboard.statistics.ranks import rank
from leaderboard.statistics.sentences import p_text, remarks, sentence
from leaderboard.statistics.simulations import comparisons
from leaderboard.statistics.simulations.comparisons import frequencies, pair_errors, tables
from leaderboard.statistics.simulations.worlds import atari_100k, board, population, true_iqm
from tests.support.errors_of_scores import degrees_of_freedom, standard_error


def normal(seed, level=1.0, runs=5, games=6, spread=0.1):
    source = np.random.default_rng(seed)
    return {f"game-{i}": source.normal(level + i / 10, spread, runs) for i in range(games)}


def shares(a, b, *, studentised):
    """Return the exact p: all ways to deal the runs of every game."""

    def statistic(left, right):
        far = abs(iqm(left) - iqm(right))
        if not studentised:
            return far
        return far / sum((standard_error(side) or 0.0) ** 2 for side in (left, right)) ** 0.5

    seen, hits, total = statistic(a, b) * (1 - 1e-9), 0, 0
    dealings = []
    for name in a:
        pooled = np.concatenate([a[name], b[name]])
        picks = itertools.combinations(range(len(pooled)), len(a[name]))
        dealings.append([(pooled[list(pick)], np.delete(pooled, pick)) for pick in picks])
    for chosen in itertools.product(*dealings):
        left, right = ({name: pair[side] for name, pair in zip(a, chosen, strict=True)} for side in (0, 1))
        hits += statistic(left, right) >= seen
        total += 1
    return hits / total


@pytest.mark.parametrize("studentised", [True, False])
@pytest.mark.parametrize(("runs_a", "runs_b"), [((2, 2, 2), (2, 2, 2)), ((3, 2, 2), (2, 2, 3))])
def test_p_is_that_of_all_relabellings(runs_a, runs_b, studentised):
    source = np.random.default_rng(11)
    a, b = (
        {f"game-{i}": source.normal(i / 5 + shift, 0.1, runs) for i, runs in enumerate(design)}
        for design, shift in ((runs_a, 0.0), (runs_b, 0.08))
    )
    exact = shares(a, b, studentised=studentised)
    assert 0.02 < exact < 0.98
    assert permutation_p(a, b, studentised=studentised) == pytest.approx(
        exact, abs=4 * (exact / 200) ** 0.5 * exact**0.5
    )


def test_the_smallest_p_is_one_in_all_relabellings_and_one():
    assert permutation_p(normal(0), normal(1, level=9.0)) == 1 / 20_001
    assert permutation_p(normal(0), normal(1, level=9.0), permutations=99) == 0.01


@pytest.mark.parametrize(("first", "count"), [(0, 5), (3, 8), (4, 1), (6_993, 100)])
def test_words_are_those_of_the_whole_stream(first, count):
    whole = np.random.Philox(key=7).random_raw(first + count)
    np.testing.assert_array_equal(permutation._words(7, first, count), whole[first:])


@pytest.mark.parametrize("relabellings", [777, 5_001, 20_000])
def test_relabellings_dealt_in_parts_are_those_dealt_at_once(relabellings, monkeypatch):
    design = ((5, 4), (3, 3), (1, 2))
    parts = [permutation._dealt(design, relabellings, i) for i in range(0, relabellings, permutation._BLOCK)]
    monkeypatch.setattr(permutation, "_BLOCK", relabellings)
    whole = permutation._dealt.__wrapped__(design, relabellings, 0)
    np.testing.assert_array_equal(np.concatenate(parts, axis=1), whole)
    starts = np.cumsum([0, *map(sum, design[:-1])])
    dealt = np.add.reduceat(whole, starts, axis=0, dtype=int)
    assert (dealt == np.array([mine for mine, _ in design])[:, None]).all()


def test_entries_without_a_difference_have_p_one():
    flat = {"a": np.ones(3), "b": np.ones(3)}
    assert permutation_p(flat, flat) == 1.0
    assert permutation_p(normal(3), normal(3)) == 1.0


def test_one_run_each_is_tested_by_the_plain_difference():
    a, b = ({f"{i}": np.array([i + shift]) for i in range(3)} for shift in (0.0, 0.5))
    exact = shares(a, b, studentised=False)
    assert permutation_p(a, b) == pytest.approx(exact, rel=0.3)


entries = st.tuples(st.integers(0, 2**31), st.integers(2, 5), st.integers(2, 5)).map(
    lambda drawn: (normal(drawn[0], runs=drawn[1], games=4), normal(drawn[0] + 1, level=1.03, runs=drawn[2], games=4))
)


@given(entries, st.randoms(use_true_random=False))
@settings(max_examples=12)
def test_a_comparison_depends_on_no_order_and_swapping_turns_it_round(pair, source):
    a, b = pair
    found = compare(a, b)
    shuffled = [
        {name: np.array(source.sample(scores[name].tolist(), len(scores[name]))) for name in reversed(scores)}
        for scores in pair
    ]
    again = compare(*shuffled)
    assert (again.p, again.games, again.seeds, again.seeds_needed) == (
        found.p,
        found.games,
        found.seeds,
        found.seeds_needed,
    )
    assert again.difference.low == pytest.approx(found.difference.low, rel=1e-9)
    turned = compare(b, a)
    assert turned.p == found.p
    assert turned.difference.value == pytest.approx(-found.difference.value, abs=1e-12)
    assert turned.difference.low == pytest.approx(-found.difference.high, abs=1e-12)
    assert turned.improvement.value == pytest.approx(1 - found.improvement.value, abs=1e-12)
    assert {row.game: row.share for row in turned.by_game} == pytest.approx(
        {row.game: -row.share for row in found.by_game}, abs=1e-12
    )


def test_the_same_in_another_process():
    script = (
        "from leaderboard.statistics.simulations.worlds import board\n"
        "from leaderboard.statistics.pairs import compare\n"
        "from leaderboard.statistics.ranks import rank\n"
        "a, b, c = board('twice', 4, 'real', (1.0, 1.05, 1.2))\n"
        "print(compare(a, b), rank({'a': a, 'b': b, 'c': c}))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    a, b, c = board("twice", 4, "real", (1.0, 1.05, 1.2))
    assert done.stdout.strip() == f"{compare(a, b)} {rank({'a': a, 'b': b, 'c': c})}"


def test_games_are_compared_as_by_welch_and_improvement_as_by_rliable():
    a, b = normal(5, runs=4), normal(6, runs=7, level=1.1)
    found = compare(a, b)
    for row in found.by_game:
        oracle = stats.ttest_ind(a[row.game], b[row.game], equal_var=False).confidence_interval()
        assert (row.difference.low, row.difference.high) == pytest.approx((oracle.low, oracle.high))
        assert row.difference.value == pytest.approx(row.a - row.b)
    theirs = rliable.probability_of_improvement(
        *(np.stack([side[name] for name in sorted(side)], axis=1) for side in (a, b))
    )
    assert found.improvement.value == pytest.approx(theirs)
    assert found.improvement.low < theirs < found.improvement.high


def test_the_difference_is_welchs_where_nothing_is_trimmed_away():
    """Games far apart, so that the middle half is the runs of two games and the others are winsorized to a constant."""
    source = np.random.default_rng(2)
    a, b = ({f"{i}": 100.0 * i + source.normal(0, 1, 4) * (i in (1, 2)) for i in range(4)} for _ in range(2))
    found = compare(a, b).difference
    squared = [sum(np.var(side[name], ddof=1) / 4 for name in "12") / 4 for side in (a, b)]
    assert found.value == pytest.approx(np.mean([a[n] for n in "12"]) - np.mean([b[n] for n in "12"]))
    parts = [np.var(side[name], ddof=1) / 16 for side in (a, b) for name in "12"]
    freedom = sum(parts) ** 2 / sum(part**2 / 3 for part in parts)
    half = stats.t.ppf(0.975, freedom) * sum(squared) ** 0.5
    assert (found.low, found.high) == pytest.approx((found.value - half, found.value + half))


def test_what_drives_a_difference():
    b = normal(4, games=8, spread=0.01)
    a = {name: values + (0.2 if name == "game-3" else 0.0) for name, values in b.items()}
    found = compare(a, b)
    assert found.by_game[0].game == "game-3"
    assert found.by_game[0].share == pytest.approx(found.difference.value)
    assert all(row.share == 0 for row in found.by_game[1:])


def test_only_common_games_are_compared_and_the_others_named():
    a, b = normal(1, games=5), normal(2, games=6)
    a["elsewhere"] = np.ones(5)
    found = compare(a, b)
    assert found.left_out == ("elsewhere", "game-5")
    assert found.games == tuple(f"game-{i}" for i in range(5))
    assert "left out, because only one has them: elsewhere, game-5" in remarks(found)[0]
    with pytest.raises(ValueError, match="no game in common"):
        compare({"x": np.ones(2)}, b)


def test_one_interquartile_mean_whatever_the_other_entry_has():
    """The trim does not change with another entry's number of runs, nor with a missing one."""
    a = normal(1, runs=5)
    others = (
        normal(2, runs=5),
        normal(2, runs=3),
        {name: v[: 3 + (name == "game-0")] for name, v in normal(2).items()},
    )
    assert {compare(a, other).a for other in others} == {iqm(a)}
    assert [compare(a, other).b for other in others] == [iqm(other) for other in others]


@pytest.mark.parametrize(
    ("level", "spread", "expected", "words"),
    [
        (1.5, 0.05, "better", "A is better than B: its interquartile mean is 0."),
        (0.5, 0.05, "worse", "A is worse than B: its interquartile mean is 0."),
        (1.0, 0.01, "equal", "A and B are practically equal"),
        (1.02, 0.4, "open", "It cannot be told which of A and B is better"),
        (1.02, 0.004, "better", "A is better than B, and practically equal all the same"),
    ],
)
def test_verdicts(level, spread, expected, words):
    found = compare(normal(8, level=level, spread=spread), normal(9, spread=spread))
    assert verdict(found) == expected
    assert sentence(found, "A", "B").startswith(words)
    assert found.margin == pytest.approx(0.05 * min(found.a, found.b))


def test_a_p_adjusted_for_several_pairs_can_take_the_verdict_back():
    found = compare(normal(8, level=1.5, spread=0.05), normal(9, spread=0.05))
    assert verdict(found, p=0.2) == "open"
    text = sentence(found, "A", "B", p=0.2, pairs=45)
    assert "unadjusted 95 % interval" in text
    assert "permutation p 0.2, adjusted for 45 pairs" in text
    assert "the seeds that are there find a difference of" in text


def test_no_spread_no_interval():
    one = {name: values[:1] for name, values in normal(1).items()}
    found = compare(one, normal(2))
    assert found.difference == Estimate(found.difference.value, None, None)
    assert found.seeds_needed is None
    assert any("No interval and no verdict" in remark for remark in remarks(found))
    assert any("Preliminary" in remark for remark in remarks(found))


@pytest.mark.parametrize(("mine", "others"), [(1, 1), (1, 5), (5, 1)])
def test_one_run_a_game_gets_no_verdict_however_small_p_is(mine, others):
    found = compare(normal(1, runs=mine, games=9), normal(2, level=9.0, runs=others, games=9))
    assert found.p < 0.01
    assert verdict(found) == "open"
    assert verdict(compare(normal(1, runs=2, games=9), normal(2, level=9.0, runs=2, games=9))) == "worse"


def test_measures_that_contradict_each_other_are_pointed_out():
    """Five games of 16 far up lift the middle half; the eleven others fall a little, and with them the odds."""
    b = {f"{i:02}": np.linspace(0.999, 1.001, 5) + i / 100 for i in range(16)}
    a = {name: values + (1.0 if name < "05" else -0.003) for name, values in b.items()}
    found = compare(a, b)
    assert found.difference.value > 0
    assert found.improvement.value == 5 / 16
    assert any("different directions" in remark for remark in remarks(found))
    assert sentence(found, "A", "B", p=0.01).startswith(
        "A is better than B by the interquartile mean, and worse by the probability of improvement: "
    )
    assert not any("different directions" in remark for remark in remarks(compare(normal(8, level=2.0), normal(9))))


def test_holm_is_holms():
    assert holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": 0.005}) == pytest.approx(
        {"a": 0.03, "b": 0.06, "c": 0.06, "d": 0.02}
    )
    assert holm({1: 0.9, 2: 0.8}) == {1: 1.0, 2: 1.0}
    assert holm({}) == {}


def test_seeds_for_a_difference_follow_the_planning_formula():
    """With many degrees of freedom: R = (1.96 + 0.84)^2 (V_a + V_b) / d^2 = 15.7 V / d^2 for equal entries."""
    variances = {f"{i}": 0.02 for i in range(500)}
    total = 500 * 0.02
    for wanted in (10, 50, 400):
        difference = ((1.959964 + 0.841621) ** 2 * 2 * total / (wanted - 0.5)) ** 0.5
        assert power.seeds_needed(difference, variances, variances) == wanted
    assert power.seeds_needed(1e-9, variances, variances) is None
    assert power.seeds_needed(0.0, variances, variances) is None
    assert power.seeds_needed(1.0, {"a": 0.0}, {"a": 0.0}) is None


def test_seeds_needed_have_the_power_they_promise():
    """One game of a normal pair: the noncentral t of scipy."""
    unit = {"a": 1.0, "b": 1.0, "c": 1.0, "d": 1.0}
    runs = power.seeds_needed(2.0, unit, unit)
    freedom, shift = 8 * (runs - 1), 2.0 / (8 / runs) ** 0.5
    reached = stats.nct.sf(stats.t.ppf(0.975, freedom), freedom, shift)
    assert 0.8 <= reached < 0.9


def test_unit_variances_scale_to_the_standard_error():
    scores = normal(3, runs=4)

    found = power.unit_variances(iqm_influence(scores)[1])
    assert (sum(found.values()) / 4) ** 0.5 == pytest.approx(standard_error(scores))
    assert power.unit_variances({"a": np.zeros(1)}) is None
    assert power.unit_variances({"a": np.zeros(1), "b": np.array([0.0, 2.0])}) == {"a": 2.0, "b": 2.0}


@pytest.mark.parametrize("p", [(1.0, "1"), (0.049, "0.049"), (0.00005, "0.00005"), (0.000001, "< 0.00001")])
def test_p_as_text(p):
    assert p_text(p[0]) == p[1]


@pytest.mark.slow
def test_false_positives_on_real_noise():
    found = frequencies(pair_errors, "test", 60, runs=[3], noise="real", effect=0.0)
    assert found["permutation, studentised"] <= 0.12
    assert found["percentile interval"] > found["permutation, studentised"]


@pytest.mark.slow
def test_the_test_still_finds_differences_where_games_disagree():
    found = frequencies(pair_errors, "test", 6, runs=[3], noise="rivals", effect=0.3)
    assert found["permutation, studentised"] > found["permutation, plain"]


@pytest.mark.nightly
def test_simulations_do_not_depend_on_the_number_of_processes(monkeypatch):
    jobs = [job for job in comparisons._jobs(1, (2,), ((2, 3),)) if job[0] != "plans" and "100k" not in str(job)]
    monkeypatch.setattr(comparisons, "_jobs", lambda *given: list({job[0]: job for job in jobs}.values()))
    first, second = (tables(1, processes) for processes in (1, 2))
    for found in (first, second):
        for row in itertools.chain(*found.values()):
            row.pop("cpu_seconds")
    assert first == second
    assert set(first) == {"ranks", "false positives", "power", "looks"}


@pytest.mark.slow
def test_looking_until_something_is_found_is_paid_for():
    """200 pairs without a difference: 16 % by looking from 3 to 10 seeds with p as it is, 5 % adjusted."""
    for noise in ("real", "atari 100k"):
        found = frequencies(comparisons.look_errors, "test", 2, noise=noise, effect=0.0)
        assert found["unadjusted, 3 to 10"] > 0.09
        assert (
            found["adjusted, 3 to 10"] <= found["adjusted, 2 to 50"] < 0.1
        )  # the true 0.05 exceeds in one of 100 seeds


def test_many_pairs_at_once_are_tested_as_each_alone():
    sides = comparisons.pair_of_blocks("test", "real", 0.1, 4, 3)
    values, squared, _ = comparisons._moments(sides[0])
    p, freedom = comparisons._t_test(*sides)
    for number in (0, 57):
        a, b = ({f"{g:02}": rows for g, rows in enumerate(side[number])} for side in sides)
        assert values[number] == pytest.approx(iqm(a))
        assert squared[number] ** 0.5 == pytest.approx(standard_error(a))
        low = iqm(a) - iqm(b) - stats.t.ppf(0.975, freedom[number]) * (squared[number] + standard_error(b) ** 2) ** 0.5
        assert compare(a, b).difference.low == pytest.approx(low)
        assert 0 <= p[number] <= 1


def test_the_published_noise_is_five_runs_of_ten_entries_on_fifteen_games():
    found = population()
    assert (len(found.names), len(found.games), found.real.size) == (10, 15, 750)
    assert found.real.std() == pytest.approx(1.0)
    assert found.real.mean() == pytest.approx(0.0, abs=1e-12)


def test_the_second_world_is_a_hundred_runs_of_four_entries_on_26_games():
    assert atari_100k().shape == (4, 26, 100)
    assert [true_iqm("atari 100k", entry) for entry in range(4)] == pytest.approx(
        [0.183, 0.224, 0.280, 0.337], abs=5e-4
    )


def test_exchanged_sides_have_the_same_verdict():
    """The margin is a share of the smaller mean, not of whichever comes second."""
    near = [normal(8, level=1.0, spread=0.02), normal(9, level=1.03, spread=0.02)]
    found, turned = compare(*near), compare(*reversed(near))
    assert found.margin == turned.margin
    other = {"better": "worse", "worse": "better"}
    assert verdict(turned) == other.get(verdict(found), verdict(found))


def test_equality_is_established_over_all_pairs():
    found = compare(normal(8, spread=0.01), normal(9, spread=0.01))
    assert found.p_equal < 0.05 < 0.9
    assert verdict(found) == "equal"
    assert verdict(found, p_equal=0.06) == "open"
    both = pairs.judged({1: found, 2: compare(normal(1, level=2.0), normal(2))})
    assert both[1].p_equal == pytest.approx(min(1, 2 * found.p_equal))


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=4)
def test_a_pair_of_someone_else_can_only_take_back_a_verdict(seed):
    """What is said of a pair stays; both its p grow by no more than Holm's factor, the number of pairs."""
    source = np.random.default_rng(seed)
    entries = {name: normal(seed + i, 1 + source.normal() / 20, spread=0.05) for i, name in enumerate("abcd")}
    found = {pair: compare(entries[pair[0]], entries[pair[1]]) for pair in ("ab", "ac", "bc", "ad", "bd", "cd")}
    before, after = pairs.judged({pair: found[pair] for pair in ("ab", "ac", "bc")}), pairs.judged(found)
    for pair, judged in before.items():
        assert after[pair].comparison == judged.comparison
        assert judged.p <= after[pair].p <= min(1, 6 * found[pair].p_looks)
        assert judged.p_equal <= after[pair].p_equal <= min(1, 6 * found[pair].p_equal)
        if after[pair].verdict != judged.verdict:
            assert after[pair].verdict == ("equal" if after[pair].p_equal < 0.05 else "open")


def test_the_p_of_equality_is_that_of_two_one_sided_tests():
    found = compare(normal(8, spread=0.03), normal(9, spread=0.03))
    inside = found.difference.low > -found.margin and found.difference.high < found.margin
    assert (found.p_equal < 0.05) == inside == found.within_margin


def test_entries_with_the_same_scores_are_pointed_out():
    found = compare(normal(1), {name: values[::-1] for name, values in normal(1).items()})
    assert found.identical
    assert any("same scores, run by run" in remark for remark in remarks(found))
    assert not compare(normal(1), normal(2)).identical


def test_a_p_that_no_relabelling_reaches_is_students():
    a, b = normal(1, level=1.0), normal(2, level=9.0)
    found = compare(a, b)
    assert permutation_p(a, b) == 1 / 20_001
    freedom = min(degrees_of_freedom(side) for side in (a, b))
    error = np.hypot(standard_error(a), standard_error(b))
    assert found.p == pytest.approx(2 * stats.t.sf(abs(found.difference.value) / error, freedom))


def test_the_planned_look_costs_little_and_others_more():
    a, b = normal(8, level=1.06, spread=0.1), normal(9, spread=0.1)
    only, planned, other, fixed = (
        compare(a, b, planned=seeds, growing=growing)
        for seeds, growing in ((None, (True, True)), (5, (True, True)), (6, (True, True)), (6, (False, False)))
    )
    assert (only.look, planned.look, other.look, fixed.look) == ("only", "planned", "other", "only")
    assert only.p_looks == fixed.p_looks == only.p
    assert planned.p_looks == pytest.approx(only.p / 0.8)
    assert other.p_looks == looks.adjusted_p(only.p, "other") > 5 * only.p
    assert "adjusted for looks at other numbers of seeds" in sentence(planned, "A", "B")
    assert "adjusted for every look on the way" in sentence(other, "A", "B")
    assert any("twice the seeds" in remark for remark in remarks(other))
    assert not any("twice the seeds" in remark for remark in remarks(planned))


def test_all_looks_of_a_random_walk_are_wrong_in_one_of_twenty():
    """The planned look at 5 seeds and one after every seed from 2 to 50, by the rule; 20,000 walks of normal steps."""
    steps = np.random.default_rng(0).normal(size=(20_000, 50)).cumsum(axis=1) / np.sqrt(np.arange(1, 51))
    p = 2 * stats.norm.sf(np.abs(steps[:, 1:]))
    wrong = (p < looks.level_at("other", 0.05)).any(axis=1) | (p[:, 3] < looks.level_at("planned", 0.05))
    assert wrong.mean() == pytest.approx(0.05, abs=0.006)
    assert (p < 0.05).any(axis=1).mean() > 0.3


@given(st.floats(1e-9, 1.0), st.floats(1e-9, 1.0))
@settings(max_examples=60)
def test_adjusting_keeps_the_order_and_never_helps(first, second):
    for look in ("only", "planned", "other"):
        one, other = sorted((first, second))
        assert one <= looks.adjusted_p(one, look) <= looks.adjusted_p(other, look) + 1e-12
        assert looks.adjusted_p(looks.level_at(look, 0.05), look) == pytest.approx(0.05)


def test_plans_count_looks_and_few_runs():
    unit = {f"{i}": 0.01 for i in range(10)}
    plain = power.seeds_needed(0.3, unit, unit)
    assert power.seeds_needed(0.3, unit, unit, planned=plain + 1) == plain + 1
    assert power.seeds_needed(0.3, unit, unit, planned=1_000) > 1.5 * plain
    assert power.seeds_needed(0.3, unit, unit, freedom=[4.0, 4.0]) > plain
    assert power.caution([(1.0, 4.0), (1.0, 4.0)]) == pytest.approx(8 / stats.chi2.ppf(0.4, 8))
    assert power.caution([(1.0, None)]) == 1.0


def test_pairs_offers_what_others_need():
    assert set(pairs.__all__) == {
        *("Comparison", "GameDifference", "Judged", "Verdict", "compare", "holm", "judged", "verdict"),
    }
