"""What durable operations acknowledge outlives a crash, at every boundary of their I/O.

The disk is modelled as strictly as POSIX allows. What was not synced may be there or not: of a file, any page; of a
directory, any subset of the names made and removed, the two halves of a rename included. A sync of a file says nothing
of its name, and a sync of a directory nothing of what its names lead to.
"""

from __future__ import annotations

import errno
import itertools
import math
import os
import random
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import pytest

from suite import durable
from suite.records import checkpoints
from suite.records.checkpoints import CheckpointStore

PAGE = 4096
LIMIT = 5000
"""How many states a boundary may have to be enumerated in full; beyond, the extremes and a sample are taken."""
Tree: TypeAlias = dict[str, "Tree | bytes"]


@dataclass(frozen=True)
class Op:
    """A call that changes a disk, or `ack`: from here on, what was written as `data` must be found."""

    kind: str
    path: str = ""
    data: bytes = b""
    new: str = ""


class Recorder(durable.System):
    """Does all but the syncs, and notes every call."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.ops: list[Op] = []
        self.open: dict[int, str] = {}

    def note(self, kind: str, path: Path, data: bytes = b"", new: Path | None = None) -> None:
        self.ops.append(Op(kind, self.short(path), data, "" if new is None else self.short(new)))

    def short(self, path: Path) -> str:
        return path.relative_to(self.root).as_posix()

    def create(self, path: Path) -> int:
        descriptor = super().create(path)
        self.open[descriptor] = self.short(path)
        self.note("create", path)
        return descriptor

    def open_directory(self, path: Path) -> int:
        descriptor = super().open_directory(path)
        self.open[descriptor] = self.short(path)
        return descriptor

    def write(self, descriptor: int, data: memoryview) -> int:
        written = super().write(descriptor, data)
        self.ops.append(Op("write", self.open[descriptor], bytes(data[:written])))
        return written

    def fsync(self, descriptor: int) -> None:
        self.ops.append(Op("fsync", self.open[descriptor]))

    def rename(self, old: Path, new: Path) -> None:
        super().rename(old, new)
        self.note("rename", old, new=new)

    def unlink(self, path: Path) -> None:
        super().unlink(path)
        self.note("unlink", path)

    def mkdir(self, path: Path) -> None:
        super().mkdir(path)
        self.note("mkdir", path)

    def rmdir(self, path: Path) -> None:
        super().rmdir(path)
        self.note("rmdir", path)


class NoSync(durable.System):
    """For tests that look at no crash."""

    def fsync(self, descriptor: int) -> None:
        pass


@dataclass(eq=False)
class FileNode:
    live: bytes = b""
    synced: bytes = b""

    def contents(self) -> list[bytes]:
        """Return what a crash may leave: any page of the new content in place, or cut off anywhere."""
        if self.live == self.synced:
            return [self.live]
        starts = range(0, len(self.live), PAGE)
        found = {self.synced, self.live, self.live[: len(self.live) // 2]} | {self.live[:start] for start in starts}
        for there in itertools.islice(itertools.product((False, True), repeat=len(starts)), 256):
            pages = zip(there, (self.live[start : start + PAGE] for start in starts), strict=True)
            found.add(b"".join(page if is_there else bytes(len(page)) for is_there, page in pages))
        return sorted(found)


@dataclass(frozen=True, eq=False)
class Change:
    """One name made to lead to a node, or removed."""

    name: str
    node: DirectoryNode | FileNode | None

    def apply(self, names: dict[str, DirectoryNode | FileNode]) -> None:
        if self.node is None:
            names.pop(self.name, None)
        else:
            names[self.name] = self.node


@dataclass(eq=False)
class DirectoryNode:
    live: dict[str, DirectoryNode | FileNode] = field(default_factory=dict)
    synced: dict[str, DirectoryNode | FileNode] = field(default_factory=dict)
    pending: list[Change] = field(default_factory=list)

    def change(self, name: str, node: DirectoryNode | FileNode | None) -> None:
        self.pending.append(Change(name, node))
        self.pending[-1].apply(self.live)

    def sync(self) -> None:
        self.synced, self.pending = dict(self.live), []


class Disk:
    """A disk and its cache."""

    def __init__(self, tree: Tree | None = None) -> None:
        self.root = _grown(tree or {})
        self.nodes: list[DirectoryNode | FileNode] = list(_below(self.root))

    def apply(self, op: Op) -> None:
        if op.kind in {"create", "mkdir"}:
            self._make(op)
        elif op.kind == "write":
            self._file(op.path).live += op.data
        elif op.kind == "fsync":
            node = self._find(op.path)
            if isinstance(node, DirectoryNode):
                node.sync()
            else:
                node.synced = node.live
        elif op.kind == "rename":
            node = self._find(op.path)
            self._parent(op.new).change(_last(op.new), node)
            self._parent(op.path).change(_last(op.path), None)
        elif op.kind in {"unlink", "rmdir"}:
            self._parent(op.path).change(_last(op.path), None)

    def _make(self, op: Op) -> None:
        parent, name = self._parent(op.path), _last(op.path)
        if name in parent.live:
            self._file(op.path).live = b""
            return
        node = FileNode() if op.kind == "create" else DirectoryNode()
        self.nodes.append(node)
        parent.change(name, node)

    def _find(self, path: str) -> DirectoryNode | FileNode:
        node: DirectoryNode | FileNode = self.root
        for name in Path(path).parts:
            assert isinstance(node, DirectoryNode)
            node = node.live[name]
        return node

    def _parent(self, path: str) -> DirectoryNode:
        node = self._find(Path(path).parent.as_posix())
        assert isinstance(node, DirectoryNode)
        return node

    def _file(self, path: str) -> FileNode:
        node = self._find(path)
        assert isinstance(node, FileNode)
        return node

    def live(self) -> Tree:
        """Return what a process sees, and what the next one sees if this one is killed."""
        return self._tree(self.root, None, {})

    def after_a_crash(self, *, thorough: bool) -> Iterator[Tree]:
        """Yield what the disk may hold once the power is back; less of it unless thorough."""
        pending = [change for node in self.nodes if isinstance(node, DirectoryNode) for change in node.pending]
        files = [node for node in self.nodes if isinstance(node, FileNode) and node.live != node.synced]
        options = [file.contents() if thorough else [file.synced, file.live] for file in files]
        if thorough and math.prod(map(len, options)) << len(pending) > LIMIT:
            yield from self.after_a_crash(thorough=False)
            yield from self._some_after_a_crash(pending, files, options)
            return
        for chosen in _subsets(pending, thorough=thorough):
            for contents in itertools.product(*options):
                yield self._tree(self.root, set(chosen), dict(zip(files, contents, strict=True)))

    def _some_after_a_crash(
        self, pending: list[Change], files: list[FileNode], options: list[list[bytes]]
    ) -> Iterator[Tree]:
        chance = random.Random(0)
        for _ in range(500):
            chosen = {change for change in pending if chance.random() < 0.5}
            yield self._tree(
                self.root,
                chosen,
                {file: chance.choice(contents) for file, contents in zip(files, options, strict=True)},
            )

    def _tree(self, node: DirectoryNode, chosen: set[Change] | None, contents: dict[FileNode, bytes]) -> Tree:
        names = dict(node.synced)
        for change in node.pending:
            if chosen is None or change in chosen:
                change.apply(names)
        return {
            name: contents.get(child, child.live)
            if isinstance(child, FileNode)
            else self._tree(child, chosen, contents)
            for name, child in sorted(names.items())
        }


def _grown(tree: Tree) -> DirectoryNode:
    node = DirectoryNode()
    for name, child in tree.items():
        node.live[name] = FileNode(child, child) if isinstance(child, bytes) else _grown(child)
    node.sync()
    return node


def _below(node: DirectoryNode | FileNode) -> Iterator[DirectoryNode | FileNode]:
    yield node
    if isinstance(node, DirectoryNode):
        for child in node.live.values():
            yield from _below(child)


def _last(path: str) -> str:
    return Path(path).name


def _subsets(pending: Sequence[Change], *, thorough: bool) -> Iterator[tuple[Change, ...]]:
    """Yield all subsets; unless thorough, those that lack at most one change or have at most one."""
    sizes = range(len(pending) + 1)
    for size in sizes if thorough else sorted({0, 1, len(pending) - 1, len(pending)} & set(sizes)):
        yield from itertools.combinations(pending, size)


def written(path: Path) -> Tree:
    """Return what is on the real disk."""
    return {child.name: written(child) if child.is_dir() else child.read_bytes() for child in sorted(path.iterdir())}


def lay_out(tree: Tree, path: Path, before: Tree | None = None) -> Path:
    """Put a tree onto the real disk, in place of what was there before if that is known, else of all that is."""
    if before is None:
        shutil.rmtree(path, ignore_errors=True)
        path.mkdir()
    for name in (before or {}).keys() - tree.keys():
        remove = shutil.rmtree if (path / name).is_dir() else Path.unlink
        remove(path / name)
    for name, child in tree.items():
        old = (before or {}).get(name)
        if isinstance(child, dict):
            lay_out(child, path / name, old if isinstance(old, dict) else None)
        elif child != old:
            (path / name).write_bytes(child)
    return path


def frozen(tree: Tree) -> object:
    return frozenset((name, child if isinstance(child, bytes) else frozen(child)) for name, child in tree.items())


State: TypeAlias = tuple[int, Tree]
"""The number of the last acknowledged write, and what is on the disk."""


def crash_states(
    ops: Sequence[Op], disk: Disk | None = None, acknowledged: int = 0, *, thorough: bool = True
) -> Iterator[State]:
    """Yield every different state that a crash before, between or after these calls may leave."""
    disk = disk or Disk()
    seen = set()
    for op in (Op("start"), *ops):
        disk.apply(op)
        acknowledged = int(op.data) if op.kind == "ack" else acknowledged
        for tree in disk.after_a_crash(thorough=thorough):
            if (key := (acknowledged, frozen(tree))) not in seen:
                seen.add(key)
                yield acknowledged, tree


def at(ops: Sequence[Op], boundary: int) -> tuple[Disk, int]:
    """Return the disk after so many calls, and the number of the last acknowledged write."""
    disk, acknowledged = Disk(), 0
    for op in ops[:boundary]:
        disk.apply(op)
        acknowledged = int(op.data) if op.kind == "ack" else acknowledged
    return disk, acknowledged


def recorded(patch: pytest.MonkeyPatch, root: Path, act: Callable[[Recorder], None]) -> list[Op]:
    recorder = Recorder(root)
    with patch.context() as inner:
        inner.setattr(durable, "system", recorder)
        act(recorder)
    return recorder.ops


# ---------------------------------------------------------------------------------------------------- checkpoints


def write_numbered(store: CheckpointStore, step: int, number: int) -> None:
    """Write a checkpoint of several pages whose content says how manieth it is."""
    store.write(step, {"w": np.full(PAGE, number, np.float32), "n": np.array(number)}, str(number).encode())


def newest_number(run: Path) -> int:
    """Load the newest checkpoint and return how manieth it is, 0 if there is none."""
    loaded = CheckpointStore(run).newest()
    if loaded is None:
        return 0
    number = int(loaded.state)
    assert loaded.rejected == ()
    assert loaded.arrays["n"] == number
    assert np.array_equal(loaded.arrays["w"], np.full(PAGE, number, np.float32))
    return number


def record_writes(patch: pytest.MonkeyPatch, root: Path, steps: Sequence[int], keep: int, first: int = 1) -> list[Op]:
    def act(recorder: Recorder) -> None:
        store = CheckpointStore(root, keep)
        for number, step in enumerate(steps, start=first):
            write_numbered(store, step, number)
            recorder.ops.append(Op("ack", data=str(number).encode()))

    patch.setattr(checkpoints, "CHUNK", PAGE)
    return recorded(patch, root, act)


def generations(tree: Tree) -> dict[str, Tree | bytes]:
    held = tree.get("checkpoints", {})
    assert isinstance(held, dict)
    return {name: child for name, child in held.items() if name.startswith("step-") and not name.endswith(".corrupt")}


def whole_generations(ops: Sequence[Op]) -> dict[object, int]:
    """Return the number of each complete generation as it was published."""
    disk, whole = Disk(), {}
    for op in ops:
        disk.apply(op)
        if op.kind == "rename" and _last(op.new).startswith("step-"):
            whole[frozen(generations(disk.live())[_last(op.new)])] = len(whole) + 1  # type: ignore[arg-type]
    return whole


def is_violated(state: State, whole: dict[object, int]) -> bool:
    """Return whether a generation's name leads to less than all of it, or an acknowledged write is lost."""
    acknowledged, tree = state
    numbers = [whole.get(frozen(child)) for child in generations(tree).values() if isinstance(child, dict)]
    return None in numbers or max((number for number in numbers if number is not None), default=0) < acknowledged


