"""Every study is what the paper says: its cells, its claims, its place in one database of shared cells."""

import json
import re
import shlex
from fractions import Fraction
from pathlib import Path

import pytest
from click.testing import CliRunner

from baselines.methods.magnitude_pruning import sparsity_fraction
from leaderboard.studies.choice import choose
from leaderboard.studies.contrasts import contrasts_of
from leaderboard.studies.definition import load_study, parse_study, study_names
from leaderboard.studies.expansion import expand
from leaderboard.studies.mapping import load_rung, on_rung, rung_names
from leaderboard.studies.memory import remember, strays
from leaderboard.studies.planning import StudyPlan
from leaderboard.studies.schedule import curve, sparsity
from suite.cli.main import cli
from suite.cli.run import run
from suite.errors import BadData, UsageError
from suite.running.groups import read_group
from suite.running.profiles.profile import profile_named
from suite.running.request import Request, resolve

FIGURES = [f"fig{number}" for number in range(1, 31)]
CELLS = {
    **{"fig1": 900, "fig2": 0, "fig3": 450, "fig4": 900, "fig5": 600, "fig6": 1200, "fig7": 520, "fig8": 680},
    **{"fig9": 120, "fig10": 225, "fig11": 40, "fig12": 1350, "fig13": 225, "fig14": 20, "fig15": 1800, "fig16": 450},
    **{
        "fig17": 1200,
        "fig18": 180,
        "fig19": 300,
        "fig20": 300,
        "fig21": 300,
        "fig22": 1050,
        "fig23": 450,
        "fig24": 300,
    },
    **{"fig25": 225, "fig26": 300, "fig27": 375, "fig28": 600, "fig29": 450, "fig30": 300},
}
"""Configurations by games by seeds of protocol.md sections 9 and 11."""


def test_there_is_a_study_for_every_figure_and_it_has_its_cells() -> None:
    assert list(study_names()[:30]) == FIGURES
    assert [load_study(name).figure for name in FIGURES] == list(range(1, 31))
    assert {name: len(list(expand(load_study(name)).cells())) for name in FIGURES} == CELLS


def test_studies_share_cells_so_that_nothing_is_trained_twice() -> None:
    cells = {name: {(p.config_id, c.game, c.seed) for p, c in expand(load_study(name)).cells()} for name in FIGURES}
    assert len(cells["fig1"] & cells["fig12"]) == 2 * 3 * 15 * 5  # DQN, dense and pruned, at three widths
    assert len(cells["fig1"] & cells["fig6"]) == 2 * 2 * 15 * 5  # the 15 games of width 3, of both agents
    assert len(set.union(*cells.values())) < sum(map(len, cells.values())) - 3_000


@pytest.mark.parametrize("name", study_names())
def test_every_claim_of_a_study_speaks_of_configurations_that_it_has(name: str) -> None:
    expanded = expand(load_study(name))
    assert all(contrasts_of(expanded, claim) for claim in expanded.study.claims)
    assert expanded.study.claims or name == "fig2"


def test_a_study_plans_every_cell_with_the_command_that_runs_it_alone(tmp_path: Path) -> None:
    made = StudyPlan(expand(load_study("fig13")), tmp_path, profile_named("xeon-core"))
    document = made.document()
    assert (document["cells_total"], document["cells_missing"]) == (225, 225)
    assert document["gradient_steps_missing"] == 225 * 2_495_000
    last = document["cells"][-1]
    ticket = next(item for item in document["configurations"] if item["coordinates"]["arm"] == "pruned")["config_id"]
    assert last["needs"] == [f"atari40m@1/{ticket}/VideoPinball/seed-4"]
    assert last["command"] == (
        "suite run --task atari40m --agent dqn --network impala --width 3 --method lottery_ticket "
        f"--set method.lottery_ticket.ticket={ticket} --games VideoPinball --seeds 4"
    )
    assert document["cells"][0]["needs"] == []
    assert json.dumps(document)


def test_a_studys_plan_has_groups_that_run_alone_and_tickets_after_their_sources(tmp_path: Path) -> None:
    made = StudyPlan(
        expand(load_study("fig13")).reduced(["Pong", "Qbert"], [0, 3]), tmp_path, profile_named("xeon-core"), 3
    )
    (tmp_path / "plan.json").write_text(json.dumps(made.document()))
    plan, last = read_group(f"{tmp_path}/plan.json#5")
    assert [len(group.cells) for group in plan.groups] == [3, 3, 1, 1, 3, 1]
    assert [group.needs for group in plan.groups] == [(), (), (), (), (1,), (3,)]
    assert [(cell.game, cell.seed) for cell in last.cells] == [("Qbert", 3)]
    assert [cell.path.split("/")[1:] for cell in last.cells] == [[last.config_id, "Qbert", "seed-3"]]
    ticket = plan.resolved(last).spec
    assert ticket.methods[0].settings["ticket"] == plan.groups[3].config_id
    hours = made.hours(made.expanded.configurations[last.config_id])
    assert hours is not None
    assert [group.seconds for group in plan.groups[4:]] == pytest.approx([3 * 3600 * hours, 3600 * hours], rel=1e-6)


