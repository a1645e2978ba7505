"""A grid on the command line: every combination once, and one sentence where it cannot be."""

import pytest

from suite.errors import UsageError
from suite.running.request import Request, resolve, resolve_grid

BASE = Request("atari40m", methods=("dense", "magnitude_pruning"), settings=("method.sparsity=0.9,0.95",))


def test_a_grid_is_every_combination_and_dense_once() -> None:
    found = resolve_grid(BASE, "1,3")
    kinds = [(i.spec.network.settings["width"], *(m.settings.get("sparsity") for m in i.spec.methods)) for i in found]
    assert kinds == [(1, None), (1, 0.9), (1, 0.95), (3, None), (3, 0.9), (3, 0.95)]


def test_one_value_of_everything_is_no_grid() -> None:
    single = Request("atari40m", methods=("magnitude_pruning",), settings=("method.sparsity=0.9",), width=3)
    assert resolve_grid(Request("atari40m", methods=single.methods, settings=single.settings), "3") == resolve(single)
    assert resolve_grid(Request("smoke"), None) == resolve(Request("smoke"))


@pytest.mark.parametrize(
    ("settings", "widths", "problem"),
    [
        ((), "1,x", "--width '1,x' cannot be read."),
        ((), "1,0", "network.width = 0 is out of range."),
        (("method.sparsity=0.9,",), None, "--set 'method.sparsity=' cannot be read."),
        (("method.sparsty=0.9,0.95",), None, "Unknown setting 'method.sparsty'."),
        (("precision=float32,tf32",), None, "One process cannot run several values of precision."),
    ],
)
def test_bad_grids_are_refused(settings: tuple[str, ...], widths: str | None, problem: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve_grid(Request("atari40m", methods=("magnitude_pruning",), settings=settings), widths)
    assert problem in str(caught.value)
