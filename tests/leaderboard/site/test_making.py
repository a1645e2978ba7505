"""A site that is brought up to date has the bytes of one that is made whole, and little of it is made anew."""

from collections import OrderedDict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from leaderboard.board import duels, estimates, remembered
from leaderboard.site import making, render
from leaderboard.site.folder import Staging
from leaderboard.site.making import MANIFEST, Maker, Manifest
from leaderboard.site.parts import Part, part, whole
from leaderboard.site.render import build
from leaderboard.site.stamp import STAND_IN, places, stamped
from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.store.ingest import ingest
from tests.leaderboard.conftest import make_runs
from tests.support.runs import make_run, make_spec

OLD, NEW = "0123456789abcdef" * 4, "fedcba9876543210" * 4


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.slow
def test_a_new_entry_changes_what_shows_it_and_the_bytes_are_those_of_a_build_from_nothing(tmp_path: Path) -> None:
    db, site = tmp_path / "results.sqlite", tmp_path / "site"
    make_runs(tmp_path / "runs")
    ingest([tmp_path / "runs"], db, references=False)
    first = build(db, site)
    assert first.made == first.pages
    whole_site = contents(site)
    again = build(db, site)
    assert (again.made, contents(site)) == (0, whole_site)
    for game in ("Pong", "Breakout"):
        make_run(tmp_path / "more", make_spec(methods=("rigl",)), game, 0)
    ingest([tmp_path / "more"], db, references=False)
    page = next(name for name in whole_site if name.startswith("smoke/runs/") and name.endswith(".html"))
    (site / page).write_bytes(b"damaged")
    third = build(db, site)
    clean = build(db, tmp_path / "clean")
    assert contents(site) == contents(tmp_path / "clean")
    assert (third.pages, third.large) == (clean.pages, clean.large)
    changed = [name for name, content in contents(site).items() if whole_site.get(name) != content]
    assert 5 < third.made < 0.6 * clean.pages
    assert len([name for name in changed if name.endswith(".html")]) > third.made  # the others were stamped anew


def parts_of(values: dict[str, bytes]) -> list[Part]:
    return [part(name, lambda name, content: {name: content}, name, content) for name, content in values.items()]


def make(out: Path, values: dict[str, bytes], database: str = OLD, code: str = "code") -> tuple[int, dict[str, bytes]]:
    """Make parts of one file each over what is in a folder; return how many pages were made, and what is there now."""
    staging = Staging(out.parent / f"staging-{database[:4]}-{len(list(out.parent.iterdir()))}")
    maker = Maker(out, staging, Manifest.read(out, code), Manifest(code, database))
    count = maker.make(iter(parts_of(values)))
    out.mkdir(exist_ok=True)
    for path in (path for path in staging.path.rglob("*") if path.is_file()):
        path.replace(out / path.relative_to(staging.path))
    (out / MANIFEST).write_bytes(maker.new.content())
    assert staging.names == set(values)
    return count, {name: (out / name).read_bytes() for name in values}


def test_parts_are_kept_by_their_keys_and_files_by_their_hashes(tmp_path: Path) -> None:
    out = tmp_path / "site"
    page = f"<p>{STAND_IN} and {STAND_IN[:8]}.csv</p>".encode()
    values = {"a.html": page, "b.html": b"plain", "c.csv": STAND_IN.encode()}
    count, found = make(out, values)
    assert (count, found["a.html"]) == (2, f"<p>{OLD} and {OLD[:8]}.csv</p>".encode())
    assert found["c.csv"] == STAND_IN.encode()  # only pages are stamped
    count, found = make(out, values, NEW)
    assert (count, found["a.html"]) == (0, f"<p>{NEW} and {NEW[:8]}.csv</p>".encode())
    assert make(out, values | {"b.html": b"other"}, NEW)[0] == 1
    (out / "a.html").write_bytes(found["a.html"].replace(b"and", b"AND"))
    assert make(out, values | {"b.html": b"other"}, NEW) == (1, found | {"b.html": b"other"})
    assert make(out, values, NEW, code="other code")[0] == 2
    (out / MANIFEST).write_text("{}")
    assert make(out, values, NEW, code="other code")[0] == 2


def test_two_parts_of_one_file_are_an_error(tmp_path: Path) -> None:
    twice = [whole(name, "", lambda: {"a.html": b""}) for name in ("one", "other")]
    maker = Maker(tmp_path, Staging(tmp_path / "new"), Manifest("", ""), Manifest("", OLD))
    with pytest.raises(ValueError, match=r"a\.html"):
        maker.make(iter(twice))


def test_stamps_are_found_in_every_length_and_taken_out_again() -> None:
    content = f"{STAND_IN[:8]} {STAND_IN[:16]}{STAND_IN} {STAND_IN[:8]}x".encode()
    found = places(content)
    assert [length for _, length in found] == [8, 16, 64, 8]
    assert stamped(content, found, OLD) == f"{OLD[:8]} {OLD[:16]}{OLD} {OLD[:8]}x".encode()
    assert stamped(stamped(content, found, OLD), found, STAND_IN) == content


def test_the_code_that_makes_pages_is_known_by_its_files() -> None:
    assert making.code() == making.code()
    names = [name for name, _ in making._contents(making.resources.files("leaderboard"), "leaderboard")]
    assert {"leaderboard/site/templates/run.html", "leaderboard/site/pages/run.py"} <= set(names)
    assert not [name for name in names if "__pycache__" in name]
    assert render.PAGE_BYTES > 0


def test_what_was_computed_is_remembered_by_the_next_build_to_the_last_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(3)
    few = replace(STATISTICS_POLICY, final_repetitions=200, curve_repetitions=40)
    monkeypatch.setattr(estimates, "POLICY", few)
    monkeypatch.setattr(estimates, "_known", OrderedDict())
    monkeypatch.setattr(duels, "compared", {})
    sides = tuple({name: rng.normal(1, 0.3, 3) for name in ("Pong", "Breakout")} for _ in range(2))
    file = tmp_path / "answers.json"
    remembered.recall(file, "code")
    question = estimates.Question("iqm", sides[0])
    first, (compared,) = estimates.ask(question), duels.comparisons([(*sides, "unpaired")], 3)
    file.write_bytes(remembered.content("code", {"smoke": ()}))
    assert remembered.content("code", {}) != file.read_bytes()
    for code, known in (("other code", False), ("code", True)):
        estimates._known.clear()
        duels.compared.clear()
        remembered.recall(file, code)
        assert (estimates.known(estimates.key_of(question)) is not None) == known
    monkeypatch.setattr(estimates, "compute", lambda *_: pytest.fail("computed again"))
    monkeypatch.setattr(duels, "_compare", lambda *_, **__: pytest.fail("compared again"))
    assert estimates.ask(question) == first
    assert duels.comparisons([(*sides, "unpaired")], 3) == [compared]
    assert remembered.content("code", {"smoke": ()}) == file.read_bytes()
    file.write_text("{")
    remembered.recall(file, "code")
