"""Releases stay as they were while the site goes on, and say what moved."""

import json

import pytest

from leaderboard.site import releases
from leaderboard.site.releases import Release, Standing, moved
from leaderboard.site.render import build
from suite.errors import BadData, UsageError


@pytest.mark.slow
def test_a_release_stays_byte_for_byte_while_the_site_goes_on(smoke_database, tmp_path):
    out = tmp_path / "site"
    build(smoke_database, out, release="one")
    first = {path.relative_to(out / "releases/one"): path.read_bytes() for path in (out / "releases/one").rglob("*.*")}
    build(smoke_database, out)
    again = {path.relative_to(out / "releases/one"): path.read_bytes() for path in (out / "releases/one").rglob("*.*")}
    assert again == first
    kept = json.loads(first[next(name for name in first if name.name == "release.json")])
    assert [row[:2] for row in kept["boards"]["smoke"].values()] == [
        ["DQN \N{MIDDLE DOT} Impala \N{MULTIPLICATION SIGN}1 \N{MIDDLE DOT} dense", 1]
    ]
    assert 'href="one/index.html"' in (out / "releases/index.html").read_text()
    with pytest.raises(UsageError, match="never change"):
        build(smoke_database, out, release="one")
    with pytest.raises(UsageError, match="cannot be a release"):
        build(smoke_database, out, release="../elsewhere")


def release(name, rows):
    return Release(name, "2026-01-01", "0.1", "0" * 64, {"atari40m": rows})


def test_what_moved_is_told_place_group_and_verdict():
    old = release(
        "old", {"a": Standing("A", 1, "A", ""), "b": Standing("B", 2, "A", "open"), "d": Standing("D", 3, "B", "")}
    )
    new = release(
        "new", {"b": Standing("B", 1, "A", "better"), "a": Standing("A", 2, "AB", ""), "c": Standing("C", 3, "B", "")}
    )
    assert moved(new, old) == [
        ("atari40m", "B", "leads now, from place 2 to 1; against its dense twin: open is now better"),
        ("atari40m", "A", "from place 1 to 2; group A is now AB"),
        ("atari40m", "C", "new, place 3"),
        ("atari40m", "D", "gone"),
    ]
    assert moved(new, new) == []
    assert moved(old, None)[0] == ("atari40m", "A", "new, and leads")


def test_a_release_is_read_as_it_was_written_and_a_broken_one_is_named(tmp_path):
    one = release("one", {"a": Standing("A", 1, "A", "better")})
    folder = tmp_path / "releases" / "one"
    folder.mkdir(parents=True)
    (folder / "release.json").write_bytes(one.file())
    assert releases.kept(tmp_path) == (one,)
    (folder / "release.json").write_text("{}")
    with pytest.raises(BadData, match="is no release"):
        releases.kept(tmp_path)