def test_tickets_and_giving_up_the_checkpoints_that_they_start_from_are_refused_together(tmp_path: Path) -> None:
    arguments = ["study", "run", "fig13", "--on", "smoke", "--out", str(tmp_path / "runs"), "--keep", "policy"]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 2
    assert "start from last checkpoints of others, which --keep policy gives up" in result.output
    assert not (tmp_path / "runs").exists()


def test_a_cells_command_names_the_same_cell() -> None:
    for name in ("fig17", "fig28", "fig24", "fig10", "fig13", "fig9"):
        point, cell = list(expand(load_study(name)).cells())[-1]
        words = shlex.split(point.command(cell.game, cell.seed))
        given = run.make_context("run", words[2:]).params
        request = Request(
            given["task_name"],
            given["agent"],
            given["network"],
            (given["methods"],),
            given["settings"],
            given["frames"],
            given["width"] and int(given["width"]),
        )
        assert [item.spec.config_id for item in resolve(request)] == [point.config_id]
        assert (given["games"], given["seeds"]) == (cell.game, str(cell.seed))


def test_hours_are_those_measured_scaled_by_operations(tmp_path: Path) -> None:
    made = StudyPlan(expand(load_study("fig1")), tmp_path, profile_named("xeon-core"))
    by_width = {p.coordinates["width"]: made.hours(p) for p in made.expanded.points if p.coordinates["arm"] == "dense"}
    assert by_width[1] == pytest.approx((2_495_000 * 0.441 + 10_000_000 * 0.00073) / 3600)
    assert by_width[3] is not None
    assert by_width[1] is not None
    assert 6 < by_width[3] / by_width[1] < 9  # operations grow with the square, but for the first layer and the last
    paper = StudyPlan(made.expanded, tmp_path, profile_named("p100-paper"))
    assert paper.hours(made.expanded.points[0]) == pytest.approx(48, rel=0.01)


def test_figure_2_is_equation_1_to_the_last_digit() -> None:
    start, end, target = 500_000, 2_000_000, Fraction(95, 100)
    for step in (0, 499_999, 500_000, 500_001, 777_777, 1_250_000, 1_999_999, 2_000_000, 2_500_000):
        share = min(max(Fraction(step - start, end - start), Fraction(0)), Fraction(1))
        assert sparsity(step, start, end) == float(target - target * (1 - share) ** 3)
    found = dict(curve(40_000_000, 40_000_000))
    assert found[20_000_000] == float(target * (1 - Fraction(1, 2) ** 3)) == 0.83125
    assert max(found.values()) == 0.95
    for step in (600_000, 1_250_000, 1_900_000):  # the method is one step ahead, as JaxPruner is
        assert 0.95 * sparsity_fraction(step - 1, start, end) == pytest.approx(sparsity(step, start, end), rel=1e-12)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (('agents = ["dqn"]', 'agents = ["dqm"]'), "The arm 'dense' of the study mine: Unknown agent 'dqm'."),
        (("widths = [3]", "widths = [0]"), "network.width = 0 is out of range"),
        (('method = "dense"', 'method = "magnitude"'), "Unknown method 'magnitude'."),
        (('a = { arm = "pruned" }', 'a = { arm = "prnd" }'), "claim gain speaks of an arm 'prnd' that is not there"),
        (('task = "atari40m"', 'task = "atari40"'), "Unknown task 'atari40'."),
        (('title = "m"', 'title = "m"\ntitel = "m"'), "titel: Extra inputs are not permitted"),
        (('rule = "better"', 'rule = "rises"'), "the rule rises has no second side b"),
        (('title = "m"', 'title = "m'), "is no TOML"),
    ],
)
def test_bad_studies_are_refused_in_one_sentence(change: tuple[str, str], problem: str) -> None:
    with pytest.raises((UsageError, BadData)) as caught:
        expand(parse_study(MINE.replace(*change), "mine.toml"))
    assert problem in str(caught.value)
    assert "\n" not in str(caught.value)


def test_arms_that_wait_for_each_other_are_refused() -> None:
    text = MINE.replace('method = "dense"', 'method = "lottery_ticket"\nsettings = {"method.ticket" = "@pruned"}')
    text = text.replace(
        'method = "magnitude_pruning"', 'method = "lottery_ticket"\nsettings = {"method.ticket" = "@dense"}'
    )
    with pytest.raises(UsageError, match="The arms dense, pruned of the study mine wait for each other"):
        expand(parse_study(text, "mine.toml"))


