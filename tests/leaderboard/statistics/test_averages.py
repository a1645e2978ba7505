"""The mean of differences against a formula written out by hand."""

import math

import numpy as np
import pytest

from leaderboard.statistics.averages import mean_difference
from leaderboard.statistics.influence import error_of, iqm_influence
from leaderboard.statistics.metrics import iqm
from leaderboard.statistics.pairs import compare

SOURCE = np.random.default_rng(5)
SCORES = {
    name: {f"game {i}": level + 0.1 * SOURCE.normal(size=5) for i in range(6)}
    for name, level in {"a": 1.0, "b": 1.2, "c": 0.9, "dense": 0.8, "other": 0.7}.items()
}


def test_the_mean_of_one_pair_is_its_difference_with_its_interval():
    found, pair = mean_difference([("a", "dense")], SCORES), compare(SCORES["a"], SCORES["dense"]).difference
    assert (found.value, found.low, found.high) == pytest.approx((pair.value, pair.low, pair.high))


def test_a_shared_reference_counts_once_for_all_that_share_it():
    values = {name: iqm(scores) for name, scores in SCORES.items()}
    errors = {name: error_of(iqm_influence(scores)[1]) for name, scores in SCORES.items()}
    found = mean_difference([("a", "dense"), ("b", "dense"), ("c", "other")], SCORES)
    assert found.value == pytest.approx(
        (values["a"] + values["b"] + values["c"] - 2 * values["dense"] - values["other"]) / 3
    )
    weights = {"a": 1, "b": 1, "c": 1, "dense": 2, "other": 1}
    squared = sum((weight / 3 * errors[name][0]) ** 2 for name, weight in weights.items())
    assert found.low is not None
    half = found.value - found.low
    assert 1.96 * math.sqrt(squared) < half < 2.3 * math.sqrt(squared)


def test_without_enough_runs_on_some_side_there_is_no_interval():
    lone = SCORES | {"lone": {name: values[:1] for name, values in SCORES["b"].items()}}
    found = mean_difference([("a", "dense"), ("lone", "dense")], lone)
    assert (found.low, found.high) == (None, None)
    with pytest.raises(ValueError, match="needs a pair"):
        mean_difference([], SCORES)
