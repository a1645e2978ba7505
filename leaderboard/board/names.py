"""Names for people: what an entry is called, and the command that runs it again."""

from __future__ import annotations

import itertools
import shlex
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from leaderboard.board.looks import apart
from leaderboard.board.methods import shipped
from leaderboard.board.views import Departure, Entry
from leaderboard.store.rows import StoredConfiguration
from suite.contracts import registry
from suite.contracts.card import Value

LABEL_CHARACTERS = 120
"""About how long a label's list of departures is at most: it stands on every page of its task, in every row of data."""

_SHORT = {"impala": "Impala", "mlp": "MLP"}
_SPELLED = {
    "jaxpruner": "JaxPruner",
    "l2_features": "L2 features",
    "l2_init": "L2 Init",
    "redo": "ReDo",
    "rigl": "RigL",
    "set": "SET",
}
"""What methods are called whose names are not the words of their ids."""


def entries(
    configurations: Sequence[StoredConfiguration],
    departures: Mapping[str, Mapping[str, Value]],
    footnotes: Sequence[str],
    task: str,
) -> dict[str, Entry]:
    """Return an entry of a task's board for each configuration, under labels that tell apart those of one budget.

    `departures` maps a configuration to its departing settings and their published values.
    """
    changed = {item.config_id: _departures(item.spec, departures.get(item.config_id, {})) for item in configurations}
    told = _told(configurations, changed)
    labels = {item.config_id: _label(item, told[item.config_id]) for item in configurations}
    uses = Counter((item.published, item.frames, labels[item.config_id]) for item in configurations)
    found = {}
    for item in configurations:
        label = labels[item.config_id]
        if uses[item.published, item.frames, label] > 1:
            label = f"{label} [{item.config_id[:6]}]"
        found[item.config_id] = Entry(
            config_id=item.config_id,
            agent=title("agent", item.agent),
            network=_network(item),
            method=method_name(item.method),
            methods=tuple(item.method.split("+")),
            label=f"{label} (published)" if item.published else label,
            published=item.published,
            departures=changed[item.config_id],
            footnotes=tuple(footnotes.index(caveat) + 1 for caveat in item.caveats),
            command=command(item, changed[item.config_id], task),
            told=told[item.config_id],
        )
    looks = apart(found.values())
    return {config_id: replace(entry, look=looks[config_id]) for config_id, entry in found.items()}


def title(kind: registry.Kind, name: str) -> str:
    """Return what the suite's own card calls an agent or network; what others install here keeps its plain name.

    So the pages depend on the suite's version alone, not on the machine that builds them.
    """
    if name not in shipped(kind):
        return name
    return _SHORT.get(name) or registry.card(kind, name).title


def method_name(label: str) -> str:
    """Return what a method, or a combination such as `rigl+weight_decay`, is called within a sentence."""
    return "+".join(_SPELLED.get(name, name.replace("_", " ")) for name in label.split("+"))


def command(item: StoredConfiguration, departures: Sequence[Departure], task: str) -> str:
    """Return the `suite run` line of a configuration on a task's games; empty for published numbers."""
    if item.spec is None:
        return ""
    words = ["suite", "run", "--task", task, "--agent", item.agent, "--network", item.network, "--method", item.method]
    if item.shortened:
        words += ["--frames", str(item.frames)]
    for departure in departures:
        words += ["--set", f"{departure.path}={_toml(departure.value)}"]
    return shlex.join(words)


def _network(item: StoredConfiguration) -> str:
    name = title("network", item.network)
    return name if item.width is None else f"{name} \N{MULTIPLICATION SIGN}{item.width}"


def _told(
    configurations: Sequence[StoredConfiguration], changed: Mapping[str, Sequence[Departure]]
) -> dict[str, tuple[tuple[str, Value], ...]]:
    """Return the settings that each label names: departures, and what tells the entry from those alike otherwise."""
    known = {item.config_id: _settings(item.spec) for item in configurations}
    alike: dict[tuple[object, ...], dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for item in configurations:
        for path, value in known[item.config_id].items():
            alike[_kind(item)][path].add(repr(value))
    found = {}
    for item in configurations:
        told = {departure.path: departure.value for departure in changed[item.config_id]}
        several = {path for path, values in alike[_kind(item)].items() if len(values) > 1}
        told |= {path: value for path, value in known[item.config_id].items() if path in several}
        ordered = sorted(told.keys() - {"network.width"}, key=lambda path: (path not in several, path))
        found[item.config_id] = tuple((path, told[path]) for path in ordered)
    return found


def _kind(item: StoredConfiguration) -> tuple[object, ...]:
    return item.published, item.frames, item.agent, item.network, item.method


def _settings(spec: Mapping[str, Any] | None) -> dict[str, Value]:
    """Return every setting of a stored spec by its path: `agent.gamma`, `method.redo.threshold`."""
    if spec is None:
        return {}
    parts: list[tuple[str, Mapping[str, Any]]] = [(kind, spec[kind]) for kind in ("agent", "network") if kind in spec]
    parts += [(f"method.{method['id']}", method) for method in spec.get("methods", ())]
    return {f"{path}.{name}": value for path, part in parts for name, value in part["settings"].items()}


def _label(item: StoredConfiguration, told: Sequence[tuple[str, Value]]) -> str:
    parts = [title("agent", item.agent), *([_network(item)] if item.network else [])]  # some published ones name none
    if not item.published:
        parts.append(method_name(item.method))
    label = " \N{MIDDLE DOT} ".join(parts)
    shown = shortened([f"{path.rpartition('.')[2]} {_toml(value)}" for path, value in told])
    return f"{label} ({', '.join(shown)})" if shown else label


def shortened(texts: Sequence[str]) -> list[str]:
    """Return as many texts as a label has room for, and how many more there are."""
    lengths = itertools.accumulate(len(text) + 2 for text in texts)
    more = sum(length > LABEL_CHARACTERS for length in lengths)
    return [*texts[: len(texts) - more], f"{more} more"] if more else list(texts)


def _departures(spec: Mapping[str, Any] | None, published: Mapping[str, Value]) -> tuple[Departure, ...]:
    known = _settings(spec) | {"precision": (spec or {}).get("precision", "unknown")}
    return tuple(Departure(path, known.get(path, "unknown"), value) for path, value in sorted(published.items()))


def _toml(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
