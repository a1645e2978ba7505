import csv
import gzip
import hashlib
import io
import json
import math
import re
import shutil
import sqlite3

import pyarrow.parquet
import pytest
from hypothesis import given
from hypothesis import strategies as st

from leaderboard.board import exports
from leaderboard.board.exports import Column, Table
from leaderboard.site.render import build
from leaderboard.store import models
from leaderboard.store.audit import audit
from leaderboard.store.details import packed, unpacked
from leaderboard.store.ingest import ingest
from tests.support import attacks, honest

FORMULAS = (
    "=1+1",
    "+1",
    "-1+cmd|' /C calc'!A0",
    "@SUM(A1)",
    "\tx",
    "\rx",
    "\nx",
    "\uff1d1",
    "\uff0b1",
    "\uff0d1",
    "\uff201",
)


def table(*rows, bold=()):
    columns = (Column("entry", "Entry"), Column("iqm", "IQM"), Column("seeds", "Seeds"))
    return Table("standings", "What it is", columns, rows, frozenset(bold))


def read_csv(content):
    return list(csv.reader(io.StringIO(content.decode(), newline="")))


@pytest.mark.parametrize("evil", [*FORMULAS, "  =1", '"=1', "'=1", "\u00a0@x", "\u3000+1"])
def test_text_that_a_spreadsheet_would_run_starts_with_an_apostrophe(evil):
    cell = read_csv(exports.csv_file(table((evil, 1.0, 5))))[1][0]
    assert cell == f"'{evil}"


def test_numbers_stay_numbers_negative_ones_too():
    rows = read_csv(exports.csv_file(table(("DQN", -1.25, 5), ("a-b = c", 1e-7, None))))
    assert rows == [["entry", "iqm", "seeds"], ["DQN", "-1.25", "5"], ["a-b = c", "1e-07", ""]]


def test_what_is_not_finite_is_missing_everywhere():
    found = table(("x", math.nan, 1), ("y", math.inf, 2), ("z", -math.inf, 3))
    assert [row[1] for row in read_csv(exports.csv_file(found))[1:]] == ["", "", ""]
    assert [row["iqm"] for row in json.loads(exports.json_file(found))["rows"]] == [None, None, None]
    assert exports.latex(found).count("---") == 3
    assert pyarrow.parquet.read_table(io.BytesIO(exports.parquet(found)))["iqm"].null_count == 3


@given(st.lists(st.sampled_from([1, 1.0, True, "1", "=1", None, math.inf, "", 0, False, -0.0]), min_size=1))
def test_a_value_is_printed_as_what_it_is_whatever_stands_above_it_in_its_column(values):
    def lines(*column):
        one = Table("t", "", (Column("x", "x"),), [(value,) for value in column])
        return exports.csv_file(one).split(b"\r\n")[1:-1]

    assert lines(*values) == [line for value in values for line in lines(value)]


def test_json_has_a_schema_and_a_row_for_each_row():
    document = json.loads(exports.json_file(table(("DQN", 1.5, 5))))
    assert document == {
        "schema": "leaderboard.table/1",
        "name": "standings",
        "caption": "What it is",
        "columns": ["entry", "iqm", "seeds"],
        "rows": [{"entry": "DQN", "iqm": 1.5, "seeds": 5}],
    }


def test_a_packed_csv_file_is_the_plain_one_and_its_rows_may_come_one_by_one():
    found = table(("DQN", 1.5, 5), ("=C51", None, 3))
    packed = exports.csv_packed(found)
    assert gzip.decompress(packed) == exports.csv_file(found)
    assert packed == exports.csv_packed(found)


def test_latex_is_booktabs_with_numbers_to_the_right_and_bold_where_asked():
    found = exports.latex(table(("DQN", -1234.567, 5), ("C51", 2.0, None), bold=[(1, 0), (1, 1)]))
    assert found.splitlines() == [
        r"\begin{tabular}{@{}lrr@{}}",
        r"\toprule",
        r"Entry & \multicolumn{1}{r}{IQM} & \multicolumn{1}{r}{Seeds} \\",
        r"\midrule",
        r"DQN & $-$1\,234.57 & 5 \\",
        r"\textbf{C51} & \textbf{2.00} & --- \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        (r"\input{/etc/passwd}", r"\textbackslash{}input\{/etc/passwd\}"),
        ("50 % of $x_1^2$ & #3 ~", r"50 \% of \$x\_1\textasciicircum{}2\$ \& \#3 \textasciitilde{}"),
        ("Impala \N{MULTIPLICATION SIGN}3 \N{MIDDLE DOT} redo", r"Impala $\times$3 $\cdot$ redo"),
        ("4\N{EN DASH}5", "4--5"),
        ("QR-DQN --flag ---", "QR-DQN -{}-flag -{}-{}-"),
        ("\u6f22\u202e", "??"),
        ("a\nb", "a b"),
    ],
)
def test_latex_prints_every_character_and_obeys_none(text, printed):
    assert exports.tex(text) == printed


