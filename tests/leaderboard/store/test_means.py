"""Means by iteration are those that went in, however they are kept."""

import pickle

import pytest

from leaderboard.store.means import Means, compact


@pytest.mark.parametrize(
    "means", [{}, {0: 1.5}, {3: 0.1, 4: -2.0, 5: float("inf")}, {0: 1.0, 2: 3.0}, {5: 1.0, 4: 2.0}]
)
def test_compact_means_are_the_same_to_whoever_asks(means: dict[int, float]) -> None:
    found = compact(means)
    assert found == means
    assert (list(found.items()), bool(found)) == (list(means.items()), bool(means))
    assert [found.get(index) for index in range(-1, 7)] == [means.get(index) for index in range(-1, 7)]
    assert pickle.loads(pickle.dumps(found)) == means


def test_means_without_a_gap_take_little_room() -> None:
    assert isinstance(compact(dict.fromkeys(range(40), 0.5)), Means)
    assert isinstance(compact({0: 1.0, 2: 3.0}), dict)


def test_different_means_look_different_to_the_last_bit() -> None:
    shown = {repr(compact(means)) for means in ({0: 1.0}, {1: 1.0}, {0: 1.0, 1: 0.0}, {0: 1.0 + 2**-52}, {0: -1.0})}
    assert len(shown) == 5
    assert repr(compact({0: 1.0})) in shown
