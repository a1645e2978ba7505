"""Bundles that are made to cost memory and time; `tests.support.costs` measures what they do."""

from __future__ import annotations

import functools
import json
import random
from dataclasses import replace

from leaderboard.bundles.pack import manifest_of
from leaderboard.bundles.runs import BundledRun, document_name, to_document
from tests.support import attacks, honest
from tests.support.attacks import Attack
from tests.support.attacks_bounds import departing, numbered

Files = dict[str, bytes]


PAD = random.Random(0).randbytes(45_000).hex().encode()
"""What does not compress: a document of 8 MiB needs 42 kB of it, deflated, else it is a bomb."""


def filled(documents: list[bytes]) -> bytes:
    """Return a bundle with these documents as those of its runs."""
    rest = {name: content for name, content in attacks.good_files().items() if not name.startswith("runs/")}
    named = {f"runs/00000000-Pong-{number}.json": content for number, content in enumerate(documents)}
    table = json.loads(rest.pop("manifest.json"))
    files = rest | named
    return attacks.zipped({**files, "manifest.json": manifest_of(files, table["task"], table["runs"])})


@functools.cache
def long_run(task: str, game: str, seed: int) -> BundledRun:
    """Return a run of as many episodes as are read, without actions."""
    return honest.honest_run(task, game, seed, mean_length=84, with_actions=False)


def many_episodes(runs: int) -> bytes:
    """Return a bundle of runs that hold in every respect, of 119,000 episodes each."""
    cells = [(game, seed) for game in ("Pong", "Breakout", "Qbert", "MsPacman") for seed in range(5)]
    return bytes(honest.bundle([long_run("atari40m", *cell) for cell in cells[:runs]], attacks.LEFT_OUT))


def many_departures(count: int, runs: int = 24) -> bytes:
    """Return a bundle of so many runs that list so many departures each."""
    run = departing(count)(attacks.good_runs()[0])
    made = [replace(run, cell=run.cell.model_copy(update={"seed": seed})) for seed in range(runs)]
    files = {**attacks.good_files(), **{document_name(one): to_document(one) for one in made}}
    return bytes(honest.again(files))


def texts(letters: str, count: int) -> bytes:
    """Return a JSON list of so many different texts with these letters."""
    return b"[" + b",".join(b'"%s%06x"' % (letters.encode(), number) for number in range(count)) + b"]"


def small_runs(runs: int) -> bytes:
    """Return a bundle of so many runs of the smallest task, under several configurations, which hold."""
    made: list[BundledRun] = []
    for number in range(runs // 200):
        settings = (f"agent.learning_rate={1 + number}e-4",)
        made += [
            honest.honest_run("smoke", game, seed, settings=settings)
            for game in ("Pong", "Breakout")
            for seed in range(100)
        ]
    return bytes(honest.bundle(made))


def fat_attempts(runs: int, attempts: int = 60) -> bytes:
    """Return a bundle of runs whose attempts are as large as they may be, and all different."""

    def change(run: BundledRun, seed: int) -> BundledRun:
        (one,) = run.provenance.attempts
        rows = tuple(
            one.model_copy(
                update={"attempt": n + 1, "packages": numbered(150, f"{seed} {n} " + "a" * 60)} | {"command": ("run",)}
            )
            for n in range(attempts)
        )
        cell = run.cell.model_copy(update={"seed": seed})
        return replace(run, cell=cell, provenance=run.provenance.model_copy(update={"attempts": rows}))

    made = [change(attacks.good_runs()[0], seed) for seed in range(runs)]
    files = {**attacks.good_files(), **{document_name(one): to_document(one) for one in made}}
    return bytes(honest.again(files))


def fat_cards() -> bytes:
    """Return a bundle with cards of 8 MiB."""
    card = b'{"summary":"' + b"a" * (8 * 2**20 - 100_000) + PAD + b'"}'
    return bytes(honest.again({**attacks.good_files(), **{f"cards/method-x{n}.json": card for n in range(20)}}))


def wide_diagnostics() -> bytes:
    """Return a bundle of runs with as many diagnostics as are read."""
    source = random.Random(0)
    made = []
    for seed in range(60):
        run = honest.honest_run("smoke", "Pong", seed)
        rows = tuple(
            type(run.diagnostics[0])(
                attempt=1,
                agent_step=step,
                frame=4 * step,
                updates=0,
                values={f"x{n}": source.random() for n in range(9)},
            )
            for step in range(1, 201)
        )
        made.append(replace(run, diagnostics=rows))
    return bytes(honest.bundle(made, attacks.LEFT_OUT))


def evaluations(runs: int) -> bytes:
    """Return a bundle of evaluated runs with far more evaluation episodes than were due."""
    (run, *_) = honest.honest_runs("smoke100k")
    rows = tuple(row.model_copy(update={"episode": n}) for n, row in enumerate(run.evaluation * 2000))[:39_000]
    made = [replace(run, evaluation=rows, cell=run.cell.model_copy(update={"seed": seed})) for seed in range(runs)]
    files = dict(honest.bundle_files(honest.honest_runs("smoke100k")))
    return bytes(honest.again({**files, **{document_name(one): to_document(one) for one in made}}))


COSTS = [
    Attack("16 runs of 119,000 episodes, which hold", "partial", lambda: many_episodes(16)),
    Attack("17 runs of 119,000 episodes", "limits.exceeded", lambda: many_episodes(17)),
    Attack("250,000 departures in each of 24 runs", "limits.exceeded", lambda: many_departures(250_000)),
    Attack("100 departures in each of 100 runs", "protocol.departures", lambda: many_departures(100, 100)),
    Attack("20 cards of 8 MiB", "limits.exceeded", fat_cards),
    Attack("60 attempts of 15 kB in each of 100 runs", "limits.exceeded", lambda: fat_attempts(100)),
    Attack("1,000 small runs, which hold", "protocol.departure", lambda: small_runs(1000)),
    Attack("diagnostics of 60 runs", "partial", wide_diagnostics),
    Attack("39,000 evaluation episodes in each of 20 runs", "runs.claims", lambda: evaluations(20)),
    Attack("17 documents of 519,000 texts", "limits.exceeded", lambda: filled([texts("", 519_000)] * 17)),
    Attack("15 documents of 400,000 odd texts", "text.characters", lambda: filled([texts("\u00e9" * 2, 400_000)] * 15)),
    Attack(
        "23 documents of odd letters",
        "text.characters",
        lambda: filled([b'["' + "\u00e9\u00df".encode() * 2_000_000 + PAD + b'"]'] * 23),
    ),
    Attack("23 documents of quotes", "json.size", lambda: filled([b"[" + b'""' * 4_100_000 + PAD + b"]"] * 23)),
    Attack("23 documents of one text", "archive.bomb", lambda: filled([b'["' + PAD + b"a" * 8_300_000 + b'"]'] * 23)),
    Attack(
        "16 documents of 500,000 numbers",
        "schema.fields",
        lambda: filled([b"[" + b"0.123456789012," * 500_000 + b'"' + PAD + b'"]'] * 16),
    ),
    Attack(
        "90 documents of 80,000 numbers",
        "archive.bomb",
        lambda: filled([b"[" + b"0.5," * 80_000 + b"0]"] * 90),
    ),
]
