"""Tables as files: CSV, JSON, LaTeX and Parquet, the same bytes for the same values.

Text in a table may come from strangers. In CSV, a cell that a spreadsheet would take for a formula starts with an
apostrophe; in LaTeX, every character is printed and none is obeyed.
"""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import itertools
import json
import math
import re
import shutil
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from leaderboard.store.details import packed, unpacked
from leaderboard.store.engine import translated
from suite.errors import UnfitEnvironment

Cell = str | int | float | bool | None
"""A value of a table; None where there is none, and so is what is not finite."""

_json = json.JSONEncoder(allow_nan=False, ensure_ascii=False).encode

_FORMULA = "=+-@\t\r\n\uff1d\uff0b\uff0d\uff20\u2212"
"""How a formula may start, the full-width forms and the minus sign among them."""

_TEX = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "#": r"\#", "%": r"\%", "_": r"\_",
    "^": r"\textasciicircum{}", "~": r"\textasciitilde{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': "''",
    "\N{MULTIPLICATION SIGN}": r"$\times$", "\N{MIDDLE DOT}": r"$\cdot$", "\N{MINUS SIGN}": "$-$",
    "\N{EN DASH}": "--", "\N{EM DASH}": "---", "\N{NARROW NO-BREAK SPACE}": r"\,", "\N{NO-BREAK SPACE}": "~",
    "\N{PLUS-MINUS SIGN}": r"$\pm$", "\N{DAGGER}": r"$^\dagger$", "\N{RIGHT SINGLE QUOTATION MARK}": "'",
}  # fmt: skip
_CONTROL = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff\ud800-\udfff]"
)


RUNS = 1_000
"""Runs of a database that are in memory together while it is copied."""

PACKED = 4
"""How hard the copy of a database is compressed: most of it is compressed already."""

FORMATS = ("csv", "json", "tex", "pdf")
"""What is offered below tables and figures, in this order."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column: its name for machines (`snake_case`, with the unit), its head for people, and decimals in LaTeX.

    `right`: numbers that are text already go to the right all the same.
    """

    name: str
    head: str
    digits: int = 2
    right: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """A table; its rows can be gone through several times. `bold`: the (row, column) places that LaTeX prints bold."""

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: Iterable[tuple[Cell, ...]]
    bold: frozenset[tuple[int, int]] = field(default_factory=frozenset)

    def numeric(self, column: int) -> bool:
        """Return whether a column holds numbers and nothing else."""
        values = [row[column] for row in self.rows if row[column] is not None]
        return bool(values) and all(isinstance(v, int | float) and not isinstance(v, bool) for v in values)


def files(table: Table, path: str, printed: Table | None = None) -> dict[str, bytes]:
    """Return the files of a table, `path` with the ends .csv, .json and .tex; LaTeX shows `printed` if it is given."""
    return {
        f"{path}.csv": csv_file(table),
        f"{path}.json": json_file(table),
        f"{path}.tex": latex(printed or table).encode(),
    }


def offered(made: Mapping[str, bytes]) -> dict[str, tuple[str, ...]]:
    """Return what there is to download: by a path without its end, the ends of `FORMATS` that were made of it."""
    stems = dict.fromkeys(path.rpartition(".")[0] for path in made)
    return {stem: tuple(end for end in FORMATS if f"{stem}.{end}" in made) for stem in stems}


BATCH = 50_000
"""Rows of a file that are in memory together, and in one group of a Parquet file."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A copy of a results database: its size in bytes and its SHA-256."""

    size: int
    sha256: str


def database(path: Path, out: Path) -> Copy:
    """Write a results database as one file in gzip; the same content in the same order gives the same bytes.

    What is most of it and is in bundles and run directories anyway is left out: lists of single episodes, which the
    content's hash does not cover, and the hashes of all checkpoints but a run's last, which cannot be compressed.
    Raises UnfitEnvironment where there is no room for a copy, BadData where a column is damaged.
    """
    with tempfile.TemporaryDirectory(dir=out.parent) as folder:
        return thinned(copied(path, Path(folder)), out)


def copied(path: Path, folder: Path) -> Path:
    """Copy a results database as it is at this moment into a folder; UnfitEnvironment where there is no room."""
    whole = folder / "whole.sqlite"
    with translated(path), _fitting(path), closing(sqlite3.connect(path)) as connection:
        connection.execute("VACUUM INTO ?", (str(whole),))
    return whole


