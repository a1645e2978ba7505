import json
import re
import shutil
import subprocess
from types import SimpleNamespace

import pytest

from leaderboard.board import report
from leaderboard.site.downloads import printed
from leaderboard.site.paper import kit as writing
from leaderboard.site.paper.kit import bibliography, write_kit
from leaderboard.store.database import ResultStore
from leaderboard.store.ingest import ingest
from suite.contracts import registry
from suite.errors import UsageError


@pytest.fixture(scope="module")
def kit(published_database, tmp_path_factory):
    """The kit of the published curves, ten complete entries of an official task, at column width."""
    out = tmp_path_factory.mktemp("published") / "kit"
    return out, write_kit(published_database, "atari40m", out)


@pytest.fixture
def smoke(tmp_path, run_maker, spec_maker):
    """A database with two configurations of the smoke task, three seeds each."""
    for method, level in (("dense", 1.0), ("rigl", 0.4)):
        for game in ("Pong", "Breakout"):
            for seed in range(3):
                run_maker(tmp_path / "runs", spec_maker(methods=(method,)), game, seed, level=level)
    ingest([tmp_path / "runs"], tmp_path / "smoke.sqlite", references=False)
    return tmp_path / "smoke.sqlite"


def text(out, name):
    return (out / name).read_text()


def balanced(source):
    """Check braces and environments of a LaTeX file, escaped characters left out."""
    plain = re.sub(r"\\[{}$&#%_\\]", "", source)
    depth = 0
    for character in plain:
        depth += {"{": 1, "}": -1}.get(character, 0)
        assert depth >= 0
    assert depth == 0
    assert plain.count("$") % 2 == 0
    opened = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", source):
        if kind == "begin":
            opened.append(name)
        else:
            assert opened.pop() == name
    assert opened == []


def test_the_kit_holds_tables_figures_references_and_what_is_what(kit):
    out, done = kit
    names = set(done.files)
    assert names >= {
        "README.md", "example.tex", "protocol.tex", "references.bib", "table-standings.tex", "figure-curves.tex",
        "figures/curves.pdf", "figures/profiles.pdf", "figures/intervals.pdf", "data/standings.csv", "data/games.json",
    }  # fmt: skip
    assert done.entries == 10
    assert done.width == 3.25
    for name in names:
        assert (out / name).stat().st_size == done.files[name]
    readme = text(out, "README.md")
    for name in names - {"README.md"}:
        assert name in readme or name.startswith("data/"), name


def test_every_tex_file_is_sound_and_included_once(kit):
    out, done = kit
    for name in done.files:
        if name.endswith(".tex"):
            balanced(text(out, name))
    example = text(out, "example.tex")
    floats = {name.removesuffix(".tex") for name in done.files if name.startswith(("table-", "figure-"))}
    assert set(re.findall(r"\\input\{(.*?)\}", example)) == floats | {"protocol"}
    labels = [label for name in sorted(floats) for label in re.findall(r"\\label\{(.*?)\}", text(out, f"{name}.tex"))]
    assert len(labels) == len(set(labels)) == len(floats)
    for name in floats:
        for picture in re.findall(r"\\includegraphics\[.*?\]\{(.*?)\}", text(out, f"{name}.tex")):
            assert picture in done.files


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no pdflatex here")
def test_the_example_compiles(kit, tmp_path):
    out, _ = kit
    shutil.copytree(out, tmp_path / "kit")
    for _ in range(2):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", "example"]
        done = subprocess.run(command, cwd=tmp_path / "kit", capture_output=True, timeout=120, check=False)
        assert done.returncode == 0, done.stdout[-2000:]


def test_rows_have_as_many_cells_as_the_table_has_columns(kit):
    out, done = kit
    for name in (name for name in done.files if name.startswith("table-")):
        source = text(out, name)
        columns = re.search(r"\\begin\{tabular\}\{@\{\}([lr]+)@\{\}\}", source).group(1)
        body = source[source.index(r"\toprule") : source.index(r"\bottomrule")]
        rows = [line for line in body.splitlines() if line.endswith(r"\\")]
        assert len(rows) > 1
        for row in rows:
            assert len(re.findall(r"(?<!\\)&", row)) + 1 == len(columns), row


