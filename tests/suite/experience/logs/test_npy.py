"""Files are read as streams, without trust: what is damaged is named, and nothing is allocated on a header's word."""

from __future__ import annotations

import gzip
import io
import random
import shutil
import time
import tracemalloc
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.errors import BadData
from suite.experience.logs.check import inspect
from suite.experience.logs.layout import ELEMENTS, Place, file_name
from suite.experience.logs.npy import PIECE, ArrayFile, deflated, header_bytes


def any_header(header: object) -> str:
    return ""


def saved(array: np.ndarray, **options: bool) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, **options)
    return buffer.getvalue()


def content(path: Path) -> bytes:
    return b"".join(ArrayFile(path, any_header).contents())


def refusal(tmp_path: Path, raw: bytes) -> str:
    path = tmp_path / "file.gz"
    path.write_bytes(raw)
    with pytest.raises(BadData) as caught:
        content(path)
    assert "file.gz" in caught.value.problem
    assert caught.value.remedy
    return caught.value.problem


@pytest.mark.parametrize("array", [np.arange(1000, dtype="<i4"), np.zeros((3, 84, 84), "|u1"), np.asarray(7)])
def test_what_numpy_and_gzip_write_is_read_and_what_is_written_they_read(tmp_path: Path, array: np.ndarray) -> None:
    theirs, ours = tmp_path / "theirs.gz", tmp_path / "ours.gz"
    with gzip.open(theirs, "wb") as file:
        np.save(file, array, allow_pickle=False)
    ours.write_bytes(b"".join(deflated([header_bytes(array.dtype.str, array.shape), array.tobytes()])))
    for path in (theirs, ours):
        file = ArrayFile(path, any_header)
        assert b"".join(file.contents()) == array.tobytes()
        assert (file.header.dtype, file.header.shape) == (array.dtype.str, array.shape)
        assert file.size == path.stat().st_size
        with gzip.open(path) as opened:
            np.testing.assert_array_equal(np.load(opened, allow_pickle=False), array)


@pytest.fixture(scope="session")
def somewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("npy") / "file.gz"


