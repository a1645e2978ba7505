"""What stays of a finished run's checkpoints: all, some, the last, the policy alone, or nothing; its rows always do."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from suite import durable
from suite.errors import BadData, UsageError

Kept = Literal["final", "policy", "none"]
WORDS: Final[tuple[Kept, ...]] = ("final", "policy", "none")
POLICY = "policy.safetensors"
"""The file in the folder of an attempt that `--keep policy` leaves; see `suite.records.policy_file`."""
_NOTE = "kept.txt"


@dataclass(frozen=True, slots=True)
class Keep:
    """What stays once a run is done. `checkpoints`: of the schedule, the newest; None for all of them."""

    what: Kept = "final"
    checkpoints: int | None = 1

    def of(self, scheduled: Sequence[int]) -> Sequence[int]:
        """Return those of the agent steps that have a checkpoint of the schedule, ascending, whose checkpoints stay."""
        return scheduled[-self.most(len(scheduled)) :] if self.what == "final" else ()

    def most(self, scheduled: int) -> int:
        """Return how many checkpoints stay of a run that writes so many."""
        if self.what != "final":
            return 0
        return scheduled if self.checkpoints is None else min(self.checkpoints, max(1, scheduled))


LAST: Final = Keep()
"""What stays if nobody says otherwise: the last checkpoint."""


def parse_keep(what: str, checkpoints: str | None) -> Keep:
    """Return what `--keep` and `--keep-checkpoints` say; UsageError if they cannot be, alone or together."""
    found = next((word for word in WORDS if word == what), None)
    if found is None:
        raise UsageError(f"--keep {what!r} is none of {', '.join(WORDS)}.")
    if checkpoints is None:
        return Keep(found)
    number = int(checkpoints) if checkpoints.isascii() and checkpoints.isdigit() and len(checkpoints) < 10 else 0
    if checkpoints != "all" and number < 1:
        raise UsageError(f"--keep-checkpoints {checkpoints!r} is neither a whole number from 1 nor `all`.")
    if found != "final":
        raise UsageError(f"--keep {what} deletes the checkpoints that --keep-checkpoints {checkpoints} would keep.")
    return Keep("final", number or None)


def note_kept(folder: Path, what: Kept) -> None:
    """Write down in an attempt's folder that checkpoints were given up, and what stays (a policy: with its hash).

    A run that diverged has no policy.
    """
    proof = hashlib.sha256((folder / POLICY).read_bytes()).hexdigest() if (folder / POLICY).exists() else ""
    durable.replace_file(folder / "checkpoints" / _NOTE, f"{what} {proof}".strip().encode())


def given_up(folder: Path) -> tuple[str, str]:
    """Return what `--keep` left of a run with this folder, `policy` or `none`, and the hash of the policy, else "".

    Both are empty if checkpoints stay.
    """
    try:
        what, _, proof = (folder / "checkpoints" / _NOTE).read_text(encoding="ascii").strip().partition(" ")
    except (OSError, UnicodeDecodeError):
        return "", ""
    return (what, proof) if what in WORDS else ("", "")


def require_checkpoints(folder: Path) -> None:
    """Raise BadData, in one sentence, if the checkpoints of a run were given up when its last attempt was done."""
    if what := given_up(folder)[0]:
        raise BadData(
            f"{folder} was run with --keep {what}, so that its last checkpoint is gone.",
            "Run that configuration again with --keep final, in another --out.",
        )
