"""What maintainers attest, and reports as comments."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from leaderboard.bundles.attest import read_attest
from leaderboard.bundles.check import check_bundle
from leaderboard.bundles.comment import LISTED, MARK, comment
from leaderboard.bundles.findings import Rejected
from tests.support import attacks

GOOD = f"""
bundle_sha256 = "{"a" * 64}"
level = "replayed"
by = "A maintainer"
date = "2026-03-01"
evidence = "suite submit check --replay, 75 of 75 runs"

[[flags]]
code = "retracted"
reason = "The authors took it back."
by = "A maintainer"
date = "2026-04-01"
"""


def write(folder: Path, text: str) -> Path:
    path = folder / "attest.toml"
    path.write_text(text)
    return path


def test_an_attestation_says_who_did_what(tmp_path: Path) -> None:
    attest = read_attest(write(tmp_path, GOOD))
    assert (attest.bundle_sha256, attest.level, attest.date) == ("a" * 64, "replayed", "2026-03-01")
    assert attest.flags[0].code == "retracted"


def test_flags_need_no_level(tmp_path: Path) -> None:
    assert read_attest(write(tmp_path, GOOD.replace('level = "replayed"\n', ""))).level is None


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("replayed", "believed", "schema.fields"),
        ("a" * 64, "a" * 63, "schema.fields"),
        ('date = "2026-03-01"', "date = 2026-03-01", "schema.fields"),
        ("by =", "rank = 1\nby =", "schema.fields"),
        ("level =", "level", "toml.syntax"),
        ("A maintainer", "A \\u202e maintainer", "text.characters"),
    ],
)
def test_what_does_not_hold_is_refused(tmp_path: Path, old: str, new: str, code: str) -> None:
    with pytest.raises(Rejected) as raised:
        read_attest(write(tmp_path, GOOD.replace(old, new, 1)))
    assert raised.value.finding.code == code


def test_an_attestation_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match="cannot be read"):
        read_attest(tmp_path / "attest.toml")


def report(tmp_path: Path, content: bytes) -> bytes:
    path = tmp_path / "bundle.zip"
    path.write_bytes(content)
    return check_bundle(path).to_json().encode()


def test_a_good_report_is_a_short_comment(tmp_path: Path) -> None:
    lines = comment(report(tmp_path, attacks.good())).splitlines()
    assert lines[0] == MARK
    assert lines[1].startswith("**This bundle holds, as far as this check goes.** 0 errors")
    assert not [line for line in lines if line.startswith("|")]


def test_findings_are_listed_and_cut(tmp_path: Path) -> None:
    content = json.loads(report(tmp_path, b"x"))
    content["findings"] *= LISTED + 5
    text = comment(json.dumps(content).encode())
    assert "has errors" in text
    assert text.count("`archive.format`") == LISTED
    assert text.endswith("5 more are in report.json.\n")


def test_a_forged_report_cannot_break_out_of_its_cells(tmp_path: Path) -> None:
    content = json.loads(report(tmp_path, b"x"))
    content["findings"][0]["message"] = "` | <img src=x> [a](javascript:x) @everyone \\` <!-- "
    content["bundle"]["task"] = "`**x**`"
    row = next(line for line in comment(json.dumps(content).encode()).splitlines() if line.startswith("| `error`"))
    assert row.count("`") == 10
    assert row.count("|") == 6
    assert "`' ' <img src=x> [a](javascript:x) @everyone '' <!--`" in row


@pytest.mark.parametrize(
    "change",
    [
        {"level": "rerun"},
        {"errors": -1},
        {"errors": "0"},
        {"extra": 1},
        {"findings": [{"code": "<b>", "severity": "error", "where": "", "message": "", "remedy": ""}]},
        {"bundle": {"name": "\u202e", "sha256": "", "title": "", "task": ""}},
    ],
)
def test_a_report_of_another_form_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    content = json.loads(report(tmp_path, b"x")) | change
    with pytest.raises(Rejected):
        comment(json.dumps(content).encode())


def test_a_report_that_is_too_large_is_refused() -> None:
    with pytest.raises(Rejected, match="more than 1,000,000 bytes"):
        comment(b" " * 1_000_001)
