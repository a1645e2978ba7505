"""The programs that runs on a GPU call, by name: `task/agent/network/method/kind/form/lanes`; `impala@3` is 3 wide.

Kinds: `act` and `update`; `several`, sixteen updates in one call, which offline tasks take; `due`, the update at which
the method is due, which each lane takes by a program of its own; `evaluate`, ten episodes at a time.
Agents, networks and methods are those that are registered, every one with the settings of its card.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from functools import cache
from itertools import combinations
from typing import Any

import jax
import numpy as np

from suite.contracts import registry
from suite.contracts.method import due_examples
from suite.learning.batching import Form, over_lanes
from suite.learning.build import full_updates, programs_for
from suite.learning.learners import TOGETHER
from suite.learning.programs import Programs, several_updates
from suite.running.evaluation import EVALUATION_ENVS
from suite.running.request import Request, resolve
from suite.tasks import GAMES, Task, load_task

LANES = (5, 1, 15, 75)
FORMS = ("matmul", "vmap", "unrolled")
DOMAINS = {
    "atari40m": (("dqn", "rainbow", "c51", "qr_dqn", "iqn", "m_iqn"), ("nature_cnn", "impala"), "Boxing"),
    "atari100k": (("der", "drq_eps"), ("nature_cnn", "impala"), "Boxing"),
    "offline5": (("cql", "cql_c51"), ("impala", "nature_cnn"), "Boxing"),
    "mujoco": (("sac", "ppo"), ("mlp",), "Humanoid"),
    "minatar": (("dqn", "rainbow", "c51", "qr_dqn", "iqn", "m_iqn"), ("minatar_cnn",), "MinAtarSeaquest"),
    "classic": (("dqn", "rainbow", "c51", "qr_dqn", "iqn", "m_iqn"), ("mlp",), "Acrobot"),
}
"""By task: its agents, its networks, and the game whose networks are the largest. Other tasks share these programs."""
WIDER = ("nature_cnn@3", "impala@3", "impala@5")
"""Networks at other widths than 1, with the first agent of the first task alone."""
ELSEWHERE = {"jaxpruner": "its package is not in the image"}
"""Methods that are left out, and why."""
TICKET = "method.lottery_ticket.ticket=0000000000000000"
"""A lottery ticket's program is the same whatever run its mask comes from."""