SCENARIOS = {
    "four writes that keep two": ((10, 20, 30, 40), 2),
    "three writes that keep one": ((10, 20, 30), 1),
    "a step written three times": ((10, 10, 10), 2),
    "a step written again, keeping one": ((10, 20, 20), 1),
}


@pytest.mark.parametrize(("steps", "keep"), SCENARIOS.values(), ids=SCENARIOS)
def test_a_crash_anywhere_leaves_only_whole_checkpoints_and_loses_none_that_was_acknowledged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, steps: tuple[int, ...], keep: int
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    ops = record_writes(monkeypatch, run, steps, keep)
    whole = whole_generations(ops)
    assert len(whole) == len(steps)
    monkeypatch.setattr(durable, "system", NoSync())
    states = list(crash_states(ops))
    before: Tree | None = None
    for acknowledged, tree in states:
        assert not is_violated((acknowledged, tree), whole)
        assert acknowledged <= newest_number(lay_out(tree, run, before)) <= len(steps)
        before = tree
    assert len(states) >= 300


def test_a_run_goes_on_after_every_crash_and_clears_what_it_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    ops = record_writes(monkeypatch, run, (10, 20, 30), 2)
    monkeypatch.setattr(durable, "system", NoSync())
    for _, tree in crash_states(ops, thorough=False):
        store = CheckpointStore(lay_out(tree, run))
        before = store.steps()
        write_numbered(store, 40, 4)
        assert newest_number(run) == 4
        names = [path.name for path in sorted(store.path.iterdir())]
        assert names == [f"step-{step:010d}" for step in (*before, 40)[-2:]]


