"""A study as a command names it: of this package or a file, as it is or on a rung, whole or a part of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from leaderboard.studies.definition import Study, load_study
from leaderboard.studies.expansion import Expanded, expand
from leaderboard.studies.mapping import Mapped, load_rung, on_rung
from suite.errors import UsageError
from suite.running.request import parse_games, parse_seeds


@dataclass(frozen=True)
class Chosen:
    """A study with its cells; `mapped` says how it is read where it was asked on a rung."""

    original: Study
    expanded: Expanded
    mapped: Mapped | None = None

    @property
    def name(self) -> str:
        """Its name for files: `fig1`, or `fig1-classic`."""
        return self.original.id if self.mapped is None else f"{self.original.id}-{self.mapped.rung.id}"


def choose(
    name: str,
    rung: str | None = None,
    *,
    games: str | None = None,
    seeds: str | None = None,
    frames: int | None = None,
    data: Path | None = None,
) -> Chosen:
    """Return a study; UsageError for a name, a rung, games or seeds that cannot be."""
    original = load_study(name)
    mapped = None if rung is None else on_rung(original, load_rung(rung))
    if mapped is not None and mapped.study is None:
        raise UsageError(f"{original.id} cannot be asked there: {mapped.notes[0].rstrip('.')}.", "Ask it without --on.")
    study = original if mapped is None or mapped.study is None else mapped.study
    whole = expand(study, data=data, frames=frames)
    chosen_games = None if games is None else parse_games(games, whole.task)
    strange = [game for game in chosen_games or () if game not in whole.games]
    if strange:
        raise UsageError(f"{strange[0]} is not a game of {study.id}.", f"Its games: {', '.join(whole.games)}.")
    return Chosen(original, whole.reduced(chosen_games, None if seeds is None else parse_seeds(seeds)), mapped)
