"""A learner's arrays on the host, by name: which they are in a checkpoint, their hash, and whether they are numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]
LEARNER = "learner"
"""How the names of a learner's arrays begin."""


def learner_arrays_of(arrays: Mapping[str, NDArray[Any]]) -> Arrays:
    """Return those of a checkpoint's arrays that are the learner."""
    return {name: array for name, array in arrays.items() if name.startswith(LEARNER)}


def learner_hash(arrays: Mapping[str, NDArray[Any]]) -> str:
    """Return the SHA-256 of a learner's arrays: names, types, shapes and bytes, in the order of names."""
    digest = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        digest.update(f"{name}:{array.dtype.str}:{array.shape}".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def all_finite(arrays: Mapping[str, NDArray[Any]]) -> bool:
    """Return whether no floating-point array holds an infinity or NaN."""
    return all(bool(np.isfinite(array).all()) for array in arrays.values() if array.dtype.kind == "f")