def test_leaving_out_any_sync_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ops = record_writes(monkeypatch, tmp_path, (10, 20, 30), 1)
    whole = whole_generations(ops)
    syncs = [index for index, op in enumerate(ops) if op.kind == "fsync"]
    assert len(syncs) == 3 * 6 + 2  # run, three files, their directory and its name; the names of what is deleted
    unnoticed = [
        index
        for index in syncs
        if not any(is_violated(state, whole) for state in crash_states([*ops[:index], *ops[index + 1 :]]))
    ]
    assert [ops[index].path for index in unnoticed] == [".", "."], "only the second and third sync of the run directory"
    assert syncs[0] not in unnoticed


def unsynced_file(path: Path, content: bytes | Iterable[memoryview]) -> None:
    descriptor = durable.system.create(path)
    for piece in (content,) if isinstance(content, bytes) else content:
        durable.system.write(descriptor, memoryview(piece))
    durable.system.close(descriptor)


def early_publication(temporary: Path, final: Path) -> None:
    durable.system.rename(temporary, final)
    durable.sync_directory(final)
    durable.sync_directory(final.parent)


def deletion_in_place(path: Path) -> None:
    for file in path.iterdir():
        durable.system.unlink(file)
    durable.system.rmdir(path)


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("write_file", unsynced_file),
        ("publish_directory", early_publication),
        ("remove_tree", deletion_in_place),
        ("sync_directory", lambda path: None),
    ],
    ids=["files not synced", "published before it is synced", "deleted under its own name", "no directory synced"],
)
def test_a_wrong_protocol_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, wrong: Callable[..., None]
) -> None:
    monkeypatch.setattr(durable, name, wrong)
    ops = record_writes(monkeypatch, tmp_path, (10, 20, 30), 2)
    whole = whole_generations(ops)
    assert len(whole) == 3
    assert any(is_violated(state, whole) for state in crash_states(ops, thorough=False))


