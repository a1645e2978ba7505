"""Named attacks on what a check, an ingest and the board cost, on what `suite run` cannot make, and on readers' eyes.

As `attacks`, to whose list these belong; those that take memory to measure are in `attacks_costs`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from leaderboard.bundles import limits
from leaderboard.bundles.runs import BundledRun
from suite.contracts.card import Card
from suite.tasks.configuration import Component
from tests.support import attacks, honest
from tests.support.attacks import Attack, attempt_changed, changed_first, good_files, remade

# --- more than is allowed ---------------------------------------------------------------------------------------------


def numbered(count: int, value: Any = "0") -> dict[str, Any]:
    """Return so many invented names with a value."""
    return {f"x{number}": value for number in range(count)}


def departing(count: int) -> Callable[[BundledRun], BundledRun]:
    """Return what lists so many invented departures."""
    return lambda run: replace(run, cell=run.cell.model_copy(update={"departures": numbered(count, 1.0)}))


def component_with(settings: dict[str, Any]) -> Callable[[BundledRun], BundledRun]:
    """Return what gives a run a method of these settings that nobody knows."""
    method = Component(id="mine", version=1, card="0" * 16, settings=settings)
    return lambda run: attacks.respecified(run, methods=(method,))


def attempted(count: int) -> Callable[[BundledRun], BundledRun]:
    """Return what gives a run so many attempts."""

    def change(run: BundledRun) -> BundledRun:
        (one,) = run.provenance.attempts
        attempts = tuple(one.model_copy(update={"attempt": number}) for number in range(1, count + 1))
        return replace(run, provenance=run.provenance.model_copy(update={"attempts": attempts}))

    return change


def closed(count: int) -> Callable[[BundledRun], BundledRun]:
    """Return what says that so many attempts ended before."""
    row = {"attempt": 1, "state": "killed", "frames": 0, "updated_at": "2026-01-01T00:00:00Z"}
    return lambda run: attacks.status_changed(
        run, closed=type(run.status).model_validate({**run.status.model_dump(), "closed": [row] * count}).closed
    )


def with_files(**files: bytes) -> Callable[[], bytes]:
    """Return a maker of the honest bundle with more files, or others; `__` and `_json` stand for `/` and `.json`."""
    named = {name.replace("__", "/").replace("_json", ".json"): content for name, content in files.items()}
    return lambda: bytes(honest.again({**good_files(), **named}))


def cards(count: int) -> bytes:
    """Return the honest bundle with so many cards more."""
    card = good_files()["cards/method-dense.json"]
    named = {f"cards/method-x{n}.json": card.replace(b'"dense"', b'"x%d"' % n) for n in range(count)}
    return bytes(honest.again({**good_files(), **named}))


def seeds(count: int) -> bytes:
    """Return a bundle with so many run documents of one game, which need not be read."""
    named = {f"runs/00000000-Pong-{seed}.json": b"{}" for seed in range(count)}
    return bytes(honest.again({**good_files(), **named}))


def card_changed(change: Callable[[Any], Any]) -> Callable[[], bytes]:
    """Return a maker of the honest bundle with another card of dense."""
    return lambda: bytes(honest.again(attacks.edit(dict(good_files()), "cards/method-dense.json", change)))


def foreign_card(name: str = "mine", **settings: Any) -> Card:
    """Return the card of a method that is not here, with settings of these published values."""
    rows = {key: {"value": value, "doc": "A setting.", "source": "mine"} for key, value in settings.items()}
    return Card.model_validate({"id": name, "version": 1, "title": name, "summary": "Mine.", "settings": rows})


def of_foreign(runs: Sequence[BundledRun], card: Card, *, listed: bool = True, **settings: Any) -> bytes:
    """Return a bundle of runs with a method of this card, which lies in it, at other settings than the published ones.

    `listed`: what departs is listed.
    """
    values = {name: setting.value for name, setting in card.settings.items()} | settings
    method = Component(id=card.id, version=card.version, card=card.digest, settings=values)
    departures = {f"method.{card.id}.{name}": card.settings[name].value for name in settings if name in card.settings}
    made = [attacks.respecified(run, methods=(method,)) for run in runs]
    made = [replace(run, cell=run.cell.model_copy(update={"departures": departures if listed else {}})) for run in made]
    files = honest.bundle_files(made, attacks.LEFT_OUT)
    named = {f"cards/method-{card.id}.json": honest.document(card.model_dump(mode="json"))}
    return bytes(honest.again(files | named))


SETTING = {"value": 0, "doc": "d", "source": "s"}

ATTACKS = [
    Attack("101 departures", "limits.exceeded", changed_first(departing(limits.DEPARTURES + 1))),
    Attack("10,000 departures in each run", "limits.exceeded", lambda: remade(lambda r: [*map(departing(10_000), r)])),
    Attack("65 settings", "limits.exceeded", changed_first(component_with(numbered(limits.SETTINGS + 1)))),
    Attack("settings of 20,000 letters", "limits.exceeded", changed_first(component_with(numbered(20, "a" * 1000)))),
    Attack(
        "65 settings on a card",
        "limits.exceeded",
        card_changed(lambda content: content.update(settings=numbered(limits.SETTINGS + 1, SETTING))),
    ),
    Attack("card of 33 kB", "limits.exceeded", card_changed(lambda content: content.update(summary="long " * 6_600))),
    Attack("33 cards more", "limits.exceeded", lambda: cards(33)),
    Attack(
        "201 packages",
        "limits.exceeded",
        changed_first(lambda run: attempt_changed(run, packages=numbered(limits.PACKAGES + 1))),
    ),
    Attack(
        "101 options",
        "limits.exceeded",
        changed_first(attacks.environment_changed(**numbered(limits.OPTIONS + 1, 1))),
    ),
    Attack(
        "101 facts of the hardware",
        "limits.exceeded",
        changed_first(lambda run: attempt_changed(run, hardware=numbered(limits.OPTIONS + 1))),
    ),
    Attack(
        "command of 20,000 letters",
        "limits.exceeded",
        changed_first(lambda run: attempt_changed(run, command=("run",) * 4000)),
    ),
    Attack(
        "51 sentences on what is not reached",
        "limits.exceeded",
        changed_first(lambda run: attempt_changed(run, unreached=("It is long.",) * (limits.SENTENCES + 1))),
    ),
    Attack("501 attempts", "limits.exceeded", changed_first(attempted(limits.ATTEMPTS + 1))),
    Attack("501 attempts that ended before", "limits.exceeded", changed_first(closed(limits.ATTEMPTS + 1))),
    Attack("101 seeds of a game", "limits.exceeded", lambda: seeds(limits.SEEDS + 1)),
    Attack(
        "environment.json of 1 MiB and more",
        "limits.exceeded",
        lambda: with_files(environment_json=attacks.padded(good_files()["environment.json"] + b" " * 2**20))(),
    ),
    Attack(
        "manifest.json of 1 MiB and more",
        "limits.exceeded",
        lambda: attacks.zipped(
            {**good_files(), "manifest.json": attacks.padded(good_files()["manifest.json"] + b" " * 2**20)}
        ),
    ),
]
