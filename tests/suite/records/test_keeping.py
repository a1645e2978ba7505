"""What `--keep` and `--keep-checkpoints` may say."""

from collections.abc import Sequence
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
    ("keep", "staying"), [("1", (8,)), ("2", (7, 8)), ("5", (4, 5, 6, 7, 8)), ("9", range(1, 9)), ("all", range(1, 9))]
)
def test_of_the_schedule_the_newest_stay(keep: str, staying: Sequence[int]) -> None:
    found = parse_keep("final", keep)
    assert list(found.of(range(1, 9))) == list(staying)
    assert found.most(scheduled=8) == len(staying)
    assert list(found.of(())) == []
    assert (Keep("none").most(scheduled=8), Keep("policy").of((1, 2))) == (0, ())


@pytest.mark.parametrize("steps", [(1, 2, 3, 4), (2, 4), (4,), ()])
def test_only_the_checkpoints_of_some_steps_stay_each_as_it_was_written_last(
    tmp_path: Path, steps: Sequence[int]
) -> None:
    store = CheckpointStore(tmp_path, None)
    for step in (1, 2, 3, 4, 4):
        store.write(step, {"x": np.zeros(1, np.float32)}, b"{}")
    store.keep_only(steps)
    assert store.steps() == steps
    assert len(list(store.path.iterdir())) == len(steps)


def test_beside_the_newest_two_those_stay_that_are_named(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for step in range(1, 6):
        store.write(step, {"x": np.zeros(1, np.float32)}, b"{}", also=(2, 9))
    assert store.steps() == (2, 4, 5)


def test_a_note_says_what_was_given_up(tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    assert given_up(tmp_path) == ("", "")
    note_kept(tmp_path, "none")
    assert given_up(tmp_path) == ("none", "")
    (tmp_path / "checkpoints" / "kept.txt").write_text("something else")
    assert given_up(tmp_path) == ("", "")
    (tmp_path / "checkpoints" / "kept.txt").unlink()
    note_kept(tmp_path, "policy")  # of a run that diverged, which has none
    assert given_up(tmp_path) == ("policy", "")
