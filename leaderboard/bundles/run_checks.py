"""What a run claims, against its task, its components' cards and what is possible."""

from __future__ import annotations

import functools
import hashlib
import json
import math
import tomllib
from collections.abc import Iterator, Mapping
from datetime import datetime
from importlib import resources
from typing import Any

from leaderboard.bundles.findings import Finding, finding, shown
from leaderboard.bundles.pack import components
from suite.contracts import registry
from suite.contracts.card import Card, Value
from suite.errors import SuiteError
from suite.records.record import Attempt, Episode, EvaluationRow, Run
from suite.tasks import GAMES, Task
from suite.tasks.configuration import PRECISION

Cards = Mapping[tuple[str, str], Card]

FASTEST = 100_000
USUAL = 30_000
"""Frames a second of one run that no emulator reaches, and that are worth a look."""


def check_components(run: Run, task: Task, cards: Cards, where: str) -> Iterator[Finding]:
    """Yield findings about the components, their settings and how those depart from the published ones."""
    departures: dict[str, Value] = {}
    foreign = bad = False
    for kind, part in components(run.cell.spec):
        card = cards.get((kind, part.id))
        installed = registry.card(kind, part.id) if part.id in registry.registered(kind) else None
        if card is not None and card.digest != part.card:
            yield finding("cards.digest", where, f"the run used the {kind} {part.id} of another card")
            continue
        if installed is None or installed.digest != part.card:
            foreign = True
            yield finding(
                "cards.foreign", where, f"this suite does not have the {kind} {shown(part.id)} as it was used"
            )
        card = card or (installed if installed is not None and installed.digest == part.card else None)
        if card is None:
            continue
        prefix = f"method.{part.id}" if kind == "method" else kind
        published = {key: setting.value for key, setting in card.settings.items()}
        published |= {key: value for key, value in task.overrides.get(kind, {}).items() if key in published}
        if message := _bad_settings(card, part.settings):
            yield finding("protocol.settings", where, f"{kind} {part.id}: {message}")
            bad = True
            continue
        departures |= {
            f"{prefix}.{key}": published[key] for key, value in part.settings.items() if value != published[key]
        }
    if run.cell.spec.precision != PRECISION.value:
        departures["precision"] = PRECISION.value
    listed = {key: value for key, value in run.cell.departures.items() if not key.startswith("data.")}
    if not bad and listed != departures and not (foreign and departures.items() <= listed.items()):
        different = sorted({key for key, _ in listed.items() ^ departures.items()})
        yield finding("protocol.departures", where, f"it is not so: {', '.join(different)}")


def _bad_settings(card: Card, settings: Mapping[str, Value]) -> str:
    """Return what is wrong with the settings of a component; empty if nothing is."""
    if settings.keys() != card.settings.keys():
        return f"{', '.join(sorted(settings.keys() ^ card.settings.keys()))} missing or unknown"
    for key, value in settings.items():
        try:
            card.settings[key].check(key, value)
        except SuiteError as error:
            return error.problem
    return ""


def check_environment(attempt: Attempt, task: Task, game: str, where: str) -> Iterator[Finding]:
    """Yield findings about one attempt's environment: versions known to be wrong, options, fingerprint."""
    environment, packages = attempt.environment, attempt.packages
    library, key = ("mujoco", "mujoco") if task.family == "continuous" else ("ale-py", "ale_py")
    version = environment.get(key)
    if packages.get(library) != version:
        yield finding("environment.options", where, f"{library} is {shown(packages.get(library))} and {shown(version)}")
    for denied in _denied():
        if denied["package"] in packages and _within(packages[denied["package"]], denied):
            yield finding("environment.denied", where, f"{denied['package']} {version}: {denied['reason']}")
            break
    expected = _options(task, game)
    if wrong := [name for name, value in expected.items() if not _same(environment.get(name), value)]:
        found = f"{wrong[0]} is {shown(environment.get(wrong[0]))}, not {shown(expected[wrong[0]])}"
        yield finding("environment.options", where, found)
    relevant = {name: value for name, value in environment.items() if name not in ("num_threads", "batch_size")}
    digest = hashlib.sha256(json.dumps(relevant, sort_keys=True).encode()).hexdigest()[:16]
    if attempt.environment_fingerprint != digest:
        yield finding("environment.options", where, "its fingerprint is not that of its options")


