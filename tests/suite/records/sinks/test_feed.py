"""A sink is fed every point of a record once, in order, and what it does harms nobody."""

import threading
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner

from suite.cli.main import cli
from suite.errors import UnfitEnvironment, UsageError
from suite.records.record import CellFile, Diagnostics, Episode, EvaluationRow, read_run, read_status
from suite.records.sinks import known, live
from suite.records.sinks.feed import Feed, Point, points_of
from tests.support.runs import make_episodes, make_run, make_spec, open_run

SPEC = make_spec()


class Heard:
    """A sink that remembers what every run was sent."""

    def __init__(self) -> None:
        self.points: dict[str, list[Point]] = {}
        self.results: dict[str, list[dict[str, float]]] = {}

    def __call__(self, cell: CellFile, name: str, place: Path) -> "Run":
        return Run(self, name)


class Run:
    def __init__(self, heard: Heard, name: str) -> None:
        self._heard = heard
        self._name = name

    def write(self, points: Sequence[Point]) -> None:
        self._heard.points.setdefault(self._name, []).extend(points)

    def close(self, results: dict[str, float]) -> None:
        self._heard.results.setdefault(self._name, []).append(results)


def fed(root: Path, heard: Heard) -> int:
    feed = Feed(root, root / "sinks" / "heard", heard)
    count, unread = feed.feed()
    feed.close()
    assert unread == []
    return count


def test_a_finished_run_is_fed_whole_and_only_once(tmp_path: Path) -> None:
    path = make_run(tmp_path, SPEC)
    run, heard = read_run(path), Heard()
    assert fed(tmp_path, heard) == len(run.episodes) > 3
    (points,) = heard.points.values()
    assert [(point.frame, point.values["train/return"]) for point in points] == [
        (row.frame, row.value) for row in run.episodes
    ]
    assert run.status.summary is not None
    assert [results["score"] for (results,) in heard.results.values()] == [run.status.summary.score]
    assert fed(tmp_path, heard) == 0


def test_of_a_run_that_goes_on_only_what_its_status_speaks_of_is_fed_and_the_rest_afterwards(tmp_path: Path) -> None:
    episodes = make_episodes(SPEC, "Pong", 0, 1, 1.0)
    middle = episodes[len(episodes) // 2].frame
    heard = Heard()
    with open_run(tmp_path, SPEC, state="running", reached=middle) as path:
        feed = Feed(tmp_path, tmp_path / "sinks", heard)
        assert feed.feed() == (len([row for row in episodes if row.frame < middle]), [])
        assert feed.feed() == (0, [])
        finished = read_status(path).model_copy(update={"state": "done", "frames": SPEC.frames})
        (path / "status.json").write_text(finished.model_dump_json())
        feed.feed()
    (points,) = heard.points.values()
    assert [point.frame for point in points] == [row.frame for row in episodes]


def test_a_frame_with_several_rows_is_one_point_with_their_means(tmp_path: Path) -> None:
    row = {"attempt": 1, "agent_step": 5, "frame": 20}
    played = {**row, "length": 3, "end": "terminated", "emulator_seed": 1}
    run = read_run(make_run(tmp_path, SPEC))
    episode = Episode(episode=0, **{"return": 1.0}, **played)
    evaluation = [EvaluationRow(episode=n, actions="", **{"return": float(n)}, **played) for n in (0, 3)]
    diagnostics = Diagnostics(updates=1, values={"loss": 0.5}, **row)
    object.__setattr__(run, "episodes", (episode,))
    object.__setattr__(run, "evaluation", tuple(evaluation))
    object.__setattr__(run, "diagnostics", (diagnostics,))
    values = {"train/return": 1.0, "train/length": 3.0, "evaluation/return": 1.5, "evaluation/length": 3.0}
    assert points_of(run) == [Point(20, {**values, "diagnostics/loss": 0.5})]


def test_a_damaged_run_is_named_and_the_others_are_fed(tmp_path: Path) -> None:
    (make_run(tmp_path, SPEC, seed=0) / "status.json").write_text("{")
    make_run(tmp_path, SPEC, seed=1)
    heard = Heard()
    count, unread = Feed(tmp_path, tmp_path / "sinks", heard).feed()
    assert count > 0
    assert "seed-0" in unread[0]
    assert [name[-6:] for name in heard.points] == ["seed-1"]


def test_a_sink_that_fails_is_named_once_and_the_others_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(cell: CellFile, name: str, place: Path) -> Run:
        raise RuntimeError("the server is gone")

    heard, said, begun = Heard(), [], threading.Event()
    openers = {"good": heard, "bad": failing}
    monkeypatch.setattr(live, "opener_of", openers.__getitem__)
    make_run(tmp_path, SPEC)

    def say(text: str) -> None:
        said.append(text)
        begun.set()

    with live.feeding(("bad", "good"), tmp_path, say, every=0.01):
        assert begun.wait(30)
        make_run(tmp_path, SPEC, seed=1)
    assert said == ["The sink bad failed and gets nothing more: RuntimeError: the server is gone"]
    assert len(heard.points) == 2  # what came last too


def test_without_its_package_a_sink_is_refused_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known.importlib.util, "find_spec", lambda name: None)
    done = CliRunner().invoke(cli, ["sink", "wandb", str(tmp_path)])
    assert done.exit_code == 3
    assert "pip install 'pruned-rl-suite[wandb]'" in done.stderr
    with pytest.raises(UnfitEnvironment, match="package wandb"), live.feeding(("wandb",), tmp_path, pytest.fail):
        pytest.fail("a run would have begun")
    with pytest.raises(UsageError, match="wandbb"):
        known.opener_of("wandbb")


def test_a_dry_run_refuses_the_sinks_that_a_run_refuses(tmp_path: Path) -> None:
    command = ["run", "--task", "smoke-classic", "--sink", "wandbb", "--out", str(tmp_path)]
    for more in ([], ["--dry-run"], ["--launcher", "slurm", "--dry-run"]):
        done = CliRunner().invoke(cli, [*command, *more])
        assert done.exit_code == 2
        assert "wandbb" in done.stderr
    assert not list(tmp_path.iterdir())
