"""The judge of a record: what the repository holds is right to the last bit, and what cannot be is named."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from leaderboard.bundles.bundle import open_bundle
from leaderboard.bundles.findings import CODES
from suite.contracts import registry
from suite.errors import BadData
from suite.records import judged_rows
from suite.records.claims import Contradicted, check, inconsistencies
from suite.records.find import find_runs
from suite.records.inconsistency import REMARKS
from suite.records.record import Episode, Run, read_run
from suite.tasks import load_task
from suite.tasks.specification import Dataset
from tests.support import honest, synthetic
from tests.support.runs import make_run, make_spec

GOLDEN = Path(__file__).resolve().parents[2] / "leaderboard/bundles/golden/version-1.zip"


def codes(run: Run) -> list[str]:
    return [one.code for one in inconsistencies(run, load_task(run.cell.spec.task))]


def stored(folder: Path) -> Iterator[Run]:
    """Yield every kind of record that the repository holds or makes: golden, honest, synthetic, as directory too."""
    with open_bundle(GOLDEN) as bundle:
        yield from bundle.runs()
    for task in ("smoke", "smoke100k", "smoke-offline"):
        for methods in ("dense", "magnitude_pruning", "redo+weight_decay"):
            run = honest.honest_run(task, methods=methods, settings=("agent.gamma=0.9",))
            yield run
            yield read_run(honest.write_run(run, folder / "honest"))
    for task in ("smoke", "smoke100k", "smoke-mujoco", "smoke-offline"):
        plan = synthetic.Plan(task, entries=3, failed=0, diverged=0.2, missing=0, resumed=0.3)
        synthetic.write(folder / task, plan)
        yield from map(read_run, find_runs(folder / task))


def test_every_stored_record_holds_exactly(tmp_path: Path) -> None:
    """Of records of version 1 it is said that they lack the actions of their ends, or of a run that diverged."""
    lacking = {1: {"record.no_end", "record.no_actions"}, 2: set()}
    found = {run.path: set(codes(run)) - lacking[run.status.schema_version] for run in stored(tmp_path)}
    assert len(found) > 50
    assert {path: one for path, one in found.items() if one} == {}


def test_a_score_that_differs_in_its_last_bit_is_another_one() -> None:
    run = honest.honest_run()
    summary = run.status.summary
    assert summary is not None
    assert summary.score is not None
    assert math.fsum(row.value for row in run.episodes if row.frame > 8000) / summary.scored_episodes == summary.score
    off = summary.model_copy(update={"score": math.nextafter(summary.score, math.inf)})
    assert codes(replace(run, status=run.status.model_copy(update={"summary": off}))) == ["runs.claims"]


def left_out(run: Run) -> Run:
    return replace(run, episodes=run.episodes[:3] + run.episodes[4:])


def departing(run: Run) -> Run:
    return replace(run, cell=run.cell.model_copy(update={"departures": {"agent.gamma": 0.5}}))


def seeded(run: Run) -> Run:
    rows = (run.episodes[0].model_copy(update={"emulator_seed": 7}), *run.episodes[1:])
    return replace(run, episodes=rows)


def elsewhere(run: Run) -> Run:
    (attempt,) = run.provenance.attempts
    other = attempt.model_copy(update={"environment": attempt.environment | {"frameskip": 5}})
    return replace(run, provenance=run.provenance.model_copy(update={"attempts": (other,)}))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (left_out, ["record.steps"]),
        (departing, ["protocol.departures"]),
        (seeded, ["record.seeds"]),
        (elsewhere, ["environment.options", "environment.options"]),
        (lambda run: replace(run, checkpoints=()), ["record.checkpoints"]),
        (lambda run: replace(run, cell=run.cell.model_copy(update={"seed": 10_000})), None),
    ],
)
def test_what_cannot_be_is_named(change: Callable[[Run], Run], expected: list[str] | None) -> None:
    found = codes(change(honest.honest_run()))
    assert found == (expected or ["record.seeds", "protocol.specification"])


def test_the_first_episode_of_all_must_have_its_actions() -> None:
    run = honest.honest_run(mean_length=400)
    logs = {row.episode: run.logged[max(run.logged)] for row in run.episodes if row.episode}
    run = replace(run, status=run.status.model_copy(update={"frames": 8000}), logged=logs)
    assert run.episodes[0].frame <= 8000
    (found,) = judged_rows.of_actions(run, load_task("smoke"))
    assert found == ("record.actions", "episode 0 has no actions")


def test_diagnostics_that_were_cut_off_are_said() -> None:
    run = honest.honest_run()
    assert [row.agent_step for row in run.diagnostics] == list(range(200, 4001, 200))
    assert list(judged_rows.of_diagnostics(run)) == []
    (found,) = judged_rows.of_diagnostics(replace(run, diagnostics=run.diagnostics[:-3]))
    assert found == ("record.diagnostics", "its diagnostics end at step 3400, 4000 were taken")
    (found,) = judged_rows.of_diagnostics(replace(run, diagnostics=()))
    assert found == ("record.diagnostics", "its diagnostics end at step 0, 4000 were taken")


def test_a_record_that_contradicts_itself_is_named_with_its_directory_and_code() -> None:
    run = honest.honest_run()
    run = replace(run, cell=run.cell.model_copy(update={"config_id": "0" * 16}))
    with pytest.raises(Contradicted, match=f"{run.path}: its config_id {'0' * 16} does not follow") as found:
        check(run, "done")
    assert found.value.inconsistency.code == "runs.identity"
    assert isinstance(found.value, BadData)


def test_an_older_card_is_a_remark_and_what_follows_from_it_is_not_judged() -> None:
    run = honest.honest_run()
    agent = run.cell.spec.agent.model_copy(update={"card": "0" * 16, "settings": {"gamma": 0.5}})
    spec = run.cell.spec.model_copy(update={"agent": agent})
    departures = {"agent.gamma": 0.99}
    update = {"spec": spec, "config_id": spec.config_id, "departures": departures}
    run = replace(run, cell=run.cell.model_copy(update=update))
    (found,) = inconsistencies(run, load_task("smoke"))
    assert (found.code, found.grave) == ("cards.foreign", False)
    strange = run.cell.model_copy(update={"departures": {"agent.words": "re-run by others"}})
    assert codes(replace(run, cell=strange)) == ["cards.foreign", "protocol.departures"]


def test_an_episode_of_another_unit_is_found() -> None:
    run = honest.honest_run()
    rows = tuple(row.model_copy(update={"frame": row.frame - 1}) for row in run.episodes)
    run = honest.with_score(run, episodes=rows)
    assert codes(run) == ["record.steps"]


@pytest.mark.parametrize(
    ("identity", "expected"),
    [
        ("dqn-replay.blocks.0.05.0.0123456789abcdef", ("blocks", 0.05, 0, 1)),
        ("generated-0123456789abcdef.transitions.1.7.n3.0123456789abcdef", ("transitions", 1.0, 7, 3)),
        ("own.episodes.1e-05.2", ("episodes", 1e-05, 2, 1)),
        ("own.episodes.1e-05.2.0123456789abcdef", None),
        ("dqn-replay.blocks.0.05.0", None),
        ("dqn-replay.best.0.05.0.0123456789abcdef", None),
        ("dqn-replay.blocks.0.05.0.0123456789abcdeg", None),
        ("", None),
    ],
)
def test_what_names_a_sample_is_read(identity: str, expected: Any) -> None:
    assert Dataset.read(identity) == expected


@pytest.mark.parametrize("fraction", [0.05, 1.0, 0.5, 1 / 3, 1e-4, 1e-5, 2.5e-7, 0.123456789])
@pytest.mark.parametrize("reading", ["blocks", "transitions", "episodes", "checkpoints"])
def test_what_samples_are_called_is_read_back(reading: Any, fraction: float) -> None:
    from suite.experience.logs.sample import Selection

    for n_step in (1, 3):
        words = Selection(reading=reading, fraction=fraction, seed=4, n_step=n_step).words
        index = "" if reading == "episodes" else ".0123456789abcdef"
        found = Dataset.read(f"dqn-replay.{words}{index}")
        assert found == (reading, float(f"{fraction:.10g}"), 4, n_step)


def test_every_code_of_the_judge_is_one_of_the_checkers() -> None:
    root = Path(judged_rows.__file__).parent
    text = "".join((root / name).read_text() for name in ("claims.py", "judged_cell.py", "judged_rows.py"))
    used = {word for word in text.replace('"', " ").replace(",", " ").split() if word in CODES}
    assert {"record.seeds", "record.steps", "runs.identity", "protocol.specification"} <= used
    for code in used:
        assert (CODES[code][0] == "error") == (code not in REMARKS), code


def test_the_judge_starts_neither_jax_nor_an_emulator() -> None:
    program = (
        "import sys, suite.records.claims; from suite.tasks.specification import components;"
        "print([name for name in ('jax', 'ale_py', 'gymnasium', 'mujoco') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert registry.card("agent", "dqn").id == "dqn"


def test_what_a_card_names_is_named_in_json_too() -> None:
    """Values keep their type on the way through a record: a setting of 1 is no departure from 1.0, nor is it true."""
    run = honest.honest_run(settings=("agent.gamma=0.5",))
    again = type(run.cell).model_validate_json(json.dumps(run.cell.model_dump(mode="json")))
    assert codes(replace(run, cell=again)) == []
    assert isinstance(run.episodes[0], Episode)


def test_a_cell_has_a_game_of_any_list_over_its_protocol_and_of_no_other(tmp_path: Path) -> None:
    spec = make_spec("atari40m")
    assert check(read_run(make_run(tmp_path, spec, "Alien")), "done").finished  # of atari60's list alone
    run = read_run(make_run(tmp_path, spec, "Pong"))
    run = replace(run, cell=run.cell.model_copy(update={"game": "Hopper"}))
    with pytest.raises(Contradicted, match="'Hopper' is not a game of atari40m@1"):
        check(run, "done")


def test_a_run_from_before_its_task_shared_cells_is_told_what_to_do(tmp_path: Path) -> None:
    path = make_run(tmp_path, make_spec("atari60").model_copy(update={"task": "atari60"}), "Pong")
    with pytest.raises(Contradicted, match="it was run as atari60@1, whose cells are atari40m@1's now") as caught:
        check(read_run(path), "done")
    assert caught.value.inconsistency.code == "task.version"
    assert caught.value.remedy == "Run it again: `suite run --task atari60` makes and finds those."