ARM = """
[[arms]]
name = "{name}"
agents = ["dqn"]
network = "impala"
widths = [3]
method = "{method}"
"""

MINE = f"""
id = "mine"
title = "m"
summary = "s"
task = "atari40m"
[picture]
kind = "final"
x = "width"
{ARM.format(name="dense", method="dense")}
{ARM.format(name="pruned", method="magnitude_pruning")}
[[claims]]
id = "gain"
text = "t"
source = "s"
[[claims.rules]]
rule = "better"
a = {{ arm = "pruned" }}
b = {{ arm = "dense" }}
"""


def test_an_edited_study_names_the_cells_that_no_longer_belong(tmp_path: Path) -> None:
    before, after = (expand(parse_study(MINE.replace("[3]", w), "mine.toml")) for w in ("[3]", "[1]"))
    remember(before, tmp_path)
    _, ran = next(before.cells())
    folder = tmp_path / ran.path
    folder.mkdir(parents=True)
    for name in ("spec.json", "provenance.json", "episodes.jsonl"):
        (folder / name).write_text("{}")
    assert strays(after, tmp_path) == []  # a damaged record is none
    (folder / "status.json").write_text(STATUS)
    assert strays(before, tmp_path) == []
    assert strays(after, tmp_path) == [ran.path]
    said = CliRunner().invoke(cli, ["study", "status", _written(tmp_path), "--out", str(tmp_path)])
    assert "1 cells were run for an earlier form of this study" in said.output
    assert ran.path in said.output


STATUS = json.dumps(
    {"state": "done", "attempt": 1, "agent_steps": 1, "frames": 4, "budget_frames": 4, "updates": 0, "episodes": 0}
    | {"last_return": None, "frames_per_second": None, "started_at": "", "updated_at": ""}
)


def _written(folder: Path) -> str:
    path = folder / "mine.toml"
    path.write_text(MINE.replace("[3]", "[1]"))
    return str(path)


@pytest.mark.parametrize("rung", rung_names())
def test_on_a_rung_every_study_is_asked_or_says_why_it_cannot(rung: str) -> None:
    for name in study_names():
        study = load_study(name)
        found = on_rung(study, load_rung(rung))
        asked = {claim.id for claim in found.study.claims} if found.study else set()
        assert asked | set(found.claims) == {claim.id for claim in study.claims}
        assert not asked & set(found.claims)
        assert all(reason.strip() for reason in [*found.claims.values(), *found.arms.values()])
        if found.study is not None and found.study.arms:
            expanded = expand(found.study)
            assert all(contrasts_of(expanded, claim) for claim in found.study.claims)


def test_settings_keep_their_proportion_on_a_rung() -> None:
    chosen = choose("fig25", "smoke")
    assert [arm.sweep.get("method.period") for arm in chosen.expanded.study.arms] == [None, (200, 500)]
    assert chosen.expanded.study.claims[0].rules[0].a.where == {"method.period": 500}
    assert choose("fig9", "smoke").expanded.task.id == "smoke-mujoco"
    with pytest.raises(UsageError, match="fig9 cannot be asked there: minatar cannot have it"):
        choose("fig9", "minatar")


def test_a_study_of_your_own_is_written_planned_and_refused_where_it_cannot_be(tmp_path: Path) -> None:
    runner, path = CliRunner(), tmp_path / "grid.toml"
    words = ["study", "new", "grid", "--task", "smoke", "--network", "nature_cnn", "--width", "1,2"]
    words += ["--set", "method.sparsity=0.9,0.95", "--file", str(path)]
    done = runner.invoke(cli, words)
    assert done.exit_code == 0, done.output
    assert "6 configurations, 24 cells" in done.output
    said = runner.invoke(cli, ["study", "plan", str(path), "--out", str(tmp_path), "--json"])
    assert len(json.loads(said.stdout)["cells"]) == 24
    again = runner.invoke(cli, words)
    assert again.exit_code != 0
    assert "already there" in again.output
    bad = runner.invoke(cli, [*words[:-1], str(tmp_path / "other.toml"), "--agent", "dqm"])
    assert "Unknown agent 'dqm'" in bad.output
    assert not (tmp_path / "other.toml").exists()


def test_the_list_names_every_study_with_its_cells() -> None:
    lines = CliRunner().invoke(cli, ["study", "list"]).output.splitlines()
    assert len(lines) == len(study_names())
    assert re.match(r"fig1 +900 cells +4 claims +Widths, Impala", lines[0])
