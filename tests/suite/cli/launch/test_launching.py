"""`--launcher`, `--cells` and `--shard` on the command line, with commands of Slurm that write down what they get."""

import json
import os
import re
import shlex
import sys
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from suite.cli.launch.launching import exit_code
from suite.cli.launch.on_ray import run_group
from suite.cli.main import cli
from suite.errors import ExitCode
from suite.records.find import find_runs
from suite.records.record import read_run
from suite.running.request import Request, resolve
from tests.support.processes import content

TINY = ("--task", "smoke", "--network", "tiny", "--frames", "800", "--set", "agent.batch_size=4")


def suite(*words: str) -> Result:
    return CliRunner().invoke(cli, words)


def run(*words: str) -> Result:
    return suite("run", *TINY, *words)


def ticketed() -> tuple[str, ...]:
    """The options of a pruned configuration and of the ticket that starts from it."""
    (pruned,) = resolve(Request("smoke", None, "tiny", ("magnitude_pruning",), ("agent.batch_size=4",), 800))
    ticket = f"method.lottery_ticket.ticket={pruned.spec.config_id}"
    return ("--method", "lottery_ticket,magnitude_pruning", "--set", ticket)


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path with an sbatch that keeps the scripts that it is given, and gives them the numbers 101, 102, ..."""
    folder = tmp_path / "slurm"
    folder.mkdir()
    keep = f'n=$(ls {folder} | grep -c "^1"); n=$((101 + n)); cp "$1" {folder}/$n; echo "Submitted batch job $n"'
    for name, text in {"sbatch": keep, "srun": "exit 1"}.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


def flags(script: str) -> dict[str, str]:
    found = re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", script, re.MULTILINE)
    return {name: "".join(shlex.split(value)) for name, value in found}


def test_slurm_gets_an_array_of_sources_and_one_of_tickets_that_waits_for_them(
    slurm: Path, tiny: None, tmp_path: Path
) -> None:
    wishes = ("partition=gpu", "account=me", "time=90", "cpus=2", "gpus=1", "memory=2.5", "parallel=2", "notice=60")
    words = [word for wish in wishes for word in ("--cluster", wish)]
    out = tmp_path / "runs"
    result = run(*ticketed(), "--seeds", "0-1", "--launcher", "slurm", *words, "--json", "--out", str(out))
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert [array["job"] for array in document["arrays"]] == ["101", "102"]
    first, second = ((slurm / name).read_text() for name in ("101", "102"))
    asked = flags(first)
    assert asked.pop("job-name").startswith("suite-")
    assert asked.pop("output") == f"{Path(document['plan']).parent}/logs/%A_%a.log"
    assert asked == {
        **{"array": "0-3%2", "partition": "gpu", "account": "me", "time": "90", "cpus-per-task": "2", "nodes": "1"},
        **{"gpus-per-node": "1", "mem": "2560M", "signal": "USR1@60", "requeue": "", "open-mode": "append"},
    }
    waiting = flags(second)
    assert (waiting["array"], waiting["dependency"]) == ("0-3%2", "aftercorr:101")
    assert waiting["kill-on-invalid-dep"] == "yes"
    plan = json.loads(Path(document["plan"]).read_text())
    assert plan["computing"]["threads"] == 2
    sources = {number: plan["groups"][group] for number, group in document["arrays"][0]["tasks"].items()}
    for number, group in document["arrays"][1]["tasks"].items():
        ticket, source = plan["groups"][group], sources[number]
        assert ticket["needs"] == [source["group"]]
        assert "lottery_ticket" in ticket["label"]
        assert [(cell["game"], cell["seed"]) for cell in ticket["cells"]] == [
            (cell["game"], cell["seed"]) for cell in source["cells"]
        ]
    assert not find_runs(out)


def test_a_dry_run_writes_the_scripts_and_says_how_they_are_submitted(tiny: None, tmp_path: Path) -> None:
    result = run(
        *ticketed(), "--games", "Pong", "--seeds", "3", "--launcher", "slurm", "--dry-run", "--out", f"{tmp_path}"
    )
    assert result.exit_code == 0, result.output
    (folder,) = (tmp_path / "launches").iterdir()
    script = (folder / "array-0.sbatch").read_text()
    assert ' run --cells "$plan#$group" --json\n' in script
    assert f"plan={folder}/plan.json\n" in script
    assert result.stdout.splitlines()[-2:] == [
        f"  array0=$(sbatch --parsable {folder}/array-0.sbatch)",
        "  array1=$(sbatch --parsable --kill-on-invalid-dep=yes --dependency=aftercorr:$array0 "
        f"{folder}/array-1.sbatch)",
    ]


@pytest.mark.parametrize(
    ("more", "warned"),
    [
        ((), True),
        (("--cluster", "gpus=1", "--lanes", "15"), False),
        (("--device-profile", "h200", "--lanes", "15"), False),
        (("--device", "cpu"), False),
        (("--frames", "400000"), False),
    ],
)
def test_days_on_cpus_are_not_asked_for_unawares(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, more: tuple[str, ...], warned: bool
) -> None:
    monkeypatch.setattr("suite.running.machine.is_accelerator", lambda: False)
    monkeypatch.setattr("suite.running.cost.matrix_rate", lambda: 1e11)
    words = ("--task", "atari40m", "--games", "Pong", "--seeds", "0", "--launcher", "slurm", "--dry-run")
    result = suite("run", *words, *more, "--out", str(tmp_path))
    assert result.exit_code == 0, result.output
    assert ("NO GPU is asked for: none is seen here, and a cell takes " in result.stderr) == warned
    assert ("1 GPUs" in result.stdout) == ("--lanes" in more)


def test_what_slurm_refuses_is_said_in_its_words(slurm: Path, tiny: None, tmp_path: Path) -> None:
    refusal = "sbatch: error: invalid partition specified: gpu"
    (slurm / "sbatch").write_text(f"#!/bin/sh\necho '{refusal}' >&2\nexit 1\n")
    result = run("--games", "Pong", "--seeds", "0", "--launcher", "slurm", "--out", str(tmp_path))
    assert result.exit_code == ExitCode.UNFIT
    assert f"Slurm refuses array 0: {refusal}\n" in result.stderr


@pytest.mark.slow
def test_a_group_of_a_plan_trains_its_cells_and_no_others_as_any_command_does(tiny: None, tmp_path: Path) -> None:
    plan, parts, alone = tmp_path / "plan.json", tmp_path / "parts", tmp_path / "alone"
    plan.write_text(
        run("--seeds", "0-1", "--threads", "1", "--lanes", "3", "--dry-run", "--json", "--out", f"{parts}").stdout
    )
    groups = json.loads(plan.read_text())["groups"]
    assert [len(group["cells"]) for group in groups] == [3, 1]
    for number in (0, 1):
        result = suite("run", "--cells", f"{plan}#{number}", "--json")
        assert result.exit_code == 0, result.output
        lines = [json.loads(line) for line in result.stdout.splitlines()]
        wanted = sorted((cell["game"], cell["seed"]) for cell in groups[number]["cells"])
        assert sorted((line["game"], line["seed"]) for line in lines) == wanted
    assert len(find_runs(parts)) == 4
    assert run("--games", "Pong", "--seeds", "1", "--threads", "1", "--out", str(alone)).exit_code == 0
    (found,) = find_runs(alone)
    assert content(read_run(found)) == content(read_run(parts / found.relative_to(alone)))
    again = suite("run", "--cells", f"{plan}#1")
    assert (again.exit_code, again.stdout) == (0, "")
    assert "Nothing to do" in again.stderr


def test_shares_of_a_plan_are_all_of_it_once(tiny: None, tmp_path: Path) -> None:
    def planned(*more: str) -> list[str]:
        words = (*ticketed(), "--seeds", "0-2", "--dry-run", "--json", "--out", str(tmp_path))
        return [cell["path"] for cell in json.loads(run(*words, *more).stdout)["cells"]]

    parts = [planned("--shard", f"{index}/2") for index in (1, 2)]
    assert sorted(parts[0] + parts[1]) == sorted(planned())
    assert [len(part) for part in parts] == [6, 6]
    for part in parts:  # tickets and their sources: two configurations of the same games and seeds
        places = [path.split("/", 2)[2] for path in part]
        assert all(places.count(place) == 2 for place in places)


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("run",), "Nothing says what to run."),
        (("run", "--cells", "p.json#0", "--games", "Pong"), "--games says nothing beside --cells"),
        (("run", "--cells", "p.json#0", "--lanes", "2"), "--lanes says nothing beside --cells"),
        (("run", "--cells", "p.json#0", "--launcher", "slurm"), "--launcher says nothing beside --cells"),
        (("run", "--cells", "p.json#0"), "The plan p.json cannot be read"),
        (("run", "--task", "smoke", "--shard", "3/2"), "--shard 3/2 cannot be."),
        (("run", "--task", "smoke", "--shard", "0/2"), "--shard 0/2 cannot be."),
        (("run", "--task", "smoke", "--shard", "-1/2"), "--shard '-1/2' cannot be read."),
        (("study", "run", "fig1", "--shard", "2"), "--shard '2' cannot be read."),
        (("run", "--task", "smoke", "--cluster", "cpus=2"), "--cluster asks for nothing here"),
        (("run", "--task", "smoke", "--launcher", "slurm", "--cluster", "cores=2"), "Unknown key of --cluster 'cores'"),
        (("run", "--task", "smoke", "--launcher", "slurm", "--cluster", "cpus=x"), "--cluster cpus=x: "),
        (("run", "--task", "smoke", "--launcher", "ray", "--cluster", "qos=x"), "ray cannot be asked for qos."),
        (("study", "run", "fig1", "--dry-run"), "A dry run of a study is its plan."),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_cannot_be_asked_is_a_sentence_and_exit_2(words: Sequence[str], problem: str) -> None:
    result = suite(*words)
    assert (result.exit_code, result.stdout) == (ExitCode.USAGE, "")
    assert problem in result.stderr


@pytest.mark.parametrize(("launcher", "package"), [("slurm", "submitit"), ("ray", "ray")])
def test_a_launcher_without_its_package_says_how_to_install_it(
    launcher: str, package: str, slurm: Path, tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    result = run("--games", "Pong", "--seeds", "0", "--launcher", launcher, "--out", str(tmp_path))
    assert result.exit_code == ExitCode.UNFIT
    assert f"pip install 'pruned-rl-suite[{launcher}]'" in result.stderr
    assert not list(slurm.glob("1*"))


def fake_ray(monkeypatch: pytest.MonkeyPatch, codes: dict[int, int]) -> list[dict[str, Any]]:
    """Put a Ray in place whose tasks end at once, group by group with these exit codes; return what they ask for."""
    asked: list[dict[str, Any]] = []

    class Remote:
        def options(self, **options: Any) -> "Remote":
            asked.append(options)
            return self

        def remote(self, cells: str, *before: int) -> int:
            asked[-1] |= {"cells": cells, "before": before}
            return int(cells.rpartition("#")[2])

    found: Any = types.ModuleType("ray")
    found.remote = lambda **_: lambda function: Remote()
    found.init = lambda **_: None
    found.shutdown = lambda: None
    found.wait = lambda tasks, timeout: (tasks[:1], tasks[1:])
    found.get = lambda task: codes.get(task, 0)
    found.exceptions = types.SimpleNamespace(TaskCancelledError=KeyError, RayError=KeyError)
    monkeypatch.setitem(sys.modules, "ray", found)
    return asked


def test_ray_gets_a_task_for_every_group_and_tickets_the_results_of_their_sources(
    tiny: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = fake_ray(monkeypatch, {1: 5})
    words = ("--games", "Pong", "--seeds", "0-1", "--launcher", "ray", "--cluster", "memory=2", "--out", str(tmp_path))
    result = run(*ticketed(), *words, "--json")
    assert result.exit_code == ExitCode.CELLS_FAILED
    assert [task["before"] for task in asked] == [(), (), (0,), (1,)]
    assert {(task["num_cpus"], task["num_gpus"], task["memory"]) for task in asked} == {(1, 0, 2 * 2**30)}
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [(line["seed"], line["state"], line["exit"]) for line in lines] == [
        *((0, "missing", 0), (1, "missing", 5)),
        *((0, "missing", 0), (1, "missing", 0)),
    ]


def test_a_task_whose_source_failed_runs_nothing() -> None:
    assert run_group("nowhere.json#0", 0, 5) == ExitCode.UNFIT
    assert run_group("nowhere.json#0", 0, 0) == ExitCode.USAGE


def test_one_exit_code_stands_for_many() -> None:
    assert [exit_code(codes) for codes in ([], [0, 0], [0, 5, 3], [5, 75], [6, 0], [0, 2])] == [0, 0, 3, 75, 6, 2]
