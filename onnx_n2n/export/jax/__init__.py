"""JAX: a model as a pure function of its parameters, its state and its inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np

from onnx_n2n.errors import ExportError
from onnx_n2n.export.build import program_of
from onnx_n2n.export.check import Runner
from onnx_n2n.export.jax import dtypes
from onnx_n2n.export.jax.run import Frame, prepared
from onnx_n2n.export.operators.table import known
from onnx_n2n.export.program import Program
from onnx_n2n.io.model import ModelLike

__all__ = ["Apply", "apply_of", "function_of", "runner", "to_jax", "trees_of"]

Tree = dict[str, Any]
Inputs = Mapping[str, Any] | Sequence[Any]


class Apply(Protocol):
    """A model as a function; see :func:`onnx_n2n.export.to_jax`."""

    def __call__(
        self, params: Tree, state: Tree, inputs: Inputs, *, train: bool = False, rngs: Any = None
    ) -> tuple[Tree, Tree]:
        """Run it.

        Args:
            params: What is trained.
            state: What goes with it: the statistics of BatchNormalization.
            inputs: By name, or in the order of the graph.
            train: Whether BatchNormalization normalises by the batch and Dropout drops.
            rngs: A key for Dropout, or a dict with one at ``dropout``; without one it lets everything through.

        Returns:
            The outputs by name, and the new state.
        """
        ...


def to_jax(model: ModelLike, *, freeze: Iterable[str] = (), train: Iterable[str] = ()) -> tuple[Apply, Tree, Tree]:
    """Turn a model into a function and its trees; see :func:`onnx_n2n.export.to_jax`."""
    program = program_of(model, known, freeze=freeze, train=train)
    return apply_of(program), *trees_of(program)


def trees_of(program: Program, arrays: Mapping[str, np.ndarray] | None = None) -> tuple[Tree, Tree]:
    """Return parameters and state as nested dicts, by the parts of their names."""
    params: Tree = {}
    state: Tree = {}
    for name, tensor in program.tensors.items():
        array = tensor.array if arrays is None else arrays[name]
        _put(params if tensor.trained else state, name, dtypes.to_jax(np.array(array)))
    return params, state


def apply_of(program: Program) -> Apply:
    """Return a program as a function.

    Raises:
        ExportError: A step asks for what its function does not know.
    """
    run = function_of(program)

    def apply(params: Tree, state: Tree, inputs: Inputs, *, train: bool = False, rngs: Any = None) -> tuple[Tree, Tree]:
        tensors = {name: _get(params if tensor.trained else state, name) for name, tensor in program.tensors.items()}
        key = rngs.get("dropout") if isinstance(rngs, Mapping) else rngs
        given = [inputs[name] for name in program.main.inputs] if isinstance(inputs, Mapping) else inputs
        outputs, left = run(tensors, given, key, train)
        new: Tree = {}
        for name, value in left.items():
            _put(new, name, value)
        return dict(zip(program.outputs, outputs, strict=True)), new

    return apply


def function_of(program: Program) -> Callable[..., tuple[list[Any], dict[str, Any]]]:
    """Return a program as a function without trees.

    Returns:
        ``run(tensors, inputs, key, train) -> (outputs, state)``: parameters and state by dotted name, inputs and
        outputs in the order of the graph, a key for Dropout or None, and the new state by dotted name.

    Raises:
        ExportError: A step asks for what its function does not know.
    """
    recipe = prepared(program)

    def run(
        tensors: Mapping[str, Any], inputs: Sequence[Any], key: Any, train: bool
    ) -> tuple[list[Any], dict[str, Any]]:
        frame = Frame(recipe, dict(tensors), train, key)
        frame.arrays.update(zip(program.main.inputs, map(jnp.asarray, inputs), strict=True))
        frame.run(program.main)
        state = {name: frame.tensors[name] for name, tensor in program.tensors.items() if not tensor.trained}
        return [frame.device(name) for name in program.main.outputs], state

    return run


def runner(apply: Apply, params: Tree, state: Tree) -> Runner:
    """Return what runs a function on arrays, for :func:`onnx_n2n.export.check.agreement`."""

    def outputs_of(feed: Mapping[str, Any]) -> list[Any]:
        return list(apply(params, state, feed)[0].values())  # jit would sort a dict by its keys

    quick = jax.jit(outputs_of)

    def run(feed: Mapping[str, np.ndarray]) -> list[Any]:
        try:
            outputs = quick(dict(feed))
        except ExportError:  # a length depends on data
            outputs = outputs_of(feed)
        return [jax.tree.map(np.asarray, value) for value in outputs]

    return run


def _put(tree: Tree, name: str, value: Any) -> None:
    *path, leaf = name.split(".")
    for part in path:
        tree = tree.setdefault(part, {})
    tree[leaf] = value


def _get(tree: Tree, name: str) -> Any:
    for part in name.split("."):
        tree = tree[part]
    return tree
