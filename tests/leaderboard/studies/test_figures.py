"""Every figure is drawn from whatever is there, and what is missing is seen."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from scipy.stats import trim_mean  # type: ignore[import-untyped]

from leaderboard.site.drawing.charts import pdf, svg
from leaderboard.site.drawing.studies import study_spec
from leaderboard.studies.definition import load_study, study_names
from leaderboard.studies.evidence import Evidence, scores_of
from leaderboard.studies.expansion import Expanded, expand
from leaderboard.studies.figure import figure_of
from suite.cli.main import cli
from tests.support.study_results import made_up

BY_DAY = ("fig2", "fig3", "fig9", "fig11", "fig13", "fig14")
"""A study of each kind of picture."""


def small(name: str) -> Expanded:
    """A study reduced to two of its games and three seeds."""
    expanded = expand(load_study(name))
    return expanded.reduced(expanded.games[:2], expanded.seeds[:3])


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=() if n in BY_DAY else pytest.mark.nightly) for n in study_names()]
)
def test_every_figure_renders_whole_in_part_and_empty(name: str) -> None:
    expanded = small(name)
    for evidence in (made_up(expanded), made_up(expanded, share=0.3), Evidence()):
        made = figure_of(expanded, evidence)
        spec = study_spec(made)
        drawn = svg(spec, "a title")
        assert drawn.startswith("<svg")
        assert expanded.study.title in drawn
        if made.cells:
            assert f"{made.done:,} of {made.cells:,} cells" in drawn
        names = {row.series for row in made.rows} | {matrix.series for matrix in made.matrices}
        assert names
    assert pdf(spec).startswith(b"%PDF")


def test_what_is_missing_is_hollow_or_a_cross() -> None:
    expanded = small("fig3")
    whole, part, none = (
        figure_of(expanded, made_up(expanded, share=s)) if s else figure_of(expanded, Evidence()) for s in (1, 0.3, 0)
    )
    assert [len({(row.done, row.cells) for row in made.rows}) for made in (whole, part, none)] == [1, 1, 1]
    assert (whole.rows[0].done, part.rows[0].done, none.rows[0].done) == (6, 2, 0)
    assert all(row.value is not None for row in whole.rows)
    assert all(row.value is None for row in none.rows)
    assert "cross: all are" in svg(study_spec(none), "t")
    assert "cross" not in svg(study_spec(whole), "t")


def test_a_point_of_the_figure_is_the_interquartile_mean_of_its_runs() -> None:
    expanded = expand(load_study("fig3")).reduced(expand(load_study("fig3")).games[:4], range(4))
    evidence = made_up(expanded)
    scores = scores_of(evidence, expanded, expanded.points[1])
    row = figure_of(expanded, evidence).rows[1]
    assert row.value == pytest.approx(trim_mean(np.concatenate(list(scores.values())), 0.25))
    assert row.low is not None
    assert row.high is not None
    assert row.low < row.value < row.high


def test_the_command_writes_picture_data_and_verdicts(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["study", "figure", "fig2", "--to", str(tmp_path), "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert sorted(path.suffix for path in tmp_path.iterdir()) == [".csv", ".json", ".pdf", ".svg"]
    rows = json.loads((tmp_path / "fig2.json").read_text())["rows"]
    assert len(rows) == 2 * 201
    assert max(row["value"] for row in rows) == 0.95
    said = CliRunner().invoke(cli, ["study", "report", "fig26", "--results", str(tmp_path)])
    assert "not yet decidable" in said.output
    assert "300 of its 300 cells have no result" in said.output


def test_a_claim_about_games_that_were_left_out_is_not_asked(tmp_path: Path) -> None:
    part = ("fig19", "--on", "smoke", "--games", "Hopper", "--seeds", "0")  # one of its claims is about Humanoid
    done = CliRunner().invoke(cli, ["study", "figure", *part, "--to", str(tmp_path), "--results", str(tmp_path)])
    assert done.exit_code == 0, done.output
    assert "Not asked here: none of its cells is in this study." in done.output
    claims = json.loads((tmp_path / "fig19-smoke.json").read_text())["claims"]
    assert [claim["verdict"] for claim in claims] == ["not yet decidable"] * 3
