"""Checks many hostile bundles in a process of its own and prints what came of it, as one JSON object.

As a program, `attacks FOLDER` checks every named attack, `fuzz FOLDER COUNT SEED` as many mutants of honest
bundles. FOLDER is the only place where this process itself writes; anything else it opens to write, any program it
starts and any connection it makes are counted.
"""

from __future__ import annotations

import contextlib
import copy
import ctypes
import json
import os
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from leaderboard.bundles.check import Report, check_bundle
from leaderboard.bundles.pack import zipped
from tests.support import attacks, attacks_bounds, attacks_levels, honest

FORGET = "/proc/self/clear_refs"
"""Where a process of Linux has its peak of memory reset."""

NASTY: list[Any] = [
    None, True, False, 0, -1, 1, 2**31, 2**53, 2**64, 10**30, -0.0, 0.5, 1e308, -1e308, 5e-324, "", "0", "NaN", "../x",
    "<script>alert(1)</script>", "=1+1", "\u202e", "\x00", "a" * 5000, "\ud800", [], {}, [[]], [None], {"": ""},
    [1] * 200, {"return": [1]}, "done", "diverged", "running", "Pong", "Breakout", "smoke", "terminated",
]  # fmt: skip
TOKENS = [b"NaN", b"1e999", b"-Infinity", b"{", b"[", b'"', b"\\", b"\xff", b"\xef\xbb\xbf", b"9" * 400, b",,", b"null"]

Files = dict[str, bytes]


def nasty(source: random.Random) -> Any:
    """Return a value of its own, which may be changed."""
    return copy.deepcopy(source.choice(NASTY))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return the paths of all values in a document; of long lists only some."""
    found = [path]
    if isinstance(value, dict):
        for key, part in value.items():
            found += places(part, (*path, key))
    elif isinstance(value, list):
        for index in {0, 1, len(value) // 2, len(value) - 1} & set(range(len(value))):
            found += places(value[index], (*path, index))
    return found


def mutate_document(files: Files, source: random.Random) -> None:
    """Change values of one JSON document."""
    name = source.choice([name for name in files if name.endswith(".json")])
    content = json.loads(files[name])
    for _ in range(source.choice((1, 1, 1, 2, 5))):
        content = mutate_value(content, source)
    try:
        files[name] = json.dumps(content).encode("utf-8", "surrogatepass")
    except ValueError:
        return


def mutate_value(content: Any, source: random.Random) -> Any:
    path = source.choice(places(content))
    if not path:
        return nasty(source) if source.random() < 0.1 else content
    holder = content
    for part in path[:-1]:
        holder = holder[part]
    old, kind = holder[path[-1]], source.randrange(6)
    if kind == 0:
        del holder[path[-1]]
    elif kind == 1 and isinstance(holder, dict):
        holder[source.choice(("extra", "seed", "return", "__class__", ""))] = nasty(source)
    elif kind == 2 and isinstance(old, list) and old:
        holder[path[-1]] = source.choice((old[:-1], old + old[-1:], old[::-1], old * 2, old[1:]))
    elif kind == 3 and isinstance(old, int | float):
        holder[path[-1]] = source.choice((old + 1, old - 1, -old, old * 4, old / 2, float(old)))
    elif kind == 4 and isinstance(old, str) and old:
        at = source.randrange(len(old))
        holder[path[-1]] = old[:at] + source.choice("AZaz09+/=<\u0430\u202e") + old[at + source.randrange(2) :]
    else:
        holder[path[-1]] = nasty(source)
    return content


def mutate_bytes(content: bytes, source: random.Random) -> bytes:
    """Flip, cut, double or insert bytes."""
    data = bytearray(content)
    for _ in range(source.choice((1, 1, 2, 8))):
        at = source.randrange(len(data) + 1)
        kind = source.randrange(5)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << source.randrange(8)
        elif kind == 1:
            del data[at : at + source.choice((1, 4, 100, len(data)))]
        elif kind == 2:
            data[at:at] = source.choice(TOKENS)
        elif kind == 3:
            data[at:at] = data[at : at + source.choice((1, 30, 500))]
        else:
            data[at : at + 4] = source.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"PK\1\2", b"PK\3\4"))
    return bytes(data)


def mutate_files(files: Files, source: random.Random) -> None:
    """Remove, swap, double or damage a file."""
    names = sorted(files)
    name, other = source.choice(names), source.choice(names)
    kind = source.randrange(5)
    if kind == 0:
        del files[name]
    elif kind == 1:
        files[name], files[other] = files[other], files[name]
    elif kind == 2:
        files[name.replace("-0.json", "-3.json").replace("dqn", "iqn")] = files[other]
    else:
        files[name] = mutate_bytes(files[name], source)


def good_bundles() -> list[Files]:
    """Return the files of the honest bundles that mutants come from."""
    return [dict(attacks.good_files()), dict(honest.bundle_files(honest.honest_runs("smoke100k")))]


def mutant(goods: list[Files], number: int, seed: int) -> bytes:
    """Return one mutant; the same numbers give the same one."""
    source = random.Random(f"{seed} {number}")
    files = dict(source.choice(goods))
    kind = source.random()
    if kind < 0.15:
        return mutate_bytes(zipped(files), source)
    if kind < 0.30:
        mutate_files(files, source)
    elif kind < 0.40:
        files["submission.toml"] = mutate_bytes(files["submission.toml"], source)
    else:
        mutate_document(files, source)
    try:
        return zipped(files) if source.random() < 0.1 else bytes(honest.again(files))
    except (ValueError, KeyError, TypeError, RecursionError):  # the manifest itself was the victim
        return zipped(files)


class Watch:
    """Counts what this process does beyond computing."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.seen = str(folder), Counter[str]()
        sys.addaudithook(self._hook)

    def _hook(self, event: str, details: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(details[0], str) and isinstance(details[2], int):
            writes = details[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC)
            if writes and not str(details[0]).startswith((self.folder, FORGET)):
                self.seen[f"write {details[0]}"] += 1
        elif event == "subprocess.Popen":
            self.seen[f"program {' '.join(map(str, details[1][1:4]))}"] += 1
        elif event.startswith(
            ("socket.connect", "os.system", "os.exec", "os.mkdir", "os.rename", "os.remove", "pickle")
        ):
            self.seen[event] += 1


def check_all(bundles: int, make: Callable[[int], bytes], folder: Path, each: Callable[[int, Report], None]) -> Any:
    """Check so many bundles, hand each report on, and return what this process needed and did."""
    path = folder / "bundle.zip"
    path.write_bytes(attacks.good())
    assert check_bundle(path).level == "recomputed"  # everything is imported now
    tempfile.gettempdir()  # it tries its places once
    watch = Watch(folder)
    slowest = peak = 0.0
    for number in range(bundles):
        path.write_bytes(make(number))
        _forget_peak()
        start = time.process_time()
        each(number, check_bundle(path))
        slowest = max(slowest, time.process_time() - start)
        peak = max(peak, _peak_mib())
    return {
        "bundles": bundles,
        "slowest_cpu_seconds": round(slowest, 3),
        "peak_mib": round(peak, 1),
        "did": dict(watch.seen),
        "left": sorted(entry.name for entry in folder.iterdir() if entry.name != "bundle.zip"),
    }


def _forget_peak() -> None:
    """Give back what making a bundle had taken, and count the most memory from here on."""
    with contextlib.suppress(OSError, AttributeError):  # of glibc
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):  # where a container forbids it, the peak is that of all bundles up to now
        Path(FORGET).write_text("5")


