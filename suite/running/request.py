"""Requests of users resolved to specs: published settings, the task's overrides, then the user's own."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from suite.contracts import registry
from suite.contracts.card import Card, Setting, Value
from suite.errors import UsageError, unknown_name
from suite.tasks import Task, game, load_task
from suite.tasks.configuration import PRECISION, Component, Precision, Spec
from suite.tasks.specification import SEEDS, data_departures, departures, doubled, fits, path_of, published, quarrel


@dataclass(frozen=True, slots=True)
class Request:
    """What the command line asks for, before published settings are filled in; None is what the task runs.

    `data`: the directory of logged data, which offline tasks need.
    """

    task: str
    agent: str | None = None
    network: str | None = None
    methods: tuple[str, ...] = ("dense",)
    settings: tuple[str, ...] = ()
    frames: int | None = None
    width: int | None = None
    data: Path | None = None


@dataclass(frozen=True, slots=True)
class Resolved:
    """A spec, the task that was asked for, and the settings that depart from published ones (path to published value).

    The spec names the task whose protocol that is; the task asked for is its list of games, and how many seeds.
    """

    spec: Spec
    task: Task
    departures: dict[str, Value] = field(default_factory=dict)


def resolve(request: Request) -> list[Resolved]:
    """Return one resolved spec per requested method combination; every unknown name or bad value is a UsageError."""
    task = load_task(request.task)
    request = replace(request, agent=request.agent or task.agent, network=request.network or task.network)
    combinations = [tuple(text.split("+")) for text in request.methods]
    chosen = _parse_settings(request.settings)
    if request.width is not None:
        chosen["network.width"] = str(request.width)
    resolved = [_resolve_one(task, request, combination, chosen) for combination in combinations]
    known = {path for combination in combinations for path in _paths(task, request, combination)}
    for path in chosen:
        if path not in known:
            raise unknown_name("setting", path, sorted(known))
    return resolved


def resolve_grid(request: Request, widths: str | None) -> list[Resolved]:
    """Return the specs of every combination of widths (`1,3,5`) and of settings' values (`method.sparsity=0.9,0.95`).

    A configuration that several combinations give, such as dense beside sparsities, is there once.
    """
    choices = [_values(text) for text in request.settings]
    found: dict[str, Resolved] = {}
    for width, settings in itertools.product(_widths(widths), itertools.product(*choices)):
        for item in resolve(replace(request, width=width, settings=settings)):
            found.setdefault(item.spec.config_id, item)
    resolved = list(found.values())
    for what, values in (
        ("precision", {item.spec.precision for item in resolved}),
        ("data", {item.spec.dataset for item in resolved}),
    ):
        if len(values) > 1:
            raise UsageError(f"One process cannot run several values of {what}.", "Issue one command for each.")
    return resolved


def _values(text: str) -> list[str]:
    """Return a setting once with each of its values."""
    path, equals, values = text.partition("=")
    return [f"{path}{equals}{value}" for value in values.split(",")] if equals else [text]


def _widths(text: str | None) -> list[int | None]:
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.removeprefix("-").isdigit() for part in parts):
        raise UsageError(f"--width {text!r} cannot be read.", "Give whole numbers, such as 3, or 1,3,5.")
    return [int(part) for part in dict.fromkeys(parts)] or [None]


def parse_games(text: str, task: Task) -> tuple[str, ...]:
    """Return the games in a comma-separated list, or all of the task's for `all`; each must belong to the task."""
    if text.strip().lower() == "all":
        return task.games
    names = [part.strip() for part in text.split(",") if part.strip()]
    if not names:
        raise UsageError("--games names no game.", "Give names such as Pong,Breakout, or `all`.")
    chosen = tuple(dict.fromkeys(game(name).name for name in names))
    for name in chosen:
        if name not in task.games:
            raise UsageError(f"{name} is not a game of the task {task.id}.", f"Its games: {', '.join(task.games)}.")
    return chosen


def parse_seeds(text: str) -> tuple[int, ...]:
    """Return the seeds in a list such as `0-4` or `0,2,5-7`; seeds are whole numbers from 0 to 9999."""
    seeds: list[int] = []
    for part in text.split(","):
        low, dash, high = part.strip().partition("-")
        if not (low.isascii() and low.isdigit() and (not dash or (high.isascii() and high.isdigit()))):
            raise UsageError(
                f"--seeds {text!r} cannot be read.", "Give whole numbers and ranges, such as 0-4 or 0,2,5."
            )
        first, last = int(low), int(high) if dash else int(low)
        if last < first or last not in SEEDS:
            raise UsageError(f"--seeds {part.strip()!r} is out of range.", "Ranges go upward, from 0 to at most 9999.")
        seeds.extend(range(first, last + 1))
    return tuple(dict.fromkeys(seeds))


