"""A study one rung lower: the same arms and claims on a cheap task, and what cannot be had there, with the reason."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import resources

from pydantic import BaseModel, ConfigDict, Field

from leaderboard.studies.definition import REPLAY_RATIO, Arm, Claim, Side, Study
from suite.contracts import registry
from suite.contracts.card import Value
from suite.errors import UsageError, unknown_name
from suite.tasks import Task, load_task
from suite.tasks.specification import fits, published


class Unmapped(BaseModel):
    """What a rung does not have, with the reason."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    networks: dict[str, str] = {}
    tasks: dict[str, str] = {}


class Rung(BaseModel):
    """A cheap task, and how the paper's studies are read there.

    `tasks`: what stands for those of the paper's tasks for which `task` does not. `updates`: its gradient steps as a
    share of those on Atari; `networks`: what stands for each of the paper's.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    task: str
    tasks: dict[str, str] = {}
    updates: float = Field(gt=0)
    notes: tuple[str, ...]
    networks: dict[str, str]
    unmapped: Unmapped = Unmapped()


@dataclass(frozen=True)
class Mapped:
    """A study on a rung; None where nothing of it can be had there.

    `arms` and `claims` say of those that are left out why. `notes`: how what is there is to be read.
    """

    rung: Rung
    study: Study | None
    arms: Mapping[str, str]
    claims: Mapping[str, str]
    notes: tuple[str, ...]


@functools.cache
def rung_names() -> tuple[str, ...]:
    """Return the names of the rungs, sorted."""
    files = (resources.files("leaderboard.studies") / "rungs").iterdir()
    return tuple(sorted(file.name.removesuffix(".toml") for file in files if file.name.endswith(".toml")))


@functools.cache
def load_rung(name: str) -> Rung:
    """Return a rung by its name."""
    if name not in rung_names():
        raise unknown_name("rung", name, rung_names())
    text = (resources.files("leaderboard.studies") / "rungs" / f"{name}.toml").read_text(encoding="utf-8")
    return Rung.model_validate(tomllib.loads(text))


def on_rung(study: Study, rung: Rung) -> Mapped:
    """Return a study as it is asked on a rung."""
    tasks = load_task(study.task), load_task(rung.tasks.get(study.task, rung.task))
    if reason := rung.unmapped.tasks.get(study.task, ""):
        return _nothing(study, rung, reason)
    arms: list[Arm] = []
    left_out: dict[str, str] = {}
    for arm in study.arms:
        try:
            arms += _arm(arm, rung, tasks)
        except UsageError as error:
            left_out[arm.name] = error.problem
    if not arms and study.arms:
        return _nothing(study, rung, next(iter(left_out.values())))
    claims, lost = _claims(study, rung, tasks, arms, left_out)
    kept = study.model_copy(
        update={"task": tasks[1].id, "games": (), "seeds": None, "frames": None, "arms": tuple(arms), "claims": claims}
    )
    notes = [*rung.notes, *(f"{name} is left out: {reason}" for name, reason in left_out.items())]
    if study.games:
        notes.append("It is asked of all games of the task.")
    return Mapped(rung, kept, left_out, lost, tuple(notes))


def _nothing(study: Study, rung: Rung, reason: str) -> Mapped:
    why = f"{rung.id} cannot have it: {reason}"
    return Mapped(rung, None, {arm.name: why for arm in study.arms}, {claim.id: why for claim in study.claims}, (why,))


def _arm(arm: Arm, rung: Rung, tasks: tuple[Task, Task]) -> Iterator[Arm]:
    """Yield an arm with what the rung has in place of its parts; UsageError says why it cannot be had."""
    if arm.network not in rung.networks:
        reason = rung.unmapped.networks.get(arm.network, "nothing there stands for it")
        raise UsageError(f"the network {arm.network} has no counterpart: {reason}.")
    agents = [name for name in arm.agents if fits(registry.card("agent", name), tasks[1])]
    if not agents:
        raise UsageError(f"{' and '.join(arm.agents)} cannot be run there: its card is for other tasks.")
    if not fits(registry.card("method", arm.method), tasks[1]):
        raise UsageError(f"the method {arm.method} cannot be run there: its card is for other tasks.")
    known = registry.card("network", rung.networks[arm.network]).settings
    for path in (*arm.settings, *arm.sweep):
        kind, _, setting = path.partition(".")
        if kind == "network" and setting not in known:
            raise UsageError(f"{path} is no setting of the network {rung.networks[arm.network]}.")
    for name in agents:  # agents have values of their own on the rung
        yield arm.model_copy(
            update={
                "agents": (name,),
                "network": rung.networks[arm.network],
                "settings": {path: _value(path, value, arm, name, rung, tasks) for path, value in arm.settings.items()},
                "sweep": {
                    path: tuple(dict.fromkeys(_value(path, value, arm, name, rung, tasks) for value in values))
                    for path, values in arm.sweep.items()
                },
            }
        )


def _value(path: str, value: Value, arm: Arm, agent: str, rung: Rung, tasks: tuple[Task, Task]) -> Value:
    """Return what a setting's value is on the rung.

    Of an agent it keeps its proportion to the published one, of a method a number of gradient steps its share of them.
    """
    source, task = tasks
    if isinstance(value, bool | str):
        return value
    if path == REPLAY_RATIO:
        return value * _ratio(agent, task) / _ratio(agent, source)
    kind, _, name = path.partition(".")
    if kind == "method":
        setting = registry.card("method", arm.method).settings.get(name.rpartition(".")[2])
        if setting is None or setting.unit != "gradient steps":
            return value
        return max(1, round(value * rung.updates))
    if kind != "agent" or name == "n_step":
        return value
    card = registry.card("agent", agent)
    ours, theirs = (published(card, "agent", one)[name] for one in (task, source))
    if isinstance(ours, bool | str) or isinstance(theirs, bool | str) or not theirs:
        return value
    scaled = value * ours / theirs
    return max(1, round(scaled)) if isinstance(value, int) else float(f"{scaled:.4g}")


def _ratio(agent: str, task: Task) -> float:
    settings = published(registry.card("agent", agent), "agent", task)
    return float(settings.get("updates_per_period", 1)) / float(settings["update_period"])


def _claims(
    study: Study, rung: Rung, tasks: tuple[Task, Task], arms: Sequence[Arm], left_out: Mapping[str, str]
) -> tuple[tuple[Claim, ...], dict[str, str]]:
    """Return the claims whose arms are all there, and of the others why they cannot be asked."""
    agents = {arm.name: {agent for one in arms if one.name == arm.name for agent in one.agents} for arm in arms}
    kept: list[Claim] = []
    lost: dict[str, str] = {}
    for claim in study.claims:
        sides = [side for rule in claim.rules for side in (rule.a, rule.b) if side is not None]
        missing = next((side.arm for side in sides if side.arm not in agents), None)
        wanted = next((f"{side.where['agent']}" for side in sides if _lacks(side, agents)), None)
        if missing is not None:
            lost[claim.id] = left_out.get(missing, f"{missing} is not there.")
        elif wanted is not None:
            lost[claim.id] = f"{wanted} cannot be run there: its card is for other tasks."
        else:
            mapped = _read_there(claim, study, rung, tasks)
            if any(rule.a == rule.b for rule in mapped.rules):
                lost[claim.id] = "the values that it tells apart are the same there."
            else:
                kept.append(mapped)
    return tuple(kept), lost


def _lacks(side: Side, agents: Mapping[str, set[str]]) -> bool:
    return "agent" in side.where and side.where["agent"] not in agents.get(side.arm, ())


def _read_there(claim: Claim, study: Study, rung: Rung, tasks: tuple[Task, Task]) -> Claim:
    """Return a claim that speaks of the values that the arms have on the rung."""

    def side(one: Side | None) -> Side | None:
        if one is None:
            return None
        arm = next(arm for arm in study.arms if arm.name == one.arm)
        where: dict[str, Value | tuple[Value, ...]] = {}
        for path, value in one.where.items():
            values = value if isinstance(value, tuple) else (value,)
            mapped = tuple(
                _value(path, v, arm, arm.agents[0], rung, tasks) if path.startswith("method.") else v for v in values
            )
            where[path] = mapped if isinstance(value, tuple) else mapped[0]
        return Side(arm=one.arm, where=where)

    rules = tuple(rule.model_copy(update={"a": side(rule.a), "b": side(rule.b)}) for rule in claim.rules)
    return claim.model_copy(update={"rules": rules})
