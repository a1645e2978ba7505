"""The environments, all called games, with the scores that normalize a return: Atari, MuJoCo, classic control, MinAtar.

Five of MuJoCo have none. For three of classic control it is the return from which Gymnasium calls them solved. Atari's
60 come from google/dopamine `labs/atari_100k/normalization_utils.py` (professional tester, no-op starts, 108,000-frame
cap); VideoPinball's random score is 0.0 there and 16,256.9 in google-deepmind/dqn_zoo. AirRaid, Carnival,
ElevatorAction, JourneyEscape and Pooyan have no published human score and stay out of every aggregate.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from importlib import resources

from suite.errors import unknown_name


@dataclass(frozen=True, slots=True)
class Game:
    """One game: its ALE ROM, the size of its minimal action set, and its reference scores (None: unpublished).

    `reference`: what plays as well as `human_score`: a human tester, the `threshold` of a solved environment, or a
    `dense DQN`. Of a MuJoCo environment there are the name and, as `actions`, the dimensions of an action.
    `frame_bytes`: what a frame took in `suite.experience.replay.compressed.CompressedFrames`, over 3,000 agent steps of
    random play.
    """

    name: str
    rom: str
    actions: int
    random_score: float | None
    human_score: float | None
    frame_bytes: int
    reference: str = "human"

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
# A uniformly random policy, under the caps of `classic.toml`: over 20,000 episodes (standard error 0.08), 2,000 (0.26;
# 33 of them reached the height) and 4,000 (none reached the flag). The thresholds are Gymnasium's for the task's names.
CLASSIC: dict[str, Game] = {
    name: Game(name, "", actions, random, threshold, 0, "threshold")
    for name, actions, random, threshold in (
        ("CartPole", 2, 22.2, 195.0),
        ("Acrobot", 3, -498.8, -100.0),
        ("MountainCar", 3, -600.0, -110.0),
    )
}
# A uniformly random policy of all six actions, over 20,000 episodes each and 2,000 of Freeway (standard errors 0.006,
# 0.005, 0.008, 0.003, 0.017). What is to be 1 is this suite's dense DQN: until its runs are there, scores stay returns.
MINATAR: dict[str, Game] = {
    name: Game(name, "", 6, random, None, 0, "dense DQN")
    for name, random in (
        ("MinAtarAsterix", 0.49),
        ("MinAtarBreakout", 0.51),
        ("MinAtarFreeway", 0.13),
        ("MinAtarSeaquest", 0.10),
        ("MinAtarSpaceInvaders", 2.84),
    )
}
GAMES: dict[str, Game] = ATARI | MUJOCO | CLASSIC | MINATAR


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
