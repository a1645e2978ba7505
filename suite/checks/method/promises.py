"""The promises of a method, one function each: what breaks one raises `Broken` and says how."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np
from jax.extend.core import jaxprs_in_params

from suite.checks.method.trial import Trial, arrays_of
from suite.contracts import registry
from suite.contracts.agent import Learner
from suite.contracts.method import Method
from suite.learning.batching import crop_to, pad_to
from suite.records.learner_arrays import all_finite
from suite.tasks import MUJOCO

MANY_ACTIONS = 18
PAIR_UPDATES = 3
RELATIVE, ABSOLUTE = 1e-4, 2e-6
"""By how much the same update may differ in a program of other shapes."""


class Broken(Exception):
    """A promise that is not kept, in a sentence."""


def check_programs(trial: Trial) -> str:
    """Trace every update program: learners keep shapes, nothing calls the host, signals and masks have their form."""
    shapes, programs = trial.programs.shapes(), trial.programs
    for method in trial.built:
        _check_signals(method)
        _check_masks(method, shapes)
    counts = trial.examples()
    for count in counts:
        arguments = (
            shapes,
            np.zeros(2, np.uint32),
            np.uint32(count),
            trial.data(count),
            np.ones(trial.actions, bool),
        )
        traced, (after, _) = jax.make_jaxpr(programs.traced_update, return_shape=True)(
            *arguments, programs.signals(count)
        )
        _same_form(shapes, after, f"update {count:,}")
        if calls := sorted({name for name in _primitives(traced.jaxpr) if "callback" in name}):
            raise Broken(f"Update {count:,} calls back to the host ({', '.join(calls)}): a program must not.")
    return f"{len(counts)} update programs: shapes and types stay, no calls to the host, never told the game"


def check_learner(trial: Trial, learner: Learner, when: str) -> None:
    """Raise Broken if a learner has other shapes than its programs say, is not finite, or has weights under a mask."""
    _same_form(trial.programs.shapes(), learner, when)
    arrays = arrays_of(learner)
    if not all_finite(arrays):
        name = next(name for name, array in arrays.items() if not all_finite({name: array}))
        raise Broken(f"{name} is not finite {when}.")
    params = dict(jax.tree_util.tree_leaves_with_path(learner.params))
    for method in trial.built:
        for path, mask in jax.tree_util.tree_leaves_with_path(method.masks(learner.methods[method.id])):
            if np.asarray(params[path])[~np.asarray(mask)].any():
                raise Broken(
                    f"{jax.tree_util.keystr(path)} has weights that are masked by {method.id} and not zero {when}: "
                    "`project` must put them to zero."
                )


def check_actions(trial: Trial) -> str:
    """Compare 4 actions with 18: what depends on their number has it last, and padding changes nothing."""
    if trial.game.name in MUJOCO:
        return "an agent of continuous control: games of several action counts never share a program"
    wide = dataclasses.replace(trial, actions=MANY_ACTIONS)
    narrow_shapes, wide_shapes = trial.programs.shapes(), wide.programs.shapes()
    if not _same_structure(narrow_shapes, wide_shapes):
        raise Broken("The learner has another structure for another number of actions.")
    for path, few in jax.tree_util.tree_leaves_with_path(narrow_shapes):
        many = dict(jax.tree_util.tree_leaves_with_path(wide_shapes))[path]
        if (few.dtype, few.ndim, few.shape[:-1]) != (many.dtype, many.ndim, many.shape[:-1]):
            name = jax.tree_util.keystr(path)
            raise Broken(f"{name} is {few.shape} for 4 actions, {many.shape} for 18: only the last axis may differ.")
    numbers = f"{trial.actions} and {MANY_ACTIONS} actions"
    calm = trial.examples()[0]
    if trial.programs.signals(calm):
        return f"builds alike for {numbers}; every update is due, so that none is shared by games"
    learner = trial.learner()
    padded = pad_to(wide_shapes, learner)
    legal = np.arange(MANY_ACTIONS) < trial.actions
    update = jax.jit(wide.programs.traced_update)
    after, _ = update(
        padded, trial.streams.key_data("update"), np.uint32(calm), wide.data(calm, trial.actions), legal, {}
    )
    alone, together = arrays_of(trial.step(learner, calm)), arrays_of(crop_to(narrow_shapes, after))
    for name, array in alone.items():
        if not np.allclose(array.astype(np.float64), together[name].astype(np.float64), RELATIVE, ABSOLUTE):
            raise Broken(
                f"{name} comes out otherwise where the head is padded for a game of {MANY_ACTIONS} actions: "
                "an update must not depend on the shape of the last axis."
            )
    return f"builds alike for {numbers}; a padded head learns the same"


def check_pair(trial: Trial) -> str:
    """Take some updates of a combination, due ones of each method among them."""
    examples = trial.examples()
    together = [count for count in examples if all(count in method.due for method in trial.built if method.due)]
    chosen = together[-1:] or [count for count in examples if trial.programs.signals(count)]
    if not chosen or any(method.skips_update for method in trial.built):
        chosen = [examples[0], *chosen]
    learner = trial.started(_agent_params(trial))
    check_learner(trial, learner, "at initialization")
    for count in (chosen * PAIR_UPDATES)[: max(PAIR_UPDATES, len(chosen))]:
        learner = trial.step(learner, count)
        check_learner(trial, learner, f"after update {count:,}")
    return f"updates {', '.join(f'{count:,}' for count in chosen)}: finite, and masks hold"


_PARAMS: dict[tuple[str, int], Any] = {}


def _agent_params(trial: Trial) -> Any:
    """Return an agent's initial parameters: the same whatever the methods."""
    key = (trial.agent, trial.actions)
    if key not in _PARAMS:
        _PARAMS[key] = dataclasses.replace(trial, methods="").learner().params
    return _PARAMS[key]


