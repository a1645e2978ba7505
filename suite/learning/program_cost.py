"""Costs of a configuration's programs in operations and in memory, by the compiler's own count."""

from __future__ import annotations

from functools import cache, cached_property
from typing import Any

import jax

from suite.learning.programs import Programs


class ProgramCost:
    """The cost of programs; nothing is compiled, lowered or traced before it is asked for."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs

    @cached_property
    def update_operations(self) -> float:
        """Floating-point operations of one update."""
        return _operations(self._update.cost_analysis())

    @cached_property
    def action_operations(self) -> float:
        """Floating-point operations of choosing one action."""
        return _operations(self._programs.lowered_act().cost_analysis())

    @cached_property
    def learner_bytes(self) -> int:
        """The memory of a learner."""
        return _bytes(self._programs.shapes())

    @cached_property
    def policy_bytes(self) -> int:
        """The memory of what acts: a learner's parameters, and the statistics beside them."""
        learner = self._programs.shapes()
        return _bytes((learner.params, learner.statistics))

    @cached_property
    def training_bytes(self) -> int:
        """The memory of a learner and of an update of it; compiles it."""
        data = sum(leaf.nbytes for leaf in jax.tree.leaves(self._programs.blank_data()))
        analysis = self._update.compile().memory_analysis()
        scratch = 0 if analysis is None else int(analysis.temp_size_in_bytes)
        return int(2 * self.learner_bytes + 2 * data) + scratch

    @cached_property
    def _update(self) -> Any:
        return self._programs.lowered_update()


@cache
def cost_of(programs: Programs) -> ProgramCost:
    """Return the cost of programs; the same object for the same programs."""
    return ProgramCost(programs)


def _bytes(tree: Any) -> int:
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _operations(analysis: Any) -> float:
    table = analysis[0] if isinstance(analysis, list) else analysis
    return float((table or {}).get("flops", 0.0))
