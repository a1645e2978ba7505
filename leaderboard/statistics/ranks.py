"""Ranks that say how sure they are: intervals with simultaneous coverage, and groups that cannot be told apart.

Of every two entries the difference of interquartile means is divided by its standard error (influence functions) and
the resulting t, with the smaller of both sides' degrees of freedom, brought to the normal scale. Welch's would do where
all errors are about right; that of two or three seeds, of which some fail, is often far too small, and an entry with
many seeds beside it lends degrees of freedom that the error does not have. Two entries count as told apart where that
exceeds what the largest of all pairs exceeds in 5 % of boards on which all entries are equal; pairs that are settled
leave, and the bar falls for the rest (step-down, Romano and Wolf 2005). An entry's rank then lies between one more than
the entries told apart above it, and the number of entries less those told apart below it (Mogstad, Romano, Shaikh and
Wilhelm 2024): all these intervals together hold in at least 95 % of boards.

Letters show the same pairs (a compact letter display, Piepho 2004): two entries share a letter exactly where they are
not told apart. Whether they do depends on the two and on the bar, not on whom else they are compared with.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from leaderboard.statistics.conventions import STATISTICS_POLICY
from leaderboard.statistics.influence import error_of, iqm_influence
from leaderboard.statistics.intervals import carries
from leaderboard.statistics.metrics import Array, Scores, lay_out

DRAWS = 20_000
"""Simulated boards of equal entries that the bar is read from."""

FEWEST_DRAWS, ROOM = 2_000, 20_000_000
"""Boards of more than 45 entries get fewer, so that pairs times boards stay within this room, but never fewer."""

AT_ONCE = 4_000_000
"""Pairs times boards that are held in memory together."""

INFLATION = 1.03
"""What the bar is raised by: where entries differ in every game, standard errors are some percent too small. Chosen on
Dopamine's scores; on those of Atari 100k all intervals hold together without it (docs/comparisons.md)."""

_VERSION = "ranks-1"


@dataclass(frozen=True, slots=True)
class Ranking:
    """Where an entry stands.

    `letters`: it shares one of them with every entry that it is not told apart from, and none with any other; A is the
    highest on the board. `low` and `high` bound its rank, 1 is best. `ordinal` is its place by the point estimate
    alone. `tied` names the entries that it is not told apart from.
    """

    letters: tuple[str, ...]
    low: int
    high: int
    ordinal: int
    tied: tuple[str, ...] = ()

    @property
    def group(self) -> str:
        """Its letters in a row, three or more that follow each other as their ends: A, AB, A\N{EN DASH}C."""
        shown = ""
        for run in _consecutive([_number(letter) for letter in self.letters]):
            names = [_letter(number) for number in run]
            shown += f"{names[0]}\N{EN DASH}{names[-1]}" if len(names) > 2 else "".join(names)
        return shown

    @property
    def best(self) -> bool:
        """Whether no entry is told apart above it: the first rank cannot be excluded."""
        return self.low == 1


def rank(entries: Mapping[str, Scores], *, draws: int = DRAWS) -> dict[str, Ranking]:
    """Return the ranking of entries, scores [runs] by game, under their own keys and in their order.

    An entry whose runs carry no interval (see `intervals.carries`) is told apart from
    none. The result depends on nothing but the scores. Raises ValueError where games differ.
    """
    if len({tuple(sorted(scores)) for scores in entries.values()}) > 1:
        raise ValueError("ranked entries need the same games")
    names = sorted(entries)
    values, errors, freedom = moments([entries[name] for name in names])
    above = told_apart(values, errors, freedom, draws=draws)
    order = sorted(range(len(names)), key=lambda i: (-values[i], names[i]))
    display = letters(order, ~(above | above.T))
    found = {
        name: Ranking(
            letters=display[i],
            low=1 + int(above[:, i].sum()),
            high=len(names) - int(above[i].sum()),
            ordinal=1 + int((values > values[i]).sum()),
            tied=tuple(other for j, other in enumerate(names) if j != i and not above[i, j] and not above[j, i]),
        )
        for i, name in enumerate(names)
    }
    return {name: found[name] for name in entries}


def told_apart(
    values: Array,
    errors: Array,
    freedom: Array,
    *,
    level: float = STATISTICS_POLICY.level,
    inflation: float = INFLATION,
    draws: int = DRAWS,
) -> NDArray[np.bool_]:
    """Return, [i, j], whether entry i is better than j beyond doubt; infinite errors are never.

    `values`, `errors` and `freedom` (degrees of freedom of the errors) have shape [entries].
    """
    above = np.zeros((len(values), len(values)), dtype=bool)
    known = np.flatnonzero(np.isfinite(errors))
    if len(known) < 2:
        return above
    i, j = (known[side] for side in np.triu_indices(len(known), 1))
    apart_by = (values[i] - values[j]) / np.hypot(errors[i], errors[j])
    scores = normal_scale(apart_by, np.minimum(freedom[i], freedom[j]))
    apart = _step_down(np.abs(scores), errors[known], draws, level, inflation)
    above[i, j] = apart & (scores > 0)
    above[j, i] = apart & (scores < 0)
    return above


