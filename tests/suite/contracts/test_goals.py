"""What a run does not reach is said: times at which a method would act, and numbers that it promises."""

from suite.contracts.goals import Goal, shortfall

TEN = Goal("sparsity", lambda updates: updates / 1000, 0.9)


def test_a_method_that_comes_to_all_it_is_for_says_nothing() -> None:
    assert shortfall("m", range(100, 901, 100), [TEN], 900, 900) == ""
    assert shortfall("m", range(0), [], 0, 900) == ""


def test_a_due_step_counts_the_steps_before_it() -> None:
    assert shortfall("m", range(100, 101), [], 101, 101) == ""
    never = "m: never acts: it would first after 100 gradient steps, and the run has 100."
    assert shortfall("m", range(100, 101), [], 100, 101) == never


def test_a_shorter_run_is_compared_with_the_full_one() -> None:
    """Of 100, 200, ..., 900 a run of 250 has two and one of 850 eight; what lies beyond 850 was never to be had."""
    few = "m: acts 2 of 8 times: the last is due after 800 gradient steps, and the run has 250."
    assert shortfall("m", range(100, 901, 100), [], 250, 850) == few
    assert shortfall("m", range(100, 901, 100), [], 850, 850) == ""


def test_a_promise_is_held_to_its_number_and_else_to_the_full_run() -> None:
    assert shortfall("m", range(0), [TEN], 763, 763) == "m: sparsity 0.763 is reached, not 0.9."
    decay = Goal("share of the decay", lambda updates: updates / 1000)
    assert shortfall("m", range(0), [decay], 900, 900) == ""
    assert shortfall("m", range(0), [decay], 90, 900) == "m: share of the decay 0.09 is reached, not 0.9."


def test_all_that_is_missed_stands_in_one_sentence() -> None:
    never = "m: never acts: it would first after 100 gradient steps, and the run has 50"
    both = f"{never}; sparsity 0.05 is reached, not 0.9."
    assert shortfall("m", range(100, 901, 100), [TEN], 50, 900) == both
