"""Contrasts: which configurations of a study stand against each other in a rule, and on which games."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from leaderboard.studies.definition import Claim, Rule, Side
from leaderboard.studies.evidence import scored_games
from leaderboard.studies.expansion import Expanded, Point
from suite.contracts.card import Value, written


@dataclass(frozen=True)
class Contrast:
    """Points that stand against each other on some games.

    One alone; or the first less the second; or the lead of the first over the second less that of the third over the
    fourth.
    """

    rule: Rule
    points: tuple[Point, ...]
    games: tuple[str, ...]

    @property
    def label(self) -> str:
        """What is compared, for people."""
        return _label(self.rule, self.points, self.games if self.rule.each_game or self.rule.games else ())

    def cells(self, seeds: Sequence[int]) -> set[tuple[str, str, int]]:
        """Return its cells: configuration, game and seed."""
        return {(point.config_id, game, seed) for point in self.points for game in self.games for seed in seeds}


def contrasts_of(expanded: Expanded, claim: Claim) -> list[Contrast]:
    """Return every contrast of a claim."""
    return [contrast for rule in claim.rules for contrast in _contrasts(expanded, rule)]


def _contrasts(expanded: Expanded, rule: Rule) -> Iterator[Contrast]:
    """Yield the contrasts of a rule."""
    names = tuple(name for name in scored_games(expanded) if not rule.games or name in rule.games)
    for points in _sides(expanded, rule):
        yield from (Contrast(rule, points, part) for part in (zip(names, strict=True) if rule.each_game else (names,)))


def _sides(expanded: Expanded, rule: Rule) -> Iterator[tuple[Point, ...]]:
    ours = _matching(expanded.points, rule.a)
    if rule.rule in ("declines", "keeps"):
        yield from ((point,) for point in ours)
    elif rule.rule in ("rises", "falls"):
        for line in _lines(ours, rule.along):
            yield from ((after, before) for before, after in itertools.pairwise(line))
    else:
        assert rule.b is not None
        pairs = [(a, b) for a in ours for b in _matching(expanded.points, rule.b) if _alike(a, b, rule)]
        if rule.rule not in ("widens", "narrows"):
            yield from pairs
            return
        for line in _lines([a for a, _ in pairs], rule.along):
            first, last = ((point, next(b for a, b in pairs if a is point)) for point in (line[0], line[-1]))
            yield (*last, *first)


def _matching(points: Sequence[Point], side: Side) -> list[Point]:
    wanted = {"arm": side.arm, **side.where}
    return [point for point in points if all(_has(point, path, value) for path, value in wanted.items())]


def _has(point: Point, path: str, value: Value | tuple[Value, ...]) -> bool:
    found = point.coordinates.get(path)
    return found in value if isinstance(value, tuple) else found == value


def _alike(a: Point, b: Point, rule: Rule) -> bool:
    """Return whether two points differ in nothing but their arms and what the rule says of either."""
    assert rule.b is not None
    named = {"arm", *rule.b.where} | (set(rule.a.where) & set(rule.b.where))
    shared = (a.coordinates.keys() & b.coordinates.keys()) - named
    return a.config_id != b.config_id and all(a.coordinates[path] == b.coordinates[path] for path in shared)


def _lines(points: Sequence[Point], along: str) -> list[list[Point]]:
    """Return points in rows that differ along one coordinate alone, ascending."""
    rows: dict[tuple[tuple[str, Value], ...], list[Point]] = {}
    for point in points:
        rest = tuple(sorted((path, value) for path, value in point.coordinates.items() if path != along))
        rows.setdefault(rest, []).append(point)
    lines = [sorted(row, key=lambda point: _number(point.coordinates[along])) for row in rows.values()]
    return [line for line in lines if len(line) > 1]


def _number(value: Value) -> float:
    return float(value) if not isinstance(value, str) else 0.0


def _label(rule: Rule, points: Sequence[Point], games: Sequence[str]) -> str:
    names = [point_label(point) for point in points]
    where = f" on {games[0]}" if games else ""
    after = "" if rule.at is None else f" after {100 * rule.at:g} % of the budget"
    if rule.rule in ("declines", "keeps"):
        return f"{names[0]}, from {100 * (rule.at or 0.5):g} % of the budget to its end{where}"
    if len(names) == 4:
        return f"{names[0]} less {names[1]}, beside {names[2]} less {names[3]}{where}"
    return f"{f'{rule.series} of ' if rule.series else ''}{names[0]} less {names[1]}{where}{after}"


def point_label(point: Point) -> str:
    """Return a point's name for people: its arm, agent, width, and what its sweep gives it."""
    found = [f"{point.coordinates['arm']}", f"{point.coordinates['agent']}"]
    for path, value in point.coordinates.items():
        if path == "width":
            found.append(f"\N{MULTIPLICATION SIGN}{value}")
        elif path not in ("arm", "agent", "network"):
            found.append(f"{path.rpartition('.')[2]} {written(value)}")
    return " ".join(found)