def test_bold_are_those_that_may_be_the_first_and_not_the_best_number(kit, published_database):
    out, _ = kit
    with ResultStore.open(published_database) as store, store.snapshot() as snapshot:
        data = report.task_data(snapshot, writing.load_task("atari40m"))
    page = report.task_page(data)
    rankings = writing._rankings(page, data)
    best = {key for key, ranking in rankings.items() if ranking.best}
    assert len(rankings) == 10
    assert best == {"dopamine.iqn.impala.atari40m@1"}
    bold = [line for line in text(out, "table-standings.tex").splitlines() if r"\textbf" in line]
    assert len(bold) == 1
    assert bold[0].startswith(r"\textbf{IQN $\cdot$ Impala$^\dagger$} & \textbf{5.05} &")


def test_two_that_may_be_the_first_are_bold_as_two_and_an_unranked_better_number_is_not(published_database):
    with ResultStore.open(published_database) as store, store.snapshot() as snapshot:
        data = report.task_data(snapshot, writing.load_task("atari40m"))
    page = report.task_page(data)
    rankings = writing._rankings(page, data)
    order = [row.entry.config_id for row in page.full.standings]
    tied = {order[1]: rankings[order[0]], order[2]: rankings[order[0]], order[3]: rankings[order[1]]}
    table = printed.standings(page, page.full, tied)
    assert table.bold == {(1, 0), (1, 1), (2, 0), (2, 1)}
    assert table.rows[0][3:5] == (None, None)


def test_captions_say_n_the_interval_and_the_policy(kit):
    out, _ = kit
    for name in ("table-standings.tex", "figure-curves.tex", "figure-profiles.tex", "figure-intervals.tex"):
        caption = re.search(r"\\caption\{(.*)\}", text(out, name)).group(1)
        assert "interquartile mean (IQM)" in caption
        assert "n = 5 runs per game" in caption
        assert r"95\% over seeds, games fixed" in caption
        assert "stats-v" in caption
    assert "Published by others, not run here" in text(out, "table-standings.tex")


def test_the_bibliography_has_everything_that_was_used_and_nothing_twice(kit):
    out, _ = kit
    bib = text(out, "references.bib")
    keys = re.findall(r"^@\w+\{([\w-]+),$", bib, re.MULTILINE)
    assert keys == sorted(set(keys))
    assert set(keys) >= {
        "agarwal2021deep", "machado2018revisiting", "castro2018dopamine", "obandoceron2024value", "mnih2015human",
        "hessel2018rainbow", "dabney2018implicit", "dabney2018distributional", "bellemare2017distributional",
        "espeholt2018impala",
    }  # fmt: skip
    assert "evci2020rigging" not in keys
    balanced(bib)
    nocite = re.search(r"\\nocite\{(.*?)\}", text(out, "example.tex")).group(1).split(",")
    assert nocite == keys


def test_every_card_with_a_paper_cites_a_known_one():
    for kind in ("agent", "network", "method"):
        for name, point in registry.registered(kind).items():
            line = registry.card(kind, name).paper
            if point.dist.name == "pruned-rl-suite" and line:
                assert bibliography.cited(line), (kind, name)
            numbers = set(re.findall(r"\d{4}\.\d{5}", line))
            known = {paper.eprint for paper in bibliography.papers().values()}
            assert numbers <= known, (kind, name)


def test_entries_of_the_bibliography_are_whole():
    for found in bibliography.papers().values():
        assert re.search(r"^  author = \{\w.*\},$", found.text, re.MULTILINE)
        assert re.search(r"^  year = \{(19|20)\d\d\}", found.text, re.MULTILINE)
        assert found.key.startswith(
            re.sub(r"[^a-z]", "", re.search(r"author = \{(.*?)[,}]", found.text).group(1).lower())[:5]
        )
        assert found.eprint or "journal = {Nature}" in found.text or "arXiv" not in found.text


