"""Late calls are exact: the priorities are those of a buffer that does everything at once, one item at a time."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite.errors import BadData, SuiteError
from suite.experience.replay.prioritized import MAX_REDRAWS, Priorities, importance_weights


def fixed(*sets: list[float]) -> Callable[[int], np.ndarray]:
    return lambda redraw: np.asarray(sets[redraw])


def nothing(indices: np.ndarray) -> np.ndarray:
    return np.zeros(len(indices), np.bool_)


def every_third(indices: np.ndarray) -> np.ndarray:
    return indices % 3 == 1


def holding(priorities: list[float], capacity: int) -> Priorities:
    """Fill a ring with transitions 0, 1, ... of these priorities."""
    held = Priorities(capacity)
    held.add_until(len(priorities))
    held.update(np.arange(len(priorities)), np.asarray(priorities))
    return held


class Eager:
    """Dopamine's order of work, plainly: enter on adding, set after the draw, sample by a scan of the ring."""

    def __init__(self, capacity: int) -> None:
        self.leaves = [0.0] * capacity
        self.owners = [-1] * capacity
        self.maximum = 1.0
        self.added = 0

    def add(self) -> None:
        slot = self.added % len(self.leaves)
        self.leaves[slot], self.owners[slot] = self.maximum, self.added
        self.added += 1

    def update(self, indices: list[int], priorities: list[float]) -> None:
        for index, priority in zip(indices, priorities, strict=True):
            assert self.owners[index % len(self.leaves)] == index
            self.leaves[index % len(self.leaves)] = priority
            self.maximum = max(self.maximum, priority)

    def sample(self, uniform: np.ndarray, invalid: Callable[[np.ndarray], np.ndarray]) -> list[int]:
        """Return an index for each part of the mass, or fewer where no redraw helped; uniform [redraws, parts]."""
        chosen = []
        for part, first in enumerate(uniform[0]):
            shares = [(part + first) / len(uniform[0]), *uniform[1:, part]]
            chosen += [t for t in map(self._at, shares) if not invalid(np.asarray([t]))[0]][:1]
        return chosen

    def _at(self, share: float) -> int:
        mass, end = share * sum(self.leaves), 0.0
        for leaf, owner in zip(self.leaves, self.owners, strict=True):
            end += leaf
            if mass < end:
                return owner
        raise AssertionError("a share below 1 of exact sums lies in some leaf")


@settings(max_examples=60)
@given(
    capacity=st.integers(1, 20),
    rounds=st.lists(st.tuples(st.integers(0, 25), st.lists(st.integers(1, 40), min_size=4, max_size=4)), max_size=12),
    seed=st.integers(0, 99),
)
def test_late_calls_equal_an_eager_buffer(capacity: int, rounds: list[tuple[int, list[int]]], seed: int) -> None:
    eager, late = Eager(capacity), Priorities(capacity)
    rng = np.random.default_rng(seed)
    drawn, pending = np.empty(0, np.int64), np.empty(0)
    eager.add()
    for adds, quarters in rounds:
        for _ in range(adds):
            eager.add()
        late.update(drawn, pending)
        late.add_until(eager.added)
        assert late.arrays()["leaves"].tolist() == eager.leaves
        assert late.maximum == eager.maximum
        uniform = np.floor(rng.random((MAX_REDRAWS, 4)) * 1024) / 1024  # multiples that neither side has to round
        expected = eager.sample(uniform, every_third)
        if len(expected) < 4:
            with pytest.raises(SuiteError, match="may not be sampled"):
                late.sample(4, uniform.__getitem__, every_third, eager.added)
            return
        drawn, priorities = late.sample(4, uniform.__getitem__, every_third, eager.added)
        assert drawn.tolist() == expected
        assert priorities.tolist() == [eager.leaves[t % capacity] for t in expected]
        pending = np.asarray(quarters) / 4
        eager.update(expected, pending.tolist())


def test_four_priorities_by_hand() -> None:
    held = holding([1.0, 0.0, 2.0, 5.0], 8)  # intervals [0, 1), none, [1, 3), [3, 8); four parts of 2
    indices, priorities = held.sample(4, fixed([0.4, 0.25, 0.75, 0.999]), nothing, 4)  # masses 0.8, 2.5, 5.5, 8.0
    assert indices.tolist() == [0, 2, 3, 3]
    assert priorities.tolist() == [1.0, 2.0, 5.0, 5.0]
    indices, _ = held.sample(4, fixed([0.5, 0.5, 0.0, 0.0]), nothing, 4)  # masses 1, 3, 4, 6: an edge is the next one's
    assert indices.tolist() == [2, 3, 3, 3]


