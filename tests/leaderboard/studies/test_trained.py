"""A figure trained from nothing: one command runs it, one draws it, and a second run finds nothing to do."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import suite
from suite.cli.main import cli

STUDY = ("fig11", "--on", "smoke-classic", "--games", "CartPole", "--seeds", "0")


def call(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


@pytest.mark.slow
def test_a_figure_is_trained_drawn_and_judged_by_one_command_each(tmp_path: Path) -> None:
    runs, figures = tmp_path / "runs", tmp_path / "figures"
    done = call("study", "run", *STUDY, "--out", str(runs), "--threads", "1", "--lanes", "1", "--json")
    assert done.exit_code == 0, done.output
    states = [json.loads(line)["state"] for line in done.stdout.splitlines()]
    assert states == ["done", "done"]
    again = call("study", "run", *STUDY, "--out", str(runs), "--threads", "1", "--lanes", "1")
    assert "Nothing to do" in again.output
    drawn = call("study", "figure", *STUDY, "--results", str(runs), "--to", str(figures))
    assert drawn.exit_code == 0, drawn.output
    assert "2 of 2 cells" in drawn.output
    document = json.loads((figures / "fig11-smoke-classic.json").read_text())
    shown = {row["panel"]: row["value"] for row in document["rows"] if row["value"] is not None}
    assert {"CartPole: returns", "CartPole: parameter norm"} <= set(shown)
    assert {claim["verdict"] for claim in document["claims"]} == {"not yet decidable"}  # one seed decides nothing
    run = next(runs.glob("*/*/*/seed-0"))
    last = json.loads((run / "episodes.jsonl").read_text().splitlines()[-1])
    filmed = call("video", str(run), "--episode", str(last["episode"]), "--out", str(tmp_path / "x.mp4"))
    assert f"{last['length'] + 1:,} pictures, return {last['return']:,.2f}" in filmed.output
    played = call("evaluate", str(run), "--episodes", "3", "--json")
    assert json.loads(played.stdout)["mean_return"] > 0
    assert suite.load_runs(runs).num_rows == 2 * 6  # iterations of 200 steps in 1,200
