"""`suite list --verbose`: all that each component publishes, in lines and as JSON, with nothing heavy loaded."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from suite.cli.listing import KINDS
from suite.cli.main import cli
from suite.contracts import registry
from suite.tasks import load_task, task_names


def listed(*arguments: str) -> str:
    result = CliRunner().invoke(cli, ["list", *arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("kind", ["agent", "network", "method"])
def test_every_setting_is_listed_with_its_value_and_source(kind: registry.Kind) -> None:
    blocks = {
        block.split()[1].rstrip(","): block.splitlines() for block in listed(f"{kind}s", "--verbose").split("\n\n")
    }
    documents = {entry["id"]: entry for entry in json.loads(listed(f"{kind}s", "--verbose", "--json"))[f"{kind}s"]}
    assert list(documents) == list(blocks) == sorted(registry.registered(kind))
    for name, lines in blocks.items():
        card = registry.card(kind, name)
        assert lines[0] == f"{kind} {name}, version {card.version}, card {card.digest}"
        assert lines[1] == f"  {card.title}. {card.summary}"
        assert not card.paper or f"  Published: {card.paper}" in lines
        for deviation in card.deviations:
            assert f"  Departs from its sources: {deviation}" in lines
        assert set(documents[name]["settings"]) == set(card.settings)
        for key, setting in card.settings.items():
            (index,) = (index for index, line in enumerate(lines) if line.startswith(f"  {key} = "))
            assert setting.unit in lines[index]
            assert lines[index].endswith(f": {setting.doc}")
            assert lines[index + 1] == f"    Source: {setting.source}"


def test_tasks_are_listed_with_their_options_and_notes() -> None:
    text = listed("tasks", "--verbose")
    documents = {entry["id"]: entry for entry in json.loads(listed("tasks", "--verbose", "--json"))["tasks"]}
    assert sorted(documents) == list(task_names())
    for name in task_names():
        task = load_task(name)
        assert f"task {name}, version {task.version}\n  {task.title}. {task.summary}\n" in text
        assert documents[name]["budget"] == task.budget.model_dump()
    assert "  environment.frame_skip = 4: emulator frames per agent step, the action repeated\n" in text


def test_a_verbose_entry_holds_the_short_one() -> None:
    short, long = (json.loads(listed("--json", *more)) for more in ((), ("--verbose",)))
    assert set(short) == set(long) == {"schema", *KINDS}
    for kind in KINDS:
        for one, other in zip(short[kind], long[kind], strict=True):
            assert other.items() >= one.items()


def test_nothing_heavy_is_loaded(tmp_path: Path) -> None:
    program = (
        "import sys; from suite.cli.main import cli\n"
        "cli(['list', '--verbose'], standalone_mode=False)\n"
        "print(sorted({'jax', 'ale_py', 'sqlalchemy', 'altair', 'scipy', 'numpy', 'rich'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
