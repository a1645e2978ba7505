"""What a run does not reach, worked out again: a record says of its methods and schedules what the suite says of them.

That takes the components themselves, not their cards alone. As a program, it answers for the specifications that come
in as JSON, so that whoever asks neither loads jax nor trusts itself to what settings from outside make of memory.
"""

from __future__ import annotations

import functools
import json
import resource
import subprocess
import sys
from collections.abc import Iterator, Mapping

from suite.children import run_module
from suite.contracts import registry
from suite.records.inconsistency import Inconsistency
from suite.records.record import Run
from suite.tasks import GAMES
from suite.tasks.configuration import Spec
from suite.tasks.specification import components

SECONDS = 60
"""How long all questions of one program may take to be answered."""

BYTES = 4 * 2**30
"""How much memory it may take."""


def of_unreached(told: tuple[str, ...], expected: tuple[str, ...] | None) -> Iterator[Inconsistency]:
    """Yield whether a record says something else of what it does not reach; None: nobody here can tell."""
    if expected is not None and told != expected:
        text = f"it says {list(told) or 'nothing'} of what it does not reach, and it is {list(expected) or 'nothing'}"
        yield Inconsistency("provenance.unreached", text)


def expected(run: Run) -> tuple[str, ...] | None:
    """Return what a run does not reach, worked out in this process; None if a component is not here as it was used."""
    from suite.learning.build import unreached  # jax

    return unreached(run.cell.spec, GAMES[run.cell.game]) if _is_known(run.cell.spec) else None


def question(run: Run) -> str | None:
    """Return what has to be asked of another process about what a run does not reach: see `answers`.

    "" if there is nothing to ask, as with published settings a run reaches everything; None if nobody here can tell.
    """
    spec = run.cell.spec
    if not _is_known(spec):
        return None
    if not run.cell.departures and not spec.shortened:
        return ""
    return json.dumps({"spec": spec.model_dump(mode="json"), "game": run.cell.game}, sort_keys=True)


@functools.lru_cache(maxsize=8)
def answers(questions: tuple[str, ...]) -> Mapping[str, tuple[str, ...]]:
    """Return what runs do not reach by question, worked out in one process of its own.

    What it could not answer, or not within SECONDS and BYTES, is left out.
    """
    try:
        said = run_module(__name__, data="\n".join(questions).encode(), seconds=SECONDS).stdout
    except subprocess.TimeoutExpired as error:
        said = error.stdout or b""
    except OSError:
        said = b""
    found = [json.loads(line) for line in said.split(b"\n")[:-1]]  # what follows the last newline is no answer
    return {one: tuple(map(str, told)) for one, told in zip(questions, found, strict=False) if told is not None}


def _is_known(spec: Spec) -> bool:
    """Return whether every component is installed as it was used."""
    return all(
        part.id in registry.registered(kind) and registry.card(kind, part.id).digest == part.card
        for kind, part in components(spec)
    )


def _main() -> None:
    """Answer a question a line, with a list or null."""
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(_answer(line)) + "\n")
        sys.stdout.flush()


def _answer(asked: str) -> tuple[str, ...] | None:
    from suite.learning.build import unreached

    try:
        content = json.loads(asked)
        return unreached(Spec.model_validate_json(json.dumps(content["spec"])), GAMES[content["game"]])
    except Exception:  # noqa: BLE001 - settings from outside; the next question is another run's
        return None


if __name__ == "__main__":
    _main()
