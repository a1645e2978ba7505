"""Equation 1: the share of weights that are zero, by frame, in the paper's schedules (Figure 2)."""

from __future__ import annotations

from fractions import Fraction

FRAMES_PER_UPDATE = 16
"""Four frames an agent step, four agent steps a gradient step."""

SCHEDULES = {"40M frames": (40_000_000, 40_000_000), "100M frames": (100_000_000, 100_000_000)}
"""By name: the frames that the schedule is for, and those of the run."""

START, END, TARGET = Fraction(1, 5), Fraction(4, 5), Fraction(95, 100)


def sparsity(updates: int, start: int, end: int, target: Fraction = TARGET) -> float:
    """Return s_F (1 - (1 - (t - t_s) / (t_e - t_s))^3) at a gradient step, 0 before t_s and s_F from t_e on.

    In exact arithmetic, rounded once to the nearest float: the last digit is that of the equation.
    """
    progress = min(max(Fraction(updates - start, end - start), Fraction(0)), Fraction(1))
    return float(target * (1 - (1 - progress) ** 3))


def curve(length: int, frames: int, points: int = 200) -> list[tuple[int, float]]:
    """Return (frame, sparsity) pairs of a run of so many frames, on the schedule of a budget of `length` frames."""
    updates = length // FRAMES_PER_UPDATE
    start, end = int(START * updates), int(END * updates)
    steps = [frames // FRAMES_PER_UPDATE * index // points for index in range(points + 1)]
    return [(step * FRAMES_PER_UPDATE, sparsity(step, start, end)) for step in steps]
