"""A checkpoint is read back as it was written, or refused and the one before it read."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from safetensors.numpy import load_file

from suite import durable
from suite.errors import BadData, ExitCode, UnfitEnvironment
from suite.records import checkpoints
from suite.records.checkpoints import CheckpointStore, Loaded

FILES = ("arrays.safetensors", "state.json", "manifest.json")
DTYPES = ("bool", "uint8", "int32", "uint32", "int64", "float32", "float64")


class NoSync(durable.System):
    """For tests that look at no crash."""

    def fsync(self, descriptor: int) -> None:
        pass


@pytest.fixture
def unsynced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "system", NoSync())


def put(store: CheckpointStore, step: int) -> int:
    """Write a checkpoint that can be told from all others."""
    arrays = {"weights": np.arange(step, step + 400, dtype=np.float32).reshape(20, 20), "step": np.array(step)}
    return store.write(step, arrays, json.dumps({"step": step, "rest": "x" * 200}).encode())


def found(store: CheckpointStore) -> Loaded:
    """Load the newest checkpoint and make sure that all of it is what `put` wrote."""
    loaded = store.newest()
    assert loaded is not None
    step = loaded.agent_step
    assert json.loads(loaded.state)["step"] == step
    assert loaded.arrays.keys() == {"weights", "step"}
    assert loaded.arrays["step"] == step
    assert np.array_equal(loaded.arrays["weights"].ravel(), np.arange(step, step + 400, dtype=np.float32))
    return loaded


def names(store: CheckpointStore) -> list[str]:
    return sorted(path.name for path in store.path.iterdir())


@pytest.fixture
def store(tmp_path: Path, unsynced: None) -> CheckpointStore:
    """A store with the checkpoints 10 and 20."""
    store = CheckpointStore(tmp_path)
    put(store, 10)
    put(store, 20)
    return store


# ------------------------------------------------------------------------------------------------------ what is kept


@given(
    arrays=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"]), max_size=5).filter(lambda name: name != "__metadata__"),
        st.sampled_from([*DTYPES, ">f4", ">i8"]).flatmap(
            lambda dtype: arrays_of.arrays(
                dtype, arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)
            )
        ),
        max_size=5,
    ),
    state=st.binary(max_size=300),
    chunk=st.sampled_from([1, 7, 64, 1 << 20]),
)
@settings(max_examples=150)
def test_any_arrays_and_state_are_read_as_they_were_written(
    arrays: dict[str, np.ndarray[Any, Any]], state: bytes, chunk: int
) -> None:
    with tempfile.TemporaryDirectory() as directory, pytest.MonkeyPatch.context() as patch:
        patch.setattr(durable, "system", NoSync())
        patch.setattr(checkpoints, "CHUNK", chunk)
        store = CheckpointStore(Path(directory))
        size = store.write(7, arrays, state)
        loaded = store.newest()
        assert loaded is not None
        assert (loaded.agent_step, loaded.state, loaded.rejected) == (7, state, ())
        assert loaded.arrays.keys() == arrays.keys()
        for name, array in arrays.items():
            same = loaded.arrays[name]
            assert (same.dtype, same.shape) == (array.dtype.newbyteorder("="), array.shape)
            assert same.tobytes() == array.astype(same.dtype).tobytes(), "the same bits, those of a NaN included"
        assert size == sum(file.stat().st_size for file in (store.path / "step-0000000007").iterdir())


@pytest.mark.parametrize("dtype", DTYPES)
def test_arrays_in_any_memory_layout_are_read_in_their_own_order(tmp_path: Path, unsynced: None, dtype: str) -> None:
    whole = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5).astype(dtype)
    views = {
        "transposed": whole.T,
        "fortran": np.asfortranarray(whole),
        "strided": whole[:, ::2, 1::2],
        "reversed": whole[::-1, :, ::-1],
        "every third": whole.reshape(-1)[::3],
        "backwards": whole.reshape(-1)[::-1],
        "broadcast": np.broadcast_to(whole[0, 0, 0], (3, 5)),
        "scalar": whole[1, 2, 3, 4],
        "zero dimensions": whole[1, 2, 3, 4, ...],
        "empty": whole[:0],
        "read-only": np.frombuffer(whole.tobytes(), dtype),
    }
    store = CheckpointStore(tmp_path)
    store.write(0, views, b"")
    loaded = store.newest()
    assert loaded is not None
    for name, view in views.items():
        assert loaded.arrays[name].dtype == dtype
        assert loaded.arrays[name].shape == view.shape
        assert np.array_equal(loaded.arrays[name], view), name


def test_loaded_arrays_can_be_written_to(store: CheckpointStore) -> None:
    found(store).arrays["weights"][0, 0] = 5.0


def test_the_arrays_are_an_ordinary_safetensors_file_in_which_each_is_aligned(store: CheckpointStore) -> None:
    odd = {"a": np.zeros(3, np.uint8), 'é"\n': np.ones(3, bool), "b": np.arange(3.0), "c": np.zeros(1, np.int32)}
    store.write(30, odd, b"{}")
    file = store.path / "step-0000000030" / "arrays.safetensors"
    loaded = load_file(file)
    assert loaded.keys() == odd.keys()
    assert all(np.array_equal(loaded[name], odd[name]) for name in odd)
    raw = file.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    for name, entry in json.loads(raw[8 : 8 + length]).items():
        assert (8 + length + entry["data_offsets"][0]) % odd[name].itemsize == 0


def test_the_manifest_names_step_sizes_and_hashes_and_ends_with_its_own(store: CheckpointStore) -> None:
    directory = store.path / "step-0000000020"
    assert sorted(path.name for path in directory.iterdir()) == sorted(FILES)
    manifest = json.loads((directory / "manifest.json").read_bytes())
    own = manifest.pop("sha256")
    assert own == hashlib.sha256(json.dumps(manifest, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    assert manifest == {
        "schema_version": 1,
        "agent_step": 20,
        "files": {
            name: {
                "size": (directory / name).stat().st_size,
                "sha256": hashlib.sha256((directory / name).read_bytes()).hexdigest(),
            }
            for name in FILES[:2]
        },
    }


@pytest.mark.parametrize("array", [np.zeros(2, np.complex64), np.array(["a"]), np.array([None]), np.zeros(2, "i2")])
def test_an_array_that_could_not_be_read_again_is_refused_before_the_disk_is_touched(
    tmp_path: Path, array: np.ndarray[Any, Any]
) -> None:
    with pytest.raises(ValueError, match="'strange' of dtype"):
        CheckpointStore(tmp_path).write(1, {"fine": np.zeros(2), "strange": array}, b"")
    with pytest.raises(ValueError, match="__metadata__"):
        CheckpointStore(tmp_path).write(1, {"__metadata__": np.zeros(2)}, b"")
    assert list(tmp_path.iterdir()) == []


def test_without_a_checkpoint_there_is_none(tmp_path: Path) -> None:
    assert CheckpointStore(tmp_path).newest() is None
    assert CheckpointStore(tmp_path).steps() == ()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / ".tmp-step-0000000010").mkdir()
    assert CheckpointStore(tmp_path).newest() is None
    assert CheckpointStore(tmp_path).steps() == ()


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_only_the_newest_are_kept(tmp_path: Path, unsynced: None, keep: int) -> None:
    store = CheckpointStore(tmp_path, keep)
    for step in range(0, 60, 10):
        put(store, step)
        assert store.steps() == tuple(range(0, step + 10, 10))[-keep:]
    assert found(store).agent_step == 50
    with pytest.raises(ValueError, match="at least one"):
        CheckpointStore(tmp_path, 0)


def test_steps_of_any_length_are_ordered_as_numbers(tmp_path: Path, unsynced: None) -> None:
    store = CheckpointStore(tmp_path, 3)
    for step in (9, 10**10 - 1, 10**10):
        put(store, step)
    assert store.steps() == (9, 10**10 - 1, 10**10)
    assert store.newest().agent_step == 10**10  # type: ignore[union-attr]


def test_a_step_written_again_takes_the_place_of_the_first(store: CheckpointStore) -> None:
    for number in range(3):
        store.write(20, {}, str(number).encode())
        loaded = store.newest()
        assert loaded is not None
        assert loaded.state == str(number).encode()
    assert names(store) == ["step-0000000020-2", "step-0000000020-3"]
    assert store.steps() == (20,)
    put(store, 30)
    assert names(store) == ["step-0000000020-3", "step-0000000030"]


def test_a_step_before_the_newest_is_refused_and_nothing_is_changed(store: CheckpointStore) -> None:
    with pytest.raises(BadData, match="later than step 15") as caught:
        put(store, 15)
    assert caught.value.remedy == f"Delete {store.path} to start this cell anew."
    assert names(store) == ["step-0000000010", "step-0000000020"]


def test_leftovers_of_kills_are_cleared_by_the_next_write_and_foreign_files_are_left_alone(
    store: CheckpointStore,
) -> None:
    for leftover in (".tmp-step-0000000030", ".trash-step-0000000005", ".tmp-step-0000000020"):
        shutil.copytree(store.path / "step-0000000010", store.path / leftover)
    foreign = ["step-30", "step-0000000030.bak", "step-00000000030", "step-0000000020-0", "notes.corrupt", "step-x"]
    for name in foreign:
        shutil.copytree(store.path / "step-0000000010", store.path / name)
    (store.path / "notes.txt").write_text("mine")
    (store.path / "step-0000000020" / ".DS_Store").write_text("theirs")
    assert store.steps() == (10, 20)
    assert found(store).rejected == ()
    put(store, 40)
    assert names(store) == sorted(["notes.txt", *foreign, "step-0000000020", "step-0000000040"])


# ------------------------------------------------------------------------------------------------ what is refused


def assert_falls_back(store: CheckpointStore, reason: str = "") -> None:
    """Check that the newest is set aside with a reason and the one before it loaded; undo the first."""
    loaded = found(store)
    assert loaded.agent_step == 10
    assert len(loaded.rejected) == 1
    assert f"{store.path / 'step-0000000020'} is damaged" in loaded.rejected[0]
    assert reason in loaded.rejected[0]
    assert loaded.rejected[0].endswith("is now step-0000000020.corrupt.")
    assert names(store) == ["step-0000000010", "step-0000000020.corrupt"]


@pytest.mark.parametrize("name", FILES)
def test_every_flipped_bit_is_detected(store: CheckpointStore, name: str) -> None:
    file = store.path / "step-0000000020" / name
    content = file.read_bytes()
    chance = random.Random(name)
    bits = len(content) * 8
    header = min(bits, 8 * 200)
    flips = {*chance.sample(range(bits), min(bits, 250)), *chance.sample(range(header), min(header, 250))}
    for bit in sorted(flips):
        damaged = bytearray(content)
        damaged[bit // 8] ^= 1 << bit % 8
        file.write_bytes(damaged)
        assert_falls_back(store, name)
        (store.path / "step-0000000020.corrupt").rename(file.parent)
    file.write_bytes(content)
    assert found(store).agent_step == 20
    assert len(flips) >= 250


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.unlink(),
        lambda file: file.write_bytes(b""),
        lambda file: file.write_bytes(file.read_bytes()[:-1]),
        lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2]),
        lambda file: file.write_bytes(file.read_bytes()[: file.stat().st_size // 2].ljust(file.stat().st_size, b"\0")),
        lambda file: file.write_bytes(bytes(file.stat().st_size)),
        lambda file: file.write_bytes(file.read_bytes() + b"\0"),
        lambda file: file.write_bytes(file.read_bytes() + b"\n"),
        lambda file: file.rename(file.with_name("renamed")),
        lambda file: (file.unlink(), file.mkdir()),
        lambda file: shutil.copy(file.parent.with_name("step-0000000010") / file.name, file),
    ],
    ids=[
        "missing",
        "empty",
        "a byte short",
        "truncated",
        "zero tail",
        "all zero",
        "a zero more",
        "a newline more",
        "renamed",
        "a directory",
        "of another step",
    ],
)
def test_a_damaged_file_of_the_newest_checkpoint_makes_the_one_before_it_count(
    store: CheckpointStore, name: str, damage: Callable[[Path], object]
) -> None:
    damage(store.path / "step-0000000020" / name)
    assert_falls_back(store, name)
    put(store, 20)
    assert found(store).rejected == ()
    assert names(store) == ["step-0000000010", "step-0000000020", "step-0000000020.corrupt"]


def sealed(content: dict[str, Any]) -> bytes:
    """Return a manifest whose own hash holds, whatever it says."""
    digest = hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
    return json.dumps({**content, "sha256": digest}, sort_keys=True, separators=(",", ":")).encode()


def manifest_of(store: CheckpointStore) -> dict[str, Any]:
    manifest = json.loads((store.path / "step-0000000020" / "manifest.json").read_bytes())
    del manifest["sha256"]
    return manifest


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda manifest: manifest.update(agent_step=30), "is that of step 30"),
        (lambda manifest: manifest.update(agent_step=-20), "greater than or equal to 0"),
        (lambda manifest: manifest.update(agent_step="20"), "valid integer"),
        (lambda manifest: manifest.update(more=1), "Extra inputs"),
        (lambda manifest: manifest.pop("files"), "Field required"),
        (lambda manifest: manifest["files"].pop("state.json"), "at least 2"),
        (lambda manifest: manifest["files"].update({"../../spec.json": {"size": 1, "sha256": "0" * 64}}), "Input"),
        (lambda manifest: manifest["files"]["state.json"].update(size=1), "instead of 1"),
        (lambda manifest: manifest["files"]["state.json"].update(sha256="0" * 64), "does not match its SHA-256"),
        (lambda manifest: manifest["files"]["state.json"].update(sha256="0" * 63), "pattern"),
    ],
)
def test_a_manifest_that_says_anything_else_is_refused_though_its_hash_holds(
    store: CheckpointStore, change: Callable[[dict[str, Any]], object], reason: str
) -> None:
    manifest = manifest_of(store)
    change(manifest)
    (store.path / "step-0000000020" / "manifest.json").write_bytes(sealed(manifest))
    assert_falls_back(store, reason)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"[" * 100_000, "not JSON"),
        (b"\xff", "not JSON"),
        (b"[1]", "no hash"),
        (b"{}", "no hash"),
        (b"null", "no hash"),
        (b'{"sha256":"0"}', "own SHA-256"),
    ],
)
def test_whatever_a_manifest_is_instead_it_is_refused(store: CheckpointStore, content: bytes, reason: str) -> None:
    (store.path / "step-0000000020" / "manifest.json").write_bytes(content)
    assert_falls_back(store, reason)


def test_a_manifest_in_other_than_canonical_form_is_refused(store: CheckpointStore) -> None:
    file = store.path / "step-0000000020" / "manifest.json"
    file.write_bytes(json.dumps(json.loads(file.read_bytes()), indent=1).encode())
    assert_falls_back(store, "own SHA-256")


def test_arrays_that_are_no_safetensors_are_refused_though_their_hash_holds(store: CheckpointStore) -> None:
    directory = store.path / "step-0000000020"
    for content in (b"pickle", b"\x02\0\0\0\0\0\0\0{}x", (1 << 60).to_bytes(8, "little") + b"{}"):
        shutil.rmtree(store.path / "step-0000000020.corrupt", ignore_errors=True)
        directory.exists() or put(store, 20)
        manifest = manifest_of(store)
        (directory / "arrays.safetensors").write_bytes(content)
        manifest["files"]["arrays.safetensors"] = {
            "size": len(content),
            "sha256": hashlib.sha256(content).hexdigest(),
        }
        (directory / "manifest.json").write_bytes(sealed(manifest))
        assert_falls_back(store, "arrays.safetensors cannot be read")


def test_a_generation_under_another_steps_name_is_refused(store: CheckpointStore) -> None:
    (store.path / "step-0000000020").rename(store.path / "step-0000000099")
    loaded = found(store)
    assert loaded.agent_step == 10
    assert "is that of step 20" in loaded.rejected[0]


def test_a_plain_file_with_a_generations_name_is_refused_and_removed_in_time(store: CheckpointStore) -> None:
    (store.path / "step-0000000030").write_text("no directory")
    assert "manifest.json: Not a directory" in found(store).rejected[0]
    (store.path / "step-0000000030").write_text("no directory")
    assert len(found(store).rejected) == 1
    put(store, 40)
    put(store, 50)
    assert names(store) == ["step-0000000030.corrupt", "step-0000000040", "step-0000000050"]


def test_a_newer_schema_is_neither_damage_nor_readable(store: CheckpointStore) -> None:
    manifest = manifest_of(store)
    (store.path / "step-0000000020" / "manifest.json").write_bytes(sealed({**manifest, "schema_version": 2}))
    with pytest.raises(BadData, match="schema version 2") as caught:
        store.newest()
    assert caught.value.remedy.startswith("Use the version of the suite that wrote it.")
    assert names(store) == ["step-0000000010", "step-0000000020"]


def test_all_damaged_is_an_error_that_names_them_each_time_and_never_a_silent_new_start(
    store: CheckpointStore,
) -> None:
    (store.path / "step-0000000020" / "state.json").unlink()
    (store.path / "step-0000000010" / "arrays.safetensors").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(BadData) as caught:
            store.newest()
        assert caught.value.exit_code == ExitCode.BAD_DATA
        assert str(caught.value) == (
            f"No checkpoint in {store.path} is sound: step-0000000020 (state.json: No such file or directory), "
            "step-0000000010 (arrays.safetensors has 0 bytes instead of 1744). "
            f"Delete {store.path} to start this cell anew."
        )
    assert names(store) == ["step-0000000010", "step-0000000020"]
    for step in (10, 20):
        (store.path / f"step-{step:010d}").rename(store.path / f"step-{step:010d}.corrupt")
    with pytest.raises(BadData, match="set aside earlier"):
        store.newest()


def test_at_most_one_damaged_checkpoint_is_kept_and_it_counts_for_nothing(tmp_path: Path, unsynced: None) -> None:
    store = CheckpointStore(tmp_path, 3)
    for step in (10, 20, 30):
        put(store, step)
    for step in (20, 30):
        (store.path / f"step-{step:010d}" / "state.json").write_bytes(b"")
    assert len(found(store).rejected) == 2
    assert store.steps() == (10,)
    put(store, 20)
    assert names(store) == ["step-0000000010", "step-0000000020", "step-0000000030.corrupt"]
    put(store, 30)
    put(store, 40)
    assert store.steps() == (20, 30, 40)
    (store.path / "step-0000000040" / "state.json").write_bytes(b"")
    assert found(store).agent_step == 30
    put(store, 40)
    (store.path / "step-0000000040" / "state.json").write_bytes(b"another")
    assert found(store).agent_step == 30
    assert (store.path / "step-0000000040.corrupt" / "state.json").read_bytes() == b"another"
    put(store, 40)
    assert names(store) == [f"step-{step:010d}" for step in (20, 30, 40)] + ["step-0000000040.corrupt"]


# -------------------------------------------------------------------------------------------------- what goes wrong


CALLS = {"create", "open_directory", "write", "fsync", "close", "rename", "unlink", "mkdir", "rmdir"}


class Faulty(NoSync):
    """Fails at one call, before or after doing it, and at all later ones if the fault lasts."""

    def __init__(self, call: int, code: int, *, after: bool = False, lasts: bool = False) -> None:
        self.left, self.code, self.after, self.lasts = call, code, after, lasts
        self.failed = ""

    def __getattribute__(self, name: str) -> Any:
        plain = super().__getattribute__(name)
        if name not in CALLS:
            return plain

        def call(*arguments: Any) -> Any:
            self.left -= 1
            fails = self.left == 0 or (self.left < 0 and self.lasts)
            result = plain(*arguments) if not fails or self.after or name == "close" else None
            if fails:
                self.failed = self.failed or name
                raise OSError(self.code, os.strerror(self.code))
            return result

        return call


@pytest.mark.parametrize(
    ("code", "after", "lasts"),
    [
        (errno.EIO, False, False),
        (errno.EIO, True, False),
        (errno.EIO, False, True),
        (errno.ENOSPC, False, False),
        (errno.ENOSPC, False, True),
    ],
    ids=["once", "once, after it was done", "from then on", "disk full once", "disk full from then on"],
)
def test_an_error_at_any_call_spares_the_last_checkpoint_and_the_next_write(
    store: CheckpointStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, after: bool, lasts: bool
) -> None:
    template = shutil.copytree(store.path, tmp_path / "template")
    (template / ".trash-step-0000000005").mkdir()
    calls = count_calls(store, monkeypatch, template)
    failed = set()
    for number in range(1, calls + 1):
        faulty = Faulty(number, code, after=after, lasts=lasts)
        with pytest.raises(UnfitEnvironment, match=os.strerror(code)):
            write_again(store, monkeypatch, template, faulty)
        failed.add(faulty.failed)
        assert 20 in store.steps()
        assert found(store).agent_step in {20, 30}
        put(store, 40)
        assert found(store).agent_step == 40
        assert all(name.startswith("step-") for name in names(store))
    assert failed == CALLS
    assert calls >= 35


def write_again(store: CheckpointStore, patch: pytest.MonkeyPatch, template: Path, system: durable.System) -> None:
    """Write step 30 beside what the template holds."""
    shutil.rmtree(store.path)
    shutil.copytree(template, store.path)
    with patch.context() as inner:
        inner.setattr(durable, "system", system)
        put(store, 30)


def count_calls(store: CheckpointStore, patch: pytest.MonkeyPatch, template: Path) -> int:
    never = Faulty(1_000_000, errno.EIO)
    write_again(store, patch, template, never)
    return 1_000_000 - never.left


@pytest.mark.parametrize(
    ("code", "remedy"),
    [
        (errno.ENOSPC, "Free space there"),
        (errno.EDQUOT, "Free space there"),
        (errno.EROFS, "Make it readable and writable"),
        (errno.EACCES, "Make it readable and writable"),
        (errno.EIO, "Mend that disk or move the run directory to another"),
    ],
)
def test_an_error_names_the_place_and_what_to_do(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, code: int, remedy: str
) -> None:
    monkeypatch.setattr(durable, "system", Faulty(8, code))
    with pytest.raises(UnfitEnvironment) as caught:
        put(store, 30)
    assert caught.value.exit_code == ExitCode.UNFIT
    assert caught.value.problem == f"Cannot write a checkpoint to {store.path}: {os.strerror(code)}."
    assert caught.value.remedy == (f"{remedy}, then issue the same command again: it goes on from the last checkpoint.")
    assert names(store) == ["step-0000000010", "step-0000000020"]


def test_a_sync_that_fails_once_is_not_tried_again_and_its_checkpoint_does_not_count(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FailsOnce(NoSync):
        syncs = 0

        def fsync(self, descriptor: int) -> None:
            self.syncs += 1
            if self.syncs == 2:  # the first is that of the run directory
                raise OSError(errno.EIO, os.strerror(errno.EIO))

        def write(self, descriptor: int, data: memoryview) -> int:
            assert self.syncs < 2, "nothing is written after a sync has failed"
            return super().write(descriptor, data)

    monkeypatch.setattr(durable, "system", FailsOnce())
    with pytest.raises(UnfitEnvironment, match="Input/output error"):
        put(store, 30)
    assert names(store) == ["step-0000000010", "step-0000000020"]


class Unreadable(NoSync):
    def __init__(self, step: int, code: int) -> None:
        self.step, self.code = step, code

    def read(self, path: Path) -> bytes:
        if path.parent.name == f"step-{self.step:010d}" and path.name == "arrays.safetensors":
            raise OSError(self.code, os.strerror(self.code))
        return super().read(path)


def test_a_file_that_the_disk_cannot_read_is_damaged(store: CheckpointStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(durable, "system", Unreadable(20, errno.EIO))
    assert_falls_back(store, "arrays.safetensors: Input/output error")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EMFILE, errno.ENOMEM])
def test_a_file_that_this_process_cannot_read_is_not_taken_for_damaged(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    monkeypatch.setattr(durable, "system", Unreadable(20, code))
    with pytest.raises(UnfitEnvironment, match=os.strerror(code)):
        store.newest()
    assert names(store) == ["step-0000000010", "step-0000000020"]


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """Be nobody for a while if we are root, whom permissions do not bind."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_directory_that_cannot_be_written_is_an_error_and_what_it_holds_is_still_read(unsynced: None) -> None:
    with tempfile.TemporaryDirectory() as directory:
        run = Path(directory)
        run.chmod(0o755)
        store = CheckpointStore(run)
        put(store, 10)
        shutil.copytree(store.path / "step-0000000010", store.path / "step-0000000020")
        for place in (run, store.path):
            place.chmod(0o555)
        with unprivileged():
            with pytest.raises(UnfitEnvironment, match="Permission denied"):
                put(store, 30)
            with pytest.raises(UnfitEnvironment, match=r"Cannot set the damaged .* aside: Permission denied"):
                store.newest()
            with pytest.raises(UnfitEnvironment, match="Permission denied"):
                put(CheckpointStore(store.path), 30)
        for place in (run, store.path):
            place.chmod(0o755)
        shutil.rmtree(store.path / "step-0000000020")
        with unprivileged():
            assert found(store).agent_step == 10


