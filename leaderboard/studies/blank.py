"""A study to begin with: a grid of cells from the words of a command line, as TOML for an editor."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Sequence

from leaderboard.studies.definition import REPLAY_RATIO
from suite.contracts.card import Value
from suite.errors import UsageError


def blank_study(
    name: str, task: str, agents: str, network: str, widths: str | None, methods: str, settings: Sequence[str]
) -> str:
    """Return the TOML of a study: an arm for each method, over a grid of all values.

    A setting of methods (`method.sparsity`) is swept for every method but dense.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,40}", name):
        raise UsageError(f"{name!r} is no name of a study.", "Use small letters, digits, - and _; begin with a letter.")
    sweeps = dict(_sweep(text) for text in settings)
    numbers = _widths(widths)
    arms = [method.strip() for method in methods.split(",") if method.strip()]
    x = next(iter(sweeps), "width" if numbers else "")
    lines = [
        f"id = {_text(name)}",
        f"title = {_text(name)}",
        'summary = "What is varied, in one sentence."',
        f"task = {_text(task)}",
        "",
        "[picture] # final: against x, after the whole budget; curves: against the budget",
        *(['kind = "final"', f"x = {_text(x)}"] if x else ['kind = "curves"']),
    ]
    for method in arms:
        own = {path: values for path, values in sweeps.items() if method != "dense" or not path.startswith("method.")}
        lines += ["", "[[arms]]", f"name = {_text(method)}", f"agents = {_list(agents.split(','))}"]
        lines += [f"network = {_text(network)}", f"method = {_text(method)}"]
        lines += [f"widths = {json.dumps(numbers)}"] if numbers else []
        pairs = ", ".join(f"{_text(path)} = [{', '.join(map(_value, values))}]" for path, values in own.items())
        lines += [f"sweep = {{ {pairs} }}"] if own else []
    if len(arms) > 1:
        lines += [
            "",
            "[[claims]] # better, not_better, at_least, equal, rises, falls, widens, narrows: docs/studies.md",
            'id = "gain"',
            f"text = {_text(f'{arms[1]} is better than {arms[0]}.')}",
            'source = "mine"',
            "",
            "[[claims.rules]]",
            'rule = "better"',
            f"a = {{ arm = {_text(arms[1])} }}",
            f"b = {{ arm = {_text(arms[0])} }}",
        ]
    return "\n".join(lines) + "\n"


def _sweep(text: str) -> tuple[str, list[Value]]:
    path, equals, values = text.partition("=")
    if not equals or not values.strip() or not (path.strip() == REPLAY_RATIO or "." in path):
        raise UsageError(f"--set {text!r} cannot be read.", "Write PATH=A,B, such as method.sparsity=0.9,0.95.")
    return path.strip(), [_read(part.strip()) for part in values.split(",")]


def _widths(text: str | None) -> list[int]:
    parts = [] if text is None else [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and int(part) > 0 for part in parts):
        raise UsageError(f"--width {text!r} cannot be read.", "Give whole numbers above 0, such as 1,3,5.")
    return [int(part) for part in parts]


def _read(text: str) -> Value:
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
    return value if isinstance(value, bool | int | float | str) else text


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _list(parts: Sequence[str]) -> str:
    return json.dumps([part.strip() for part in parts])


def _value(value: Value) -> str:
    return json.dumps(value) if isinstance(value, str | bool) else repr(value)
