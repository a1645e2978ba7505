"""Named attacks: each makes a bundle that must be rejected, and says with which code.

As a program it writes them all into a folder: `python -m tests.support.attacks FOLDER`.
"""

from __future__ import annotations

import base64
import functools
import json
import math
import random
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from leaderboard.bundles.pack import zipped
from leaderboard.bundles.runs import BundledRun
from suite.contracts import registry
from suite.contracts.registry import Kind
from suite.records.actions import pack
from suite.records.record import Actions
from suite.tasks.configuration import Component
from suite.tasks.environments import fingerprint
from tests.support import honest

Files = dict[str, bytes]


@dataclass(frozen=True)
class Attack:
    name: str
    code: str
    make: Callable[[], bytes]


ATTACKS: list[Attack] = []


def attack(name: str, code: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Register a function that takes the honest files (or, without parameters, nothing) and returns files or bytes.

    Files are given a manifest that fits, so that only the attack itself is wrong.
    """

    def register(function: Callable[..., Any]) -> Callable[..., Any]:
        def make() -> bytes:
            found = function(dict(good_files())) if function.__code__.co_argcount else function()
            return found if isinstance(found, bytes) else honest.again(found)

        ATTACKS.append(Attack(name, code, make))
        return function

    return register


@functools.cache
def good_runs() -> tuple[BundledRun, ...]:
    return tuple(honest.honest_runs())


@functools.cache
def good_files() -> Files:
    return dict(honest.bundle_files(good_runs()))


@functools.cache
def good() -> bytes:
    return zipped(good_files())


def run_name(index: int = 0) -> str:
    return sorted(name for name in good_files() if name.startswith("runs/"))[index]


def edit(files: Files, name: str, change: Callable[[Any], Any]) -> Files:
    """Change a JSON document in place, or replace it by what `change` returns."""
    content = json.loads(files[name])
    changed = change(content)
    files[name] = json.dumps(content if changed is None else changed, separators=(",", ":")).encode()
    return files


def text(files: Files, name: str, old: bytes, new: bytes) -> Files:
    assert old in files[name], (name, old)
    files[name] = files[name].replace(old, new, 1)
    return files


def toml(old: bytes, new: bytes) -> Callable[[Files], Files]:
    return lambda files: text(files, "submission.toml", old, new)


def remade(change: Callable[[list[BundledRun]], Any], toml_text: bytes | None = None) -> bytes:
    """Return a bundle of changed runs, everything else made to fit by an author who wants to be believed."""
    runs = list(good_runs())
    changed = change(runs)
    return bytes(honest.bundle(runs if changed is None else changed, toml_text or honest.TOML))


# --- the file itself: a writer of zip files that can lie ------------------------------------------------------------


@dataclass
class Entry:
    name: bytes
    content: bytes
    method: int = 8
    flags: int = 0
    mode: int = 0o100644
    size: int | None = None
    packed: bytes | None = None
    crc: int | None = None
    extra: bytes = b""
    local_name: bytes | None = None
    disk: int = 0
    start: int | None = None


def raw_zip(entries: list[Entry], *, between: bytes = b"", comment: bytes = b"", total: int | None = None) -> bytes:
    body, directory = b"", b""
    for entry in entries:
        packed = (
            entry.packed if entry.packed is not None else deflate(entry.content) if entry.method == 8 else entry.content
        )
        size = len(entry.content) if entry.size is None else entry.size
        crc = zlib.crc32(entry.content) if entry.crc is None else entry.crc
        start = len(body) if entry.start is None else entry.start
        shared = (20, entry.flags, entry.method, 0, 33, crc, len(packed), size)
        name = entry.name if entry.local_name is None else entry.local_name
        if entry.start is None:
            body += struct.pack("<4s5H3I2H", b"PK\3\4", *shared, len(name), 0) + name + packed + between
        directory += (
            struct.pack(
                "<4s6H3I5H2I",
                b"PK\1\2",
                (3 << 8) | 20,
                *shared,
                len(entry.name),
                len(entry.extra),
                0,
                entry.disk,
                0,
                entry.mode << 16,
                start,
            )
            + entry.name
            + entry.extra
        )
    count = len(entries) if total is None else total
    end = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(directory), len(body), len(comment))
    return body + directory + end + comment


def deflate(content: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(content) + packer.flush()


def entries() -> list[Entry]:
    return [Entry(name.encode(), content) for name, content in sorted(good_files().items())]


def with_entry(**changes: Any) -> bytes:
    return raw_zip([replace(entry, **changes) if entry.name == b"manifest.json" else entry for entry in entries()])


def padded(content: bytes) -> bytes:
    """Return content with something behind it that does not compress, so that it is no bomb."""
    return content + random.Random(0).randbytes(20_000).hex().encode()


def with_extra(name: bytes, **rest: Any) -> bytes:
    return raw_zip([*entries(), Entry(name, b"{}", **rest)])


def patched_end(offset: int, value: bytes) -> bytes:
    content = good()
    place = len(content) - 22 + offset
    return content[:place] + value + content[place + len(value) :]


ATTACKS += [
    Attack("empty file", "archive.format", lambda: b""),
    Attack("random bytes", "archive.format", lambda: random.Random(0).randbytes(5000)),
    Attack("truncated", "archive.format", lambda: good()[:-100]),
    Attack("first half", "archive.format", lambda: good()[: len(good()) // 2]),
    Attack("prefix of another format", "archive.format", lambda: b"GIF89a" + good()),
    Attack("garbage behind it", "archive.format", lambda: good() + b"\0" * 100),
    Attack("a second zip file behind it", "archive.format", lambda: good() + raw_zip([Entry(b"runs/", b"")])),
    Attack("comment", "archive.format", lambda: raw_zip(entries(), comment=b"PK")),
    Attack("comment length without comment", "archive.features", lambda: patched_end(20, b"\1\0")),
    Attack("zip64 counts", "archive.features", lambda: patched_end(8, b"\xff\xff\xff\xff")),
    Attack("zip64 offset", "archive.features", lambda: patched_end(16, b"\xff\xff\xff\xff")),
    Attack("zip64 extra field", "archive.features", lambda: with_entry(extra=struct.pack("<2HQ", 1, 8, 9))),
    Attack("several disks", "archive.features", lambda: patched_end(4, b"\1\0")),
    Attack("entry on another disk", "archive.features", lambda: with_entry(disk=2)),
    Attack("encrypted", "archive.features", lambda: with_entry(flags=1)),
    Attack("strongly encrypted", "archive.features", lambda: with_entry(flags=0x41)),
    Attack("data descriptor", "archive.features", lambda: with_entry(flags=8)),
    Attack("bzip2", "archive.features", lambda: with_entry(method=12)),
    Attack("lzma", "archive.features", lambda: with_entry(method=14)),
    Attack(
        "1,025 entries",
        "archive.count",
        lambda: raw_zip(entries() + [Entry(b"runs/00000000-Pong-%d.json" % n, b"{}") for n in range(1025)]),
    ),
    Attack("65,000 entries claimed", "archive.count", lambda: raw_zip(entries(), total=65_000)),
    Attack("more entries than claimed", "archive.count", lambda: raw_zip(entries(), total=3)),
    Attack("fewer entries than claimed", "archive.count", lambda: raw_zip(entries(), total=100)),
    Attack("two counts", "archive.count", lambda: patched_end(8, b"\1\0")),
    Attack("parent directory", "archive.name", lambda: with_extra(b"../outside.json")),
    Attack("parent directory below", "archive.name", lambda: with_extra(b"runs/../../outside.json")),
    Attack("absolute path", "archive.name", lambda: with_extra(b"/etc/passwd")),
    Attack("backslash", "archive.name", lambda: with_extra(b"runs\\..\\x.json")),
    Attack("drive letter", "archive.name", lambda: with_extra(b"C:\\x.json")),
    Attack("NUL in a name", "archive.name", lambda: with_extra(b"manifest.json\0.txt")),
    Attack("trailing dot", "archive.name", lambda: with_extra(b"manifest.json.")),
    Attack("trailing space", "archive.name", lambda: with_extra(b"manifest.json ")),
    Attack("trailing newline", "archive.name", lambda: with_extra(b"manifest.json\n")),
    Attack("right-to-left name", "archive.name", lambda: with_extra("runs/\u202enosj.json".encode())),
    Attack("reserved name", "archive.name", lambda: with_extra(b"con")),
    Attack("very long name", "archive.name", lambda: with_extra(b"runs/" + b"a" * 60_000)),
    Attack("empty name", "archive.name", lambda: with_extra(b"")),
    Attack("nested zip", "archive.name", lambda: raw_zip([*entries(), Entry(b"inner.zip", good())])),
    Attack("code in it", "archive.name", lambda: with_extra(b"runs/__init__.py")),
    Attack("pickle in it", "archive.name", lambda: with_extra(b"runs/policy.pkl")),
    Attack("capital twin", "archive.name", lambda: with_extra(b"Manifest.json")),
    Attack("case-folded twin", "archive.name", lambda: with_extra(run_name().replace("Breakout", "BREAKOUT").encode())),
    Attack("same name twice", "archive.name", lambda: raw_zip([*entries(), entries()[0]])),
    Attack("symbolic link", "archive.type", lambda: with_entry(mode=0o120777)),
    Attack("device", "archive.type", lambda: with_entry(mode=0o020644)),
    Attack("named pipe", "archive.type", lambda: with_entry(mode=0o010644)),
    Attack("directory", "archive.type", lambda: with_entry(mode=0o040755)),
    Attack("program", "archive.type", lambda: with_entry(mode=0o100755)),
    Attack("set-user-id", "archive.type", lambda: with_entry(mode=0o104644)),
    Attack("bomb", "archive.bomb", lambda: with_entry(content=bytes(8_000_000))),
    Attack("entry of 9 MiB", "archive.bomb", lambda: with_entry(method=0, content=bytes(9 * 2**20))),
    Attack("bomb that says it is small", "archive.damaged", lambda: with_entry(content=bytes(8_000_000), size=1000)),
    Attack("says it is larger", "archive.damaged", lambda: with_entry(size=60_000)),
    Attack("wrong checksum", "archive.damaged", lambda: with_entry(crc=1)),
    Attack("two headers", "archive.damaged", lambda: with_entry(local_name=b"MANIFEST.json")),
    Attack("no deflate", "archive.damaged", lambda: with_entry(packed=b"\xff" * 50, size=50)),
    Attack(
        "bytes after the deflated",
        "archive.damaged",
        lambda: with_entry(packed=deflate(good_files()["manifest.json"]) + b"more"),
    ),
    Attack("stored with two sizes", "archive.damaged", lambda: with_entry(method=0, size=3)),
    Attack("gap between entries", "archive.overlap", lambda: raw_zip(entries(), between=b"hidden")),
    Attack(
        "two entries, one content",
        "archive.overlap",
        lambda: raw_zip([*entries(), replace(entries()[0], name=b"runs/00000000-Pong-0.json", start=0)]),
    ),
    Attack("content in the directory", "archive.overlap", lambda: with_entry(start=10**6)),
    Attack("20 MB and more", "archive.size", lambda: bytes(20_000_001)),
]


@attack("unpacks to more than 512 MiB", "archive.bomb")
def _(files: Files) -> bytes:
    block = random.Random(0).randbytes(60_000) + bytes(8 * 2**20 - 60_000)
    packed = deflate(block)
    return raw_zip([Entry(b"runs/00000000-Pong-%d.json" % n, block, packed=packed, crc=1) for n in range(65)])


@attack("hash of another content", "files.hash")
def _(files: Files) -> bytes:
    old = files["submission.toml"]
    files["submission.toml"] = old.replace(b"Two", b"Ten")
    return zipped(files)


@attack("size of another content", "files.hash")
def _(files: Files) -> bytes:
    files["submission.toml"] += b"#"
    return zipped(files)


@attack("run with another hash", "files.hash")
def _(files: Files) -> bytes:
    text(files, run_name(), b'"wall_seconds":53.', b'"wall_seconds":43.')
    return zipped(files)


@attack("file that is not listed", "files.extra")
def _(files: Files) -> bytes:
    return zipped({**files, "runs/00000000-Pong-0.json": b"{}"})


@attack("listed twice", "files.extra")
def _(files: Files) -> bytes:
    return zipped(edit(files, "manifest.json", lambda content: content["files"].append(content["files"][0])))


@attack("listed and not there", "files.missing")
def _(files: Files) -> bytes:
    del files[run_name()]
    return zipped(files)


@attack("without manifest", "files.missing")
def _(files: Files) -> bytes:
    del files["manifest.json"]
    return zipped(files)


for _missing in ("submission.toml", "environment.json", "curves.parquet"):

    @attack(f"without {_missing}", "files.missing")
    def _(files: Files, name: str = _missing) -> Files:
        del files[name]
        return files


# --- text, JSON, TOML -------------------------------------------------------------------------------------------------


def changed_run(change: Callable[[Any], Any]) -> Callable[[Files], Files]:
    return lambda files: edit(files, run_name(), change)


def raw_run(old: bytes, new: bytes) -> Callable[[Files], Files]:
    return lambda files: text(files, run_name(), old, new)


def replaced(name: str, content: Callable[[bytes], bytes]) -> Callable[[Files], Files]:
    return lambda files: {**files, name: content(files[name])}


def source_of_marks(count: int) -> list[str]:
    return random.Random(0).choices([chr(code) for code in range(0x300, 0x370)], k=count)


def _set(*path: Any, value: Any) -> Callable[[Any], None]:
    def change(content: Any) -> None:
        for part in path[:-1]:
            content = content[part]
        content[path[-1]] = value

    return change


FIRST = b'"attempt":1,"'

for _name, _code, _change in [
    ("byte-order mark in JSON", "text.encoding", replaced(run_name(), lambda old: b"\xef\xbb\xbf" + old)),
    ("UTF-16", "text.encoding", replaced(run_name(), lambda old: old.decode().encode("utf-16"))),
    ("UTF-16 without mark", "json.syntax", replaced(run_name(), lambda old: old.decode().encode("utf-16-le"))),
    ("byte-order mark in TOML", "text.encoding", replaced("submission.toml", lambda old: b"\xef\xbb\xbf" + old)),
    ("Latin-1", "text.encoding", toml(b"Ada", b"\xc4da")),
    ("control character in a title", "text.characters", toml(b"Two games", b"Two\\u0007games")),
    ("terminal escape in a title", "text.characters", toml(b"Two games", b"\\u001b[31mTwo")),
    ("line break in a title", "text.characters", toml(b"Two games", b"Two\\ngames")),
    ("right-to-left override in an author", "text.characters", toml(b"Ada", "\u202eAda".encode())),
    ("zero-width space in an author", "text.characters", toml(b"Ada", "A\u200bda".encode())),
    ("no-break space in an author", "text.characters", toml(b"Ada ", "Ada\u00a0".encode())),
    ("private use in an author", "text.characters", toml(b"Ada", "\ue000da".encode())),
    ("decomposed author", "text.characters", toml(b"Ada", "A\u0308da".encode())),
    ("stacked marks", "text.characters", toml(b"Ada", ("A" + "\u0335\u0336\u0337\u0338" * 20).encode())),
    ("lone surrogate in JSON", "text.characters", raw_run(b'"device":"cpu"', b'"device":"\\ud800"')),
    ("NUL in JSON", "text.characters", raw_run(b'"device":"cpu"', b'"device":"\\u0000"')),
    ("line of a log in JSON", "text.characters", raw_run(b'"device":"cpu"', b'"device":"x\\n::set-output name=a::b"')),
    ("100,000 levels", "json.size", replaced(run_name(), lambda old: padded(b"[" * 100_000 + b"]" * 100_000))),
    ("14 levels", "json.depth", raw_run(b'"device":"cpu"', b'"device":' + b"[" * 14 + b"]" * 14)),
    ("1.2 million values", "json.size", replaced(run_name(), lambda old: padded(b"[" + b"0," * 1_200_000))),
    (
        "as many texts as are read",
        "schema.fields",
        replaced(
            run_name(), lambda old: b"[" + b",".join(b'"%06x"' % (n * 7919 % 16**6) for n in range(519_000)) + b"]"
        ),
    ),
    ("quotes without end", "json.syntax", replaced(run_name(), lambda old: padded(b'"' + b'\\"' * 200_000))),
    (
        "quotes and a backslash",
        "json.syntax",
        replaced(run_name(), lambda old: padded(b'"' + b'\\"' * 200_000) + b"\\"),
    ),
    (
        "half a million marks",
        "text.characters",
        replaced(run_name(), lambda old: b'["' + "".join(source_of_marks(500_000)).encode() + b'"]'),
    ),
    ("200,000 objects", "json.size", replaced(run_name(), lambda old: padded(b"[" + b"{}," * 200_000 + b"0]"))),
    ("key twice", "json.duplicate", raw_run(b'"device":"cpu"', b'"device":"cpu","device":"gpu"')),
    ("NaN", "json.number", raw_run(b'"frames_per_second":300.0', b'"frames_per_second":NaN')),
    ("infinity", "json.number", raw_run(b'"frames_per_second":300.0', b'"frames_per_second":-Infinity')),
    ("1e999", "json.number", raw_run(b'"frames_per_second":300.0', b'"frames_per_second":1e999')),
    ("5,000 digits", "json.number", raw_run(b'"cores":2', b'"cores":' + b"9" * 5000)),
    ("a number of 30 digits", "schema.fields", changed_run(_set("episodes", "length", 0, value=10**30))),
    ("text behind the document", "json.syntax", replaced(run_name(), lambda old: old + b"{}")),
    ("single quotes", "json.syntax", replaced(run_name(), lambda old: old.replace(b'"', b"'"))),
    ("comment in JSON", "json.syntax", replaced(run_name(), lambda old: b"/**/" + old)),
    ("empty document", "json.syntax", replaced(run_name(), lambda old: b"")),
    ("list instead of an object", "schema.fields", replaced(run_name(), lambda old: b"[" + old + b"]")),
    ("manifest that is a list", "schema.fields", lambda files: zipped({**files, "manifest.json": b"[]"})),
    ("true as a return", "schema.fields", changed_run(_set("episodes", "return", 0, value=True))),
    ("text as a return", "schema.fields", changed_run(_set("episodes", "return", 0, value="20"))),
    ("text as a seed", "schema.fields", changed_run(_set("cell", "seed", value="0"))),
    ("true as a seed", "schema.fields", changed_run(_set("cell", "seed", value=False))),
    ("null as a length", "schema.fields", changed_run(_set("episodes", "length", 0, value=None))),
    ("fraction as a length", "schema.fields", changed_run(_set("episodes", "length", 0, value=300.5))),
    ("negative length", "schema.fields", changed_run(_set("episodes", "length", 0, value=-5))),
    ("return of 1e300", "schema.fields", changed_run(_set("episodes", "return", 0, value=1e300))),
    ("unknown field", "schema.fields", changed_run(_set("bonus", value=1))),
    ("unknown field in a status", "schema.fields", changed_run(_set("status", "rank", value=1))),
    ("missing field", "schema.fields", changed_run(lambda content: content.pop("status") and None)),
    (
        "columns of two lengths",
        "schema.fields",
        changed_run(lambda content: content["episodes"]["length"].pop() and None),
    ),
    ("cut off where there is no episode", "schema.fields", changed_run(_set("episodes", "truncated", value=[10**6]))),
    ("cut off out of order", "schema.fields", changed_run(_set("episodes", "truncated", value=[2, 1]))),
    ("125,000 episodes", "schema.fields", changed_run(_set("episodes", "length", value=[1] * 125_000))),
    ("version of a document", "schema.fields", changed_run(_set("schema_version", value=1))),
    ("no TOML", "toml.syntax", toml(b"schema = 2", b"schema : 2")),
    ("key twice in TOML", "toml.syntax", toml(b"schema = 2", b"schema = 2\nschema = 2")),
    (
        "deep TOML",
        "toml.syntax",
        toml(b"known_issues = [", b"x = " + b"[" * 1900 + b"]" * 1900 + b"\nknown_issues = ["),
    ),
    (
        "14 levels in TOML",
        "json.depth",
        toml(b"known_issues = [", b"x.a.b.c.d.e.f.g.h.i.j.k.l.m.n = 1\nknown_issues = ["),
    ),
    ("600 kB of TOML", "toml.syntax", replaced("submission.toml", lambda old: old + padded(b"#" + b"\n#" * 300_000))),
    ("NaN in TOML", "json.number", toml(b"hours = 0.5", b"hours = nan")),
    ("infinity in TOML", "json.number", toml(b"hours = 0.5", b"hours = inf")),
    ("date in TOML", "schema.fields", toml(b"hours = 0.5", b"hours = 2026-01-01")),
    ("5,000 digits in TOML", "toml.syntax", toml(b"hours = 0.5", b"hours = " + b"9" * 5000)),
    ("unknown field in TOML", "schema.fields", toml(b"schema = 2", b"schema = 2\nrank = 1")),
    ("without licence", "schema.fields", toml(b'license = "CC0-1.0"', b"")),
    ("without relationship", "schema.fields", toml(b'relationship = "third_party"', b"")),
    ("title of 2,000 characters", "schema.fields", toml(b"Two games", b"x" * 2_000)),
    ("title of 60,000 characters", "toml.syntax", toml(b"Two games", b"x" * 60_000)),
    ("script as a link", "schema.fields", toml(b"https://example.org/code", b"javascript:alert(1)")),
    ("data as a link", "schema.fields", toml(b"https://example.org/code", b"data:text/html,x")),
    ("markup in a link", "schema.fields", toml(b"https://example.org/code", b"https://a.org/'><script>")),
    ("user in a link", "schema.fields", toml(b"https://example.org/code", b"https://good.org@bad.org/")),
    ("formula as an address", "schema.fields", toml(b"someone@example.org", b"=HYPERLINK(1)")),
    ("command as a commit", "schema.fields", toml(b"0123456789abcdef", b"$(touch x)")),
]:
    attack(_name, _code)(_change)


def _versioned(version: Any) -> Callable[[Files], bytes]:
    return lambda files: zipped(edit(files, "manifest.json", _set("schema_version", value=version)))


for _name, _code, _value in [
    ("schema of the future", "schema.future", 3),
    ("schema of the distant future", "schema.future", 10**30),
    ("schema of the past", "schema.old", 0),
    ("schema as text", "schema.fields", "2"),
    ("schema as true", "schema.fields", True),
]:
    attack(_name, _code)(_versioned(_value))


# --- what runs claim --------------------------------------------------------------------------------------------------


def changed_first(function: Callable[[BundledRun], BundledRun]) -> Callable[[], bytes]:
    """Change the first run (Pong, seed 0) and make everything else fit."""

    def make() -> bytes:
        return remade(lambda runs: [function(runs[0]), *runs[1:]])

    return make


def episodes_of(run: BundledRun, **columns: Callable[[Any, int], Any]) -> BundledRun:
    rows = []
    for row in run.episodes:
        content = row.model_dump(by_alias=True)
        for name, function in columns.items():
            key = "return" if name == "value" else name
            content[key] = function(content[key], row.episode)
        rows.append(type(row).model_validate(content))
    return honest.with_score(run, episodes=tuple(rows))


def lengths_changed(run: BundledRun, lengths: dict[int, int]) -> BundledRun:
    step, rows = 0, []
    for row in run.episodes:
        length = lengths.get(row.episode, row.length)
        step += length
        rows.append(row.model_copy(update={"length": length, "agent_step": step, "frame": 4 * step}))
    return honest.with_score(run, episodes=tuple(rows))


def without(run: BundledRun, first: int, last: int | None) -> BundledRun:
    kept = [row for row in run.episodes if not first <= row.episode < (last or len(run.episodes))]
    step, rows = 0, []
    for number, row in enumerate(kept):
        step += row.length
        rows.append(row.model_copy(update={"episode": number, "agent_step": step, "frame": 4 * step}))
    renumbered = {row.episode: new for new, row in enumerate(kept)}
    logs = {
        renumbered[number]: log.model_copy(update={"episode": renumbered[number]})
        for number, log in run.logged.items()
        if number in renumbered
    }
    return honest.with_score(run, episodes=tuple(rows), logged=logs)


def attempt_changed(run: BundledRun, **changes: Any) -> BundledRun:
    attempts = tuple(one.model_copy(update=changes) for one in run.provenance.attempts)
    return replace(run, provenance=run.provenance.model_copy(update={"attempts": attempts}))


def environment_changed(**options: Any) -> Callable[[BundledRun], BundledRun]:
    def change(run: BundledRun) -> BundledRun:
        attempt = run.provenance.attempts[0]
        environment = {**attempt.environment, **options}
        packages = {**attempt.packages, **({"ale-py": options["ale_py"]} if "ale_py" in options else {})}
        print_ = fingerprint(environment)
        return attempt_changed(run, environment=environment, packages=packages, environment_fingerprint=print_)

    return change


def status_changed(run: BundledRun, **changes: Any) -> BundledRun:
    return replace(run, status=run.status.model_copy(update=changes))


def summary_changed(run: BundledRun, **changes: Any) -> BundledRun:
    assert run.status.summary is not None
    return status_changed(run, summary=run.status.summary.model_copy(update=changes))


def recelled(run: BundledRun, game: str, seed: int) -> BundledRun:
    """Return a run under another cell, its emulator seeds assigned anew."""
    streams = honest.Streams(run.cell.spec.task_key, game, seed)
    task = honest.load_task(run.cell.spec.task)
    rows = [
        row.model_copy(update={"emulator_seed": streams.emulator_seed(index)})
        for index, segment in enumerate(honest.by_segment(run.episodes, task))
        for row in segment
    ]
    cell = run.cell.model_copy(update={"game": game, "seed": seed})
    return replace(run, cell=cell, episodes=tuple(rows))


def settings_changed(run: BundledRun, *, departures: dict[str, Any] | None = None, **settings: Any) -> BundledRun:
    agent = run.cell.spec.agent.model_copy(update={"settings": {**run.cell.spec.agent.settings, **settings}})
    spec = run.cell.spec.model_copy(update={"agent": agent})
    update = {"spec": spec, "config_id": spec.config_id, "departures": departures or {}}
    return replace(run, cell=run.cell.model_copy(update=update))


def all_settings(**rest: Any) -> Callable[[], bytes]:
    return lambda: remade(lambda runs: [settings_changed(run, **rest) for run in runs])


def document_changed(change: Callable[[Any], Any]) -> Callable[[], bytes]:
    """Change the document of the first run, and nothing that follows from it."""
    return lambda: bytes(honest.again(edit(dict(good_files()), run_name(), change)))


def actions_changed(change: Callable[[dict[int, Actions]], Any]) -> Callable[[], bytes]:
    def make() -> bytes:
        def function(run: BundledRun) -> BundledRun:
            logs = dict(run.logged)
            change(logs)
            return replace(run, logged=logs)

        return changed_first(function)()

    return make


def _peak(content: Any) -> None:
    content["status"]["summary"]["score"] = max(content["episodes"]["return"])


def _bomb(logs: dict[int, Actions]) -> None:
    last = max(logs)
    logs[last] = Actions(attempt=1, episode=last, deflated=pack(bytes(50_000_000)))


def _long(logs: dict[int, Actions]) -> None:
    last = max(logs)
    logs[last] = Actions.pack(1, last, bytes(3))


def _unknown_action(logs: dict[int, Actions]) -> None:
    first = min(logs)
    length = good_runs()[0].episodes[first].length
    logs[first] = Actions.pack(1, first, b"\xfa" * length)


def _garbage(logs: dict[int, Actions]) -> None:
    last = max(logs)
    logs[last] = Actions(attempt=1, episode=last, deflated="AAAAAAAAAAAAAAAA")


def _nowhere(logs: dict[int, Actions]) -> None:
    logs[10**9] = Actions.pack(1, 10**9, b"\0")


LEFT_OUT = honest.TOML.replace(b"deviations", b"partial = true\ndeviations")

ATTACKS += [
    Attack(
        "no runs",
        "runs.none",
        lambda: honest.again(
            edit(
                {name: content for name, content in good_files().items() if not name.startswith(("runs/", "cards/"))},
                "manifest.json",
                _set("runs", value=[]),
            )
        ),
    ),
    Attack("unknown task", "task.unknown", document_changed(_set("cell", "spec", "task", value="../../etc"))),
    Attack("task of another version", "runs.mixed", document_changed(_set("cell", "spec", "task_version", value=9))),
    Attack("version of a task that is not here", "task.version", lambda: of_version(9)),
    Attack("two tasks", "runs.mixed", lambda: honest.bundle([*good_runs(), *honest.honest_runs("smoke100k")])),
    Attack("name of another cell", "runs.identity", document_changed(_set("cell", "seed", value=5))),
    Attack(
        "forged configuration",
        "runs.identity",
        document_changed(_set("cell", "config_id", value=run_name()[5:13] + "0" * 8)),
    ),
    Attack(
        "game of another task",
        "runs.identity",
        lambda: honest.again(
            {
                **good_files(),
                run_name().replace("Breakout", "Qbert"): json.dumps(
                    {**(content := json.loads(good_files()[run_name()])), "cell": {**content["cell"], "game": "Qbert"}}
                ).encode(),
            }
        ),
    ),
    Attack(
        "same run under two names",
        "runs.identity",
        lambda: honest.again({**good_files(), run_name().replace("-0.json", "-7.json"): good_files()[run_name()]}),
    ),
    Attack("unfinished run", "runs.unfinished", document_changed(_set("status", "state", value="running"))),
    Attack("failed run", "runs.unfinished", document_changed(_set("status", "state", value="failed"))),
    Attack("peak instead of final score", "runs.claims", document_changed(_peak)),
    Attack(
        "another number of episodes",
        "runs.claims",
        document_changed(_set("status", "summary", "scored_episodes", value=1)),
    ),
    Attack("no score", "runs.claims", document_changed(_set("status", "summary", value=None))),
    Attack("done before its end", "runs.claims", document_changed(_set("status", "frames", value=8000))),
    Attack("too many frames", "runs.claims", document_changed(_set("status", "frames", value=160_000))),
    Attack("longer budget", "runs.identity", document_changed(_set("cell", "spec", "frames", value=160_000))),
    Attack("attempt from nowhere", "runs.claims", document_changed(_set("episodes", "attempt", 0, value=7))),
    Attack(
        "manifest claims more",
        "manifest.claims",
        lambda: zipped(edit(dict(good_files()), "manifest.json", _set("runs", 0, "score", value=99.0))),
    ),
    Attack(
        "manifest claims a run more",
        "manifest.claims",
        lambda: zipped(
            edit(
                dict(good_files()),
                "manifest.json",
                lambda content: content["runs"].append({**content["runs"][0], "path": "runs/x.json"}),
            )
        ),
    ),
    Attack(
        "manifest without a run",
        "manifest.claims",
        lambda: zipped(edit(dict(good_files()), "manifest.json", lambda content: content["runs"].pop() and None)),
    ),
    Attack("game left out", "games.missing", lambda: remade(lambda runs: runs[:2])),
    Attack("last seed left out", "seeds.missing", lambda: remade(lambda runs: [runs[0], runs[2]])),
    Attack(
        "cherry-picked seeds",
        "seeds.chosen",
        lambda: remade(
            lambda runs: [
                runs[0],
                honest.honest_run("smoke", "Pong", 7),
                runs[2],
                honest.honest_run("smoke", "Breakout", 7),
            ]
        ),
    ),
    Attack("first seed left out", "seeds.chosen", lambda: remade(lambda runs: [runs[1], runs[3]])),
    Attack(
        "run copied to another seed",
        "curves.identical",
        lambda: remade(lambda runs: [runs[0], recelled(runs[0], "Pong", 1), *runs[2:]]),
    ),
    Attack(
        "run copied to another game",
        "curves.identical",
        lambda: remade(lambda runs: [recelled(wins(runs[0]), "Breakout", 0), wins(runs[0]), runs[1], runs[3]]),
    ),
    Attack(
        "run copied with its emulator seeds",
        "record.seeds",
        lambda: remade(
            lambda runs: [runs[0], replace(runs[0], cell=runs[0].cell.model_copy(update={"seed": 1})), *runs[2:]]
        ),
    ),
    Attack(
        "emulator seed chosen",
        "record.seeds",
        changed_first(lambda run: episodes_of(run, emulator_seed=lambda seed, number: 42 if number == 3 else seed)),
    ),
    Attack("bad episode left out", "record.seeds", changed_first(lambda run: without(run, 2, 4))),
    Attack(
        "end left out",
        "record.steps",
        lambda: remade(
            lambda runs: [without(honest.honest_run("smoke", "Pong", 0, mean_length=300), 5, None), *runs[1:]]
        ),
    ),
    Attack("no episode", "record.steps", changed_first(lambda run: without(run, 0, None))),
    Attack("another number of steps", "record.steps", changed_first(lambda run: status_changed(run, agent_steps=3999))),
    Attack("fewer episodes than said", "record.steps", changed_first(lambda run: status_changed(run, episodes=100))),
    Attack("episode beyond the cap", "record.length", lambda: changed_first(capped)()),
    Attack("episode of no length", "runs.claims", document_changed(_set("episodes", "length", 1, value=0))),
    Attack(
        "evaluation where there is none",
        "record.evaluation",
        lambda: remade(
            lambda runs: [
                replace(runs[0], evaluation=honest.honest_run("smoke100k", "Pong", 0).evaluation[:1]),
                *runs[1:],
            ]
        ),
    ),
    Attack(
        "evaluation episode left out",
        "record.evaluation",
        lambda: evaluated(
            lambda run: honest.with_score(run, evaluation=run.evaluation[:3] + run.evaluation[4:] + run.evaluation[3:4])
        ),
    ),
    Attack(
        "evaluation episode twice",
        "record.evaluation",
        lambda: evaluated(lambda run: honest.with_score(run, evaluation=run.evaluation + run.evaluation[:1])),
    ),
    Attack(
        "evaluation of another step",
        "record.evaluation",
        lambda: evaluated(
            lambda run: honest.with_score(
                run,
                evaluation=tuple(
                    row.model_copy(update={"agent_step": 3000, "frame": 12_000}) for row in run.evaluation
                ),
            )
        ),
    ),
    Attack(
        "evaluation seeds chosen",
        "record.seeds",
        lambda: evaluated(
            lambda run: replace(
                run, evaluation=tuple(row.model_copy(update={"emulator_seed": 5}) for row in run.evaluation)
            )
        ),
    ),
    Attack(
        "evaluation without some actions",
        "record.actions",
        lambda: evaluated(
            lambda run: replace(
                run, evaluation=(run.evaluation[0].model_copy(update={"actions": ""}), *run.evaluation[1:])
            )
        ),
    ),
    Attack("actions left out", "record.actions", actions_changed(lambda logs: logs.pop(max(logs)))),
    Attack("actions that are a bomb", "record.actions", actions_changed(_bomb)),
    Attack("actions of another length", "record.actions", actions_changed(_long)),
    Attack("action that does not exist", "record.actions", actions_changed(_unknown_action)),
    Attack("actions that do not unpack", "record.actions", actions_changed(_garbage)),
    Attack("actions of no episode", "record.actions", actions_changed(_nowhere)),
    Attack(
        "actions twice",
        "record.actions",
        document_changed(lambda content: [column.append(column[0]) for column in content["actions"].values()] and None),
    ),
    Attack(
        "actions not in base64", "schema.fields", document_changed(_set("actions", "deflated", 0, value="<script>"))
    ),
    Attack(
        "more weights than there are",
        "runs.summary",
        changed_first(lambda run: summary_changed(run, active_parameters=10**7)),
    ),
    Attack(
        "no parameters",
        "runs.summary",
        changed_first(lambda run: summary_changed(run, parameters=0, active_parameters=0)),
    ),
    Attack("sparsity of 2", "runs.summary", changed_first(lambda run: summary_changed(run, sparsity=2.0))),
    Attack("negative updates", "runs.summary", changed_first(lambda run: summary_changed(run, updates=-1))),
    Attack("attempts out of order", "record.steps", lambda: two_attempts(lambda number: 2 if number == 1 else 1)),
    Attack(
        "attempt twice",
        "runs.claims",
        document_changed(
            lambda content: content["provenance"]["attempts"].append(content["provenance"]["attempts"][0])
        ),
    ),
    Attack(
        "script as a component",
        "runs.identity",
        lambda: remade(lambda runs: [component_changed(run, "<script>") for run in runs]),
    ),
    Attack("13 methods", "runs.identity", lambda: remade(lambda runs: [methods_repeated(run) for run in runs])),
    Attack("learning rate not listed", "protocol.departures", all_settings(learning_rate=0.001)),
    Attack(
        "departure of another type",
        "protocol.departures",
        all_settings(learning_rate=0.001, departures={"agent.learning_rate": "low", "agent.x": True}),
    ),
    Attack("evaluation episode of no length", "record.length", lambda: evaluation_changed(length=0, actions=pack(b""))),
    Attack("last episode that is a bomb", "record.actions", changed_first(lambda run: open_bomb(run))),
    Attack("evaluation that is a bomb", "record.length", lambda: evaluation_changed(length=2**40, actions=deep(400))),
    Attack("departure that is none", "protocol.departures", all_settings(departures={"agent.learning_rate": 0.5})),
    Attack("setting that does not exist", "protocol.settings", all_settings(cheat=True)),
    Attack(
        "setting out of range",
        "protocol.settings",
        all_settings(learning_rate=-1.0, departures={"agent.learning_rate": 6.25e-05}),
    ),
    Attack(
        "setting of another type",
        "protocol.settings",
        all_settings(learning_rate="high", departures={"agent.learning_rate": 6.25e-05}),
    ),
    Attack(
        "card with another default",
        "cards.digest",
        lambda: honest.again(
            edit(dict(good_files()), "cards/agent-dqn.json", _set("settings", "learning_rate", "value", value=0.001))
        ),
    ),
    Attack(
        "card of another component",
        "cards.missing",
        lambda: honest.again({**good_files(), "cards/agent-c51.json": good_files()["cards/agent-dqn.json"]}),
    ),
    Attack(
        "card of an unused component",
        "cards.missing",
        lambda: honest.again(
            edit(
                {**good_files(), "cards/method-redo.json": good_files()["cards/method-dense.json"]},
                "cards/method-redo.json",
                _set("id", value="redo"),
            )
        ),
    ),
    Attack(
        "emulator with a known defect",
        "environment.denied",
        lambda: remade(lambda runs: [environment_changed(ale_py="0.10.1")(run) for run in runs]),
    ),
    Attack(
        "vector environment with a known defect",
        "environment.denied",
        changed_first(environment_changed(ale_py="0.11.0")),
    ),
    Attack(
        "no sticky actions", "environment.options", changed_first(environment_changed(repeat_action_probability=0.0))
    ),
    Attack("lives end episodes", "environment.options", changed_first(environment_changed(episodic_life=True))),
    Attack("clipped returns", "environment.options", changed_first(environment_changed(reward_clipping=True))),
    Attack("frame skip of 5", "environment.options", changed_first(environment_changed(frameskip=5))),
    Attack("ROM of another game", "environment.options", changed_first(environment_changed(rom="breakout"))),
    Attack(
        "fingerprint of another environment",
        "environment.options",
        changed_first(lambda run: attempt_changed(run, environment_fingerprint="0" * 16)),
    ),
    Attack(
        "two versions of the emulator",
        "environment.options",
        changed_first(lambda run: attempt_changed(run, packages={"ale-py": "0.13.0"})),
    ),
    Attack(
        "environment.json of other runs",
        "environment.lock",
        lambda: honest.again(
            edit(dict(good_files()), "environment.json", _set("environments", 0, "packages", "numpy", value="1.0"))
        ),
    ),
    Attack(
        "more than 21 in Pong",
        "score.impossible",
        changed_first(lambda run: episodes_of(run, value=lambda value, _: 22.0)),
    ),
    Attack(
        "negative return in Breakout",
        "score.impossible",
        lambda: remade(
            lambda runs: [
                *runs[:2],
                episodes_of(runs[2], value=lambda value, number: -1.0 if number == 2 else value),
                runs[3],
            ]
        ),
    ),
    Attack(
        "fractional return",
        "score.fraction",
        changed_first(lambda run: episodes_of(run, value=lambda value, _: value / 2 + 0.25)),
    ),
    Attack(
        "a million frames a second",
        "rate.impossible",
        changed_first(lambda run: summary_changed(run, wall_seconds=0.016)),
    ),
    Attack("no time at all", "rate.impossible", changed_first(lambda run: summary_changed(run, wall_seconds=0.0))),
    Attack("time backwards", "rate.impossible", changed_first(lambda run: summary_changed(run, wall_seconds=-5.0))),
    Attack(
        "Parquet that is none",
        "curves.differ",
        lambda: honest.again({**good_files(), "curves.parquet": random.Random(1).randbytes(3000)}),
    ),
    Attack(
        "Parquet with a footer of 4 GB",
        "curves.differ",
        lambda: foreign_parquet(b"PAR1" + bytes(100) + b"\xff\xff\xff\xff" + b"PAR1"),
    ),
    Attack(
        "Parquet of other curves",
        "curves.differ",
        lambda: honest.again({**good_files(), "curves.parquet": honest.write_curves([])}),
    ),
    Attack(
        "Parquet of other curves, by another version", "curves.differ", lambda: foreign_parquet(honest.write_curves([]))
    ),
    Attack(
        "damaged Parquet, by another version",
        "curves.differ",
        lambda: foreign_parquet(damaged(good_files()["curves.parquet"])),
    ),
]


# --- what `suite run` does not make -----------------------------------------------------------------------------------


def component(kind: Kind, name: str) -> Component:
    """Return an installed component as its card has it."""
    card = registry.card(kind, name)
    settings = {key: setting.value for key, setting in card.settings.items()}
    return Component(id=name, version=card.version, card=card.digest, settings=settings)


def respecified(run: BundledRun, **changes: Any) -> BundledRun:
    """Return a run of another specification."""
    spec = run.cell.spec.model_copy(update=changes)
    return replace(run, cell=run.cell.model_copy(update={"spec": spec, "config_id": spec.config_id}))


def made_of(task: str = "smoke", **changes: Any) -> Callable[[], bytes]:
    """Return a maker of a bundle whose runs have another specification; functions change the part that is there."""

    def change(run: BundledRun) -> BundledRun:
        found = {
            name: value(getattr(run.cell.spec, name)) if callable(value) else value for name, value in changes.items()
        }
        return respecified(run, **found)

    return lambda: bytes(honest.bundle([change(run) for run in honest.honest_runs(task)]))


def versioned(part: Component) -> Component:
    return part.model_copy(update={"version": 9})


def with_departure(run: BundledRun, name: str, value: Any) -> BundledRun:
    """Return a run that lists this departure beside its own."""
    departures = {**run.cell.departures, name: value}
    return replace(run, cell=run.cell.model_copy(update={"departures": departures}))


def with_departures(**listed: Any) -> Callable[[], bytes]:
    departures = {key.replace("__", "."): value for key, value in listed.items()}
    return changed_first(lambda run: replace(run, cell=run.cell.model_copy(update={"departures": departures})))


def checkpoints_changed(*rows: dict[str, Any]) -> Callable[[], bytes]:
    """Change the only checkpoint of the first run into these."""

    def change(run: BundledRun) -> BundledRun:
        (last,) = run.checkpoints
        return replace(run, checkpoints=tuple(last.model_copy(update=row) for row in rows))

    return changed_first(change)


def without_option(name: str) -> Callable[[BundledRun], BundledRun]:
    def change(run: BundledRun) -> BundledRun:
        environment = dict(run.provenance.attempts[0].environment)
        del environment[name]
        return attempt_changed(run, environment=environment, environment_fingerprint=fingerprint(environment))

    return change


def _unlearned(run: BundledRun) -> BundledRun:
    run = summary_changed(run, updates=0)
    return status_changed(run, updates=0)


def _hair(content: Any) -> None:
    """Change the last bit of a score."""
    content["score"] = math.nextafter(content["score"], math.inf)


ATTACKS += [
    Attack("agent of a version that is none", "protocol.specification", made_of(agent=versioned)),
    Attack("network of a version that is none", "protocol.specification", made_of(network=versioned)),
    Attack(
        "method of a version that is none",
        "protocol.specification",
        made_of(methods=lambda methods: tuple(map(versioned, methods))),
    ),
    Attack("no method", "protocol.specification", made_of(methods=())),
    Attack("a method twice", "protocol.specification", made_of(methods=(component("method", "redo"),) * 2)),
    Attack(
        "dense with another",
        "protocol.specification",
        made_of(methods=(component("method", "dense"), component("method", "redo"))),
    ),
    Attack(
        "dense with one that nobody knows",
        "protocol.specification",
        made_of(methods=(component("method", "dense"), Component(id="mine", version=1, card="0" * 16))),
    ),
    Attack(
        "two that decide which weights are zero",
        "protocol.specification",
        made_of(methods=(component("method", "rigl"), component("method", "magnitude_pruning"))),
    ),
    Attack("agent of another family", "protocol.specification", made_of(agent=component("agent", "sac"))),
    Attack("network of another family", "protocol.specification", made_of(network=component("network", "mlp"))),
    Attack(
        "data where games are played",
        "protocol.specification",
        made_of(dataset="dqn-replay.blocks.0.05.0.0123456789abcdef"),
    ),
    Attack("data that nothing knows", "protocol.specification", made_of("smoke-offline", dataset="the best of it")),
    Attack("no data", "protocol.specification", made_of("smoke-offline", dataset=None)),
    Attack(
        "data of other steps than the agent's",
        "protocol.specification",
        made_of("smoke-offline", dataset="dqn-replay.blocks.0.05.0.n3.0123456789abcdef"),
    ),
    Attack(
        "more data than is said",
        "protocol.departures",
        made_of("smoke-offline", dataset="dqn-replay.blocks.1.0.0123456789abcdef"),
    ),
    Attack(
        "known name of an unknown card",
        "cards.missing",
        made_of(agent=lambda agent: agent.model_copy(update={"card": "0" * 16})),
    ),
    Attack("words among the departures", "protocol.departures", with_departures(data__verified="by the maintainers")),
    Attack("invented option", "environment.options", changed_first(environment_changed(overclock=True))),
    Attack("option left out", "environment.options", changed_first(without_option("autoreset_mode"))),
    Attack("no ROM", "environment.options", changed_first(without_option("rom_sha256"))),
    Attack("no update", "runs.summary", changed_first(_unlearned)),
    Attack("other updates than counted", "runs.summary", changed_first(lambda run: summary_changed(run, updates=101))),
    Attack(
        "dense with 95 % zeros",
        "runs.summary",
        changed_first(lambda run: summary_changed(run, sparsity=0.95, active_parameters=50_000)),
    ),
    Attack("no checkpoint", "record.checkpoints", checkpoints_changed()),
    Attack("checkpoint of another step", "record.checkpoints", checkpoints_changed({"agent_step": 100})),
    Attack(
        "one learner at every checkpoint",
        "record.checkpoints",
        checkpoints_changed({"agent_step": 2000, "frame": 8000, "updates": 50}, {}),
    ),
    Attack(
        "seeds beyond the task's, chosen",
        "seeds.chosen",
        lambda: remade(lambda runs: [*runs, *(honest.honest_run("smoke", game, 7) for game in ("Pong", "Breakout"))]),
    ),
    Attack("score by a hair", "runs.claims", document_changed(lambda content: _hair(content["status"]["summary"]))),
    Attack(
        "manifest by a hair",
        "manifest.claims",
        lambda: zipped(edit(dict(good_files()), "manifest.json", lambda content: _hair(content["runs"][0]))),
    ),
]


def capped(run: BundledRun) -> BundledRun:
    """Return a run in which one episode is longer than the task allows."""
    kept = without(run, 0, len(run.episodes) - 2)
    return lengths_changed(kept, {0: 2001})


def of_version(version: int) -> bytes:
    files = dict(good_files())
    for name in [name for name in files if name.startswith("runs/")]:
        edit(files, name, _set("cell", "spec", "task_version", value=version))
    return bytes(honest.again(edit(files, "manifest.json", _set("task", value=f"smoke@{version}"))))


def two_attempts(which: Callable[[int], int]) -> bytes:
    """Return a bundle whose first run has two attempts, its episodes those of the one that `which` says."""

    def change(run: BundledRun) -> BundledRun:
        one = run.provenance.attempts[0]
        attempts = (one, one.model_copy(update={"attempt": 2}))
        run = replace(run, provenance=run.provenance.model_copy(update={"attempts": attempts}))
        return episodes_of(run, attempt=lambda _, number: which(number))

    return changed_first(change)()


def component_changed(run: BundledRun, name: str) -> BundledRun:
    agent = run.cell.spec.agent.model_copy(update={"id": name})
    spec = run.cell.spec.model_copy(update={"agent": agent})
    return replace(run, cell=run.cell.model_copy(update={"spec": spec, "config_id": spec.config_id}))


def methods_repeated(run: BundledRun) -> BundledRun:
    spec = run.cell.spec.model_copy(update={"methods": run.cell.spec.methods * 13})
    return replace(run, cell=run.cell.model_copy(update={"spec": spec, "config_id": spec.config_id}))


def wins(run: BundledRun) -> BundledRun:
    """Return a run without negative returns, which both games can give."""
    return episodes_of(run, value=lambda value, _: abs(value))


def evaluated(change: Callable[[BundledRun], BundledRun]) -> bytes:
    runs = honest.honest_runs("smoke100k")
    return bytes(honest.bundle([change(runs[0]), *runs[1:]]))


def evaluation_changed(**values: Any) -> bytes:
    """Return a bundle with other values in its first evaluation episode."""

    def change(content: Any) -> None:
        for name, value in values.items():
            content["evaluation"][name][0] = value

    files = dict(honest.bundle_files(honest.honest_runs("smoke100k")))
    return bytes(honest.again(edit(files, min(name for name in files if name.startswith("runs/")), change)))


def deep(megabytes: int) -> str:
    """Return so many megabytes of zeros, deflated, in base64."""
    packer = zlib.compressobj(9)
    parts = [packer.compress(bytes(10**6)) for _ in range(megabytes)]
    return base64.b64encode(b"".join(parts) + packer.flush()).decode()


def open_bomb(run: BundledRun) -> BundledRun:
    """Return a run that ended in an episode of so many steps as there are zeros in its actions, 300 million."""
    steps = 300 * 10**6
    log = Actions(attempt=1, episode=run.open_episode, deflated=deep(300))
    run = status_changed(run, agent_steps=run.episodes[-1].agent_step + steps)
    return replace(run, logged=run.logged | {run.open_episode: log})


def foreign_parquet(content: bytes) -> bytes:
    """Return a bundle whose curves another version of the library is said to have written."""
    files = {**good_files(), "curves.parquet": content}
    table = json.loads(files["manifest.json"])
    rest = {name: part for name, part in files.items() if name != "manifest.json"}
    fresh = json.loads(honest.manifest_of(rest, table["task"], table["runs"]))
    return zipped({**rest, "manifest.json": json.dumps({**fresh, "parquet_version": "1.0"}).encode()})


def damaged(content: bytes) -> bytes:
    half = len(content) // 2
    return content[: half - 200] + bytes(value ^ 0xFF for value in content[half - 200 : half]) + content[half:]


def all_attacks() -> Iterator[tuple[Attack, bytes]]:
    for one in ATTACKS:
        yield one, one.make()


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for index, (one, content) in enumerate(all_attacks()):
        (folder / f"{index:03}-{one.code}.zip").write_bytes(content)
        sys.stdout.write(f"{index:03} {one.code:<20} {one.name} ({len(content):,} bytes)\n")
