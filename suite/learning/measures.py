"""Measures of a network: ranks of its features, dormant units, gradients beside each other; see docs/diagnostics.md.

Plain numbers from plain arrays, on the host and in float64, so that each is what its formula says. What comes of
numbers that are not finite is not finite either, so that no record shows it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

DELTA = 0.01
"""The share of the singular values' sum that srank leaves out (Kumar et al. 2021)."""
THRESHOLDS = (0.0, 0.025, 0.1)
"""At or below which a unit's score makes it dormant: those of Sokar et al. 2023."""
GRADIENT_BYTES = 256 * 2**20
"""How much memory gradients may take that are compared with each other."""
COLUMNS = 2**10
"""How many parameters' derivatives are multiplied at a time, in float64: few enough to stay in a processor's cache."""
TINY = 1e-9


def singular_values(features: NDArray[Any]) -> Floats:
    """Return the singular values of features [N, D], largest first, by way of the smaller of the two Gram matrices.

    What lies below 1e-8 of the largest is noise of the rounding; no measure here depends on it.
    """
    matrix = features.astype(np.float64)
    if not np.isfinite(matrix).all():  # the library would raise, or answer something
        return np.full(min(matrix.shape), np.nan)
    gram = matrix.T @ matrix if matrix.shape[0] >= matrix.shape[1] else matrix @ matrix.T
    found: Floats = np.sqrt(np.maximum(np.linalg.eigvalsh(gram), 0.0))[::-1]
    return found


def srank(values: Floats, delta: float = DELTA) -> float:
    """Return the least number of singular values that make up 1 - delta of their sum; 0 if all are 0."""
    total = float(values.sum())
    if not math.isfinite(total):
        return math.nan
    return float(np.searchsorted(np.cumsum(values) / total, 1 - delta) + 1) if total else 0.0


def stable_rank(values: Floats) -> float:
    """Return the sum of the squares of singular values over the largest square: ||F||_F^2 / ||F||_2^2."""
    largest = float(values[0])
    return float(np.sum(np.square(values / largest))) if largest else 0.0


def effective_rank(values: Floats) -> float:
    """Return exp of the entropy of singular values over their sum (Roy and Vetterli 2007)."""
    total = float(values.sum())
    if not math.isfinite(total):
        return math.nan
    shares = values[values > 0] / total if total else values[:0]
    return float(np.exp(-np.sum(shares * np.log(shares)))) if total else 0.0


def dormant(outputs: Mapping[str, NDArray[Any]], threshold: float) -> float:
    """Return the share of units, of all layers together, whose score is at or below a threshold.

    `outputs`: by layer, each unit's mean absolute output [U]; its score is that over the mean of its layer.
    """
    layers = [own.astype(np.float64) for own in outputs.values()]
    if not all(np.isfinite(means).all() for means in layers):
        return math.nan
    return float(np.mean(np.concatenate([means / (np.mean(means) + TINY) for means in layers]) <= threshold))


def products(row: Callable[[int], NDArray[Any]], count: int, most_bytes: int = GRADIENT_BYTES) -> Floats:
    """Return the inner products [N, N] of `count` gradients [P], which `row` computes by their number.

    At most so many bytes of them, or two, are held at a time: where all are more, some are computed several times.
    """
    first = row(0)
    size = max(1, min(count, most_bytes // (2 * first.nbytes)))
    blocks = [range(start, min(start + size, count)) for start in range(0, count, size)]
    found = np.empty((count, count))
    for place, own in enumerate(blocks):
        held = np.stack([row(index) for index in own])
        found[np.ix_(own, own)] = _inner(held, held)
        for other in blocks[place + 1 :]:
            across = _inner(held, np.stack([row(index) for index in other]))
            found[np.ix_(own, other)] = across
            found[np.ix_(other, own)] = across.T
    return found


def _inner(one: NDArray[Any], other: NDArray[Any]) -> Floats:
    """Return the inner products [N, M] of rows [N, P] and [M, P], in float64: float32 ends at a norm of 1.8e19."""
    found = np.zeros((len(one), len(other)))
    for start in range(0, one.shape[1], COLUMNS):
        part = slice(start, start + COLUMNS)
        found += one[:, part].astype(np.float64) @ other[:, part].astype(np.float64).T
    return found


def cosines(inner: Floats) -> Floats:
    """Return inner products [N, N] over the norms of both sides: the gradient covariance of Lyle et al. 2023.

    A gradient of zero has the cosine 0 with all, itself included.
    """
    norms = np.sqrt(np.maximum(np.diag(inner), 0.0))
    scale = np.outer(norms, norms)
    found: Floats = np.divide(inner, scale, out=np.zeros_like(inner), where=scale > 0)
    return np.clip(found, -1.0, 1.0)


def off_diagonal_mean(matrix: Floats) -> float:
    """Return the mean of what is not on the diagonal of a matrix [N, N]."""
    count = len(matrix)
    return float((matrix.sum() - np.trace(matrix)) / (count * (count - 1)))


def overlap(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """Return the weights that two masks, as packed bits, both keep over those that either keeps."""
    either = bits(one | other)
    return bits(one & other) / either if either else 1.0


def bits(packed: NDArray[np.uint8]) -> int:
    """Return how many of the packed bits are set."""
    return int(np.bitwise_count(packed).sum(dtype=np.int64))
