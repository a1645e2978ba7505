"""The greedy policy of an exported run: one action at a time on a CPU, its big sparse layer computed sparsely.

The largest layer is most of the work of one action, since its weights are read once for every action. If it is a plain
`flax.linen.Dense` and keeps few enough weights, the agent's program is cut in two there, and SciPy computes the product
in between; all else runs as it was written, convolutions included. `ci/bench/README.md` says what that follows from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from numpy.typing import NDArray
from scipy.sparse import csr_array  # type: ignore[import-untyped]

from suite.contracts.agent import Learner, Params
from suite.errors import BadData
from suite.experience.domains import domain_of
from suite.learning.build import build
from suite.records.policy_file import read_policy
from suite.tasks import Game, game, load_task
from suite.tasks.configuration import Spec

SPARSE_BELOW = 0.2
"""The share of non-zero weights below which a layer is computed sparsely: there both ways are about equally fast."""


class Policy:
    """Greedy actions of a spec's agent in a game; equal to the agent's own up to rounding.

    An agent that draws random numbers to act draws the same ones every time.

    `params`: arrays by path, as exported. `sparse_below`: see `SPARSE_BELOW`; 0 computes all layers densely. The first
    action compiles; `suite.learning.device.prepare(1, ...)` before that keeps it to one thread. `sparse_layer`: the
    path of the kernel that is used sparsely, if any.
    """

    def __init__(
        self, spec: Spec, game: Game, params: Mapping[str, NDArray[Any]], sparse_below: float = SPARSE_BELOW
    ) -> None:
        self._agent, _ = build(spec, game)
        self._legal = np.ones(game.actions, np.bool_)
        self._inputs_of = domain_of(load_task(spec.task)).inputs(game)
        blank = self._inputs_of.blank()
        self.shape, self.dtype = blank.shape, blank.dtype
        stack = jax.eval_shape(lambda: jnp.asarray(blank))
        shapes = jax.eval_shape(lambda stack: self._agent.init(jax.random.key(0), self._observation(stack)), stack)
        self._statistics: Any = ()
        if self._agent.statistics is not None:
            expected = jax.eval_shape(lambda stack: self._agent.statistics(self._observation(stack)), stack)  # type: ignore[misc]
            self._statistics = _tree(expected, params, "", "statistics/")
        self.sparse_layer = ""
        layers = [name for name in self._single_layers(shapes, stack) if name in params]
        if layers:
            largest = max(layers, key=lambda name: params[name].size)
            if np.count_nonzero(params[largest]) < sparse_below * params[largest].size:
                self.sparse_layer = largest
                self._matrix = csr_array(params[largest].T)
        tree = _tree(shapes, params, self.sparse_layer)
        self._params = jax.device_put(tree, jax.devices("cpu")[0])
        self._act = jax.jit(self._whole)
        self._before = jax.jit(self._inputs)
        self._after = jax.jit(self._action)

    def act(self, stack: NDArray[Any]) -> Any:
        """Return the action for a stack of frames uint8 [stack, height, width], oldest first: a number.

        In continuous control, an action float32 [A] in [-1, 1] for an observation float32 [D].
        """
        if stack.shape != self.shape or stack.dtype != self.dtype:
            raise ValueError(f"an observation is {self.dtype} {self.shape}, not {stack.dtype} {stack.shape}")
        if not self.sparse_layer:
            return self._inputs_of.action(np.asarray(self._act(self._params, stack)))
        product = self._product(self._before(self._params, stack))
        return self._inputs_of.action(np.asarray(self._after(self._params, stack, product)))

    def activations(self, stack: NDArray[Any]) -> dict[str, jax.Array]:
        """Return what the layers put out for an observation; see `Agent.activations`."""
        with nn.intercept_methods(_computed_by(self._product)):
            return self._agent.activations(self._params, self._observation(stack))

    def _observation(self, stack: Any) -> jax.Array:
        return self._inputs_of.network(stack)

    def _product(self, inputs: jax.Array) -> NDArray[Any]:
        product: NDArray[Any] = self._matrix @ np.asarray(inputs)
        return product

    def _whole(self, params: Params, stack: jax.Array) -> jax.Array:
        greedy = self._agent.evaluate or self._agent.act
        acting = params
        if self._agent.acting is not None:
            acting = self._agent.acting(Learner(params, params, (), {}, self._statistics))
        return greedy(acting, self._observation(stack), jnp.asarray(self._legal), jax.random.key(0))[0]

    def _inputs(self, params: Params, stack: jax.Array) -> jax.Array:
        """Return the inputs of the sparse layer; what comes after it is not computed."""
        found: list[jax.Array] = []

        def note(inputs: jax.Array) -> jax.Array:
            found.append(inputs)
            return jnp.zeros(self._matrix.shape[0], inputs.dtype)

        with nn.intercept_methods(_computed_by(note)):
            self._whole(params, stack)
        return found[0]

    def _action(self, params: Params, stack: jax.Array, product: jax.Array) -> jax.Array:
        """Return the action from the product of the sparse layer; what comes before it is not computed."""
        with nn.intercept_methods(_computed_by(lambda inputs: product)):
            return self._whole(params, stack)

    def _single_layers(self, shapes: Params, stack: Any) -> list[str]:
        """Return the paths of the kernels of plain `flax.linen.Dense` that see one row, once, in the agent's program.

        A layer inside a transformation of its own, such as `jax.jit`, is not among them: it cannot be cut out.
        """
        found: list[str] = []

        def trace(params: Params, stack: jax.Array) -> jax.Array:
            names = {id(leaf): name for name, leaf in _named(params)}

            def look(proceed: Callable[..., Any], arguments: Any, keywords: Any, context: Any) -> Any:
                layer = context.module
                if _is_plain(context) and arguments[0].size == arguments[0].shape[-1]:
                    found.append(names.get(id(layer.variables["params"]["kernel"]), ""))
                return proceed(*arguments, **keywords)

            with nn.intercept_methods(look):
                return self._whole(params, stack)

        jax.eval_shape(trace, shapes, stack)
        return [name for name in found if name and found.count(name) == 1]


def load_policy(path: Path | str) -> Policy:
    """Return the policy in a file that `suite export policy` wrote, dense or sparse; BadData if it is none."""
    exported = read_policy(Path(path))
    return Policy(exported.spec, game(exported.game), exported.params)


def _computed_by(product: Callable[[jax.Array], Any]) -> Callable[..., Any]:
    """Return a flax interceptor that has the layer without a kernel computed by a function of its inputs [F]."""

    def intercept(proceed: Callable[..., Any], arguments: Any, keywords: Any, context: Any) -> Any:
        if not _is_plain(context):
            return proceed(*arguments, **keywords)
        own = context.module.variables["params"]
        if own["kernel"] is not None:
            return proceed(*arguments, **keywords)
        x = arguments[0]
        return jnp.reshape(product(x.reshape(-1)), (*x.shape[:-1], -1)) + own.get("bias", 0)

    return intercept


def _is_plain(context: Any) -> bool:
    layer = context.module
    if type(layer) is not nn.Dense or context.method_name != "__call__" or layer.is_initializing():
        return False
    return (layer.dtype, layer.dot_general, layer.dot_general_cls) == (None, None, None)


def _tree(shapes: Params, params: Mapping[str, NDArray[Any]], absent: str, under: str = "") -> Params:
    """Return the arrays below a name as a tree, with None for the kernel that is absent."""
    leaves: list[Any] = []
    for name, shape in ((under + name, shape) for name, shape in _named(shapes)):
        array = params.get(name)
        if array is None or array.shape != shape.shape or array.dtype != shape.dtype:
            raise BadData(
                f"The exported {name} is not what this version computes with.",
                "Use the versions of the suite and of the plug-ins that trained it.",
            )
        leaves.append(None if name == absent else array)
    return jax.tree.unflatten(jax.tree.structure(shapes), leaves)


def _named(tree: Params) -> list[tuple[str, Any]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return [(jax.tree_util.keystr(path, simple=True, separator="/"), leaf) for path, leaf in leaves]
