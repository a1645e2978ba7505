"""The markers of entries in tables: the same shapes as in the charts, as SVG path data."""

from __future__ import annotations

import math

_POLYGONS: dict[str, tuple[tuple[float, float], ...]] = {
    "square": ((-0.8, -0.8), (0.8, -0.8), (0.8, 0.8), (-0.8, 0.8)),
    "diamond": ((0, -1.1), (0.9, 0), (0, 1.1), (-0.9, 0)),
    "triangle-up": ((0, -1), (0.95, 0.8), (-0.95, 0.8)),
    "triangle-down": ((0, 1), (0.95, -0.8), (-0.95, -0.8)),
    "triangle-left": ((-1, 0), (0.8, -0.95), (0.8, 0.95)),
    "triangle-right": ((1, 0), (-0.8, -0.95), (-0.8, 0.95)),
    "cross": (
        *((-1, -0.38), (-0.38, -0.38), (-0.38, -1), (0.38, -1), (0.38, -0.38), (1, -0.38)),
        *((1, 0.38), (0.38, 0.38), (0.38, 1), (-0.38, 1), (-0.38, 0.38), (-1, 0.38)),
    ),
}


def marker(shape: str, x: float, y: float, radius: float) -> str:
    """Return the path of a marker around a point; shapes that are not known here are circles."""
    corners = _POLYGONS.get(shape)
    if corners is None:
        r = f"{0.9 * radius:.2f}"
        return f"M{x - 0.9 * radius:.2f} {y:.4g}a{r} {r} 0 1 1 0 .01z"
    points = "L".join(f"{x + radius * dx:.2f} {y + radius * dy:.2f}" for dx, dy in corners)
    return f"M{points}z"


def dots(count: int, width: float) -> list[float]:
    """Return vertical offsets that keep so many dots of one place apart, in a symmetric fan of a width."""
    return [0.0] if count == 1 else [width * (math.fmod(i * 0.618034, 1.0) - 0.5) for i in range(count)]
