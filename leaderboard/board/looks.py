"""How entries are drawn: colour, dash and marker of each, the same on every page and in every figure.

A task's entries get their looks together, so that no two of them look alike while there are looks left.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

from leaderboard.board.views import Entry, Style

T = TypeVar("T")

METHODS: dict[str, tuple[str, str]] = {
    "dense": ("#2f7fd0", "circle"),
    "magnitude_pruning": ("#d9601a", "square"),
    "rigl": ("#1a9a6c", "triangle-up"),
    "set": ("#b45fc0", "diamond"),
    "static_sparse": ("#b8860b", "circle"),
    "lottery_ticket": ("#c83a3a", "triangle-left"),
    "random_pruning": ("#8c7355", "triangle-right"),
    "jaxpruner": ("#77828d", "square"),
    "redo": ("#1798a8", "triangle-left"),
    "reset": ("#d14e86", "cross"),
    "shrink_and_perturb": ("#5a74b8", "triangle-right"),
    "weight_decay": ("#7d6bd6", "triangle-down"),
    "l2_features": ("#6f8f1f", "cross"),
    "l2_init": ("#a8627a", "triangle-down"),
}
"""Colour and marker of a method, by its id.

Two with one marker stay apart in every common form of colour blindness (a test).
"""

SERIES = tuple(
    METHODS[name][0]
    for name in (
        *("dense", "magnitude_pruning", "rigl", "set", "static_sparse", "lottery_ticket"),
        *("redo", "shrink_and_perturb", "l2_features", "random_pruning"),
    )
)
"""Colours of lines that no method tells apart: seeds, the series of a study."""

_OTHER_COLOURS = ("#4a8f9e", "#a06a2c", "#9a5f8f", "#5f8a5a", "#7f74a8")
_MUTED = ("#7688a3", "#b38a66", "#6f9c82", "#a283b3", "#a39a55")
_DARK, _LIGHT = 0.13, 0.288
"""Luminances of a method's colour: as far apart as contrast on light and on dark pages allows."""
_TONES = {"C51": _DARK, "M-IQN": _DARK, "Rainbow": _LIGHT, "QR-DQN": _LIGHT}
"""Which agents make the colour darker or lighter; the others leave it as it is."""
DASHES = ([1, 0], [6, 3], [2, 2], [8, 3, 2, 3])
"""Dashes that can be told apart; the first is a solid line."""

_SHAPES = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "triangle-left", "triangle-right")
_NETWORKS = ("Impala", "Nature")
_AGENTS = ("DQN", "Rainbow", "IQN", "C51", "QR-DQN")
_VARIANTS = ("DQN", "C51", "QR-DQN", "IQN", "Rainbow", "M-IQN")
_BASES = ("DQN", "DER", "CQL", "SAC")


def style(entry: Entry) -> Style:
    """Return how an entry is drawn everywhere: the look that it got among all entries of its task, else its own."""
    return entry.look or own_style(entry)


def own_style(entry: Entry) -> Style:
    """Return the style that follows from an entry alone.

    The colour tells its method, the dash its network, the marker its method and variant.

    Another agent, width or setting moves the marker on, and the agent makes the colour
    darker or lighter. Numbers that others published are muted and thin, and their colour tells the agent.
    """
    dash = DASHES[_index(entry.network.partition(" ")[0], _NETWORKS, len(DASHES))]
    if entry.published:
        return Style(_MUTED[_index(entry.agent, _AGENTS, len(_MUTED))], dash, "stroke", 1.5)
    method = "+".join(entry.methods)
    colour, shape = METHODS.get(method) or (
        _OTHER_COLOURS[_index(method, (), len(_OTHER_COLOURS))],
        _SHAPES[_index(f"marker {method}", (), len(_SHAPES))],
    )
    shape = _SHAPES[(_SHAPES.index(shape) + _variant(entry)) % len(_SHAPES)]
    return Style(_toned(colour, _TONES.get(entry.agent)), dash, shape, 2.4)


def styles(entries: Iterable[Entry]) -> dict[str, Style]:
    """Return the styles of the entries of one chart by their labels: their own, but no two the same."""
    entries = list(entries)
    found = apart(entries)
    return {entry.label: found[entry.config_id] for entry in entries}


def apart(entries: Iterable[Entry]) -> dict[str, Style]:
    """Return a style for each configuration, no two the same.

    Of those that would look alike the first by id keeps its own, the others take the next free marker or dash.
    """
    taken: set[tuple[str, str, str]] = set()
    found = {}
    for entry in sorted(entries, key=lambda entry: (entry.config_id, entry.label)):
        own = style(entry)
        shapes = (own.shape,) if entry.published else _turned(_SHAPES, own.shape)
        looks = [replace(own, shape=shape, dash=dash) for dash in _turned(DASHES, own.dash) for shape in shapes]
        free = next((one for one in looks if (one.colour, str(one.dash), one.shape) not in taken), own)
        taken.add((free.colour, str(free.dash), free.shape))
        found[entry.config_id] = free
    return found


def _turned(items: Sequence[T], first: T) -> list[T]:
    """Return a ring of items from one of them on."""
    place = list(items).index(first)
    return [*items[place:], *items[:place]]


def _toned(colour: str, luminance: float | None) -> str:
    """Return a colour with another luminance, 0 to 1, as a mix with black or white."""
    if luminance is None:
        return colour
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    own = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    white = max(0.0, (luminance - own) / (1 - own))
    mixed = [part * min(1.0, luminance / own) * (1 - white) + white for part in linear]
    signals = [12.92 * part if part <= 0.0031308 else 1.055 * part ** (1 / 2.4) - 0.055 for part in mixed]
    return "#" + "".join(f"{round(255 * min(1.0, part)):02x}" for part in signals)


def _variant(entry: Entry) -> int:
    """Return how far an entry's marker lies from its method's own: 0 for the base agent as published, at width 1."""
    width = entry.network.partition(" \N{MULTIPLICATION SIGN}")[2]
    others = [f"{item.path} {item.value}" for item in entry.departures if item.path != "network.width"]
    changes = f"{'' if width in ('', '1') else width}{' '.join(others)}"
    agent = 0 if entry.agent in _BASES else _index(entry.agent, _VARIANTS, len(_SHAPES))
    return agent + (_index(changes, (), len(_SHAPES)) if changes else 0)


def _index(name: str, known: Sequence[str], size: int) -> int:
    """Return a fixed place for a name: its own if it is known, else one that follows from its hash."""
    if name in known:
        return known.index(name) % size
    return hashlib.sha256(name.encode()).digest()[0] % size