def test_a_card_of_a_stranger_becomes_a_note_that_runs_nothing():
    bib = bibliography.bibtex([], [("my_method", r"Doe 2030, A paper} \input{x}")])
    assert bib.splitlines() == [
        "@misc{mymethod,",
        r"  title = {my\_method},",
        r"  note = {Doe 2030, A paper) \textbackslash{}input(x)}",
        "}",
    ]


def test_the_same_database_gives_the_same_bytes_and_the_folder_is_replaced(smoke, tmp_path):
    out = tmp_path / "kit"
    first = write_kit(smoke, "smoke", out)
    before = {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()}
    (out / "stale.tex").write_text("old")
    assert write_kit(smoke, "smoke", out) == first
    assert {path.relative_to(out): path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


def test_pairs_and_improvement_of_what_was_run_here(smoke, tmp_path):
    done = write_kit(smoke, "smoke", tmp_path / "kit", width="text")
    assert done.width == 6.75
    assert {"table-pairs.tex", "figures/improvement.pdf", "data/pairs.json"} <= set(done.files)
    pair = json.loads(text(tmp_path / "kit", "data/pairs.json"))["rows"][0]
    assert pair["a"].endswith("dense")
    assert pair["b"].endswith("RigL")
    assert pair["difference"] == pytest.approx(pair["iqm_a"] - pair["iqm_b"])
    assert pair["p_holm"] == pair["p_looks"] > pair["p"]
    assert "nothing is ranked" in text(tmp_path / "kit", "table-standings.tex")
    assert r"\begin{figure*}" in text(tmp_path / "kit", "figure-curves.tex")


def test_hostile_names_are_printed_and_not_obeyed(tmp_path, run_maker, spec_maker):
    evil = r"}\input{/etc/passwd}$^_{%&#~"
    spec = spec_maker(agent=evil, methods=(evil,))
    for game in ("Pong", "Breakout"):
        for seed in (0, 1):
            run_maker(tmp_path / "runs", spec, game, seed)
    ingest([tmp_path / "runs"], tmp_path / "evil.sqlite", references=False)
    done = write_kit(tmp_path / "evil.sqlite", "smoke", tmp_path / "kit")
    for name in done.files:
        if name.endswith(".tex"):
            source = text(tmp_path / "kit", name)
            balanced(source)
            assert r"\input{/etc" not in source


def test_a_folder_of_someone_else_and_a_task_without_results_are_refused(smoke, tmp_path):
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "thesis.tex").write_text("years of work")
    with pytest.raises(UsageError, match="not a paper kit built by this suite"):
        write_kit(smoke, "smoke", tmp_path / "thesis")
    assert text(tmp_path / "thesis", "thesis.tex") == "years of work"
    with pytest.raises(UsageError, match="no results of atari100k"):
        write_kit(smoke, "atari100k", tmp_path / "kit")
    assert not (tmp_path / "kit").exists()


def test_a_kit_of_chosen_entries_and_games_holds_these_alone_and_says_so(smoke, tmp_path):
    done = write_kit(smoke, "smoke", tmp_path / "kit", entries=("rigl",), games=("Pong",))
    assert done.entries == 1
    rows = json.loads(text(tmp_path / "kit", "data/standings.json"))["rows"]
    assert [row["method"] for row in rows] == ["RigL"]
    table = text(tmp_path / "kit", "table-games.tex")
    assert "Pong" in table
    assert "Breakout" not in table
    assert "1 of 2 games" in text(tmp_path / "kit", "table-standings.tex")
    with pytest.raises(UsageError, match="has no game Chess"):
        write_kit(smoke, "smoke", tmp_path / "kit", games=("Chess",))
    with pytest.raises(UsageError, match="No entry is called"):
        write_kit(smoke, "smoke", tmp_path / "kit", entries=("ppo",))


def test_the_caption_of_pairs_says_which_are_paired_by_seed():
    pairs = [SimpleNamespace(comparison=SimpleNamespace(paired=paired)) for paired in (True, False, True)]
    assert writing._paired(pairs).startswith(
        " 2 of them, an entry and its dense twin each, are permuted and measured pair"
    )
    assert writing._paired(pairs[1:2]) == ""