def _peak_mib() -> float:
    """Return the most memory that this program had; `getrusage` would count the one that started it, too."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


ATTACKS = [*attacks.ATTACKS, *attacks_bounds.ATTACKS, *attacks_levels.ATTACKS]


def run_attacks(folder: Path) -> Any:
    found: dict[str, list[str]] = {}

    def each(number: int, report: Report) -> None:
        found[ATTACKS[number].name] = [one.code for one in report.findings if one.severity != "note"]

    return check_all(len(ATTACKS), lambda number: ATTACKS[number].make(), folder, each) | {"found": found}


def run_fuzz(folder: Path, count: int, seed: int) -> Any:
    goods = good_bundles()
    codes: Counter[str] = Counter()
    defects: list[tuple[int, str]] = []

    def each(number: int, report: Report) -> None:
        errors = [one for one in report.findings if one.severity == "error"]
        codes[errors[0].code if errors else "accepted"] += 1
        text = report.to_json()
        if (
            not text.isascii()
            or json.loads(text)["errors"] != len(errors)
            or (report.level == "claimed") != bool(errors)
        ):
            defects.append((number, "report"))
        defects.extend((number, one.message) for one in errors if one.code == "checker.defect")

    done = check_all(count, lambda number: mutant(goods, number, seed), folder, each)
    return done | {"codes": dict(codes), "defects": defects[:20]}


if __name__ == "__main__":
    place = Path(sys.argv[2]).resolve()
    result = run_attacks(place) if sys.argv[1] == "attacks" else run_fuzz(place, int(sys.argv[3]), int(sys.argv[4]))
    sys.stdout.write(json.dumps(result))
