"""Layers by role: a method finds layers by what they are declared to be, whatever they are called."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from suite.checks.method.promises import Broken
from suite.checks.method.trial import Trial
from suite.contracts.agent import Agent, ApplyGradients, Batch, Feedback, Learner, Params
from suite.contracts.encoder import by_name
from suite.errors import UsageError


def check_roles(trial: Trial) -> str:
    """Take updates of every kind with layers under other names: the same bits. Then build with no layer declared."""
    other = dataclasses.replace(trial, disguise=under_other_names)
    try:
        _ = other.built
    except UsageError as error:
        raise Broken(f"It is refused where layers have other names: {error}") from error
    names = "starts from another run, whose names it keeps"
    if not trial.programs.sources:
        _compare(trial, other)
        names = "the same bits where layers have other names"
    try:
        _ = dataclasses.replace(trial, disguise=_undeclared).built
    except UsageError:
        return f"{names}; a network that declares no roles is refused in words"
    return f"{names}; asks for no roles"


def _compare(trial: Trial, other: Trial) -> None:
    one, two = trial.learner(), other.learner()
    for count in trial.examples():
        one, two = trial.step(one, count), other.step(two, count)
    for (path, leaf), again in zip(jax.tree_util.tree_leaves_with_path(one), jax.tree.leaves(two), strict=True):
        if np.asarray(leaf).tobytes() != np.asarray(again).tobytes():
            raise Broken(
                f"{jax.tree_util.keystr(path)} comes out otherwise where layers have other names: find layers by their "
                "roles, see `layers_of` in suite.contracts.encoder."
            )


def _undeclared(agent: Agent, shapes: Params) -> Agent:
    return agent._replace(layers=())


def under_other_names(agent: Agent, shapes: Params) -> Agent:
    """Return an agent for discrete actions with the same parameters, in the same order, in layers of other names."""
    renamed = {"params": _renamed(shapes["params"])}
    old, new = jax.tree.structure(shapes), jax.tree.structure(renamed)
    names = {"": ""}
    for name, another in zip(by_name(shapes), by_name(renamed), strict=True):
        parts, others = name.split("/"), another.split("/")
        names |= {"/".join(parts[:depth]): "/".join(others[:depth]) for depth in range(1, len(parts) + 1)}

    def there(params: Params) -> Params:
        return jax.tree.unflatten(new, jax.tree.leaves(params))

    def back(params: Params) -> Params:
        return jax.tree.unflatten(old, jax.tree.leaves(params))

    def update(
        learner: Learner, batch: Batch, key: jax.Array, apply_gradients: ApplyGradients
    ) -> tuple[Learner, Feedback]:
        def apply(learner: Learner, gradients: Params) -> Learner:
            return _with(back, apply_gradients(_with(there, learner), there(gradients)))

        after, feedback = agent.update(_with(back, learner), batch, key, apply)
        return _with(there, after), feedback

    def activations(params: Params, observation: jax.Array) -> dict[str, jax.Array]:
        units = agent.activations(back(params), observation)
        return {names[layer]: outputs for layer, outputs in units.items()}

    return agent._replace(
        init=lambda key, observation: there(agent.init(key, observation)),
        act=lambda params, *rest: agent.act(back(params), *rest),
        update=update,
        activations=activations,
        layers=tuple(
            layer._replace(name=names[layer.name], feeds=tuple(names[other] for other in layer.fed), of=names[layer.of])
            for layer in agent.layers
        ),
    )


def _with(function: Callable[[Params], Params], learner: Learner) -> Learner:
    params, target_params = function(learner.params), function(learner.target_params)
    return learner._replace(params=params, target_params=target_params)


def _renamed(tree: Mapping[str, Any]) -> dict[str, Any]:
    """Return a tree whose groups have an initial and a number for a name; single parameters keep theirs."""
    renamed = {}
    for index, (name, part) in enumerate(sorted(tree.items())):
        if isinstance(part, Mapping):
            renamed[f"{name[0]}{index}"] = _renamed(part)
        else:
            renamed[name] = part
    return renamed