@given(data=st.binary(max_size=3000), level=st.integers(1, 3))
def test_pieces_of_any_size_and_compression_give_the_content(data: bytes, level: int, somewhere: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("suite.experience.logs.npy.PIECE", 7)
        patch.setattr("suite.experience.logs.npy.RAW", 5)
        somewhere.write_bytes(gzip.compress(saved(np.frombuffer(data, np.uint8)), level))
        pieces = list(ArrayFile(somewhere, any_header).contents())
    assert b"".join(pieces) == data
    assert max(map(len, pieces), default=0) <= 7


def test_pieces_are_bounded_whatever_the_compression(tmp_path: Path) -> None:
    path = tmp_path / "zeros.gz"
    path.write_bytes(gzip.compress(saved(np.zeros(5 * PIECE, np.uint8))))
    assert max(len(piece) for piece in ArrayFile(path, any_header).contents()) <= PIECE


def header(text: str, version: int = 1) -> bytes:
    width = {1: 2}.get(version, 4)
    return b"\x93NUMPY" + bytes([version, 0]) + len(text).to_bytes(width, "little") + text.encode()


GOOD = "{'descr': '|u1', 'fortran_order': False, 'shape': (3,), }\n"


def test_headers_of_all_versions_and_of_python_2_are_read(tmp_path: Path) -> None:
    for number, raw in enumerate(
        (header(GOOD), header(GOOD, 2), header(GOOD, 3), header(GOOD.replace("(3,)", "(3L,)")))
    ):
        path = tmp_path / str(number)
        path.write_bytes(gzip.compress(raw + b"abc"))
        assert content(path) == b"abc"


DAMAGE = {
    "empty": (b"", "is empty"),
    "no gzip": (b"hello" * 10, "no sound gzip"),
    "cut off": (gzip.compress(header(GOOD) + b"abc")[:-9], "cut off"),
    "trailer cut off": (gzip.compress(header(GOOD) + b"abc")[:-1], "cut off"),
    "wrong checksum": (gzip.compress(header(GOOD) + b"abc")[:-8] + b"12345678", "no sound gzip"),
    "followed by something": (gzip.compress(header(GOOD) + b"abc") + b"x", "follows its end"),
    "two members": (gzip.compress(header(GOOD) + b"abc") * 2, "follows its end"),
    "no array": (gzip.compress(b"PK\x03\x04 something else"), "no NumPy array"),
    "a pickle": (gzip.compress(b"\x80\x04\x8f."), "no NumPy array"),
    "only magic": (gzip.compress(b"\x93NUMPY"), "within its array's header"),
    "half a header": (gzip.compress(header(GOOD)[:30]), "within its array's header"),
    "no content": (gzip.compress(header(GOOD)), "3 of the 3 bytes"),
    "too little": (gzip.compress(header(GOOD) + b"ab"), "1 of the 3 bytes"),
    "too much": (gzip.compress(header(GOOD) + b"abcd"), "more than the 3 bytes"),
    "unknown version": (gzip.compress(header(GOOD, 9) + b"abc"), "version 9"),
    "long header": (gzip.compress(header(GOOD + " " * 20_000, 2) + b"abc"), "header has 20,0"),
    "objects": (gzip.compress(saved(np.asarray([{}], object), allow_pickle=True)), "not int32"),
    "code": (gzip.compress(header("__import__('os').system('true')\n")), "none of a plain array"),
    "fortran order": (gzip.compress(saved(np.zeros((2, 2), order="F"))), "none of a plain array"),
    "fields": (gzip.compress(saved(np.zeros(2, [("a", "<i4")]))), "none of a plain array"),
    "negative": (gzip.compress(header(GOOD.replace("(3,)", "(-3,)")) + b"abc"), "none of a plain array"),
    "huge number": (gzip.compress(header(GOOD.replace("(3,)", f"({'9' * 40},)")) + b"abc"), "none of a plain array"),
    "words": (gzip.compress(header(GOOD.replace("(3,)", "(LL,)")) + b"abc"), "none of a plain array"),
}


@pytest.mark.parametrize(("raw", "reason"), DAMAGE.values(), ids=DAMAGE)
def test_damage_is_named(tmp_path: Path, raw: bytes, reason: str) -> None:
    if reason == "not int32":  # an array of pickled objects is refused by its type, before any of it is looked at
        path = tmp_path / "objects.gz"
        path.write_bytes(raw)
        with pytest.raises(BadData, match=r"\|O is|none of a plain array"):
            list(ArrayFile(path, lambda found: f"{found.dtype} is not int32").contents())
    else:
        assert reason in refusal(tmp_path, raw)


def test_a_missing_file_and_a_directory_in_its_place_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadData, match="is missing"):
        content(tmp_path / "nothing")
    with pytest.raises(BadData, match="cannot be read: Is a directory"):
        content(tmp_path)


# ------------------------------------------------------------------------------------------------------------- fuzzing


def bomb(head: bytes, zeros: int) -> bytes:
    deflate, block = zlib.compressobj(9, zlib.DEFLATED, 31), bytes(1 << 20)
    pieces = [deflate.compress(head), *(deflate.compress(block) for _ in range(zeros >> 20)), deflate.flush()]
    return b"".join(pieces)


@pytest.fixture
def sound(kit: SimpleNamespace, tmp_path: Path) -> Path:
    """The directory of a sound checkpoint of 12 rows."""
    log = kit.made_up(Place(tmp_path / "sound", "Pong", 1), "..T...", [12])
    kit.write_log(log)
    return log.place.logs


