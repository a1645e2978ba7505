"""Bundles made to do harm: each named attack is rejected with its code, and no mutant crashes the checker."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from leaderboard.bundles.check import check_bundle
from leaderboard.bundles.findings import CODES
from leaderboard.bundles.pack import zipped
from leaderboard.site.render import build
from leaderboard.store.ingest import ingest
from tests.support import attacks
from tests.support.hostile import ATTACKS, good_bundles, mutant
from tests.support.shared import made_once

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
DONE = {"program -I -m leaderboard.bundles.curves", "program -I -m suite.checks.reach", "os.mkdir"}
"""What a check does beside computing: Parquet by another version is read, and what a run does not reach is worked out,
by programs of ours, each in an empty directory."""

ELSEWHERE = {"checker.defect", "replay.mismatch"}
"""Codes of errors that no attack here has: the first must never occur, the second needs the emulator."""


def hostile(folder: Path, *arguments: str) -> Any:
    """Run the program in an empty folder, and return what it says; it must leave nothing there."""
    place, empty = folder / "place", folder / "empty"
    place.mkdir()
    empty.mkdir()
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.hostile", arguments[0], str(place), *arguments[1:]],
        cwd=empty,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert list(empty.iterdir()) == []
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    def make(folder: Path) -> None:
        (folder / "found.json").write_text(json.dumps(hostile(folder, "attacks")))

    return json.loads((made_once(tmp_path_factory, "attacks", make) / "found.json").read_text())


def test_the_honest_bundle_has_nothing_to_find(tmp_path: Path) -> None:
    path = tmp_path / "good.zip"
    path.write_bytes(attacks.good())
    report = check_bundle(path)
    assert (report.level, report.findings) == ("recomputed", ())


def test_there_are_many_attacks_and_one_for_every_code() -> None:
    names = [attack.name for attack in ATTACKS]
    assert len(names) == len(set(names)) >= 200
    errors = {code for code, (severity, _, _) in CODES.items() if severity == "error"}
    assert {attack.code for attack in ATTACKS} >= errors - ELSEWHERE


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_every_attack_has_its_code(attacked: Any, attack: attacks.Attack) -> None:
    """It is rejected with it, or, where only people can judge, shown to them."""
    found = attacked["found"][attack.name]
    assert attack.code in found
    assert "checker.defect" not in found
    assert CODES[attack.code][0] in ("error", "review")
    if attack.code == "limits.exceeded":
        assert found == ["limits.exceeded"]


def test_attacks_take_little_memory_and_do_nothing_else(attacked: Any) -> None:
    assert attacked["peak_mib"] < 256
    assert attacked["left"] == []
    did = attacked["did"]
    assert set(did) == DONE


@pytest.mark.slow
def test_three_hundred_mutants_are_answered(tmp_path: Path) -> None:
    done = hostile(tmp_path, "fuzz", "300", "7")
    assert done["defects"] == []
    assert (done["left"], done["peak_mib"] < 256) == ([], True)
    assert set(done["did"]) <= DONE
    assert sum(done["codes"].values()) == 300
    assert len(done["codes"]) > 20  # mutants reach deep, and not all die at the door
    assert 0 < done["codes"]["accepted"] < 60


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(10))
def test_a_hundred_thousand_mutants_are_answered(tmp_path: Path, seed: int) -> None:
    done = hostile(tmp_path, "fuzz", "10000", str(1000 + seed))
    assert done["defects"] == []
    assert (done["left"], done["peak_mib"] < 256) == ([], True)
    assert set(done["did"]) <= DONE


@pytest.mark.nightly
@pytest.mark.parametrize("seed", range(2))
def test_what_is_accepted_of_mutants_is_stored_and_drawn(tmp_path: Path, seed: int) -> None:
    """Neither the ingest nor the build of the site stumbles over what the check lets through."""
    goods, accepted = good_bundles(), 0
    for number in range(300):
        path = tmp_path / f"{number}.zip"
        path.write_bytes(mutant(goods, number, 2000 + seed))
        if check_bundle(path).level == "claimed":
            path.unlink()
        else:
            accepted += 1
    done = ingest(sorted(tmp_path.glob("*.zip")), tmp_path / "results.sqlite", references=False)
    assert done.damaged == ()
    assert sum(done.submissions.values()) == accepted > 10
    assert build(tmp_path / "results.sqlite", tmp_path / "site").pages > 0


@pytest.mark.parametrize("cut", range(0, 100, 7))
def test_every_prefix_of_a_bundle_is_rejected(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.zip"
    path.write_bytes(attacks.good()[: len(attacks.good()) * cut // 100])
    assert check_bundle(path).level == "claimed"


def test_a_file_that_is_not_there_or_no_file_is_a_finding(tmp_path: Path) -> None:
    for path in (tmp_path / "nothing.zip", tmp_path, Path("/dev/zero")):
        assert [one.code for one in check_bundle(path).findings] == ["archive.format"]


MARKUP = "<img src=x onerror=alert(1)> =HYPERLINK(1) {{ 7*7 }} $(id) `id` ::set-output::"


def test_markup_and_formulas_are_stored_as_text_and_shown_as_ascii(tmp_path: Path) -> None:
    files = dict(attacks.good_files())
    title = json.dumps(MARKUP).encode()
    files["submission.toml"] = files["submission.toml"].replace(b'"Two games, two seeds"', title)
    path = tmp_path / "markup.zip"
    path.write_bytes(attacks.honest.again(files))
    report = check_bundle(path)
    assert report.level == "recomputed"
    from leaderboard.bundles.bundle import open_bundle

    with open_bundle(path) as bundle:
        assert bundle.submission.title == MARKUP
    assert len(report.title) <= 80


def test_minus_zero_is_read_as_zero(tmp_path: Path) -> None:
    from leaderboard.bundles.strict import parse_json

    assert repr(parse_json(b"[-0.0, -0, 0.0]", "here")) == "[0.0, 0, 0.0]"


@pytest.mark.parametrize(
    ("author", "flagged"),
    [
        ("\u0420\u0420\u041e", True),  # Cyrillic letters that look like PPO
        ("P\u0440o", True),  # one of them in a Latin word
        ("\u0410\u043d\u043d\u0430 \u0418\u0432\u0430\u043d\u043e\u0432\u0430", False),  # a Russian name
        ("\u674e\u660e", False),
        ("Zo\u00eb M\u00fcller", False),
    ],
)
def test_letters_that_imitate_others_are_for_review(tmp_path: Path, author: str, flagged: bool) -> None:
    files = dict(attacks.good_files())
    files["submission.toml"] = files["submission.toml"].replace(b"Ada Example", author.encode())
    path = tmp_path / "names.zip"
    path.write_bytes(attacks.honest.again(files))
    report = check_bundle(path)
    assert [one.code for one in report.findings] == (["text.lookalike"] if flagged else [])
    assert report.level == "recomputed"


def test_the_same_files_give_the_same_bytes() -> None:
    files = attacks.good_files()
    assert zipped(files) == zipped(dict(reversed(files.items())))
