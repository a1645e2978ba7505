"""The board's demands on a run beyond its record: sound versions; speeds, dates and returns that are possible."""

from __future__ import annotations

import functools
import math
import tomllib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from importlib import resources

from leaderboard.bundles.findings import Finding, finding, shown
from suite.contracts import registry
from suite.records.judged_cell import Cards
from suite.records.record import Attempt, Episode, EvaluationRow, Run
from suite.tasks import Task
from suite.tasks.specification import components

FASTEST = 100_000
USUAL = 30_000
"""Frames a second of one run that no emulator reaches, and that are worth a look."""

EARLIEST, LATEST = datetime(2024, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
"""Before the first, the protocol's paper was not there; the second is to come for whoever does not ask the clock."""

A_DAY = timedelta(days=1)
"""How far clocks may differ."""


def check_cards(run: Run, cards: Cards, where: str) -> Iterator[Finding]:
    """Yield a finding for a component whose card is neither here nor in the bundle."""
    for kind, part in components(run.cell.spec):
        known = registry.card(kind, part.id) if part.id in registry.registered(kind) else None
        if (known is None or known.digest != part.card) and (kind, part.id) not in cards:
            what = "is unknown here" if known is None else "had another card than it has here"
            yield finding("cards.missing", where, f"the {kind} {part.id} {what}, and its card is not in the bundle")


def check_versions(attempt: Attempt, where: str) -> Iterator[Finding]:
    """Yield a finding if an attempt used a version that is known to give wrong scores."""
    for denied in _denied():
        version = attempt.packages.get(denied["package"])
        if version is not None and is_within(version, denied):
            yield finding("environment.denied", where, f"{denied['package']} {version[:40]}: {denied['reason']}")
            return


def is_within(version: str, denied: Mapping[str, str]) -> bool:
    """Return whether a version is one of those denied: from `first` on, below `fixed`."""
    return numbers_of(denied["first"]) <= numbers_of(version) < numbers_of(denied["fixed"])


def numbers_of(text: str) -> tuple[int, ...]:
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
    if task.environment.whole_rewards and (wrong := next((row for row in rows if not row.value.is_integer()), None)):
        yield finding("score.fraction", where, f"episode {wrong.episode} returns {wrong.value!r}")


def check_provenance(run: Run, task: Task, where: str, now: datetime) -> Iterator[Finding]:
    """Yield findings about speed, dates and the state of the code; `now`: nothing ended later than a day after that."""
    attempt, summary = run.attempt, run.status.summary
    if summary is not None:
        frames = run.status.frames - attempt.resumed_at * task.units_per_step
        rate = frames / summary.wall_seconds if summary.wall_seconds > 0 else math.inf
        if frames < 0 or summary.wall_seconds < 0 or (rate > FASTEST and frames > 0):
            yield finding("rate.impossible", where, f"{frames:,} {task.unit} in {summary.wall_seconds:g} seconds")
        elif rate > USUAL:
            yield finding("rate.unusual", where, f"{frames:,} {task.unit} in {summary.wall_seconds:g} seconds")
    for one in run.provenance.attempts:
        if one.git.get("dirty") is not False:
            yield finding(
                "provenance.modified", where, f"attempt {one.attempt} ran from a modified or unknown checkout"
            )
            break
    for one in run.provenance.attempts:
        start = _time(one.started_at)
        if start is None or not EARLIEST <= start <= now + A_DAY:
            yield finding("provenance.dates", where, f"attempt {one.attempt} started at {shown(one.started_at)}")
            break
    start, end = _time(attempt.started_at), _time(run.status.updated_at)
    if end is None or end > now + A_DAY or (start is not None and end < start):
        yield finding("provenance.dates", where, f"{shown(attempt.started_at)} to {shown(run.status.updated_at)}")


def _time(text: str) -> datetime | None:
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