def test_deleting_the_old_checkpoint_before_the_new_one_is_there_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = durable.make_directory

    def early_deletion(path: Path) -> None:
        make(path)
        for old in path.glob("step-*"):
            durable.remove_tree(old)

    monkeypatch.setattr(durable, "make_directory", early_deletion)
    ops = record_writes(monkeypatch, tmp_path, (10, 20, 30), 2)
    whole = whole_generations(ops)
    assert any(is_violated(state, whole) for state in crash_states(ops, thorough=False))


@pytest.mark.parametrize("keep", [1, 2])
def test_a_kill_and_then_a_power_cut_in_the_next_attempt_lose_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    first, second, run = tmp_path / "first", tmp_path / "second", tmp_path / "run"
    first.mkdir()
    ops = record_writes(monkeypatch, first, (10, 20, 30), keep)
    whole, states = whole_generations(ops), 0
    for boundary in range(len(ops) + 1):
        disk, acknowledged = at(ops, boundary)
        lay_out(disk.live(), second)
        assert acknowledged <= newest_number(second) <= 3
        more = record_writes(monkeypatch, second, (40,), keep, first=4)
        four = {frozen(generations(written(second))["step-0000000040"]): 4}  # type: ignore[arg-type]
        for number, state in enumerate(crash_states(more, disk, acknowledged, thorough=False)):
            assert not is_violated(state, whole | four)
            states += 1
            if number % 10 == 0:
                assert state[0] <= newest_number(lay_out(state[1], run)) <= 4
    assert states >= 3000


