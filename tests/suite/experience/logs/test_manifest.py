"""Importing takes only what is sound, leaves nothing half done, and goes on where it was killed."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from suite import durable
from suite.errors import BadData, Locked, UnfitEnvironment, UsageError
from suite.experience.logs.files import exclusive
from suite.experience.logs.layout import ELEMENTS, Place, file_name
from suite.experience.logs.manifest import find_manifest, import_run, manifest_path, read_manifest, verify_run

EPISODES = "......T" * 3 + "....X" * 3 + "." * 11


@pytest.fixture
def foreign(kit: SimpleNamespace, tmp_path: Path) -> Place:
    """A log of three checkpoints without a manifest, and files that are none of its."""
    log = kit.made_up(Place(tmp_path / "foreign", "Pong", 2), EPISODES, [25, 25, 25])
    kit.write_log(log)
    (log.place.logs / "episode_end_indices_ckpt.0.gz").write_bytes(b"a pickle: never read")
    (log.place.logs / "notes.txt").write_text("x")
    return log.place


def test_a_copy_has_the_same_files_and_a_manifest_of_them(foreign: Place, tmp_path: Path) -> None:
    target = Place(tmp_path / "data", "Pong", 2)
    manifest = import_run(foreign, target, None)
    assert manifest == find_manifest(target) == read_manifest(target)
    assert (manifest.source, manifest.game, manifest.run, manifest.complete) == ("dqn-replay", "Pong", 2, True)
    assert [entry.rows for entry in manifest.checkpoints] == [25, 25, 18]
    assert manifest.capacities == {0: 25, 1: 25, 2: 25}
    assert sum(len(entry.truncated) for entry in manifest.checkpoints) == 3
    names = {file_name(element, k) for element in ELEMENTS for k in range(3)}
    assert {path.name for path in target.logs.iterdir()} == names
    for k, entry in enumerate(manifest.checkpoints):
        for element, file in entry.files.items():
            content = (foreign.logs / file_name(element, k)).read_bytes()
            assert (target.logs / file_name(element, k)).read_bytes() == content
            assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    assert list(verify_run(target)) == []
    assert list(verify_run(foreign)) == []


def test_in_place_only_the_manifest_is_written(foreign: Place, kit: SimpleNamespace) -> None:
    before = kit.tree(foreign.root)
    manifest = import_run(foreign, foreign, "somewhere-else")
    after = kit.tree(foreign.root)
    assert after.keys() - before.keys() == {"Pong/2/manifest.json"}
    assert {name: after[name] for name in before} == before
    assert manifest.source == "somewhere-else"


def test_a_manifest_comes_along(foreign: Place, tmp_path: Path) -> None:
    first = import_run(foreign, Place(tmp_path / "one", "Pong", 2), "word")
    one, two = Place(tmp_path / "one", "Pong", 2), Place(tmp_path / "two", "Pong", 2)
    assert import_run(one, two, None) == first
    with pytest.raises(UsageError, match="says that Pong run 2 is 'word'"):
        import_run(one, Place(tmp_path / "three", "Pong", 2), "other")
    other = one.logs / file_name("action", 1)
    shutil.copy(one.logs / file_name("action", 0), other)
    with pytest.raises(BadData, match=r"action_ckpt.1.gz|checkpoint 1"):
        import_run(one, Place(tmp_path / "four", "Pong", 2), None)


def test_damage_stops_an_import_and_what_is_sound_is_kept(foreign: Place, tmp_path: Path, kit: SimpleNamespace) -> None:
    victim = foreign.logs / file_name("observation", 1)
    content = victim.read_bytes()
    victim.write_bytes(content[:-30])
    target = Place(tmp_path / "data", "Pong", 2)
    with pytest.raises(BadData, match=r"observation_ckpt.1.gz is damaged: it is cut off"):
        import_run(foreign, target, None)
    found = find_manifest(target)
    assert found is not None
    assert (len(found.checkpoints), found.complete) == (1, False)
    assert not (target.logs / victim.name).exists()
    assert not [path for path in target.logs.iterdir() if path.name.startswith(".")]
    with pytest.raises(BadData, match="not complete"):
        read_manifest(target)
    assert any("not complete" in problem for problem in verify_run(target))
    victim.write_bytes(content)
    import_run(foreign, target, None)
    assert list(verify_run(target)) == []


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_missing_file_is_named(foreign: Place, tmp_path: Path, element: str) -> None:
    (foreign.logs / file_name(element, 1)).unlink()
    with pytest.raises(BadData, match="lacks") as caught:
        import_run(foreign, Place(tmp_path / "data", "Pong", 2), None)
    assert file_name(element, 1) in caught.value.problem
    assert any(file_name(element, 1) in problem for problem in verify_run(foreign))


def test_nothing_and_unknown_games_are_refused(foreign: Place, tmp_path: Path) -> None:
    empty = Place(tmp_path / "empty", "Pong", 1)
    empty.logs.mkdir(parents=True)
    with pytest.raises(BadData, match="holds no checkpoint"):
        import_run(empty, Place(tmp_path / "data", "Pong", 1), None)
    odd = Place(tmp_path / "odd", "Pongo", 1)
    shutil.copytree(foreign.folder, odd.folder)
    with pytest.raises(UsageError, match="Unknown game 'Pongo'"):
        import_run(odd, Place(tmp_path / "data", "Pongo", 1), None)


def test_verification_names_every_fault_at_once(foreign: Place, tmp_path: Path) -> None:
    target = Place(tmp_path / "data", "Pong", 2)
    import_run(foreign, target, None)
    victim = target.logs / file_name("reward", 0)
    victim.write_bytes(victim.read_bytes() + b"x")
    (target.logs / file_name("action", 2)).unlink()
    for element in ELEMENTS:
        shutil.copy(target.logs / file_name(element, 1), target.logs / file_name(element, 7))
    problems = list(verify_run(target))
    assert len(problems) == 4
    assert file_name("action", 2) in problems[0]
    assert file_name("reward", 0) in problems[1]
    assert "Checkpoint 7" in problems[2]
    assert "counts 50 rows, no more than that of checkpoint 1" in problems[3] or "same file" in problems[3]
    shutil.rmtree(target.logs)
    target.logs.mkdir()
    assert [f"Checkpoint {k} of" in problem for k, problem in enumerate(verify_run(target))] == [True] * 3


def test_another_sound_file_in_place_of_one_is_found_by_its_hash(kit: SimpleNamespace, tmp_path: Path) -> None:
    one = kit.made_up(Place(tmp_path, "Pong", 1), "." * 20, [30])
    kit.with_manifest(one)
    other = kit.made_up(Place(tmp_path, "Pong", 2), "." * 20, [30], 1)
    kit.write_log(other)
    shutil.copy(other.place.logs / file_name("action", 0), one.place.logs / file_name("action", 0))
    (problem,) = verify_run(one.place)
    assert "action_ckpt.0.gz is not the file that its manifest names" in problem


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[:-20], "is damaged"),
        (lambda text: text.replace('"game": "Pong"', '"game": "Qbert"'), "is that of Qbert run 2"),
        (lambda text: text.replace('"source": "dqn-replay"', '"source": "../x"'), "is damaged"),
        (lambda text: text.replace('"rows": 18', '"rows": 26'), "is damaged"),
        (lambda text: text.replace('"capacity": 25', '"capacity": 99999999999'), "is damaged"),
        (lambda text: text.replace('"schema_version": 1', '"schema_version": 2'), "is damaged"),
    ],
)
def test_a_damaged_manifest_is_named(foreign: Place, change: Callable[[str], str], reason: str) -> None:
    import_run(foreign, foreign, None)
    path = manifest_path(foreign)
    path.write_text(change(path.read_text()))
    with pytest.raises(BadData, match=reason):
        find_manifest(foreign)


def test_killed_anywhere_an_import_goes_on_to_the_same_files(
    foreign: Place, tmp_path: Path, kit: SimpleNamespace, die_everywhere: Callable[..., int]
) -> None:
    whole: dict[str, bytes] = {}

    def work(root: Path) -> None:
        import_run(foreign, Place(root, "Pong", 2), None)

    def check(root: Path, ended: bool) -> None:
        found = kit.tree(root) if root.exists() else {}
        if not whole:
            whole.update(found)
        if ended:
            assert {name: found[name] for name in found if not Path(name).name.startswith(".")} == whole
        elif (manifest := find_manifest(Place(root, "Pong", 2))) is not None:
            names = [file_name(element, entry.suffix) for entry in manifest.checkpoints for element in ELEMENTS]
            assert all(found[f"Pong/2/replay_logs/{name}"] == whole[f"Pong/2/replay_logs/{name}"] for name in names)
            assert manifest.complete <= (found == whole)
        for name, content in found.items():
            if name.startswith("Pong/2/replay_logs/") and not Path(name).name.startswith("."):
                assert content == whole[name]

    assert die_everywhere(tmp_path / "kills", work, check) > 90


def test_a_finished_import_touches_nothing(foreign: Place, tmp_path: Path, kit: SimpleNamespace) -> None:
    target = Place(tmp_path / "data", "Pong", 2)
    import_run(foreign, target, None)
    stamps = {path: path.stat().st_mtime_ns for path in target.folder.rglob("*") if path.name != ".lock"}
    import_run(foreign, target, None)
    assert {path: path.stat().st_mtime_ns for path in stamps} == stamps


def test_an_import_that_finds_other_checkpoints_than_before_is_refused(foreign: Place, tmp_path: Path) -> None:
    target = Place(tmp_path / "data", "Pong", 2)
    (foreign.logs / file_name("terminal", 2)).rename(tmp_path / "kept")
    with pytest.raises(BadData, match="lacks"):
        import_run(foreign, target, None)
    (tmp_path / "kept").rename(foreign.logs / file_name("terminal", 2))
    (foreign.logs / file_name("observation", 1)).write_bytes(b"")
    with pytest.raises(BadData, match="is empty"):
        import_run(foreign, target, None)
    for element in ELEMENTS:
        (foreign.logs / file_name(element, 0)).unlink()
        (foreign.logs / file_name(element, 1)).unlink()
    with pytest.raises(BadData, match="other checkpoints than before"):
        import_run(foreign, target, None)


def test_two_processes_do_not_write_one_run(foreign: Place, tmp_path: Path) -> None:
    target = Place(tmp_path / "data", "Pong", 2)
    with exclusive(target.folder), pytest.raises(Locked, match="Another process is writing"):
        import_run(foreign, target, None)
    import_run(foreign, target, None)


def test_too_little_space_and_places_that_cannot_be_written_are_named(
    foreign: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UnfitEnvironment, match="Cannot write"):
        import_run(foreign, Place(tmp_path / "file" / "data", "Pong", 2), None)
    monkeypatch.setattr("suite.experience.logs.files.shutil.disk_usage", lambda path: SimpleNamespace(free=10))
    with pytest.raises(UnfitEnvironment, match="GiB are needed") as caught:
        import_run(foreign, Place(tmp_path / "data", "Pong", 2), None)
    assert "--out" in caught.value.remedy


def test_a_power_cut_finds_no_file_under_its_name_that_was_not_synced(
    foreign: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []

    class Noting(durable.System):
        def fsync(self, descriptor: int) -> None:
            calls.append("sync " + Path(f"/dev/fd/{descriptor}").readlink().name)

        def rename(self, old: Path, new: Path) -> None:
            calls.append(f"rename {new.name}")
            super().rename(old, new)

    monkeypatch.setattr(durable, "system", Noting())
    import_run(foreign, Place(tmp_path / "data", "Pong", 2), None)
    renames = [index for index, call in enumerate(calls) if call.startswith("rename")]
    assert len(renames) == 3 * 6 + 3 + 1
    for index in renames:
        name = calls[index].removeprefix("rename ")
        assert calls[index - 1] == f"sync .{name}.tmp"
        assert calls[index + 1] == ("sync 2" if name == "manifest.json" else "sync replay_logs")
    assert [calls[index] for index in renames[6::7]] == ["rename manifest.json"] * 3