@pytest.mark.parametrize("element", ELEMENTS)
@pytest.mark.parametrize("claims", ["12 rows", "10 million rows", "a terabyte"])
def test_a_bomb_is_refused_in_bounded_memory_and_time(sound: Path, element: str, claims: str) -> None:
    path = sound / file_name(element, 0)
    with gzip.open(path) as file:
        head = file.read(128)
    if claims != "12 rows":
        count = 10_000_000 if claims == "10 million rows" else 10**11
        text = (
            head[10:].decode().replace("(12,", f"({count},").replace("(5,)", f"({count},)").replace("()", f"({count},)")
        )
        head = head[:10] + text[:117].encode() + b"\n"
    path.write_bytes(bomb(head, 32 << 20))
    start = time.monotonic()
    tracemalloc.start()
    with pytest.raises(BadData):
        inspect(sound, 0, 6)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (60 << 20 if claims == "10 million rows" and element in ("terminal", "action") else 8 << 20)
    assert time.monotonic() - start < 5


def mutated(raw: bytes, others: list[bytes], rng: random.Random) -> bytes:
    """Return a file damaged in one of the ways that files get damaged, or that somebody may think of."""
    data = bytearray(raw)
    kind = rng.randrange(8)
    if kind == 0:  # flipped bits
        for _ in range(rng.choice([1, 1, 1, 2, 8])):
            data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
    elif kind == 1:  # cut off
        del data[rng.randrange(len(data)) :]
    elif kind == 2:  # a stretch overwritten, as by a bad sector
        begin = rng.randrange(len(data))
        data[begin : begin + rng.randrange(1, 64)] = bytes(rng.randrange(64))
    elif kind == 3:  # the file of another element or checkpoint
        return rng.choice(others)
    elif kind == 4:  # bytes put in or left out
        at = rng.randrange(len(data))
        data[at : at + rng.randrange(4)] = rng.randbytes(rng.randrange(4))
    elif kind == 5:  # two files in one
        data += rng.choice(others)[rng.randrange(20) :]
    else:  # a sound gzip file with damaged content
        inner = bytearray(gzip.decompress(raw))
        end = len(inner) if kind == 6 else min(128, len(inner))
        for _ in range(rng.choice([1, 1, 2, 5])):
            inner[rng.randrange(end)] = rng.choice([rng.randrange(256), 0, 48 + rng.randrange(10)])
        if rng.random() < 0.3:
            inner[10:] = rng.choice([b"", inner[10 : rng.randrange(11, len(inner))], inner[10:] + b"\0"])
        return gzip.compress(bytes(inner), 1)
    return bytes(data)


def fuzz(sound: Path, place: Path, count: int, seed: int) -> dict[str, int]:
    """Check a checkpoint of which one file is damaged, many times; return how often it was refused."""
    rng = random.Random(seed)
    files = {path.name: path.read_bytes() for path in sorted(sound.iterdir())}
    shutil.copytree(sound, place)
    clean = inspect(place, 0, 6)
    outcomes, named = {"refused": 0, "taken": 0}, 0
    for _ in range(count):
        name = rng.choice(list(files))
        damaged = mutated(files[name], list(files.values()), rng)
        (place / name).write_bytes(damaged)
        try:
            found = inspect(place, 0, 6)
        except BadData as error:
            outcomes["refused"] += 1
            named += str(place) in error.problem and bool(error.remedy)
        else:  # other values that are just as possible, or the same in other words
            outcomes["taken"] += 1
            assert found.rows <= found.capacity == clean.capacity
        (place / name).write_bytes(files[name])
    assert named == outcomes["refused"]
    return outcomes


def test_no_damage_does_anything_but_be_named(sound: Path, tmp_path: Path) -> None:
    tracemalloc.start()
    outcomes = fuzz(sound, tmp_path / "fuzzed", 1_500, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcomes["refused"] > 1_000
    assert peak < 16 << 20


@pytest.mark.nightly
def test_no_damage_of_very_many_does_anything_but_be_named(
    sound: Path, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    totals = {"refused": 0, "taken": 0}
    for seed in range(1, 26):
        for name, count in fuzz(sound, tmp_path / str(seed), 4_000, seed).items():
            totals[name] += count
    assert totals["refused"] > 70_000
    for name, count in totals.items():
        record_property(name, count)
