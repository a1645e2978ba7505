"""Pictures of MuJoCo's bodies: Gymnasium's own, in an OpenGL context that needs no screen."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from suite.errors import UnfitEnvironment
from suite.experience.envs.base import Envs

BACKEND = "egl"
"""What contexts are made with where MUJOCO_GL says nothing else: a GPU's, or Mesa's on processors."""


class BodyCamera:
    """Has Gymnasium render the body of an environment; UnfitEnvironment where no OpenGL context can be made."""

    def __init__(self) -> None:
        backend = os.environ.setdefault("MUJOCO_GL", BACKEND)
        try:
            import_module(f"mujoco.{backend}").GLContext(8, 8).free()
        except Exception as error:  # each library fails in its own ways
            raise UnfitEnvironment(
                f"MuJoCo draws with OpenGL, and no context can be made here by {backend}: {_said(error)}.",
                "Install EGL with Mesa (Debian: libegl1 libgl1-mesa-dri), or set MUJOCO_GL=osmesa with libosmesa6.",
            ) from error

    def picture(self, envs: Envs, seen: NDArray[Any]) -> NDArray[np.uint8]:
        """Return the body as it stands, [480, 480, 3], by its model's camera that goes along.

        Gymnasium's default is a camera that stays, and HalfCheetah runs out of its picture.
        """
        renderer = _body(envs).mujoco_renderer
        renderer.camera_id = _body(envs).model.camera("track").id
        return np.asarray(renderer.render("rgb_array"), np.uint8)

    def rate(self, envs: Envs) -> float:
        """Real time."""
        return float(1 / _body(envs).dt)


def _body(envs: Envs) -> Any:
    return cast(Any, envs).bodies[0]


def _said(error: Exception) -> str:
    """Return the first line of what an error says, or its kind."""
    return next(iter(str(error).splitlines()), type(error).__name__).rstrip(".")
