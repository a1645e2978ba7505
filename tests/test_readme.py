"""What the README prints can be typed: every `suite` line is accepted, every file that it links to is there."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from suite.cli.main import cli
from suite.errors import ExitCode
from suite.learning.program_cost import ProgramCost

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
LINES = [
    shlex.split(line, comments=True)[1:]
    for block in re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    for line in block.splitlines()
    if line.startswith("suite ")
]


@pytest.mark.parametrize("arguments", [line for line in LINES if line[0] == "run"], ids=" ".join)
def test_every_run_can_be_planned(arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cost in ("update_operations", "action_operations", "training_bytes"):  # what only a compiler can count
        monkeypatch.setattr(ProgramCost, cost, 1_000_000)
    extra = [] if "--dry-run" in arguments else ["--dry-run"]
    result = CliRunner().invoke(cli, [*arguments, *extra, "--out", str(tmp_path)])
    if "--data" in arguments:  # nobody has any yet
        assert result.exit_code == ExitCode.UNFIT
        assert "Build it: suite data sample DATA" in result.output
        return
    assert result.exit_code == 0, result.output
    assert "gradient steps" in result.stdout


SUBCOMMANDS = {"leaderboard", "submit", "export", "data", "method"}


def command_of(line: list[str]) -> list[str]:
    return line[: 2 if line[0] in SUBCOMMANDS else 1]


def test_the_commands_of_a_whole_study_are_there() -> None:
    commands = {" ".join(command_of(line)) for line in LINES}
    study = {"run", "status", "verify", "list", "show", "compare", "plan", "export policy", "export paper"}
    board = {"leaderboard ingest", "leaderboard build", "leaderboard check"}
    assert study | board | {"submit pack", "submit check", "submit schema"} <= commands


@pytest.mark.parametrize("arguments", LINES, ids=" ".join)
def test_every_line_is_one_that_its_command_takes(arguments: list[str]) -> None:
    name = command_of(arguments)
    command: click.Command = cli
    for part in name:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), part)
        assert found is not None, part
        command = found
    command.make_context("suite", arguments[len(name) :], resilient_parsing=False)


def test_links_and_named_files_are_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("https://")]
    assert links
    for name in [*links, "ci/check", "ci/image", "docker/Dockerfile", "docker/Dockerfile.cuda"]:
        assert (ROOT / name).is_file()
