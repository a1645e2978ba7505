"""The environments, all called games: 60 of Atari, with the scores that normalize a return, and five of MuJoCo.

Scores: google/dopamine `labs/atari_100k/normalization_utils.py` (professional tester, no-op starts, 108,000-frame cap);
VideoPinball's random score is 0.0 there and 16,256.9 in google-deepmind/dqn_zoo. AirRaid, Carnival, ElevatorAction,
JourneyEscape and Pooyan have no published human score and stay out of every aggregate.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources

from suite.errors import unknown_name


@dataclass(frozen=True, slots=True)
class Game:
    """One game: its ALE ROM, the size of its minimal action set, and its reference scores (None: unpublished).

    Of a MuJoCo environment there are the name and, as `actions`, the dimensions of an action. `frame_bytes`: what a
    frame took in `suite.experience.replay.stores.CompressedFrames`, over 3,000 agent steps of random play.
    """

    name: str
    rom: str
    actions: int
    random_score: float | None
    human_score: float | None
    frame_bytes: int

    @property
    def normalizable(self) -> bool:
        """Whether a human-normalized score exists."""
        return self.random_score is not None and self.human_score is not None


def _read() -> dict[str, Game]:
    text = resources.files("suite.tasks").joinpath("atari_games.csv").read_text(encoding="utf-8")
    return {
        row["game"]: Game(
            row["game"],
            row["rom"],
            int(row["minimal_actions"]),
            float(row["random_score"]) if row["random_score"] else None,
            float(row["human_score"]) if row["human_score"] else None,
            int(row["frame_bytes"]),
        )
        for row in csv.DictReader(text.splitlines())
    }


ATARI: dict[str, Game] = _read()
MUJOCO: dict[str, Game] = {
    name: Game(name, "", dimensions, None, None, 0)
    for name, dimensions in (("HalfCheetah", 6), ("Hopper", 3), ("Walker2d", 6), ("Ant", 8), ("Humanoid", 17))
}
GAMES: dict[str, Game] = ATARI | MUJOCO


def game(name: str) -> Game:
    """Return a game by its name, in any letter case; unknown names raise with the nearest one."""
    by_lower = {known.lower(): known for known in GAMES}
    canonical = by_lower.get(name.lower())
    if canonical is None:
        raise unknown_name("game", name, GAMES)
    return GAMES[canonical]


def human_normalized(name: str, score: float) -> float | None:
    """Return (score - random) / (human - random): 0 is a random policy, 1 the tester, None has no reference."""
    reference = GAMES[name]
    if reference.random_score is None or reference.human_score is None:
        return None
    return (score - reference.random_score) / (reference.human_score - reference.random_score)
