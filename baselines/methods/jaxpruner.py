"""An adapter to JaxPruner (Lee et al. 2023), where a user has installed it: its pruners run as a method of the suite.

Scores, sparsities and masks are computed by JaxPruner's own updater; the order within a gradient step and the clock are
the suite's, which are those of the updater's `wrap_optax` with `post_gradient_update` after every step.
"""

from __future__ import annotations

import dataclasses
import importlib
import sys
from typing import Any, Literal

import jax
import numpy as np

from baselines.methods.magnitude_pruning import refreshes, sparsity_goal
from baselines.methods.masks import Masks, apply_masks
from suite.contracts.agent import Learner, Params
from suite.contracts.card import Settings
from suite.contracts.method import Context, Method
from suite.errors import UnfitEnvironment

ID = "jaxpruner"
INSTALL = "pip install git+https://github.com/google-research/jaxpruner"


class JaxPrunerSettings(Settings):
    """Settings of JaxPruner's pruners."""

    algorithm: Literal["magnitude", "random", "saliency", "global_magnitude", "global_saliency"]
    sparsity: float
    distribution: Literal["erk", "uniform"]
    start_fraction: float
    end_fraction: float
    mask_period: int


def make(settings: JaxPrunerSettings, context: Context) -> Method:
    """Build the method; UnfitEnvironment if JaxPruner is not installed."""
    package = _jaxpruner()
    start = round(settings.start_fraction * context.total_updates)
    end = round(settings.end_fraction * context.total_updates)
    due = refreshes(ID, start, end, settings.mask_period)
    updater = _updater(package, settings, start, end)
    is_global = settings.algorithm.startswith("global_")
    targets = settings.sparsity if is_global else updater.sparsity_distribution_fn(context.shapes)

    def init(key: jax.Array, params: Params) -> Masks:
        return _boolean(updater.init_state(params).masks)

    def refresh(key: jax.Array, learner: Learner, gradients: Params, updates: Any) -> Learner:
        masks = jax.tree.map(lambda mask: mask.astype("uint8"), learner.methods[ID])
        state = package.SparseState(masks=masks, target_sparsities=targets, count=updates)
        seeded = dataclasses.replace(updater, rng_seed=key)
        refreshed = seeded.update_state(state, learner.params, gradients)
        return learner._replace(methods=learner.methods | {ID: _boolean(refreshed.masks)})

    return Method(
        ID,
        init=init,
        project=lambda masks, params: apply_masks(params, masks),
        due=due,
        signal=np.int32,
        refresh=refresh,
        masks=lambda masks: masks,
        milestones={"pruning starts": due[0], "pruning ends": due[-1]},
        goals=(sparsity_goal(settings.sparsity, start, end, due),),
    )


def _boolean(masks: Any) -> Masks:
    return jax.tree.map(lambda mask: mask.astype(bool), masks)


def _updater(package: Any, settings: JaxPrunerSettings, start: int, end: int) -> Any:
    config = importlib.import_module("ml_collections").ConfigDict  # JaxPruner requires it
    return package.create_updater_from_config(
        config(
            {
                "algorithm": settings.algorithm,
                "sparsity": settings.sparsity,
                "dist_type": settings.distribution,
                "update_freq": settings.mask_period,
                "update_start_step": start,
                "update_end_step": end,
            }
        )
    )


def _jaxpruner() -> Any:
    try:
        package = importlib.import_module("jaxpruner")
    except ImportError as error:
        raise UnfitEnvironment(
            f"The method {ID} needs google-research's JaxPruner, which cannot be imported: {error}.",
            f"Install it; it is not on PyPI: {INSTALL}",
        ) from error
    if not hasattr(jax, "tree_map"):
        for name, module in list(sys.modules.items()):
            if name.partition(".")[0] == "jaxpruner" and getattr(module, "jax", None) is jax:
                module.jax = _JAX  # type: ignore[attr-defined]
    return package


class _Jax:
    """What JaxPruner sees as `jax`: it calls `jax.tree_map`, which newer versions lack. Nobody else sees it."""

    tree_map = staticmethod(jax.tree.map)

    def __getattr__(self, name: str) -> Any:
        return getattr(jax, name)


_JAX = _Jax()