def _check_signals(method: Method) -> None:
    forms = {_form(method.signal(count)) for count in (*method.due[:5], *method.due[-5:])}
    if len(forms) > 1:
        raise Broken(f"signal() of {method.id} changes its structure, shapes or types: each would be compiled anew.")


def _form(signal: Any) -> Any:
    leaves, structure = jax.tree.flatten(signal)
    return structure, tuple((np.shape(leaf), np.asarray(leaf).dtype.str) for leaf in leaves)


def _check_masks(method: Method, shapes: Learner) -> None:
    claims = "masks" in registry.card("method", method.id).claims
    masks = jax.eval_shape(method.masks, shapes.methods[method.id])
    leaves = jax.tree_util.tree_leaves_with_path(masks)
    if claims != bool(leaves):
        raise Broken(
            f'The card of {method.id} {"claims" if claims else "does not claim"} "masks", and masks() returns '
            f"{'some' if leaves else 'none'}: make the two agree."
        )
    params = dict(jax.tree_util.tree_leaves_with_path(shapes.params))
    for path, mask in leaves:
        name = f"The mask {jax.tree_util.keystr(path)} of {method.id}"
        if path not in params:
            raise Broken(f"{name} is of no parameter: masks are a tree like the parameters, None where there is none.")
        if params[path].ndim < 2:
            raise Broken(f"{name} is of a bias: have None there.")
        if mask.shape != params[path].shape or mask.dtype != np.bool_:
            raise Broken(f"{name} is {mask.dtype} {mask.shape}: it must be bool {params[path].shape}.")


def has_masks(trial: Trial) -> bool:
    """Return whether any of the methods masks weights."""
    shapes = trial.programs.shapes()
    return any(jax.tree.leaves(jax.eval_shape(method.masks, shapes.methods[method.id])) for method in trial.built)


def _same_form(before: Any, after: Any, when: str) -> None:
    """Raise Broken if two trees differ in structure, or a leaf in shape or type."""
    if not _same_structure(before, after):
        raise Broken(f"The learner has another structure {when}.")
    for (path, one), other in zip(jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True):
        if (one.shape, one.dtype) != (other.shape, other.dtype):
            name = jax.tree_util.keystr(path)
            raise Broken(f"{name} is {other.dtype} {other.shape} {when}, and was {one.dtype} {one.shape}.")


def _same_structure(one: Any, other: Any) -> bool:
    structures: list[Any] = [jax.tree.structure(tree) for tree in (one, other)]
    return bool(structures[0] == structures[1])


def _primitives(jaxpr: Any) -> Iterator[str]:
    """Yield the names of all operations of a traced program, nested ones included."""
    for equation in jaxpr.eqns:
        yield equation.primitive.name
        for inner in jaxprs_in_params(equation.params):
            yield from _primitives(inner)