def _options(task: Task, game: str) -> dict[str, Any]:
    """Return the options that a task's environment has, as provenance records them."""
    if task.family == "continuous":
        return {"id": f"{game}-{task.mujoco.version}", "max_episode_steps": task.mujoco.max_episode_steps}
    options = task.atari
    return {
        "rom": GAMES[game].rom,
        "max_num_frames_per_episode": options.max_episode_frames,
        "repeat_action_probability": options.sticky_action_probability,
        "full_action_space": options.full_action_set,
        "img_height": options.screen_size,
        "img_width": options.screen_size,
        "grayscale": options.grayscale,
        "frameskip": options.frame_skip,
        "maxpool": options.max_pool,
        "noop_max": options.no_op_max,
        "use_fire_reset": options.fire_reset,
        "reseed_steps": options.reseed_steps,
        "continuous": False,
        "stack_num": 1,
        "episodic_life": False,
        "life_loss_info": False,
        "reward_clipping": False,
    }


def _same(found: Any, expected: Any) -> bool:
    return isinstance(found, bool) == isinstance(expected, bool) and bool(found == expected)


def _within(version: str, denied: Mapping[str, str]) -> bool:
    return _version(denied["first"]) <= _version(version) < _version(denied["fixed"])


def _version(text: str) -> tuple[int, ...]:
    """Return the leading numbers of a version; what follows them does not count."""
    numbers = []
    for part in text[:40].split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits or not digits.isascii():
            break
        numbers.append(int(digits))
    return (*numbers, 0, 0, 0)[:3]


@functools.cache
def _denied() -> list[dict[str, str]]:
    text = resources.files("leaderboard.bundles").joinpath("data/denied_versions.toml").read_text(encoding="utf-8")
    found: list[dict[str, str]] = tomllib.loads(text)["denied"]
    return found


@functools.cache
def score_caps() -> dict[str, tuple[float, float]]:
    """Return the least and the greatest raw return of an episode, of games whose rules bound it."""
    text = resources.files("leaderboard.bundles").joinpath("data/score_caps.toml").read_text(encoding="utf-8")
    return {game: (float(entry["low"]), float(entry["high"])) for game, entry in tomllib.loads(text).items()}


def check_returns(run: Run, task: Task, where: str) -> Iterator[Finding]:
    """Yield findings about returns that the game cannot give."""
    rows: tuple[Episode | EvaluationRow, ...] = (*run.episodes, *run.evaluation)
    low, high = score_caps().get(run.cell.game, (-math.inf, math.inf))
    if wrong := next((row for row in rows if not low <= row.value <= high), None):
        yield finding(
            "score.impossible",
            where,
            f"episode {wrong.episode} returns {wrong.value:g}; {low:g} to {high:g} are possible",
        )
    if task.family != "continuous" and (wrong := next((row for row in rows if not row.value.is_integer()), None)):
        yield finding("score.fraction", where, f"episode {wrong.episode} returns {wrong.value!r}")


def check_summary(run: Run, where: str) -> Iterator[Finding]:
    """Yield a finding if the sizes that a run reports of its network cannot be."""
    summary = run.status.summary
    if summary is None:
        return
    sizes = 0 < summary.parameters < 10**12 and 0 <= summary.active_parameters <= summary.parameters
    if not sizes or not 0 <= summary.sparsity <= 1 or not 0 <= summary.updates <= 1000 * run.status.frames:
        text = f"{summary.active_parameters} of {summary.parameters} parameters, sparsity {summary.sparsity:g}"
        yield finding("runs.summary", where, f"{text}, {summary.updates} updates")


def check_provenance(run: Run, task: Task, where: str) -> Iterator[Finding]:
    """Yield findings about speed, dates and the state of the code."""
    attempt, summary = run.attempt, run.status.summary
    if summary is not None:
        frames = run.status.frames - attempt.resumed_at * task.frame_skip
        rate = frames / summary.wall_seconds if summary.wall_seconds > 0 else math.inf
        if frames < 0 or (rate > FASTEST and frames > 0):
            yield finding("rate.impossible", where, f"{frames:,} {task.unit} in {summary.wall_seconds:g} seconds")
        elif rate > USUAL:
            yield finding("rate.unusual", where, f"{frames:,} {task.unit} in {summary.wall_seconds:g} seconds")
    for one in run.provenance.attempts:
        if one.git.get("dirty") is not False:
            yield finding(
                "provenance.modified", where, f"attempt {one.attempt} ran from a modified or unknown checkout"
            )
            break
    start, end = _time(attempt.started_at), _time(run.status.updated_at)
    if start is None or end is None or end < start:
        yield finding("provenance.dates", where, f"{shown(attempt.started_at)} to {shown(run.status.updated_at)}")


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ")
    except ValueError:
        return None