def test_a_crash_while_damaged_checkpoints_are_set_aside_loses_no_sound_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    monkeypatch.setattr(durable, "system", NoSync())
    store = CheckpointStore(run, keep=3)
    for number in (1, 2, 3):
        write_numbered(store, 10 * number, number)
    shutil.copytree(store.path / "step-0000000020", store.path / "step-0000000030.corrupt")
    for step in (20, 30):
        (store.path / f"step-{step:010d}" / "arrays.safetensors").write_bytes(b"")
    start = written(run)

    def go_on(recorder: Recorder) -> None:
        loaded = store.newest()
        assert loaded is not None
        assert (loaded.agent_step, len(loaded.rejected)) == (10, 2)
        write_numbered(store, 20, 4)
        recorder.ops.append(Op("ack", data=b"4"))

    states = list(crash_states(recorded(monkeypatch, run, go_on), Disk(start), 1))
    for acknowledged, tree in states:
        found = CheckpointStore(lay_out(tree, run)).newest()
        assert found is not None
        assert int(found.state) in ({4} if acknowledged == 4 else {1, 4})
    assert len(states) >= 30


def test_replacing_a_file_leaves_the_old_content_or_the_new_wherever_it_crashes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old, new = b"old\n" * 2000, b"new\n" * 2500

    def is_wrong(state: State) -> bool:
        acknowledged, tree = state
        return tree["status.json"] not in ([new] if acknowledged else [old, new])

    def act(recorder: Recorder) -> None:
        durable.replace_file(tmp_path / "status.json", new)
        recorder.ops.append(Op("ack", data=b"1"))

    start: Tree = {"status.json": old}
    ops = recorded(monkeypatch, tmp_path, act)
    states = list(crash_states(ops, Disk(start)))
    assert len(states) >= 15
    assert not any(is_wrong(state) for state in states)
    for index in [index for index, op in enumerate(ops) if op.kind == "fsync"]:
        assert any(is_wrong(state) for state in crash_states([*ops[:index], *ops[index + 1 :]], Disk(start)))


# ------------------------------------------------------------------------------------------- the operations themselves


