"""`suite data`, from a run to a sample, and killed in between."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from suite.cli.main import cli
from suite.experience.logs.dataset import OfflineData
from suite.experience.logs.layout import Place, file_name
from suite.experience.logs.manifest import manifest_path

pytestmark = pytest.mark.usefixtures("tiny_everywhere")
GENERATE = (
    *("data", "generate", "--task", "smoke", "--game", "Breakout", "--runs", "1", "--frames", "2400"),
    *("--network", "tiny", "--set", "agent.warm_up=600", "--rows-per-checkpoint", "100", "--threads", "1"),
)
"""600 agent steps of random play: six checkpoints."""


def suite(*arguments: object) -> Result:
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def documents(result: Result) -> list[dict[str, Any]]:
    assert result.exit_code == 0, result.output
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize("command", [["--help"], ["data", "--help"], ["data", "sample", "--help"]])
def test_help_loads_nothing_heavy(command: list[str]) -> None:
    program = (
        f"import sys; from suite.cli.main import cli; cli({command!r}, standalone_mode=False)\n"
        "print(sorted({'jax', 'numpy', 'ale_py', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_info_tells_what_is_there_and_what_is_missing(
    make_log: Callable[..., Any], kit: SimpleNamespace, tmp_path: Path
) -> None:
    log = make_log("....T" * 300, [1000, 1000, 1000])
    other = kit.made_up(Place(tmp_path / "data", "Qbert", 5), "." * 60, [20, 20, 20])
    kit.write_log(other)
    for element in ("action", "terminal"):
        (other.place.logs / file_name(element, 2)).unlink()
    for element in ("observation", "action", "reward", "terminal", "add_count", "invalid_range"):
        (other.place.logs / file_name(element, 0)).unlink()
    (other.place.logs / "episode_end_indices_ckpt.1.gz").write_bytes(b"")
    pong, qbert = documents(suite("data", "info", tmp_path / "data", "--json"))
    assert pong["schema"] == "suite.data.info/1"
    assert (pong["game"], pong["run"], pong["checkpoints"], pong["rows"]) == ("Pong", 1, 3, 2400)
    assert (pong["source"], pong["manifest"], pong["problems"]) == ("made-up", "complete", [])
    assert pong["bytes"] == sum(file.stat().st_size for file in log.place.logs.iterdir())
    readings = {reading["words"]: reading for reading in pong["readings"]}
    assert readings["transitions.0.05.0"]["drawn"] in range(100, 141)
    assert readings["checkpoints.0.05.0"] == {
        "words": "checkpoints.0.05.0",
        "drawn": 150,
        "frames": 153,
        "bytes": 153 * (84 * 84 + 15),
    }
    assert readings["episodes.0.05.0"]["frames"] == 6 * 8 + 1 + 6 * 8 + 1 + 2 * 8 + 1
    assert (qbert["missing_checkpoints"], qbert["checkpoints"], qbert["manifest"]) == ([0], 1, "none")
    assert qbert["missing_files"] == [file_name("action", 2), file_name("terminal", 2)]
    assert qbert["not_read"] == ["episode_end_indices_ckpt.1.gz"]
    (other.place.logs / file_name("terminal", 1)).write_bytes(b"no")
    text = suite("data", "info", tmp_path / "data").stdout
    assert "Pong run 1: 3 checkpoint(s), 2,400 rows" in text
    assert "missing checkpoints: 0" in text
    assert "is damaged" in text
    assert "distinct frames" in text
    assert suite("data", "info", tmp_path).exit_code == 2
    assert "is not a directory" in suite("data", "info", tmp_path / "nothing").stderr


def test_import_verify_and_sample(kit: SimpleNamespace, tmp_path: Path) -> None:
    for run in (1, 2):
        kit.write_log(kit.made_up(Place(tmp_path / "theirs", "Pong", run), "....T" * 300, [1000, 1400], run))
    ours = tmp_path / "ours"
    assert "is no word" in suite("data", "import", tmp_path / "theirs", "--out", ours, "--source", "A b").stderr
    found = documents(suite("data", "import", tmp_path / "theirs", "--out", ours, "--json"))
    assert [(entry["run"], entry["rows"], entry["source"]) for entry in found] == [
        (run, 2400, "dqn-replay") for run in (1, 2)
    ]
    assert [entry["problems"] for entry in documents(suite("data", "verify", ours, "--json"))] == [[], []]
    assert suite("data", "verify", tmp_path / "theirs").exit_code == 0
    dry = suite("data", "sample", ours, "--dry-run", "--fraction", "0.5")
    assert dry.stderr.count("2,000 rows drawn, 2,001 distinct frames, 0.01 GiB") == 2
    assert not (ours / "Pong" / "1" / "samples").exists()
    again = [documents(suite("data", "sample", ours, "--fraction", "0.5", "--json", "--run", "2")) for _ in range(2)]
    assert again[0] == again[1]
    (document,) = again[0]
    assert (document["schema"], document["built"], document["run"]) == ("suite.data.sample/1", True, 2)
    data = OfflineData.open(Path(document["path"]))
    assert data.identity == document["identity"]
    assert len(data.windows(1)) > 400
    assert not (ours / "Pong" / "1" / "samples").exists()
    victim = ours / "Pong" / "2" / "samples" / "blocks.0.5.0" / "ckpt-1" / "frames.npy"
    content = bytearray(victim.read_bytes())
    content[-1] ^= 1
    victim.write_bytes(content)
    result = suite("data", "verify", ours)
    assert result.exit_code == 4
    assert "sound       Pong run 1" in result.stdout
    assert "damaged     Pong run 2" in result.stdout
    assert "frames.npy is not the file that was built" in result.stderr
    assert "1 of 2 logged runs are not sound" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("--game", "Pog"), 2, "Did you mean 'Pong'?"),
        (("--run", "3"), 2, "holds no run 3 of Pong"),
        (("--run", "0"), 2, "cannot be read"),
        (("--run", "x"), 2, "cannot be read"),
        (("--fraction", "0"), 2, "no share"),
        (("--fraction", "0.000001"), 2, "Give a larger --fraction"),
        (("--reading", "all"), 2, "is not one of"),
    ],
)
def test_wrong_samples_are_refused(
    make_log: Callable[..., Any], tmp_path: Path, arguments: tuple[str, ...], code: int, reason: str
) -> None:
    make_log("....T" * 30, [300])
    result = suite("data", "sample", tmp_path / "data", *arguments)
    assert result.exit_code == code
    assert reason in result.stderr
    assert "Traceback" not in result.output


def test_a_log_without_a_manifest_is_told_how_to_get_one(kit: SimpleNamespace, tmp_path: Path) -> None:
    kit.write_log(kit.made_up(Place(tmp_path / "data", "Pong", 1), "....T" * 30, [300]))
    result = suite("data", "sample", tmp_path / "data")
    assert result.exit_code == 4
    command = result.stderr.splitlines()[-1].partition("suite ")[2].split()
    assert suite(*command).exit_code == 0
    assert suite("data", "sample", tmp_path / "data", "--fraction", "1").exit_code == 0


# ---------------------------------------------------------------------------------------------------------- generating


@pytest.fixture(scope="module")
def generated(tiny_everywhere: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("generated")
    result = suite(*GENERATE, "--out", out)
    assert result.exit_code == 0, result.output
    assert "generated   Breakout run 1: " in result.stdout
    return out


def test_a_generated_log_is_sound_and_can_be_trained_on(generated: Path) -> None:
    assert suite("data", "verify", generated).exit_code == 0
    (document,) = documents(suite("data", "info", generated, "--json"))
    assert (document["manifest"], document["problems"]) == ("complete", [])
    assert document["rows"] > 300
    (sample,) = documents(suite("data", "sample", generated, "--reading", "transitions", "--fraction", "0.5", "--json"))
    data = OfflineData.open(Path(sample["path"]))
    assert data.identity.startswith("generated-")
    batch = data.gather(data.windows(1), 1, 0.99)
    assert batch.frames.shape[1:] == (5, 84, 84)
    assert batch.frames[:, 3].any(axis=(1, 2)).all()  # no padding is acted on
    assert 0 < (batch.discount_t == 0).sum() < 10


def test_generating_again_does_nothing(generated: Path, kit: SimpleNamespace) -> None:
    before = kit.tree(generated / "Breakout")
    (document,) = documents(suite(*GENERATE, "--out", generated, "--json"))
    assert document["schema"] == "suite.data.generated/1"
    assert kit.tree(generated / "Breakout") == before
    assert len(list((generated / "runs").rglob("spec.json"))) == 1


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, pytest.param(signal.SIGTERM, marks=pytest.mark.nightly)])
def test_killed_while_it_writes_it_goes_on_to_the_same_files(
    generated: Path, kit: SimpleNamespace, tmp_path: Path, number: int
) -> None:
    shutil.copytree(generated / "runs", tmp_path / "runs")
    command = [sys.executable, "-m", "suite", *GENERATE, "--out", str(tmp_path)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ))
    path, deadline = manifest_path(Place(tmp_path, "Breakout", 1)), time.monotonic() + 120
    while not path.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.001)
    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    assert process.returncode == (75 if number == signal.SIGTERM else -signal.SIGKILL), err
    if number == signal.SIGTERM:
        assert "Issue the same command again to go on." in err
    assert '"complete": false' in path.read_text()
    assert suite("data", "sample", tmp_path).exit_code == 4
    assert suite(*GENERATE, "--out", tmp_path).exit_code == 0
    left = {name: content for name, content in kit.tree(tmp_path / "Breakout").items() if not name.endswith(".tmp")}
    logs = {name: content for name, content in kit.tree(generated / "Breakout").items() if "samples" not in name}
    assert left == logs


def test_a_wrong_command_starts_nothing(tmp_path: Path) -> None:
    for more, reason in (
        (("--game", "Pog"), "Unknown game"),
        (("--runs", "0"), "--runs '0' cannot be read"),
        (("--frames", "7"), "no budget"),
        (("--set", "agent.colour=1"), "Unknown setting"),
    ):
        result = suite(*GENERATE, "--out", tmp_path / "out", *more)
        assert result.exit_code == 2
        assert reason in result.stderr
    assert not (tmp_path / "out" / "Breakout").exists()


def progress(out: Path) -> set[str]:
    """Return the names of what training and writing have come to."""
    return {file.name for file in out.rglob("*") if file.name.startswith("step-") or "_ckpt." in file.name}


@pytest.mark.nightly
def test_many_kills_of_generating_change_nothing(
    generated: Path, kit: SimpleNamespace, tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    """Training and writing, killed within half a second of anything that they have come to, until all is there."""
    command, kills, rng = [sys.executable, "-m", "suite", *GENERATE, "--checkpoint-every", "400"], 0, random.Random(0)
    for attempt in range(2):
        out = tmp_path / str(attempt)
        for _ in range(200):  # on a slow machine a try comes no further than one file
            before = progress(out)
            process = subprocess.Popen(
                [*command, "--out", str(out)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
            )
            while process.poll() is None and progress(out) <= before:
                time.sleep(0.002)
            time.sleep(rng.choice([0.0, rng.uniform(0.0, 0.5)]))
            alive = process.poll() is None
            process.kill()
            said, _ = process.communicate()
            kills += alive
            if not alive:
                assert process.returncode == 0, said
                break
        else:
            raise AssertionError("it never came to its end")
        found = {name: data for name, data in kit.tree(out / "Breakout").items() if not name.endswith(".tmp")}
        assert found == {name: data for name, data in kit.tree(generated / "Breakout").items() if "samples" not in name}
    assert kills >= 6
    record_property("kills", kills)