@given(st.text(max_size=40))
def test_no_text_escapes_from_any_format(text):
    found = table((text, 1.0, 1))
    printed = exports.tex(text)
    for spelled in (
        r"\textbackslash{}",
        r"\textasciicircum{}",
        r"\textasciitilde{}",
        r"\textless{}",
        r"\textgreater{}",
    ):
        printed = printed.replace(spelled, "")
    plain = re.sub(r"\\[{}$&#%_,]|\\textbar\{\}|-\{\}|\$(\\times|\\cdot|\\pm|-|\^\\dagger)\$", "", printed)
    assert not re.search(r"[\\{}$&#%_^]", plain)
    rows = read_csv(exports.csv_file(found))
    assert len(rows) == 2
    assert len(rows[1]) == 3
    assert rows[1][0][:1] not in set("=+-@\t\r\n\uff1d\uff0b\uff0d\uff20")
    assert json.loads(exports.json_file(found))["rows"][0]["iqm"] == 1.0


def test_parquet_that_is_written_in_batches_holds_every_row(monkeypatch):
    monkeypatch.setattr(exports, "BATCH", 2)
    found = table(*(("DQN", float(i) if i else 2, None if i < 4 else i) for i in range(5)))
    read = pyarrow.parquet.read_table(io.BytesIO(exports.parquet(found)))
    assert [str(field.type) for field in read.schema] == ["string", "double", "int64"]
    assert read["iqm"].to_pylist() == [2.0, 1.0, 2.0, 3.0, 4.0]
    assert read["seeds"].to_pylist() == [None, None, None, None, 4]


def test_parquet_has_types_and_the_same_bytes_every_time():
    found = table(("DQN", 1.5, 5), ("C51", 2, None))
    read = pyarrow.parquet.read_table(io.BytesIO(exports.parquet(found)))
    assert [str(field.type) for field in read.schema] == ["string", "double", "int64"]
    assert read.to_pylist() == [
        {"entry": "DQN", "iqm": 1.5, "seeds": 5},
        {"entry": "C51", "iqm": 2.0, "seeds": None},
    ]
    assert exports.parquet(found) == exports.parquet(found)


def test_the_database_is_copied_without_episodes_and_early_hashes_and_with_the_same_bytes(runs, tmp_path):
    db = tmp_path / "results.sqlite"
    ingest([runs], db, references=False)
    hashes = [[1, 4, 0, "a", "b"], [2, 8, 1, "c", "d"], [3, 12, 2, "e", "f"]]
    with sqlite3.connect(db) as whole:
        whole.execute("UPDATE recording SET checkpoints = ? WHERE run_id > 1", (packed(hashes),))
    whole.close()
    before = db.read_bytes()
    made = exports.database(db, tmp_path / "copy.sqlite.gz")
    content = (tmp_path / "copy.sqlite.gz").read_bytes()
    (tmp_path / "copy.sqlite").write_bytes(gzip.decompress(content))
    assert made == exports.Copy(len(content), hashlib.sha256(content).hexdigest())
    shutil.copy(db, tmp_path / "moved.sqlite")
    assert made == exports.database(tmp_path / "moved.sqlite", tmp_path / "again.sqlite.gz")
    assert db.read_bytes() == before
    digests = [audit(path) for path in (db, tmp_path / "copy.sqlite")]
    assert digests[0].digest == digests[1].digest
    assert [(one.problems, one.scores) for one in digests] == [((), 4), ((), 0)]
    with sqlite3.connect(tmp_path / "copy.sqlite") as copy:
        assert copy.execute("SELECT count(*) FROM recording WHERE episodes IS NOT NULL").fetchone() == (0,)
        assert copy.execute("SELECT count(*) FROM run").fetchone() == (4,)
        rows = copy.execute("SELECT checkpoints FROM recording ORDER BY run_id").fetchall()
        assert copy.execute("PRAGMA application_id").fetchone() == (models.APPLICATION_ID,)
        assert copy.execute("PRAGMA user_version").fetchone() == (models.SCHEMA_VERSION,)
        assert copy.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    copy.close()
    kept = [[1, 4, 0, "", ""], [2, 8, 1, "", ""], [3, 12, 2, "e", "f"]]
    assert [unpacked(column) for (column,) in rows] == [None, kept, kept, kept]


def test_what_is_offered_is_what_the_pages_show_whatever_comes_in_meanwhile(tmp_path, monkeypatch):
    db, copied = tmp_path / "results.sqlite", exports.copied
    for seed in (0, 1):
        (tmp_path / f"{seed}.zip").write_bytes(honest.bundle([honest.honest_run(seed=seed)], attacks.LEFT_OUT))
    ingest([tmp_path / "0.zip"], db, references=False)
    before = audit(db).digest

    def and_then_more(path, folder):
        whole = copied(path, folder)
        ingest([tmp_path / "1.zip"], db, references=False)
        return whole

    monkeypatch.setattr(exports, "copied", and_then_more)
    built = build(db, tmp_path / "site")
    content = gzip.decompress((tmp_path / "site/data/results.sqlite.gz").read_bytes())
    (tmp_path / "offered.sqlite").write_bytes(content)
    assert audit(tmp_path / "offered.sqlite").digest == built.database == before != audit(db).digest