def test_a_rejected_index_is_redrawn_from_the_whole_mass() -> None:
    held = holding([1.0, 1.0, 2.0, 4.0], 8)
    draws = fixed([0.0, 0.0, 0.0, 0.5], [0.9, 0.9, 0.9, 0.9], [0.3, 0.3, 0.3, 0.3])
    indices, _ = held.sample(4, draws, lambda t: t == 0, 4)  # parts of 2: 0, 2, 3, 3; then 7.2 of 8 in place of 0
    assert indices.tolist() == [3, 2, 3, 3]
    indices, _ = held.sample(4, draws, lambda t: (t == 0) | (t == 3), 4)  # then 2.4 in place of every 3
    assert indices.tolist() == [2, 2, 2, 2]
    with pytest.raises(SuiteError, match="may not be sampled"):
        held.sample(2, lambda redraw: np.zeros(2), lambda t: t < 4, 4)


def test_an_overwritten_index_raises_the_maximum_and_leaves_its_slot_to_the_newcomer() -> None:
    held = holding([1.0, 1.0, 1.0], 3)
    held.update(np.asarray([0, 2]), np.asarray([7.0, 0.5]))  # drawn before 3 and 4 came into the slots of 0 and 1
    held.add_until(5)
    assert held.maximum == 7.0
    assert held.arrays()["leaves"].tolist() == [7.0, 7.0, 0.5]
    assert held.sample(3, lambda redraw: np.asarray([0.0, 0.9, 0.99]), nothing, 5)[0].tolist() == [3, 4, 2]
    with pytest.raises(SuiteError, match="update before adding"):
        held.update(np.asarray([1]), np.asarray([1.0]))
    with pytest.raises(SuiteError, match="update before adding"):
        held.update(np.asarray([5]), np.asarray([1.0]))


def test_the_counter_of_the_ring_must_be_followed() -> None:
    held = holding([1.0, 1.0], 3)
    with pytest.raises(SuiteError, match="add before sampling"):
        held.sample(1, fixed([0.0]), nothing, 3)
    with pytest.raises(SuiteError, match="already hold 2"):
        held.add_until(1)
    with pytest.raises(SuiteError, match="nothing can be sampled"):
        Priorities(3).sample(1, fixed([0.0]), nothing, 0)
    held.add_until(50)  # many times around: only the last three are left, once each
    assert held.arrays()["leaves"].tolist() == [1.0, 1.0, 1.0]
    assert sorted(held.sample(3, fixed([0.5] * 3), nothing, 50)[0].tolist()) == [47, 48, 49]


def test_frequencies_are_proportional_to_priorities() -> None:
    wanted = np.asarray([0.1, 3.0, 0.0, 1.0, 0.4, 2.5])
    held = holding(wanted.tolist(), 6)
    rng = np.random.default_rng(0)
    batches = [held.sample(32, lambda redraw: rng.random(32), nothing, 6)[0] for _ in range(2000)]
    shares = np.bincount(np.concatenate(batches), minlength=6) / 64_000
    np.testing.assert_allclose(shares, wanted / wanted.sum(), atol=0.005)


def test_importance_weights() -> None:
    weights = importance_weights(np.asarray([4.0, 1.0, 0.25, 1.0]), 0.5)
    assert weights.dtype == np.float32
    np.testing.assert_allclose(weights, [0.25, 0.5, 1.0, 0.5], rtol=1e-6)
    np.testing.assert_allclose(importance_weights(np.asarray([0.0, 1.0]), 0.5), [1.0, 1e-5], rtol=1e-6)
    assert importance_weights(np.asarray([3.0, 8.0]), 0.0).tolist() == [1.0, 1.0]


def test_a_restored_copy_goes_on_as_the_original() -> None:
    rng = np.random.default_rng(3)
    held, other = Priorities(37), Priorities(37)
    drawn, pending = np.empty(0, np.int64), np.empty(0)
    for step in range(40):
        if step == 20:
            other.restore(held.arrays())
        for one in (held, other) if step >= 20 else (held,):
            one.update(drawn, pending)
            one.add_until(4 * step + 8)
        uniform = rng.random(8)
        drawn, _ = held.sample(8, fixed(uniform.tolist()), nothing, 4 * step + 8)
        if step >= 20:
            assert other.sample(8, fixed(uniform.tolist()), nothing, 4 * step + 8)[0].tolist() == drawn.tolist()
            assert {name: array.tobytes() for name, array in other.arrays().items()} == {
                name: array.tobytes() for name, array in held.arrays().items()
            }
        pending = rng.random(8) * 3
    with pytest.raises(BadData, match="this replay holds 9"):
        Priorities(9).restore(held.arrays())
