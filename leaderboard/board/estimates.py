"""Estimates for the pages, computed on all processors and remembered: each is asked for by several pages.

What is remembered follows from the scores and the statistics policy alone, so that neither the number of processors nor
the order of the questions changes a digit. The answers about the published curves are kept in the package: every site
shows them, and they take half a minute to compute. `ci/published_estimates` writes them.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from functools import partial
from importlib import resources
from typing import NamedTuple

import numpy as np

from leaderboard.board.workers import spread
from leaderboard.statistics.conventions import STATISTICS_POLICY, Policy
from leaderboard.statistics.curves import area_under_curve, iqm_curve
from leaderboard.statistics.intervals import Estimate, estimate
from leaderboard.statistics.metrics import Scores

CURVE = "curve"
"""What a learning curve is asked for by, beside the names of metrics of final scores."""

AREA = "area"
"""What the mean height of a learning curve is asked for by."""

METRICS = ("iqm", "iqm_rliable", "median", "mean", "optimality_gap")
"""The aggregates of final scores that pages show."""

POLICY = STATISTICS_POLICY
"""How the numbers of a site are made."""

PUBLISHED = "published_estimates.json"
"""The file with the answers about the published curves."""

KEPT = 20_000
"""How many answers are remembered at most."""

SECONDS_EACH = 1.5e-4
"""About what a value of a question takes on one processor: [runs, points] of all games together."""


class Question(NamedTuple):
    """A metric of final scores, [runs] by game, or `CURVE` or `AREA` of [runs, points] by game.

    An area needs the `positions` [points] of its points in frames.
    """

    metric: str
    scores: Scores
    positions: tuple[int, ...] = ()


def ask(question: Question) -> tuple[Estimate, ...]:
    """Return the answer: one estimate, or one for each point of a curve."""
    key = key_of(question)
    found = published().get(key) or known(key)
    if found is None:
        remember(key, found := compute(question, POLICY))
    return found


def known(key: bytes) -> tuple[Estimate, ...] | None:
    """Return an answer that is remembered, or None."""
    _used.add(key)
    return _known.get(key)


def begin() -> None:
    """Begin anew to note which answers are used."""
    _used.clear()


def used() -> dict[bytes, tuple[Estimate, ...]]:
    """Return the answers that were asked for since `begin`, but for those that the package has."""
    return {key: _known[key] for key in sorted(_used) if key in _known}


def prepare(questions: Iterable[Question]) -> None:
    """Answer many questions at once, on all processors, so that `ask` knows them."""
    keyed = {key_of(question): question for question in questions}
    open_ones = {key: asked for key, asked in keyed.items() if key not in published() and known(key) is None}
    values = sum(np.size(block) for question in open_ones.values() for block in question.scores.values())
    answers = spread(partial(compute, policy=POLICY), tuple(open_ones.values()), SECONDS_EACH * values)
    for key, answer in zip(open_ones, answers, strict=True):
        remember(key, answer)


def compute(question: Question, policy: Policy) -> tuple[Estimate, ...]:
    """Return the answer under a policy, whatever is remembered."""
    if question.metric == CURVE:
        return tuple(iqm_curve(question.scores, policy))
    if question.metric == AREA:
        return (area_under_curve(question.scores, question.positions, policy),)
    return (estimate(question.metric, question.scores, policy),)


@functools.cache
def published() -> Mapping[bytes, tuple[Estimate, ...]]:
    """The kept answers about the published curves, by the hash of what was asked."""
    rows = json.loads((resources.files("leaderboard") / "data" / PUBLISHED).read_text(encoding="utf-8"))
    return {bytes.fromhex(key): tuple(Estimate(*found) for found in answer) for key, answer in rows.items()}


_known: OrderedDict[bytes, tuple[Estimate, ...]] = OrderedDict()
_used: set[bytes] = set()


def recall(key: bytes, answer: tuple[Estimate, ...]) -> None:
    """Remember an answer of an earlier process, which counts as used once it is asked for."""
    _known.setdefault(key, answer)


def remember(key: bytes, answer: tuple[Estimate, ...]) -> None:
    """Remember an answer under the hash of its question."""
    _used.add(key)
    _known[key] = answer
    while len(_known) > KEPT:
        _known.popitem(last=False)


def key_of(question: Question) -> bytes:
    """Return a hash of the policy and of all that the answer depends on; the runs of a game in their given order."""
    return _hashed((question.metric, question.positions), question.scores)


def key_of_pair(what: str, a: Scores, b: Scores, more: object) -> bytes:
    """Return a hash of the policy and of all that is asked about two entries."""
    return _hashed((what, more), a, b)


def _hashed(asked: tuple[object, ...], *sides: Scores) -> bytes:
    total = hashlib.sha256("\n".join([f"{POLICY!r}", *map(str, asked), ""]).encode())
    for place, scores in enumerate(sides):
        total.update(b"\n" * place)
        for name in sorted(scores):
            values = np.asarray(scores[name], dtype="<f8")
            total.update(f"{name}\n{values.shape}\n".encode() + values.tobytes())
    return total.digest()
