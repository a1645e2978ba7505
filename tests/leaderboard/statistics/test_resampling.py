from dataclasses import replace

import numpy as np
import pytest

from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.statistics.resampling import key_of, resamples


def test_resampling_is_stratified_uniform_and_does_not_depend_on_its_chunks():
    supports, draws = [2, 5, 9], [2, 5, 1]
    counts = np.concatenate(list(resamples(supports, draws, 4000, key=7)), axis=1)
    other = np.concatenate(list(resamples(supports, draws, 4000, key=7, chunk=999)), axis=1)
    assert counts.shape == (16, 4000)
    assert np.array_equal(counts, other)
    edges = np.cumsum([0, *supports])
    for support, drawn, first, last in zip(supports, draws, edges, edges[1:], strict=False):
        assert (counts[first:last].sum(axis=0) == drawn).all()
        assert counts[first:last].mean(axis=1) == pytest.approx(drawn / support, abs=0.05)


def test_games_are_drawn_independently():
    counts = np.concatenate(list(resamples([3, 3], [3, 3], 20_000, key=1)), axis=1)
    assert np.corrcoef(counts[0], counts[3])[0, 1] == pytest.approx(0, abs=0.03)
    assert np.corrcoef(counts[0], counts[1])[0, 1] == pytest.approx(-0.5, abs=0.03)


def test_the_same_draws_on_every_machine():
    assert next(resamples([3, 2], [3, 2], 3, key=11)).tolist() == GOLDEN


GOLDEN = [[1, 1, 1], [1, 2, 2], [1, 0, 0], [0, 2, 2], [2, 0, 0]]


def test_the_key_depends_on_policy_purpose_and_data():
    values = np.arange(4.0)
    renamed = replace(STATISTICS_POLICY, name="other")
    keys = {
        key_of(STATISTICS_POLICY, "a", [2, 2], values),
        key_of(STATISTICS_POLICY, "b", [2, 2], values),
        key_of(STATISTICS_POLICY, "a", [1, 3], values),
        key_of(STATISTICS_POLICY, "a", [2, 2], values + 1),
        key_of(STATISTICS_POLICY, "a", [2, 2], values.reshape(2, 2)),
        key_of(renamed, "a", [2, 2], values),
    }
    assert len(keys) == 6
    assert all(0 <= key < 2**128 for key in keys)
