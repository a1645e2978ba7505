"""The tree is a function of its leaves, and finds what a scan along the running sum finds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.errors import SuiteError
from suite.experience.replay.sum_tree import SumTree

dyadic = st.integers(0, 64).map(lambda k: k / 4)  # sums of these are exact in any order
real = st.floats(0, 1e6)


def scan(leaves: list[float], mass: float) -> int:
    """Walk along the running sum; a mass at or past the end belongs to the last leaf above zero."""
    end = 0.0
    for slot, leaf in enumerate(leaves):
        end += leaf
        if mass < end:
            return slot
    return max(slot for slot, leaf in enumerate(leaves) if leaf > 0)


def test_four_leaves_by_hand() -> None:
    tree = SumTree(4)
    tree.set(np.asarray([0, 1, 2, 3]), np.asarray([0.5, 1.0, 0.0, 2.5]))
    assert tree.total == 4.0
    assert tree.find(np.asarray([0.0, 0.49, 0.5, 1.49, 1.5, 3.99, 4.0])).tolist() == [0, 0, 1, 1, 3, 3, 3]
    tree.set(np.asarray([3]), np.asarray([0.0]))
    assert tree.total == 1.5
    assert tree.find(np.asarray([0.2, 1.5])).tolist() == [0, 1]
    assert tree.get(np.asarray([1, 0, 3])).tolist() == [1.0, 0.5, 0.0]


def test_the_last_of_a_repeated_slot_wins() -> None:
    tree = SumTree(5)
    tree.set(np.asarray([2, 4, 2, 2]), np.asarray([9.0, 1.0, 8.0, 0.5]))
    assert tree.leaves().tolist() == [0.0, 0.0, 0.5, 0.0, 1.0]
    assert tree.total == 1.5


@settings(max_examples=80)
@given(st.lists(dyadic, min_size=1, max_size=40).filter(any), st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_find_is_a_scan_along_the_running_sum(leaves: list[float], shares: list[float]) -> None:
    tree = SumTree.from_leaves(np.asarray(leaves))
    assert tree.total == sum(leaves)
    masses = [*(share * tree.total for share in shares), *np.cumsum(leaves).tolist(), 0.0]
    assert tree.find(np.asarray(masses)).tolist() == [scan(leaves, mass) for mass in masses]


@settings(max_examples=80)
@given(
    st.integers(1, 40).flatmap(
        lambda capacity: st.tuples(
            st.just(capacity),
            st.lists(st.lists(st.tuples(st.integers(0, capacity - 1), real), min_size=1, max_size=9), max_size=9),
        )
    )
)
def test_a_tree_rebuilt_from_its_leaves_is_equal_to_the_bit(case: tuple[int, list[list[tuple[int, float]]]]) -> None:
    capacity, changes = case
    tree, leaves = SumTree(capacity), [0.0] * capacity
    for change in changes:
        tree.set(np.asarray([slot for slot, _ in change]), np.asarray([priority for _, priority in change]))
        for slot, priority in change:
            leaves[slot] = priority
    rebuilt = SumTree.from_leaves(np.asarray(leaves))
    assert tree.leaves().tobytes() == np.asarray(leaves).tobytes()
    assert tree._nodes.tobytes() == rebuilt._nodes.tobytes()


@settings(max_examples=80)
@given(st.lists(st.just(0.0) | st.floats(1e-300, 1e6), min_size=1, max_size=40).filter(any), st.integers(0, 99))
def test_no_rounding_leads_to_a_priority_of_zero(leaves: list[float], seed: int) -> None:
    tree = SumTree.from_leaves(np.asarray(leaves))
    edges = np.cumsum(leaves)
    masses = [edges, np.nextafter(edges, 0), np.nextafter(edges, np.inf), [tree.total, 2 * tree.total, -1.0]]
    masses.append(np.random.default_rng(seed).random(32) * tree.total)
    assert (tree.get(tree.find(np.concatenate(masses))) > 0).all()


def test_frequencies_are_proportional_to_priorities() -> None:
    leaves = np.random.default_rng(1).random(100) ** 4
    tree = SumTree.from_leaves(leaves)
    draws = 400_000
    counts = np.bincount(tree.find((np.arange(draws) + 0.5) / draws * tree.total), minlength=100)
    assert np.abs(counts - draws * leaves / leaves.sum()).max() <= 2  # evenly spaced masses: exact but at the edges


@pytest.mark.parametrize("wrong", [-1e-9, float("nan"), float("inf")])
def test_what_is_no_priority_is_refused_and_changes_nothing(wrong: float) -> None:
    tree = SumTree.from_leaves(np.asarray([1.0, 2.0, 3.0]))
    with pytest.raises(SuiteError, match="negative, infinite or not a number"):
        tree.set(np.asarray([0, 1]), np.asarray([5.0, wrong]))
    assert tree.leaves().tolist() == [1.0, 2.0, 3.0]
    with pytest.raises(SuiteError, match="negative, infinite or not a number"):
        SumTree.from_leaves(np.asarray([wrong]))


def test_an_empty_tree_cannot_be_sampled() -> None:
    with pytest.raises(SuiteError, match="nothing can be sampled"):
        SumTree(7).find(np.zeros(1))
