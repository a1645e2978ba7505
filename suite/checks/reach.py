"""What a run does not reach, worked out again: a record says of its methods and schedules what the suite says of them.

That takes the components themselves, not their cards alone. As a program, it answers for the specifications that come
in as JSON, so that whoever asks neither loads jax nor trusts itself to what settings from outside make of memory.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Iterator

from suite.children import run_module
from suite.contracts import registry
from suite.records.inconsistency import Inconsistency
from suite.records.record import Run
from suite.tasks import GAMES
from suite.tasks.configuration import Spec
from suite.tasks.specification import components

SECONDS = 60
"""How long one specification may take to be answered."""


def of_unreached(run: Run, expected: tuple[str, ...] | None) -> Iterator[Inconsistency]:
    """Yield whether a record says something else of what it does not reach; None: nobody here can tell."""
    told = run.attempt.unreached
    if expected is not None and told != expected:
        text = f"it says {list(told) or 'nothing'} of what it does not reach, and it is {list(expected) or 'nothing'}"
        yield Inconsistency("provenance.unreached", text)


def expected(run: Run) -> tuple[str, ...] | None:
    """Return what a run does not reach, worked out in this process; None if a component is not here as it was used."""
    from suite.learning.build import unreached  # jax

    return unreached(run.cell.spec, GAMES[run.cell.game]) if _is_known(run.cell.spec) else None


def expected_apart(run: Run) -> tuple[str, ...] | None:
    """Return the same, worked out in a process of its own; with published settings it is nothing."""
    spec = run.cell.spec
    if not _is_known(spec):
        return None
    if not run.cell.departures and not spec.shortened:
        return ()
    return _answer(json.dumps({"spec": spec.model_dump(mode="json"), "game": run.cell.game}, sort_keys=True))


def _is_known(spec: Spec) -> bool:
    """Return whether every component is installed as it was used."""
    return all(
        part.id in registry.registered(kind) and registry.card(kind, part.id).digest == part.card
        for kind, part in components(spec)
    )


@functools.lru_cache(maxsize=256)
def _answer(question: str) -> tuple[str, ...] | None:
    try:
        done = run_module(__name__, data=question.encode(), seconds=SECONDS)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return tuple(map(str, json.loads(done.stdout))) if done.returncode == 0 else None


def _main() -> None:
    from suite.learning.build import unreached

    question = json.load(sys.stdin)
    spec = Spec.model_validate_json(json.dumps(question["spec"]))
    sys.stdout.write(json.dumps(unreached(spec, GAMES[question["game"]])))


if __name__ == "__main__":
    _main()
