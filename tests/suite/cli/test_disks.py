"""Disks that are full or read-only, files that cannot be read, and files that are none: said, and never a defect."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from suite.cli.main import cli
from suite.errors import BadData, ExitCode, one_line
from suite.records.reading import open_regular, read_rows
from suite.records.record import Episode, read_status


def failing(error: OSError) -> click.Command:
    @click.command("fail")
    def fail() -> None:
        raise error

    return fail


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO])
def test_an_error_of_the_disk_names_the_file_and_what_to_do(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    error = OSError(number, os.strerror(number), "/somewhere/bundle.zip")
    monkeypatch.setattr(type(cli), "get_command", lambda *_: failing(error))
    done = CliRunner().invoke(cli, ["fail"])
    assert done.exit_code == ExitCode.UNFIT
    assert done.stderr == (
        f"Error: /somewhere/bundle.zip: {os.strerror(number)}.\n"
        "Check permissions and free space, or choose another place.\n"
    )


def test_other_errors_stay_what_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(type(cli), "get_command", lambda *_: failing(OSError(errno.EBADF, "Bad file descriptor")))
    assert isinstance(CliRunner().invoke(cli, ["fail"]).exception, OSError)


def test_pipes_devices_and_endless_lines_are_refused_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "status.json")
    with pytest.raises(BadData, match="is no plain file"):
        read_status(tmp_path)
    (tmp_path / "episodes.jsonl").symlink_to("/dev/zero")
    with pytest.raises(BadData, match="is no plain file"):
        list(read_rows(tmp_path / "episodes.jsonl", Episode))
    monkeypatch.setattr("suite.records.reading.LINE_BYTES", 100)
    (tmp_path / "long.jsonl").write_bytes(b" " * 1000)
    with pytest.raises(BadData, match=r"long.jsonl:1 has more than 100 bytes"):
        list(read_rows(tmp_path / "long.jsonl", Episode))
    with pytest.raises(BadData, match="is no plain file"):
        open_regular(tmp_path)


def test_names_are_printed_on_one_line() -> None:
    assert one_line("runs/\n::error::x\r\x1b[31m\u202e\udcff") == r"runs/\n::error::x\r\x1b[31m\u202e\udcff"
    assert one_line("Zo\u00eb's runs") == "Zo\u00eb's runs"
