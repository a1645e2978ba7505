"""The gradient covariance as a record has it: cosines in 255 steps, the part above the diagonal, in base64."""

from __future__ import annotations

import base64
import math
from typing import TYPE_CHECKING

from suite.errors import BadData

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

STEPS = 127
"""Steps from 0 to a cosine of 1, one of which is 0.8 %."""
LONGEST = 64
"""The most gradients that are compared with each other."""
TEXT = 4 * math.ceil(LONGEST * (LONGEST - 1) // 2 / 3)
"""The most characters that a matrix takes."""


def pack(cosines: NDArray[np.float64]) -> str:
    """Return a symmetric matrix [N, N] of numbers in [-1, 1], whose diagonal is 1, row by row above the diagonal."""
    import numpy as np

    above = cosines[np.triu_indices(len(cosines), 1)]
    return base64.b64encode(np.rint(above * STEPS).astype(np.int8).tobytes()).decode("ascii")


def unpack(text: str) -> NDArray[np.float64]:
    """Return the matrix of a text; BadData if it is none."""
    import numpy as np

    try:
        steps = np.frombuffer(base64.b64decode(text, validate=True), np.int8)
    except ValueError as error:
        raise _none_of_ours() from error
    size = (1 + math.isqrt(1 + 8 * len(steps))) // 2
    if not 2 <= size <= LONGEST or size * (size - 1) // 2 != len(steps) or (steps < -STEPS).any():
        raise _none_of_ours()
    matrix: NDArray[np.float64] = np.eye(size)
    rows, columns = np.triu_indices(size, 1)
    matrix[rows, columns] = matrix[columns, rows] = steps / STEPS
    return matrix


def _none_of_ours() -> BadData:
    return BadData("A record's gradient covariance is no packed matrix.", "Run it again, or pack it again.")
