"""What a configuration's methods are due at together."""

from hypothesis import given
from hypothesis import strategies as st

from suite.contracts.method import Method, due_examples

RANGES = st.builds(range, st.integers(0, 30), st.integers(0, 60), st.integers(1, 12))


@given(dues=st.lists(RANGES, max_size=3), total=st.integers(1, 50))
def test_the_first_count_of_every_set_that_is_ever_due_together(dues: list[range], total: int) -> None:
    methods = [Method(str(index), due=due) for index, due in enumerate(dues)]
    first: dict[frozenset[str], int] = {}
    for count in range(total):
        first.setdefault(frozenset(method.id for method in methods if count in method.due), count)
    found = due_examples(methods, total)
    assert sorted(found) == sorted(first.values())
    assert found[0] == first.get(frozenset(), found[0])


def test_methods_due_at_every_step_leave_none_without() -> None:
    assert due_examples([Method("always", due=range(2_500_000))], 2_500_000) == [0]