def thinned(whole: Path, out: Path) -> Copy:
    """Do what `database` does to a copy that nobody needs afterwards."""
    with _fitting(whole):
        with closing(sqlite3.connect(whole, isolation_level=None)) as connection:
            connection.execute("BEGIN")
            connection.execute("UPDATE recording SET episodes = NULL")
            (last,) = connection.execute("SELECT max(run_id) FROM recording").fetchone()
            for first in range(0, (last or 0) + 1, RUNS):
                kept = connection.execute(
                    "SELECT checkpoints, run_id, source FROM recording "
                    "WHERE checkpoints IS NOT NULL AND run_id BETWEEN ? AND ?",
                    (first, first + RUNS - 1),
                )
                rows = [(_last_hashes(column), *key) for column, *key in kept]
                connection.executemany("UPDATE recording SET checkpoints = ? WHERE run_id = ? AND source = ?", rows)
            connection.execute("COMMIT")
            connection.execute("VACUUM INTO ?", (str(bare := whole.with_name("bare.sqlite")),))
        with (
            bare.open("rb") as source,
            out.open("wb") as sink,
            gzip.GzipFile("", "wb", PACKED, sink, mtime=0) as packer,
        ):
            shutil.copyfileobj(source, packer, 1 << 20)
        with out.open("rb") as file:
            return Copy(out.stat().st_size, hashlib.file_digest(file, "sha256").hexdigest())


@contextmanager
def _fitting(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, sqlite3.OperationalError) as error:
        raise UnfitEnvironment(
            f"Cannot copy {path}: {error}.", "Free space, or name another place with --out."
        ) from error


def _last_hashes(column: bytes) -> bytes:
    """Return a column of checkpoints in which the last alone has its hashes."""
    *before, last = unpacked(column)
    return packed([*([*row[:3], "", ""] for row in before), last])


def csv_file(table: Table) -> bytes:
    """Return a table as CSV (RFC 4180, UTF-8): names, then rows; numbers in full, nothing where there is no value."""
    text = io.StringIO()
    _write_csv(table, text)
    return text.getvalue().encode()


def csv_packed(table: Table) -> bytes:
    """Return the same as `csv_file`, compressed by gzip, for tables of very many rows: they may come one by one."""
    sink = io.BytesIO()
    with gzip.GzipFile(fileobj=sink, mode="wb", compresslevel=6, mtime=0) as packer:
        text = io.TextIOWrapper(packer, encoding="utf-8", newline="", write_through=False)
        _write_csv(table, text)
        text.detach()  # which writes what is left
    return sink.getvalue()


def json_file(table: Table) -> bytes:
    """Return a table as one JSON object: its schema, what it shows, its columns, and each row as a line."""
    names = [column.name for column in table.columns]
    head = {
        "schema": "leaderboard.table/1",
        "name": _clean(table.name),
        "caption": _clean(table.caption),
        "columns": names,
    }
    rows = (_json(dict(zip(names, map(_finite, row), strict=True))) for row in table.rows)
    lines = [f" {_json(name)}: {_json(value)}" for name, value in head.items()]
    listed = ",\n  ".join(rows)
    lines.append(f' "rows": [\n  {listed}\n ]' if listed else ' "rows": []')
    return ("{\n" + ",\n".join(lines) + "\n}\n").encode()