def test_files_are_written_in_pieces_and_whole(tmp_path: Path) -> None:
    durable.write_file(tmp_path / "a", b"abc")
    durable.write_file(tmp_path / "b", (piece for piece in (b"ab", memoryview(b"cd"), b"", b"e")))
    durable.write_file(tmp_path / "c", b"")
    assert written(tmp_path) == {"a": b"abc", "b": b"abcde", "c": b""}


def test_a_disk_that_takes_a_few_bytes_at_a_time_gets_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Short(NoSync):
        def write(self, descriptor: int, data: memoryview) -> int:
            return super().write(descriptor, data[:7])

    content = random.Random(0).randbytes(1000)
    monkeypatch.setattr(durable, "system", Short())
    durable.write_file(tmp_path / "a", [content, content])
    assert (tmp_path / "a").read_bytes() == content * 2


def test_replaced_text_ends_with_a_newline_and_replaced_bytes_stay_as_they_are(tmp_path: Path) -> None:
    file = tmp_path / "status.json"
    durable.replace_file(file, "{}")
    durable.replace_file(file, "é")
    assert file.read_bytes() == "é\n".encode()
    durable.replace_file(file, b"raw")
    assert written(tmp_path) == {"status.json": b"raw"}


def test_a_failed_replacement_leaves_the_old_file_and_no_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(durable.System):
        syncs = 0

        def fsync(self, descriptor: int) -> None:
            self.syncs += 1
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    (tmp_path / "a").write_bytes(b"old")
    broken = Broken()
    monkeypatch.setattr(durable, "system", broken)
    with pytest.raises(OSError, match="Input/output error"):
        durable.replace_file(tmp_path / "a", b"new")
    assert broken.syncs == 1, "a sync that failed is never tried again"
    assert written(tmp_path) == {"a": b"old"}


def test_no_descriptor_stays_open_after_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken(durable.System):
        def fsync(self, descriptor: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(durable, "system", Broken())
    descriptors = Path("/dev/fd")
    before = len(list(descriptors.iterdir()))
    for act in (lambda: durable.write_file(tmp_path / "a", b"x"), lambda: durable.sync_directory(tmp_path)):
        with pytest.raises(OSError, match="Input/output error"):
            act()
    assert len(list(descriptors.iterdir())) == before


def test_directories_are_made_with_their_parents_and_each_name_is_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ops = recorded(monkeypatch, tmp_path, lambda _: durable.make_directory(tmp_path / "a" / "b"))
    assert [(op.kind, op.path) for op in ops] == [("mkdir", "a"), ("fsync", "."), ("mkdir", "a/b"), ("fsync", "a")]
    again = recorded(monkeypatch, tmp_path, lambda _: durable.make_directory(tmp_path / "a" / "b"))
    assert [(op.kind, op.path) for op in again] == [("fsync", "a")]


def test_nothing_is_published_over_what_is_there(tmp_path: Path) -> None:
    for name in ("new", "old"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text(name)
    with pytest.raises(OSError, match="not empty"):
        durable.publish_directory(tmp_path / "new", tmp_path / "old")
    assert written(tmp_path) == {"new": {"file": b"new"}, "old": {"file": b"old"}}


def test_trees_files_and_links_are_removed_and_nothing_beyond_them(tmp_path: Path) -> None:
    lay_out({"tree": {"a": {"b": b"", "c": b""}}, "kept": {"file": b"x"}, "file": b""}, tmp_path / "t")
    root = tmp_path / "t"
    (root / "tree" / "link").symlink_to(root / "kept")
    (root / "link").symlink_to(root / "kept")
    for name in ("tree", "file", "link"):
        durable.remove_tree(root / name)
    assert written(root) == {"kept": {"file": b"x"}}


def test_what_an_earlier_kill_left_of_a_removal_is_no_obstacle(tmp_path: Path) -> None:
    root = lay_out({"tree": {"a": b""}, ".trash-tree": {"b": b""}, ".trash-other": {"c": b""}}, tmp_path / "t")
    durable.remove_tree(root / "tree")
    durable.remove_tree(root / ".trash-other")
    assert written(root) == {}
