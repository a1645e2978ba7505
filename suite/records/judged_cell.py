"""A record's specification, judged: does `suite run` make it, are its departures true, is its environment the task's?

Cards and the task's file are enough for that; no component is imported, and nothing is started.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from suite.contracts import registry
from suite.contracts.card import Card, Value
from suite.contracts.registry import Kind
from suite.errors import SuiteError
from suite.records.inconsistency import Inconsistency, brief
from suite.records.record import Attempt, Run
from suite.tasks import GAMES, Task
from suite.tasks.configuration import PRECISION, Component, Spec
from suite.tasks.environments import MEASURED, UNCOUNTED, fingerprint, library_of, options_of
from suite.tasks.specification import (
    SEEDS,
    Dataset,
    components,
    data_departures,
    departures,
    doubled,
    fits,
    path_of,
    quarrel,
)

Cards = Mapping[tuple[str, str], Card]
"""Cards that came with a record, by kind and id."""

NO_CARDS: Cards = MappingProxyType({})

PACKAGES = {"ale_py": "ale-py", "mujoco": "mujoco", "gymnasium": "gymnasium", "minatar": "minatar"}
"""Part of an environment -> the package whose version it is."""


LEAST_PARAMETERS = 32
"""Fewer no network has that maps what a game shows to the values of its actions."""


class Part(NamedTuple):
    """A component as it was used; `card` is the one that its digest names, None if nobody here knows that."""

    kind: Kind
    component: Component
    card: Card | None

    @property
    def name(self) -> str:
        """Kind and id."""
        return f"{self.kind} {self.component.id}"


def parts_of(spec: Spec, cards: Cards) -> list[Part]:
    """Return a specification's components, each with its card if it is installed or came with the record."""
    return [Part(kind, one, _card(kind, one, cards)) for kind, one in components(spec)]


def _card(kind: Kind, component: Component, cards: Cards) -> Card | None:
    installed = registry.card(kind, component.id) if component.id in registry.registered(kind) else None
    known = (installed, cards.get((kind, component.id)))
    return next((card for card in known if card is not None and card.digest == component.card), None)


def of_specification(run: Run, task: Task, cards: Cards) -> Iterator[Inconsistency]:
    """Yield what `suite run` would not have made of this task and these components."""
    spec, parts = run.cell.spec, parts_of(run.cell.spec, cards)
    found = [one for part in parts for one in _of_part(part, task, cards)]
    yield from found
    yield from _of_methods([part for part in parts if part.kind == "method"])
    data, wrong = _data(spec, task)
    if wrong:
        yield Inconsistency("protocol.specification", wrong)
    if spec.frames % task.units_per_step:
        yield Inconsistency("protocol.specification", f"a budget of {spec.frames} {task.unit} ends within a step")
    if run.cell.seed not in SEEDS:
        yield Inconsistency("protocol.specification", f"no cell has the seed {run.cell.seed}")
    if not any(one.code in ("protocol.settings", "cards.digest") for one in found):
        yield from _of_departures(run, task, parts, data)
    yield from _of_sizes(run, parts)


def _of_part(part: Part, task: Task, cards: Cards) -> Iterator[Inconsistency]:
    kind, used, card = part
    given = cards.get((kind, used.id))
    if given is not None and given.digest != used.card:
        yield Inconsistency("cards.digest", f"the run used the {part.name} of another card")
        return
    if card is None or card is given:
        yield Inconsistency("cards.foreign", f"this suite does not have the {kind} {used.id!a} as it was used")
    if card is None:
        return
    if used.version != card.version:
        text = f"{part.name} is called version {used.version}, its card has {card.version}"
        yield Inconsistency("protocol.specification", text)
    if not fits(card, task):
        yield Inconsistency("protocol.specification", f"the {part.name} is not for {task.family} tasks")
    if wrong := _wrong_settings(card, used.settings):
        yield Inconsistency("protocol.settings", f"{part.name}: {wrong}")


def _wrong_settings(card: Card, settings: Mapping[str, Value]) -> str:
    """Return what is wrong with the settings of a component; empty if nothing is."""
    if settings.keys() != card.settings.keys():
        return f"{', '.join(sorted(settings.keys() ^ card.settings.keys())[:20])} missing or unknown"
    for key, value in settings.items():
        try:
            card.settings[key].check(key, value)
        except SuiteError as error:
            return error.problem
    return ""


def _of_methods(methods: Sequence[Part]) -> Iterator[Inconsistency]:
    """Yield why these methods are no combination; of one whose card nobody knows, only that it is not alone."""
    names = [part.component.id for part in methods]
    known = [part.card for part in methods if part.card is not None]
    alone = next((card.id for card in known if "alone" in card.claims), None)
    if not names:
        yield Inconsistency("protocol.specification", "it names no method, not even dense")
    elif name := doubled(names):
        yield Inconsistency("protocol.specification", f"the method {name} is there twice")
    elif found := quarrel(known):
        yield Inconsistency("protocol.specification", f"{found[0]} and {found[1]} cannot be combined: {found[2]}")
    elif alone is not None and len(names) > 1:
        yield Inconsistency("protocol.specification", f"{alone} is training without any other method")


