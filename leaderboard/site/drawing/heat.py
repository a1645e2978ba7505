"""A gradient covariance as a heat map: dark red where two gradients point against each other, dark blue where alike."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from markupsafe import escape
from numpy.typing import NDArray

from leaderboard.site.drawing import pdf_bytes
from leaderboard.site.drawing.charts import PAPER
from suite.records import covariance

COLOURS = (
    *("#7f1d1d", "#b2332b", "#d5604d", "#eb9a83", "#f6cdbd"),
    "#efefef",
    *("#c3d9ea", "#8fbcdc", "#5196c7", "#2b6ba8", "#153f73"),
)
"""From a cosine of -1 to one of 1 in equal steps; the middle one is the ground."""

EDGE = 180.0
"""Points: the side of a map on paper."""


@dataclass(frozen=True, slots=True)
class Heat:
    """A map of `size` x `size` squares of one unit: lines of that width by colour, on a ground of the middle colour.

    The lines are to be drawn half a unit lower.
    """

    size: int
    paths: tuple[tuple[str, str], ...]
    mean: float


def heat(text: str) -> Heat:
    """Return the map of a packed gradient covariance; BadData if it is none."""
    matrix = covariance.unpack(text)
    steps = np.rint((matrix + 1) / 2 * (len(COLOURS) - 1)).astype(int)
    paths = tuple(
        (colour, _squares(steps == step))
        for step, colour in enumerate(COLOURS)
        if step != len(COLOURS) // 2 and (steps == step).any()
    )
    off = matrix[~np.eye(len(matrix), dtype=bool)]
    return Heat(len(matrix), paths, float(off.mean()))


def pdf(maps: tuple[tuple[str, Heat], ...]) -> bytes:
    """Return maps beside each other under their titles, as a figure for papers: vectors, the same bytes every time."""
    width, line = len(maps) * (EDGE + 12), 1.6 * PAPER.text
    parts = []
    for index, (title, one) in enumerate(maps):
        shown = escape(pdf_bytes.printable(title))
        drawn = f'<rect width="{one.size}" height="{one.size}" fill="{COLOURS[len(COLOURS) // 2]}"/>'
        lines = "".join(f'<path d="{path}" stroke="{colour}"/>' for colour, path in one.paths)
        drawn += f'<g transform="translate(0 0.5)" stroke-width="1" fill="none">{lines}</g>'
        parts.append(
            f'<g transform="translate({index * (EDGE + 12):.1f} 0)"><text x="0" y="{0.7 * line:.1f}">{shown}</text>'
            f'<g transform="translate(0 {line:.1f}) scale({EDGE / one.size:.5f})">{drawn}</g></g>'
        )
    height = EDGE + line + 2
    return pdf_bytes.from_svg(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.1f}" height="{height:.1f}" '
        f'viewBox="0 0 {width:.1f} {height:.1f}"><g font-family="Liberation Sans, Helvetica Neue, Arial, sans-serif" '
        f'font-size="{PAPER.text}" fill="{PAPER.ink}">{"".join(parts)}</g></svg>'
    )


def _squares(held: NDArray[np.bool_]) -> str:
    """Return path data of the rows' middles through the squares that are held, half a unit too high."""
    parts = []
    for row, line in enumerate(held):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], line, [False]]).astype(np.int8)))
        parts += [f"M{begin} {row}h{end - begin}" for begin, end in edges.reshape(-1, 2).tolist()]
    return "".join(parts)
