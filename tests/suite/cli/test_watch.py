"""`suite status --watch` shows runs until none may go on, says whose doing a failure was, and ends with 0."""

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result
from rich.console import Console

from suite.cli.main import cli
from suite.cli.status import _table
from suite.cli.watching import _Screen, summary, watch
from suite.records.record import read_status
from tests.support.runs import make_run, make_spec, open_run


def status(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["status", *map(str, arguments)])


def row(path: str, state: str, cause: str | None = None) -> dict[str, Any]:
    return {"path": path, "state": state, "cause": cause, "message": ""}


def test_a_watch_of_runs_that_have_ended_shows_them_once(tmp_path: Path) -> None:
    make_run(tmp_path, seed=0)
    failed = make_run(tmp_path, seed=1, state="failed")
    file = failed / "status.json"
    file.write_text(read_status(failed).model_copy(update={"cause": "method"}).model_dump_json())
    shown = status(tmp_path, "--watch")
    assert shown.exit_code == 0
    assert shown.stderr.splitlines()[0] == "2 runs: 1 done, 1 failed (method)"
    assert "failed (method)" in shown.stdout
    (line,) = status(tmp_path, "--watch", "--json").stdout.splitlines()
    rows = json.loads(line)["runs"]
    assert [(row["seed"], row["state"], row["cause"]) for row in rows] == [(0, "done", None), (1, "failed", "method")]


def test_a_watch_goes_on_while_a_run_may_go_on_and_writes_a_line_each_time(capsys: pytest.CaptureFixture[str]) -> None:
    states = [[], [row("a", "running")], [row("a", "killed", "infrastructure")], [row("a", "done")]]
    found = iter(states)
    assert watch(lambda: next(found), lambda rows: pytest.fail("no terminal"), 0.0, as_json=True)
    assert [json.loads(line)["runs"] for line in capsys.readouterr().out.splitlines()] == states


def test_lines_elsewhere_than_on_a_terminal_come_when_counts_change(capsys: pytest.CaptureFixture[str]) -> None:
    running, done = [row("a", "running")], [row("a", "done")]
    found = iter([running, running, running, done])
    assert not watch(lambda: next(found), lambda rows: pytest.fail("no terminal"), 0.0, as_json=False)
    assert capsys.readouterr().err.splitlines() == ["1 run: 1 running", "1 run: 1 done"]


WATCHING = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # whoever started the tests may have it ignored
runpy.run_module("suite", run_name="__main__")
"""


def test_ctrl_c_ends_a_watch_with_0(tmp_path: Path) -> None:
    with open_run(tmp_path, make_spec(), state="running"):
        command = [sys.executable, "-c", WATCHING, "status", str(tmp_path), "--watch", "--json", "--every", "0.2"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert json.loads(process.stdout.readline())["runs"][0]["state"] == "running"
                process.send_signal(signal.SIGINT)
                _, err = process.communicate(timeout=60)
            finally:
                process.kill()
    assert (process.returncode, err) == (0, "")


def test_a_finished_run_is_read_once_and_one_that_goes_on_each_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from suite.cli import status as module

    read: list[str] = []
    whole = module._row
    monkeypatch.setattr(module, "_row", lambda path, root: read.append(path.name) or whole(path, root))
    make_run(tmp_path, seed=0)
    make_run(tmp_path, seed=1, state="interrupted")
    known: dict[Path, Any] = {}
    for _ in range(3):
        rows = module._rows(tmp_path, known)
    assert [row["state"] for row in rows] == ["done", "interrupted"]
    assert (read.count("seed-0"), read.count("seed-1")) == (1, 3)


def test_on_a_low_screen_those_that_may_go_on_come_first() -> None:
    tables: list[Any] = []
    screen = _Screen(tables.append, _table, Console(height=6))
    rows = [row(name, "failed", "method") for name in "abc"] + [row("d", "running")]
    screen.show(rows)
    assert list(tables[0].columns[0].cells) == ["running", "failed (method)"]
    assert tables[0].caption == summary(rows) + "; 2 not shown" == "4 runs: 3 failed (method), 1 running; 2 not shown"


def test_a_terminal_gets_a_table_and_no_colour_where_none_is_wanted(tmp_path: Path) -> None:
    make_run(tmp_path)
    ours, theirs = pty.openpty()
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "xterm-256color", "COLUMNS": "120", "LINES": "30"}
    command = [sys.executable, "-m", "suite", "status", str(tmp_path), "--watch"]
    done = subprocess.run(command, stderr=theirs, stdout=subprocess.PIPE, env=environment, check=True, timeout=60)
    os.close(theirs)
    shown = os.read(ours, 100_000).decode()
    os.close(ours)
    assert done.stdout == b""
    assert "done" in shown
    assert "1 run: 1 done" in click.unstyle(shown)
    assert "\x1b[3" not in shown  # foreground colours
