import numpy as np
import pytest

from leaderboard.board import estimates, report
from leaderboard.store.database import ResultStore
from suite.tasks import load_task, task_names


@pytest.fixture(scope="module")
def asked(published_database):
    """Every question about the published curves, by its hash."""
    with ResultStore.open(published_database) as store, store.snapshot() as snapshot:
        found = [report.task_data(snapshot, load_task(name)) for name in task_names()]
    return {estimates.key_of(question): question for data in found for question in report.questions(data)}


def test_every_answer_about_the_published_curves_is_kept_and_no_other(asked):
    assert estimates.published().keys() == asked.keys()
    # ten entries on two tasks, with the curve and its area; four of Atari 100k, final scores alone
    assert len(asked) == 20 * (len(estimates.METRICS) + 2) + 4 * len(estimates.METRICS)


def test_an_answer_of_each_kind_is_what_is_computed(asked):
    sizes = {key: sum(map(np.size, question.scores.values())) for key, question in asked.items()}
    one_of_each = {asked[key].metric: key for key in sorted(asked, key=lambda key: (-sizes[key], key))}
    assert one_of_each.keys() == {*estimates.METRICS, estimates.CURVE, estimates.AREA}
    for key in one_of_each.values():
        assert estimates.compute(asked[key], estimates.POLICY) == estimates.published()[key]


@pytest.mark.nightly
def test_every_kept_answer_is_what_is_computed(asked):
    for key, question in asked.items():
        assert estimates.compute(question, estimates.POLICY) == estimates.published()[key]