def _resolve_one(task: Task, request: Request, combination: tuple[str, ...], chosen: Mapping[str, str]) -> Resolved:
    if name := doubled(combination):
        raise UsageError(f"--method names {name} twice in one combination.", "Name each method once.")
    _refuse_senseless([registry.card("method", name) for name in combination])
    named: list[tuple[registry.Kind, str]] = [("agent", str(request.agent)), ("network", str(request.network))]
    for kind, name in named:
        _refuse_unfit(task, kind, name)
    parts: list[Component] = []
    departing: dict[str, Value] = {}
    for kind, name in [*named, *(("method", name) for name in combination)]:
        card = registry.card(kind, name)
        settings = _settings(card, kind, task, chosen)
        parts.append(Component(id=card.id, version=card.version, card=card.digest, settings=settings))
        departing |= departures(card, kind, task, settings)
    agent, network, *methods = parts
    precision = _precision(chosen)
    if precision != PRECISION.value:
        departing["precision"] = PRECISION.value
    dataset = None
    if request.data is not None:
        data = _data_settings(task, chosen)
        dataset = _dataset(request.data, data, agent)
        departing |= data_departures(task, data)
    frames = _budget(task, request.frames)
    spec = Spec(
        task=task.protocol,
        task_version=task.version,
        frames=frames,
        shortened=frames != task.budget.length,
        agent=agent,
        network=network,
        methods=tuple(methods),
        precision=precision,
        dataset=dataset,
    )
    return Resolved(spec, task, departing)


def _settings(card: Card, kind: registry.Kind, task: Task, chosen: Mapping[str, str]) -> dict[str, Value]:
    """Return a component's settings, the chosen ones in place.

    Of `method.sparsity` and `method.rigl.sparsity` the second, which names its method, holds.
    """
    settings = published(card, kind, task)
    for key, setting in card.settings.items():
        for path in dict.fromkeys((f"{kind}.{key}", path_of(kind, card.id, key))):
            if path in chosen:
                settings[key] = setting.check(path, _parse_value(chosen[path], setting))
    return settings


def _precision(chosen: Mapping[str, str]) -> Precision:
    value = PRECISION.check("precision", chosen.get("precision", PRECISION.value))
    return "tf32" if value == "tf32" else "float32"


def _data_settings(task: Task, chosen: Mapping[str, str]) -> dict[str, Value]:
    """Return which share of logged data an offline task trains on, the chosen settings in place."""
    if task.data is None:
        raise UsageError(f"--data makes no sense: {task.id} is no offline task.", "Leave it out.")
    settings: dict[str, Value] = task.data.model_dump()
    for name, usual in settings.items():
        path, kind = f"data.{name}", type(usual)
        if path in chosen:
            try:
                settings[name] = kind(chosen[path])
            except ValueError as error:
                what = {"str": "word", "int": "whole number", "float": "number"}[kind.__name__]
                raise UsageError(f"{path} = {chosen[path]} is no {what}.", "See `suite data sample --help`.") from error
    return settings


def _dataset(directory: Path, settings: Mapping[str, Value], agent: Component) -> str:
    """Return the identity of the data of these settings in a directory, for this agent."""
    from suite.experience.domains.offline import identity_of  # takes a second: jax
    from suite.experience.logs.sample import Selection

    return identity_of(directory, Selection(**settings, n_step=int(agent.settings["n_step"])))  # type: ignore[arg-type]


def _refuse_unfit(task: Task, kind: registry.Kind, name: str) -> None:
    card = registry.card(kind, name)
    if not fits(card, task):
        fit = [other for other in registry.registered(kind) if fits(registry.card(kind, other), task)]
        families = " and ".join(card.families)
        raise UsageError(
            f"The {kind} {name} is for {families} tasks; {task.id} is one of the family {task.family}.",
            f"Choose one of: {', '.join(sorted(fit))}.",
        )


def _refuse_senseless(cards: Sequence[Card]) -> None:
    if found := quarrel(cards):
        one, other, reason = found
        raise UsageError(f"{one} and {other} cannot be combined: {reason}.", "Choose one of the two.")


def _paths(task: Task, request: Request, combination: tuple[str, ...]) -> list[str]:
    """Return every path that can be set; `data.` only where there is data."""
    paths = [f"data.{name}" for name in task.data.model_dump()] if task.data and request.data else []
    paths.append("precision")
    paths += [f"agent.{key}" for key in registry.card("agent", str(request.agent)).settings]
    paths += [f"network.{key}" for key in registry.card("network", str(request.network)).settings]
    for name in combination:
        for key in registry.card("method", name).settings:
            paths += [f"method.{key}", f"method.{name}.{key}"]
    return paths


def _parse_settings(texts: Sequence[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for text in texts:
        path, equals, raw = text.partition("=")
        path = path.strip()
        if not equals or not path or not raw.strip():
            raise UsageError(f"--set {text!r} cannot be read.", "Write PATH=VALUE, such as method.sparsity=0.95.")
        if path in settings:
            raise UsageError(f"--set gives {path} twice.", "Give each setting once.")
        if path.startswith("task."):
            raise UsageError(
                f"{path} belongs to the protocol, which is the same for everyone.",
                "Choose another task, or shorten the budget with --frames.",
            )
        settings[path] = raw.strip()
    return settings


def _parse_value(raw: str, setting: Setting) -> Value:
    """Return a value as TOML reads it; text needs no quotes, and stays text where the setting is one."""
    try:
        value = tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw
    if isinstance(setting.value, str):
        return value if isinstance(value, str) else raw
    return value if isinstance(value, bool | int | float | str) else raw


def _budget(task: Task, frames: int | None) -> int:
    if frames is None:
        return task.budget.length
    skip = task.units_per_step
    if not 1 <= frames <= task.budget.length or frames % skip:
        raise UsageError(
            f"--frames {frames} is no budget for {task.id}.",
            f"Give a multiple of {skip} (the frame skip) up to {task.budget.length:,}.".replace(",", "_"),
        )
    return frames
