"""What `--keep` and `--keep-checkpoints` may say."""

from pathlib import Path

import numpy as np
import pytest

from suite.errors import UsageError
from suite.records.checkpoints import CheckpointStore
from suite.records.keeping import Keep, given_up, note_kept, parse_keep


def test_what_is_asked_for_is_kept() -> None:
    assert parse_keep("final", None) == Keep("final", 1)
    assert parse_keep("policy", None) == Keep("policy", 1)
    assert parse_keep("final", "3") == Keep("final", 3)
    assert parse_keep("final", "all") == Keep("final", None)


@pytest.mark.parametrize(
    ("what", "checkpoints", "problem"),
    [
        ("last", None, "--keep 'last' is none of final, policy, none."),
        ("", None, "--keep '' is none of final, policy, none."),
        ("final", "0", "--keep-checkpoints '0' is neither a whole number from 1 nor `all`."),
        ("final", "-1", "--keep-checkpoints '-1' is neither a whole number from 1 nor `all`."),
        ("final", "9" * 20, f"--keep-checkpoints '{'9' * 20}' is neither a whole number from 1 nor `all`."),
        ("none", "2", "--keep none deletes the checkpoints that --keep-checkpoints 2 would keep."),
        ("policy", "all", "--keep policy deletes the checkpoints that --keep-checkpoints all would keep."),
    ],
)
def test_what_cannot_be_is_refused_in_one_sentence(what: str, checkpoints: str | None, problem: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_keep(what, checkpoints)
    assert str(refused.value) == problem


@pytest.mark.parametrize(
    ("keep", "while_running", "in_the_end"), [("1", 2, 1), ("2", 2, 2), ("5", 5, 5), ("all", None, 9)]
)
def test_a_running_cell_has_two_checkpoints_at_least(keep: str, while_running: int | None, in_the_end: int) -> None:
    found = parse_keep("final", keep)
    assert found.while_running == while_running
    assert found.most(scheduled=9) == in_the_end
    assert Keep("none").most(scheduled=9) == 0


@pytest.mark.parametrize(
    ("count", "left"), [(None, (1, 2, 3, 4)), (3, (2, 3, 4)), (1, (4,)), (0, ()), (9, (1, 2, 3, 4))]
)
def test_the_newest_stay(tmp_path: Path, count: int | None, left: tuple[int, ...]) -> None:
    store = CheckpointStore(tmp_path, None)
    for step in range(1, 5):
        store.write(step, {"x": np.zeros(1, np.float32)}, b"{}")
    store.keep_newest(count)
    assert store.steps() == left


def test_a_note_says_what_was_given_up(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    assert given_up(tmp_path) == ("", "")
    note_kept(tmp_path, "none")
    assert given_up(tmp_path) == ("none", "")
    (tmp_path / "checkpoints" / "kept.txt").write_text("something else")
    assert given_up(tmp_path) == ("", "")
