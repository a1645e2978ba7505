"""What the command line sets up before any command."""

import os
import subprocess
import sys

import pytest

from suite.cli.main import BLAS_THREADS, main


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("3", "3")])
def test_linear_algebra_has_one_thread_unless_somebody_says_otherwise(
    monkeypatch: pytest.MonkeyPatch, before: str | None, after: str
) -> None:
    monkeypatch.setenv(BLAS_THREADS, before or "")  # so that it is put back
    if before is None:
        monkeypatch.delenv(BLAS_THREADS)
    monkeypatch.setattr(sys, "argv", ["suite", "--version"])
    with pytest.raises(SystemExit):
        main()
    assert os.environ[BLAS_THREADS] == after


def test_the_library_that_reads_it_is_not_loaded_before() -> None:
    code = "import suite.cli.main, sys; sys.exit('numpy' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