def latex(table: Table) -> str:
    """Return a table for booktabs: text to the left, numbers to the right, without the float around it."""
    numeric = [column.right or table.numeric(index) for index, column in enumerate(table.columns)]
    heads = [
        rf"\multicolumn{{1}}{{r}}{{{tex(column.head)}}}" if right else tex(column.head)
        for column, right in zip(table.columns, numeric, strict=True)
    ]
    lines = [
        rf"\begin{{tabular}}{{@{{}}{''.join('r' if right else 'l' for right in numeric)}@{{}}}}",
        r"\toprule",
        " & ".join(heads) + r" \\",
        r"\midrule",
        *(" & ".join(_tex_row(table, index, row)) + r" \\" for index, row in enumerate(table.rows)),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    return "\n".join(lines) + "\n"


def parquet(table: Table) -> bytes:
    """Return a table as Parquet: whole numbers as int64, other numbers as float64, anything else as text.

    Rows are gone through twice, and `BATCH` of them are held at a time: a table may have a million.
    """
    import pyarrow
    from pyarrow import parquet as writer

    held: list[set[type]] = [set() for _ in table.columns]
    for columns in _by_column(table):
        for kinds, values in zip(held, columns, strict=True):
            kinds.update(map(type, values))
    types = [_arrow_type(kinds - {type(None)}) for kinds in held]
    schema = pyarrow.schema([(column.name, kind) for column, kind in zip(table.columns, types, strict=True)])
    sink = io.BytesIO()
    with writer.ParquetWriter(sink, schema, compression="zstd", version="2.6") as file:
        for columns in _by_column(table):
            arrays = [pyarrow.array(values, type=kind) for values, kind in zip(columns, types, strict=True)]
            file.write_table(pyarrow.table(arrays, schema=schema))
    return sink.getvalue()


def tex(text: str) -> str:
    """Return text that LaTeX prints as it is; what its usual fonts lack becomes a question mark."""
    plain = re.sub("-(?=-)", "\0", _clean(text).replace("\n", " "))
    found = "".join(_TEX.get(character, character) for character in plain).replace("\0", "-{}")
    return re.sub(r"[^\x20-\u017f]", "?", found)


def number(value: float, digits: int) -> str:
    """Return a number for LaTeX: so many decimals, a true minus sign, thin spaces between thousands."""
    shown = f"{value:,.{digits}f}"
    shown = shown.removeprefix("-") if float(shown.replace(",", "")) == 0 else shown
    return shown.replace(",", r"\,").replace("-", "$-$")


def _tex_row(table: Table, index: int, row: Sequence[Cell]) -> Sequence[str]:
    cells = []
    for place, (value, column) in enumerate(zip(row, table.columns, strict=True)):
        value = _finite(value)
        if value is None:
            cell = "---"
        elif isinstance(value, float):
            cell = number(value, column.digits)
        elif isinstance(value, int) and not isinstance(value, bool):
            cell = number(value, 0)
        else:
            cell = tex(str(value))
        cells.append(rf"\textbf{{{cell}}}" if (index, place) in table.bold else cell)
    return cells


def _write_csv(table: Table, text: TextIO) -> None:
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([_guarded(_clean(column.name)) for column in table.columns])
    for columns in _by_column(table):
        writer.writerows(zip(*(_each(_csv_cell, values, (bool, str)) for values in columns), strict=True))


def _by_column(table: Table) -> Iterator[list[Sequence[Cell]]]:
    """Yield the columns of at most `BATCH` rows, finite and clean, until all rows are gone through."""
    rows = iter(table.rows)
    while batch := list(itertools.islice(rows, BATCH)):
        yield [_each(_finite, values, (float, str)) for values in zip(*batch, strict=True)]


def _each(function: Callable[[Cell], Cell], values: Sequence[Cell], kinds: Iterable[type]) -> Sequence[Cell]:
    """Return `function` of every value, which changes values of these `kinds` alone, and no finite number."""
    found = set(map(type, values))
    if found.isdisjoint(kinds) or (found == {float} and all(map(math.isfinite, values))):  # type: ignore[arg-type]
        return values
    if found <= {str, type(None)}:  # most columns of text hold few different ones
        known = {value: function(value) for value in set(values)}
        return [known[value] for value in values]
    return list(map(function, values))


def _csv_cell(value: Cell) -> Cell:
    if isinstance(value, bool):
        return "true" if value else "false"
    return _guarded(value) if isinstance(value, str) else value


def _guarded(text: str) -> str:
    """Return clean text that no spreadsheet takes for a formula, whatever blanks stand before it."""
    risky = text[:1] in _FORMULA or text.lstrip(" \u00a0\u3000\"'")[:1] in _FORMULA
    return f"'{text}" if text and risky else text


def _finite(value: Cell) -> Cell:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return _clean(value) if isinstance(value, str) else value


def _clean(text: str) -> str:
    """Return text without control characters and without those that turn its direction."""
    return text if text.isascii() and text.isprintable() else _CONTROL.sub("\N{REPLACEMENT CHARACTER}", text)


def _arrow_type(kinds: set[type]) -> Any:
    import pyarrow

    if kinds == {bool}:
        return pyarrow.bool_()
    if kinds == {int}:
        return pyarrow.int64()
    if kinds and kinds <= {int, float}:
        return pyarrow.float64()
    return pyarrow.string()