def normal_scale(t: Array, degrees: Array) -> Array:
    """Return the normal deviates that are as improbable as Student's t with `degrees` of freedom (Wallace 1959).

    Right to 1 % of the deviate from 3 degrees of freedom on, out to 5 standard deviations.
    """
    share = (8 * degrees + 1) / (8 * degrees + 3)
    deviates: Array = np.sign(t) * share * np.sqrt(degrees * np.log1p(t**2 / degrees))
    return deviates


def simulated_maxima(errors: Array, draws: int = DRAWS) -> Array:
    """Return the largest absolute normal deviate of any pair on boards of equal entries, [draws]."""
    every = np.ones(len(errors) * (len(errors) - 1) // 2, dtype=bool)
    return np.asarray(_maxima(errors, every, draws), dtype=np.float64)


def moments(entries: Sequence[Scores]) -> tuple[Array, Array, Array]:
    """Return the interquartile means, their errors (infinite where unknown) and the errors' degrees of freedom."""
    rows = []
    for scores in entries:
        value, influences = iqm_influence(scores)
        error, degrees = error_of(influences) if carries(lay_out(scores)) else (None, None)
        rows.append((value, np.inf, 1.0) if error is None or degrees is None else (value, error, degrees))
    values, errors, freedom = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return values, errors, freedom


def _step_down(scores: Array, errors: Array, draws: int, level: float, inflation: float) -> NDArray[np.bool_]:
    """Return which pairs are told apart: `scores` [pairs] of entries with these errors [entries]."""
    apart = np.zeros(len(scores), dtype=bool)
    while not apart.all():
        bar = inflation * float(np.quantile(_maxima(errors, ~apart, draws), level))
        new = ~apart & (scores > bar)
        if not new.any():
            break
        apart |= new
    return apart


def _maxima(errors: Array, kept: NDArray[np.bool_], draws: int) -> NDArray[np.float32]:
    """Return the largest absolute normal deviate of the `kept` pairs on boards of equal entries, [draws]."""
    i, j = np.triu_indices(len(errors), 1)
    draws = min(draws, max(FEWEST_DRAWS, ROOM // len(i)))
    i, j = i[kept], j[kept]
    normal = _normal(len(errors))[:, :draws] * errors[:, None].astype(np.float32)
    spread = np.sqrt(errors[i] ** 2 + errors[j] ** 2)[:, None].astype(np.float32)
    found = np.empty(draws, dtype=np.float32)
    step = max(1, AT_ONCE // len(i))
    for first in range(0, draws, step):
        block = normal[:, first : first + step]
        deviates = block[i]
        deviates -= block[j]
        np.abs(deviates, out=deviates)
        deviates /= spread
        found[first : first + step] = deviates.max(axis=0)
    return found


@functools.lru_cache(maxsize=4)
def _normal(entries: int) -> NDArray[np.float32]:
    """Return normal deviates [entries, draws], always the same (Box and Muller 1958)."""
    key = hashlib.sha256(f"{_VERSION}\n{entries}".encode()).digest()[:16]
    source = np.random.Philox(key=int.from_bytes(key, "little"))
    deviates = np.empty((entries, DRAWS), dtype=np.float32)
    for row in deviates:
        words = source.random_raw(2 * DRAWS)
        uniform = ((words >> np.uint64(11)).astype(np.float64) + 0.5) * 2.0**-53
        radius, angle = np.sqrt(-2 * np.log(uniform[::2])), 2 * np.pi * uniform[1::2]
        row[:] = radius * np.cos(angle)
    deviates.setflags(write=False)
    return deviates


def letters(order: Sequence[int], tied: NDArray[np.bool_]) -> dict[int, tuple[str, ...]]:
    """Return the letters of each entry: any two share one exactly where they are `tied` [entries, entries].

    Down the board, `order` best first, every tied pair without a letter in common gets a new one, which goes to all
    further entries that are tied with everyone who has it.
    """
    groups: list[list[int]] = []
    for place, i in enumerate(order):
        partners = [j for j in order[place + 1 :] if tied[i, j]]
        for j in partners:
            if not any(i in group and j in group for group in groups):
                groups.append(_grown([i, j], order, tied))
        if not any(i in group for group in groups):
            groups.append([i])
    place_of = {i: place for place, i in enumerate(order)}
    groups.sort(key=lambda group: sorted(place_of[i] for i in group))
    return {i: tuple(_letter(n) for n, group in enumerate(groups) if i in group) for i in order}


def _grown(group: list[int], order: Sequence[int], tied: NDArray[np.bool_]) -> list[int]:
    """Return a group with all entries, best first, that are tied with everyone in it."""
    for k in order:
        if k not in group and all(tied[k, i] for i in group):
            group.append(k)
    return group


def _consecutive(numbers: Sequence[int]) -> list[list[int]]:
    """Return rising numbers in runs without a gap."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return runs


def _letter(number: int) -> str:
    """Return the name of a group: 0 is A, 25 is Z, 26 is A1, so that names in a row stay apart."""
    series, place = divmod(number, 26)
    return f"{chr(ord('A') + place)}{series or ''}"


def _number(letter: str) -> int:
    """Return the number of the group with this name."""
    return 26 * int(letter[1:] or 0) + ord(letter[0]) - ord("A")