def test_a_full_disk_spares_what_is_there_and_the_run_goes_on_once_there_is_space(tmp_path: Path) -> None:
    mount = shutil.which("mount")
    if mount is None or os.geteuid() != 0:
        pytest.skip("only root can mount a small disk")
    run = tmp_path / "disk"
    run.mkdir()
    if subprocess.run([mount, "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(run)], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        store, arrays = CheckpointStore(run), {"weights": np.ones(250_000, np.float32)}
        store.write(10, arrays, b"10")
        store.write(20, arrays, b"20")
        (run / "ballast").write_bytes(bytes(1_500_000))
        for _ in range(2):
            with pytest.raises(UnfitEnvironment, match="No space left on device") as caught:
                store.write(30, arrays, b"30")
            assert "Free space there" in caught.value.remedy
            assert names(store) == ["step-0000000010", "step-0000000020"]
        (run / "ballast").unlink()
        loaded = store.newest()
        assert loaded is not None
        assert (loaded.state, loaded.rejected) == (b"20", ())
        assert store.write(30, arrays, b"30") > 1_000_000
        assert store.steps() == (20, 30)
    finally:
        subprocess.run(["umount", str(run)], check=True)


WRITES_ON = """
import sys
from pathlib import Path
import numpy as np
from suite.records.checkpoints import CheckpointStore

store = CheckpointStore(Path(sys.argv[1]))
loaded = store.newest()
step = 0 if loaded is None else loaded.agent_step
while True:
    step += 1
    store.write(step, {"weights": np.full(200_000, step, np.int32)}, str(step).encode())
    print(step, flush=True)
"""


def test_a_process_killed_in_the_middle_of_writing_loses_nothing_it_acknowledged(tmp_path: Path) -> None:
    chance, acknowledged, leftovers = random.Random(0), 0, 0
    store = CheckpointStore(tmp_path)
    for kill in range(40):
        with subprocess.Popen(
            [sys.executable, "-c", WRITES_ON, str(tmp_path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            acknowledged = int(writer.stdout.readline())
            time.sleep(chance.uniform(0, 0.03))
            writer.kill()
            acknowledged = max(acknowledged, *(int(line) for line in writer.stdout if line.endswith("\n")), 0)
        assert writer.returncode == -signal.SIGKILL
        leftovers += any(name.startswith(".") for name in names(store))
        loaded = store.newest()
        assert loaded is not None
        assert acknowledged <= loaded.agent_step <= acknowledged + 1
        assert loaded.rejected == ()
        assert int(loaded.state) == loaded.agent_step
        assert (loaded.arrays["weights"] == loaded.agent_step).all()
        if kill >= 5 and leftovers:
            return
    pytest.fail("no kill hit a write")


def test_an_interrupted_write_leaves_nothing_behind(store: CheckpointStore, monkeypatch: pytest.MonkeyPatch) -> None:
    class Interrupted(NoSync):
        def write(self, descriptor: int, data: memoryview) -> int:
            raise KeyboardInterrupt

    monkeypatch.setattr(durable, "system", Interrupted())
    with pytest.raises(KeyboardInterrupt):
        put(store, 30)
    assert names(store) == ["step-0000000010", "step-0000000020"]


def test_writing_copies_no_array_but_those_that_are_not_contiguous_and_not_all_at_once(
    tmp_path: Path, unsynced: None
) -> None:
    whole = np.ones((2000, 1000), np.float32)
    for arrays, limit in (
        ({"a": whole, "b": whole}, 500_000),
        (dict.fromkeys("abcdef", whole.T), 2 * whole.nbytes + 500_000),
    ):
        tracemalloc.start()
        try:
            CheckpointStore(tmp_path).write(len(arrays), arrays, b"")
            assert tracemalloc.get_traced_memory()[1] < limit
        finally:
            tracemalloc.stop()
