"""`suite show`: a card in full, found by its name alone, with nothing heavy loaded."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from suite.cli.main import cli
from suite.contracts import registry
from suite.tasks import task_names

ROOT = Path(__file__).resolve().parents[3]
SMOKE_NOTES = {
    "environment.frame_skip": "emulator frames per agent step, the action repeated",
    "overrides.agent.warm_up": "agent steps",
    "environment": "sources: google/dopamine discrete_domains/atari_lib.py, paper Table 2",
}


def show(*arguments: str) -> Result:
    return CliRunner().invoke(cli, ["show", *arguments])


def document(*arguments: str) -> dict[str, Any]:
    return json.loads(show(*arguments, "--json").stdout)  # type: ignore[no-any-return]


@pytest.mark.parametrize("kind", ["agent", "network", "method"])
def test_every_card_is_shown_in_full(kind: registry.Kind) -> None:
    for name in registry.registered(kind):
        card, text, found = registry.card(kind, name), show(kind, name).stdout, document(kind, name)
        assert f"{kind} {name}, version {card.version}, card {card.digest}" in text
        assert (found["id"], found["version"], found["digest"]) == (name, card.version, card.digest)
        assert found["deviations"] == list(card.deviations)
        for key, setting in card.settings.items():
            assert f"\n{key} " in text
            assert found["settings"][key]["value"] == setting.value
            assert found["settings"][key]["source"] == setting.source
            assert found["settings"][key]["range"]


def test_a_method_says_what_it_goes_with() -> None:
    refused = document("magnitude_pruning")["cannot_be_combined_with"]
    assert refused["dense"] == "dense is training without any other method"
    assert "any other method: dense is training without any other method" in show("dense").stdout


@pytest.mark.parametrize("name", task_names())
def test_every_task_is_shown_in_full(name: str) -> None:
    text, found = show("task", name).stdout, document(name)
    assert found["kind"] == "task"
    for key in ("games", "default_seeds", "budget.frames", "score.rule"):
        assert f"\n{key} " in text
    assert set(found) >= {"id", "version", "budget", "games", "default_seeds", "environment", "overrides", "score"}


def test_the_notes_of_a_task_stand_beside_its_options() -> None:
    assert document("task", "smoke")["sources"].items() >= SMOKE_NOTES.items()
    text = show("smoke").stdout
    assert all(note in text for note in SMOKE_NOTES.values())
    inherited = document("task", "atari60")["sources"]
    assert inherited["environment.frame_skip"] == SMOKE_NOTES["environment.frame_skip"]


@pytest.mark.parametrize(
    ("words", "problem", "remedy"),
    [
        (["magnitude_prunin"], "Unknown name 'magnitude_prunin'.", "Did you mean 'magnitude_pruning'?"),
        (["method", "dens"], "Unknown method 'dens'.", "Did you mean 'dense'?"),
        (["agent", "dense"], "Unknown agent 'dense'.", ""),
        (["methods", "dense"], "Unknown kind 'methods'.", "Did you mean 'method'?"),
        (["method", "dense", "dqn"], "takes a kind and a name, not 3 words", "one at a time"),
    ],
)
def test_what_is_not_there_is_answered_with_what_is(words: list[str], problem: str, remedy: str) -> None:
    result = show(*words)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert remedy in result.stderr


def test_a_name_of_two_kinds_asks_which(monkeypatch: pytest.MonkeyPatch) -> None:
    points = {**registry.registered("agent"), "dense": registry.registered("agent")["dqn"]}
    registered = registry.registered
    monkeypatch.setattr(registry, "registered", lambda kind: points if kind == "agent" else registered(kind))
    result = show("dense")
    assert result.exit_code == 2
    assert "dense names several: method, agent." in result.stderr
    assert "suite show method dense" in result.stderr


def test_a_tasks_notes_come_with_those_of_the_task_it_is_based_on() -> None:
    result = CliRunner().invoke(cli, ["show", "task", "atari100k", "--json"])
    sources = json.loads(result.stdout)["sources"]
    assert "labs/atari_100k" in sources["environment"]
    assert "paper table 1" in sources["environment.sticky_action_probability"]
    assert "eval_run_experiment" in sources["evaluation"]
