"""What a recording leaves of its checkpoints, without training."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from suite.records.keeping import Keep, given_up
from suite.records.record import read_run
from suite.records.writer import RunWriter
from suite.running.recorder import Recording
from suite.tasks.configuration import Cell

MEASURES = {"parameters": 4.0, "active_parameters": 2.0, "sparsity": 0.5}
HASH = "0" * 64


@contextmanager
def recording(root: Path, cell: Cell, keep: Keep) -> Iterator[Recording]:
    """Yield the recording of an attempt that goes on from the newest checkpoint."""
    writer = RunWriter.open(root, cell, {})
    found = Recording(cell, writer, keep)
    found.begin(found.store.newest(), {})
    yield found
    found.close()


def checkpoint(made: Recording, step: int, *, scheduled: bool = True) -> None:
    made.reach(step, step, 0)
    if scheduled:
        made.checkpoint_row(step, step, HASH, HASH)
    made.save(step, {"a": np.zeros(1, np.float32)}, b"{}")


@pytest.mark.parametrize(
    ("keep", "left"), [(1, (400,)), (2, (300, 400)), (3, (200, 300, 400)), (None, (100, 200, 300, 400))]
)
def test_checkpoints_of_stops_are_none_of_those_that_stay(
    tmp_path: Path, cell: Cell, keep: int | None, left: tuple[int, ...]
) -> None:
    with recording(tmp_path, cell, Keep("final", keep)) as first:
        for step in (100, 200):
            checkpoint(first, step)
        checkpoint(first, 250, scheduled=False)
        first.status("interrupted")
    with recording(tmp_path, cell, Keep("final", keep)) as second:
        assert second.store.steps()[-2:] == (200, 250)
        checkpoint(second, 300)
        checkpoint(second, 400)
        second.done(second.summary(MEASURES, "done"), "")
        assert second.store.steps() == left


@pytest.mark.parametrize(
    ("keep", "left", "note"),
    [
        (Keep(), (200,), ("", "")),
        (Keep("final", 2), (100, 200), ("", "")),
        (Keep("policy"), (), ("policy", "")),
        (Keep("none"), (), ("none", "")),
    ],
)
def test_a_run_that_diverged_leaves_what_it_was_asked_to(
    tmp_path: Path, cell: Cell, keep: Keep, left: tuple[int, ...], note: tuple[str, str]
) -> None:
    with recording(tmp_path, cell, keep) as made:
        for step in (100, 200):
            checkpoint(made, step)
        made.reach(250, 250, 0)
        made.diverged(made.summary(MEASURES, "diverged"), "It left the numbers.")
        assert made.store.steps() == left
    run = read_run(tmp_path / cell.path)
    assert (run.status.state, run.status.message) == ("diverged", "It left the numbers.")
    assert given_up(run.folder) == note
