"""From a study to its cells: every arm resolved to configurations, in the order in which they can be run."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from leaderboard.studies.definition import REPLAY_RATIO, Arm, Study
from suite.contracts import registry
from suite.contracts.card import Value, written
from suite.errors import UsageError
from suite.running.request import Request, Resolved, parse_games, resolve
from suite.tasks import Task, load_task
from suite.tasks.configuration import Cell
from suite.tasks.specification import published

Coordinates = Mapping[str, Value]


@dataclass(frozen=True)
class Point:
    """A configuration of a study: where it stands in it, how it is asked for, and what it comes to.

    `coordinates`: its arm, agent, network, width and the values of the arm's sweep. `needs`: the configurations whose
    run of the same game and seed must be there before; `stage` is 0 for those that need none.
    """

    coordinates: Coordinates
    request: Request
    resolved: Resolved
    needs: tuple[str, ...] = ()
    stage: int = 0

    @cached_property
    def config_id(self) -> str:
        """Its identity: studies with the same configuration share its cells."""
        return self.resolved.spec.config_id

    def needed(self, game: str, seed: int) -> list[str]:
        """Return the paths of the runs that must be there before one of its cells."""
        return [f"{self.resolved.spec.task_key}/{name}/{game}/seed-{seed}" for name in self.needs]

    def command(self, game: str, seed: int) -> str:
        """Return the line that runs one of its cells alone."""
        request = self.request
        words = ["suite", "run", "--task", request.task]
        words += ["--agent", f"{request.agent}", "--network", f"{request.network}"]
        words += [] if request.width is None else ["--width", f"{request.width}"]
        words += ["--method", *request.methods]
        words += [word for text in request.settings for word in ("--set", text)]
        words += [] if request.frames is None else ["--frames", f"{request.frames}"]
        words += [] if request.data is None else ["--data", f"{request.data}"]
        return shlex.join([*words, "--games", game, "--seeds", f"{seed}"])


@dataclass(frozen=True)
class Expanded:
    """A study with its points, games and seeds."""

    study: Study
    task: Task
    games: tuple[str, ...]
    seeds: tuple[int, ...]
    points: tuple[Point, ...]

    @cached_property
    def configurations(self) -> dict[str, Point]:
        """One point of each configuration, in the order in which they can be run."""
        ordered = sorted(self.points, key=lambda point: point.stage)
        found: dict[str, Point] = {}
        for point in ordered:
            found.setdefault(point.config_id, point)
        return found

    @property
    def size(self) -> int:
        """How many cells it has."""
        return len(self.configurations) * len(self.games) * len(self.seeds)

    def cells(self) -> Iterator[tuple[Point, Cell]]:
        """Yield every cell once, what others need first, then by seed, so that a part of them is a smaller study."""
        for _, points in itertools.groupby(self.configurations.values(), key=lambda point: point.stage):
            alike = list(points)
            for seed, game, point in itertools.product(self.seeds, self.games, alike):
                yield point, Cell(point.resolved.spec, game, seed)

    def reduced(self, games: Sequence[str] | None, seeds: Sequence[int] | None) -> Expanded:
        """Return the study of some of its games and seeds; None: all."""
        return replace(
            self,
            games=self.games if games is None else tuple(games),
            seeds=self.seeds if seeds is None else tuple(seeds),
        )


def expand(study: Study, *, data: Path | None = None, frames: int | None = None) -> Expanded:
    """Return a study with its cells; UsageError names the arm whose names, settings or widths cannot be.

    `frames` shortens the budget, `data` is the directory of logged data, which offline tasks train on.
    """
    task = load_task(study.task)
    if frames is not None:
        study = study.model_copy(update={"frames": frames})
    games = parse_games(",".join(study.games) or "all", task)
    seeds = task.default_seeds if study.seeds is None else tuple(range(study.seeds))
    resolved: dict[str, list[Point]] = {}
    for name in _order(study):
        found = [point for arm in study.arms if arm.name == name for point in _points(study, task, arm, resolved, data)]
        resolved[name] = found
    points = [point for arm in dict.fromkeys(arm.name for arm in study.arms) for point in resolved[arm]]
    return Expanded(study, task, games, seeds, tuple(points))


def _order(study: Study) -> list[str]:
    """Return the arms' names, those that others need before them; UsageError where they need each other."""
    needs: dict[str, set[str]] = {}
    for arm in study.arms:
        needs.setdefault(arm.name, set()).update(_references(arm).values())
    unknown = sorted({name for names in needs.values() for name in names} - needs.keys())
    if unknown:
        raise UsageError(
            f"The study {study.id} needs an arm {unknown[0]!r} that it does not have.",
            f"Its arms: {', '.join(needs)}.",
        )
    found: list[str] = []
    while len(found) < len(needs):
        ready = [name for name in needs if name not in found and needs[name] <= set(found)]
        if not ready:
            circle = sorted(needs.keys() - set(found))
            raise UsageError(
                f"The arms {', '.join(circle)} of the study {study.id} wait for each other.", "Take one `@` away."
            )
        found += ready
    return found