def _data(spec: Spec, task: Task) -> tuple[Dataset | None, str]:
    """Return what a specification says of its logged data, and what is wrong with that."""
    if task.data is None:
        return None, "" if spec.dataset is None else f"{task.id} is no offline task, and has data"
    if spec.dataset is None:
        return None, f"{task.id} is an offline task, and has no data"
    data = Dataset.read(spec.dataset)
    if data is None:
        return None, f"{brief(spec.dataset)} names no sample of logged data"
    if data.n_step != spec.agent.settings.get("n_step", data.n_step):
        return data, f"its data are of {data.n_step} steps, its agent learns from others"
    return data, ""


def _of_departures(run: Run, task: Task, parts: Sequence[Part], data: Dataset | None) -> Iterator[Inconsistency]:
    """Yield a finding if the listed departures are not those of the settings; of unknown cards, any can be."""
    expected: dict[str, Value] = {}
    free: set[str] = set()
    for kind, used, card in parts:
        if card is None:
            free |= {path_of(kind, used.id, key) for key in used.settings}
        else:
            expected |= departures(card, kind, task, used.settings)
    if data is not None:
        expected |= data_departures(task, data._asdict())
    if run.cell.spec.precision != PRECISION.value:
        expected["precision"] = PRECISION.value
    different = {key for key, _ in run.cell.departures.items() ^ expected.items()} - free
    if different:
        yield Inconsistency("protocol.departures", f"it is not so: {', '.join(sorted(different)[:20])}")


def _of_sizes(run: Run, parts: Sequence[Part]) -> Iterator[Inconsistency]:
    """Yield a finding if the sizes that a run reports of its network, or its updates, cannot be."""
    status, summary = run.status, run.status.summary
    if not 0 <= status.updates <= 1000 * max(0, status.frames):
        yield Inconsistency("runs.summary", f"{status.updates} updates in {status.frames} frames")
        return
    if summary is None:
        return
    sizes = LEAST_PARAMETERS <= summary.parameters < 10**12 and 0 <= summary.active_parameters <= summary.parameters
    updates = summary.updates == status.updates
    unlearned = status.state == "done" and not run.cell.spec.shortened and summary.updates == 0
    if not sizes or not updates or unlearned or not 0 <= summary.sparsity <= 1:
        text = f"{summary.active_parameters} of {summary.parameters} parameters, sparsity {summary.sparsity:g}"
        yield Inconsistency("runs.summary", f"{text}, {summary.updates} updates")
        return
    cards = [part.card for part in parts if part.kind == "method"]
    masked = any(card is None or "masks" in card.claims for card in cards)
    if not masked and (summary.sparsity != 0 or summary.active_parameters != summary.parameters):
        text = f"sparsity {summary.sparsity:g} and {summary.active_parameters} of {summary.parameters} parameters"
        yield Inconsistency("runs.summary", f"{text}, without a method that masks any")


def of_environment(attempt: Attempt, task: Task, game: str) -> Iterator[Inconsistency]:
    """Yield what an attempt's environment is not that the task asks for, and a fingerprint of another one."""
    environment, library = attempt.environment, library_of(task)
    for part in MEASURED[library]:
        if part in PACKAGES and attempt.packages.get(PACKAGES[part]) != environment.get(part):
            text = (
                f"{PACKAGES[part]} is {brief(attempt.packages.get(PACKAGES[part]))} and {brief(environment.get(part))}"
            )
            yield Inconsistency("environment.options", text)
    expected = {key: value for key, value in options_of(task, GAMES[game]).items() if key not in UNCOUNTED}
    known = {*expected, *MEASURED[library]}
    if wrong := [key for key, value in expected.items() if not _same(environment.get(key), value)]:
        text = f"{wrong[0]} is {brief(environment.get(wrong[0]))}, not {brief(expected[wrong[0]])}"
        yield Inconsistency("environment.options", text)
    elif strange := sorted(known ^ (environment.keys() - set(UNCOUNTED))):
        text = f"{brief(strange[0])} is {'missing' if strange[0] in known else 'no part of it'}"
        yield Inconsistency("environment.options", text)
    if attempt.environment_fingerprint != fingerprint(environment):
        yield Inconsistency("environment.options", "its fingerprint is not that of its options")


def _same(found: Any, expected: Any) -> bool:
    return isinstance(found, bool) == isinstance(expected, bool) and bool(found == expected)