@dataclass(frozen=True, slots=True)
class Name:
    """What a program is called; `form` is `loop` where a lane has it alone."""

    task: str
    agent: str
    network: str
    method: str
    kind: str
    form: str
    lanes: int

    def __str__(self) -> str:
        """As one word."""
        return f"{self.task}/{self.agent}/{self.network}/{self.method}/{self.kind}/{self.form}/{self.lanes}"

    @classmethod
    def of(cls, text: str) -> Name:
        """Read what `str` wrote."""
        *words, lanes = text.split("/")
        return cls(*words, int(lanes))

    @property
    def pairs(self) -> list[tuple[tuple[str, Any], tuple[str, Any]]]:
        """Every two of its values, such as an agent and a form."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return list(combinations((values | {"agent": (self.task, self.agent)}).items(), 2))

    @property
    def distance(self) -> tuple[int, int]:
        """How far it is from what most runs call: the order in which programs are compiled."""
        agents, networks, _ = DOMAINS[self.task]
        ranks = (
            2 * list(DOMAINS).index(self.task),
            3 * min(1, agents.index(self.agent)),
            networks.index(self.network) if self.network in networks else 4,
            4 * (self.method != "dense"),
            2 * (self.kind not in ("update", "act")),
            LANES.index(self.lanes),
            {"loop": 0, **{form: 2 * place for place, form in enumerate(FORMS)}}[self.form],
            6 * (self.form == "unrolled" and self.lanes > LANES[0]),
        )
        return sum(ranks), sum(rank > 0 for rank in ranks)


def names() -> list[Name]:
    """Return all programs, those that most runs call first."""
    found = [name for task in DOMAINS for name in _of_task(task)]
    return sorted(found, key=lambda name: (name.distance, str(name)))


def spread(missing: Sequence[Name], recorded: Iterable[Name]) -> list[Name]:
    """Return what is missing: each brings the most pairs of values that no recorded and no earlier one has.

    Those that bring as many, or none, come in the order that they had.
    """
    covered = {pair for name in recorded for pair in name.pairs}
    queue = [(-len(name.pairs), place) for place, name in enumerate(missing)]
    order = []
    while queue:
        most, place = heapq.heappop(queue)
        new = -len(set(missing[place].pairs) - covered)
        if new > most:  # what others brought meanwhile; it only ever gets less
            heapq.heappush(queue, (new, place))
            continue
        order.append(missing[place])
        covered.update(missing[place].pairs)
    return order


def _of_task(task: str) -> Iterator[Name]:
    agents, networks, _ = DOMAINS[task]
    methods = [name for name in registry.registered("method") if name not in ELSEWHERE]
    if task == next(iter(DOMAINS)):
        for network in WIDER:
            yield from _of_configuration(task, agents[0], network, "dense")
    for agent in agents:
        for network in networks:
            for method in methods:
                yield from _of_configuration(task, agent, network, method)


def _of_configuration(task: str, agent: str, network: str, method: str) -> Iterator[Name]:
    own = (task, agent, network, method)
    kinds = ["update"] if load_task(task).data is not None else ["act", "update"]
    kinds += ["several"] if load_task(task).data is not None else []
    for kind in kinds:
        yield Name(*own, kind, "loop", 1)
        for form in FORMS:
            for lanes in LANES:
                yield Name(*own, kind, form, lanes)
    if method != "dense":
        yield Name(*own, "due", "loop", 1)
    if load_task(task).evaluation is not None:
        yield Name(*own, "evaluate", "loop", 1)


def program(name: Name, settings: tuple[str, ...] = ()) -> tuple[Any, tuple[Any, ...], dict[str, Any]]:
    """Return the function, its arguments as shapes, and how `jax.jit` takes it; `settings`: further ones."""
    own = programs(name, settings)
    learner, data, observation = own.shapes(), own.blank_data(), own.inputs.blank()
    legal, key, count = np.ones(own.actions, np.bool_), np.zeros(2, np.uint32), np.uint32(0)
    form = None if name.form == "loop" else Form(name.form)

    def lanes_of(tree: Any, axis: int = 0) -> Any:
        return tree if form is None else _stacked(tree, name.lanes, axis)

    def update(learner: Any, key: Any, count: Any, data: Any, legal: Any) -> Any:
        return own.traced_update(learner, key, count, data, legal, {})

    updates = update if form is None else over_lanes(update, name.lanes, form, shared=(2,))
    if name.kind == "act":
        act = own.traced_act if form is None else over_lanes(own.traced_act, name.lanes, form, shared=(4,))
        return act, (*map(lanes_of, (own.acting(learner), observation, legal, key)), count), {}
    if name.kind == "evaluate":
        episodes = [_stacked(each, EVALUATION_ENVS) for each in (observation, key, count)]
        evaluate: Any = own._evaluate
        return evaluate.__wrapped__, (own.acting(learner), episodes[0], legal, *episodes[1:]), {}
    if name.kind == "several":
        rows = lanes_of(_stacked(data, TOGETHER), 1)
        arguments = (lanes_of(learner), lanes_of(key), count, rows, lanes_of(legal))
        return several_updates(updates), arguments, {"donate_argnums": 0}
    if name.kind == "due":
        return own.traced_update, _due(own, name.task, learner, key, data, legal), {"donate_argnums": 0}
    arguments = (lanes_of(learner), lanes_of(key), count, lanes_of(data), lanes_of(legal))
    return updates, arguments, {"donate_argnums": 0}


def is_due(name: Name) -> bool:
    """Return whether there is such a program at all: some methods are never due."""
    own = programs(name)
    return name.kind != "due" or bool(_due_at(own, load_task(name.task)))


def _due_at(own: Programs, task: Task) -> list[int]:
    return [count for count in due_examples(own._methods, full_updates(task, own.plan)) if own.signals(count)]


def _due(own: Programs, task: str, learner: Any, key: Any, data: Any, legal: Any) -> tuple[Any, ...]:
    count = _due_at(own, load_task(task))[-1]
    states, blank = own.states(count), own.inputs.blank()
    data = data._replace(states=np.zeros((states, *blank.shape), blank.dtype)) if states else data
    return learner, key, np.uint32(count), data, legal, own.signals(count)


def programs(name: Name, settings: tuple[str, ...] = ()) -> Programs:
    """Return the programs of a name's configuration, in the settings of its cards but for these."""
    return _programs(name.task, name.agent, name.network, name.method, settings)


@cache
def _programs(task: str, agent: str, network: str, method: str, settings: tuple[str, ...]) -> Programs:
    kind, _, width = network.partition("@")
    settings += (TICKET,) if method == "lottery_ticket" else ()
    (resolved,) = resolve(Request(task, agent, kind, (method,), settings, width=int(width) if width else None))
    return programs_for(resolved.spec, GAMES[DOMAINS[task][2]])


def _stacked(tree: Any, count: int, axis: int = 0) -> Any:
    def stack(leaf: Any) -> jax.ShapeDtypeStruct:
        shape = np.shape(leaf)
        return jax.ShapeDtypeStruct((*shape[:axis], count, *shape[axis:]), leaf.dtype)

    return jax.tree.map(stack, tree)