def _references(arm: Arm) -> dict[str, str]:
    """Return the arms that an arm's settings stand for, by the setting's path."""
    return {path: str(value)[1:] for path, value in arm.settings.items() if str(value).startswith("@")}


def _points(
    study: Study, task: Task, arm: Arm, before: Mapping[str, Sequence[Point]], data: Path | None
) -> Iterator[Point]:
    references = _references(arm)
    widths: tuple[int | None, ...] = arm.widths or (None,)
    for agent, width in itertools.product(arm.agents, widths):
        needed = {path: _counterpart(study, name, before[name], agent, arm, width) for path, name in references.items()}
        for values in itertools.product(*arm.sweep.values()):
            swept = dict(zip(arm.sweep, values, strict=True))
            settings = arm.settings | swept | {path: point.config_id for path, point in needed.items()}
            request = Request(
                task=study.task,
                agent=agent,
                network=arm.network,
                methods=(arm.method,),
                settings=tuple(f"{path}={written(value)}" for path, value in _plain(settings, task, agent).items()),
                frames=study.frames,
                width=width,
                data=data,
            )
            yield Point(
                coordinates={"arm": arm.name, "agent": agent, "network": arm.network}
                | ({} if width is None else {"width": width})
                | swept,
                request=request,
                resolved=_resolved(study, arm, request),
                needs=tuple(point.config_id for point in needed.values()),
                stage=max((point.stage + 1 for point in needed.values()), default=0),
            )


def _resolved(study: Study, arm: Arm, request: Request) -> Resolved:
    try:
        return resolve(request)[0]
    except UsageError as error:
        raise UsageError(f"The arm {arm.name!r} of the study {study.id}: {error.problem}", error.remedy) from error


def _counterpart(study: Study, name: str, points: Sequence[Point], agent: str, arm: Arm, width: int | None) -> Point:
    """Return the one point of an arm that has an agent, a network and a width."""
    wanted = {"agent": agent, "network": arm.network} | ({} if width is None else {"width": width})
    found = [point for point in points if wanted.items() <= point.coordinates.items()]
    if len(found) != 1:
        raise UsageError(
            f"The arm {arm.name!r} of the study {study.id} needs one configuration of {name!r} with its agent, network "
            f"and width, and there are {len(found)}.",
            "Give both arms the same agents and widths.",
        )
    return found[0]


def _plain(settings: Mapping[str, Value], task: Task, agent: str) -> dict[str, Value]:
    """Return settings with the replay ratio as the agent's own: a period of agent steps, and updates in each."""
    if REPLAY_RATIO not in settings:
        return dict(settings)
    found = {path: value for path, value in settings.items() if path != REPLAY_RATIO}
    ratio = settings[REPLAY_RATIO]
    if isinstance(ratio, bool | str) or not ratio > 0:
        raise UsageError(f"A replay ratio of {ratio!r} cannot be.", "Give a number above 0.")
    usual = published(registry.card("agent", agent), "agent", task)
    period = max(1, round(1 / ratio))
    updates = round(ratio * period)
    if updates / period != ratio or "update_period" not in usual:
        raise UsageError(
            f"A replay ratio of {ratio} is no whole number of updates in a whole number of steps of {agent}.",
            "Give one such as 0.25, 0.5, 1 or 2.",
        )
    found["agent.update_period"] = period
    if updates != usual.get("updates_per_period", 1):
        found["agent.updates_per_period"] = updates
    return found
