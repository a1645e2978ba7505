"""A folder of made files: what is left alone in it, what gives way, and what a kill leaves."""

from __future__ import annotations

from pathlib import Path

import pytest

from leaderboard.site.folder import RELEASE, STAGING, check_target, write
from suite.errors import UsageError

MARKER = ".mark"
FILES = {"index.html": b"new", "a/page.html": b"page", MARKER: b"hash"}


def names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir())


def test_a_link_to_a_folder_stays_a_link_and_its_folder_is_written(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "site").symlink_to("real")
    check_target(tmp_path / "site", MARKER, "a site")
    write(FILES, tmp_path / "site")
    assert (tmp_path / "site").is_symlink()
    assert names(tmp_path / "real") == sorted(FILES)


def test_what_a_host_of_pages_keeps_at_the_top_stays_and_all_else_of_before_goes(tmp_path: Path) -> None:
    write(FILES | {"old.html": b"", "b/old.html": b""}, tmp_path)
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (tmp_path / "CNAME").write_text("example.org")
    (tmp_path / ".nojekyll").touch()
    (tmp_path / "a" / "CNAME").touch()
    write(FILES, tmp_path)
    assert names(tmp_path) == sorted([*FILES, ".git/HEAD", ".nojekyll", "CNAME"])
    assert not (tmp_path / "b").exists()


def test_there_is_a_site_at_every_moment_and_what_a_kill_leaves_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(dict.fromkeys(FILES, b"old"), tmp_path / "site")
    seen = []
    real = Path.replace

    def replace(old: Path, new: Path) -> Path:
        seen.append({(tmp_path / "site" / name).read_bytes() for name in ("index.html", "a/page.html")})
        return real(old, new)

    monkeypatch.setattr(Path, "replace", replace)
    write(FILES, tmp_path / "site")
    assert seen == [{b"old"}, {b"old"}, {b"old", b"page"}]
    left = tmp_path / "site" / f"{STAGING}killed"
    left.mkdir()
    (left / "index.html").touch()
    write(FILES, tmp_path / "site")
    assert [path.name for path in tmp_path.iterdir()] == ["site"]
    assert names(tmp_path / "site") == sorted(FILES)


def test_a_release_is_one_only_once_all_its_files_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever a kill strikes, the half of it can be made again."""
    own = {f"releases/one/{name}": b"" for name in ("index.html", "rules.html", "tasks/smoke/index.html", RELEASE)}
    place, put = tmp_path / "releases/one" / RELEASE, 0
    real = Path.replace

    def replace(old: Path, new: Path) -> Path:
        nonlocal put
        put += 1
        assert not place.exists()
        return real(old, new)

    monkeypatch.setattr(Path, "replace", replace)
    write(FILES | own | {"releases/index.html": b""}, tmp_path)
    assert (put, place.exists()) == (len(FILES) + len(own) + 1, True)


def test_a_folder_in_which_the_first_build_was_killed_is_ours(tmp_path: Path) -> None:
    (tmp_path / f"{STAGING}killed").mkdir()
    check_target(tmp_path, MARKER, "a site")
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(UsageError, match="is not a site"):
        check_target(tmp_path, MARKER, "a site")


def test_nothing_is_written_or_deleted_through_links_inside(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept.txt").touch()
    write({MARKER: b"", "a": b"a file where a folder will be"}, tmp_path / "site")
    (tmp_path / "site" / "other").symlink_to(outside)
    (tmp_path / "site" / "a").unlink()
    (tmp_path / "site" / "a").symlink_to(outside)
    (tmp_path / "site" / "index.html").mkdir()
    write(FILES, tmp_path / "site")
    assert names(tmp_path / "site") == sorted(FILES)
    assert names(outside) == ["kept.txt"]
