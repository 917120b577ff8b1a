"""Grow trees of parameters, as JAX has them, and what optax keeps for them.

Parameters are called by their paths, with dots: ``params.fc1.kernel``. A dictionary by paths, as of the variables of a
Keras model, is a tree too, and so is one of the variables of its optimizer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from importlib import import_module
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.checkpoint.growth import Grown, grow
from onnx_n2n.checkpoint.optimizer import MOMENTS as POWERS
from onnx_n2n.checkpoint.optimizer import grown_moments, without_gradient
from onnx_n2n.checkpoint.parameters import plain
from onnx_n2n.errors import GrowthError, N2NError
from onnx_n2n.record.record import Record

# What optax and Keras call the moments that PyTorch's optimizers keep, for which there are rules.
MOMENTS: Mapping[str, str] = {
    "mu": "exp_avg",
    "nu": "exp_avg_sq",
    "nu_max": "max_exp_avg_sq",
    "trace": "momentum_buffer",
    "sum_of_squares": "sum",
    "momentum": "momentum_buffer",
    "velocity": "exp_avg_sq",
    "velocity_hat": "max_exp_avg_sq",
    "average_gradient": "grad_avg",
    "accumulator": "sum",
}
# What gathers gradients, but where an optimizer divides these by the root of a second moment first, as RMSprop does.
VELOCITIES, SQUARES = ("momentum_buffer",), ("exp_avg_sq", "sum")
BOX = "value"  # what flax.nnx keeps an array under
Shapes = Mapping[str, tuple[int, ...]]


def grow_tree(
    record: Record,
    params: Any,
    *,
    keep: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
    teacher: ir.Model | None = None,
    student: ir.Model | None = None,
) -> Any:
    """Grow a tree of parameters as a record says: nested dicts, a FrozenDict, a state of ``flax.nnx``.

    Args:
        record: What became of the weights.
        params: The tree, with running statistics where there are any: ``{"params": ..., "batch_stats": ...}``.
        keep: Globs of names that the record does not know, and that stay as they are.
        given: Parameters by weight, as ``params.fc1.kernel``, or with a layout, ``params.conv1.kernel:permuted:3201``.
        teacher: The model that was exported from these very parameters. Exporters of JAX and Keras keep no names, so
            that only the values tell which weight is which.
        student: The student; needed where layers were added that are no copies.

    Returns:
        The tree at its new size, of the same kind, its leaves as they were: arrays of JAX or of numpy.

    Raises:
        GrowthError: As :func:`onnx_n2n.checkpoint.growth.grow`; or layers were added where the tree is not of dicts.
        N2NError: JAX is not installed.
    """
    tree = _Tree(params)
    return tree.rebuilt(tree.grown(record, keep, given, teacher, student))


def grow_optax(
    record: Record,
    state: Any,
    params: Any,
    *,
    keep: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
    teacher: ir.Model | None = None,
    student: ir.Model | None = None,
    anew: Any = None,
    moments: Mapping[str, str] = MOMENTS,
) -> Any:
    """Grow the state of an optimizer of optax, by the dual of how its parameters grew.

    Moments are what has the path of a parameter under the name of a moment: ``mu``, ``nu``, ``trace``; or, in Keras,
    before it: ``adam/fc1_kernel_momentum``. Numbers stay as they are, and so does optax's ``count``, which is one for
    all parameters: Adam at a high count no longer makes up for moments that begin at zero. So second moments of new
    parameters begin with the mean over what they are like, as those of new places in others do.

    Args:
        record: What became of the weights.
        state: The state.
        params: The tree before it grew: the optimizer's own, or one that has it as a subtree.
        keep: As for :func:`grow_tree`, like the next three.
        given: Parameters by weight.
        teacher: The model that was exported from these very parameters.
        student: The student.
        anew: What the optimizer's ``init`` gives for the grown tree; needed where layers were added.
        moments: By the name of a moment, PyTorch's for the same. Adamax has a first power where Adam has a second:
            ``MOMENTS | {"nu": "exp_avg"}``.

    Returns:
        The state, for the tree that :func:`grow_tree` returns.

    Raises:
        GrowthError: As for that one; or the state has something for which there is no rule, as the momentum of RMSprop,
            which is of steps and not of gradients; or layers were added, and there is no state made anew.
        N2NError: JAX is not installed.
    """
    tree, old = _Tree(params), _Tree(state)
    found = tree.grown(record, keep, given, teacher, student)
    if anew is None and (found.added or found.renamed):
        raise GrowthError(
            f"the optimizer has no place for {next(iter({**found.added, **found.renamed}))!r}",
            hint="pass anew=optimizer.init(grown), so that new parameters get theirs",
        )
    before: Shapes = {name: array.shape for name, array in tree.arrays.items()}
    slots: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
    for path, array in old.arrays.items():
        if (place := _place(path, array, before, moments)) is not None:
            slot, name = place
            slots.setdefault(slot, {})[name] = {slot[1]: array}
    _check_gradients(slots)
    grown = {
        slot: {name: kinds[slot[1]] for name, (_, kinds) in grown_moments(found, each).items()}
        for slot, each in slots.items()
    }
    after: Shapes = {name: array.shape for name, array in found.arrays.items()}

    def begun(slot: tuple[str, str], name: str) -> float:
        """Return a moment of a new parameter, or of one that was two: as new places have in what it is like."""
        there = slots.get(slot, {})
        known = there.get(found.like(name, there), {}).get(slot[1], np.zeros(1))
        return without_gradient(known, POWERS[slot[1]])

    target = old if anew is None else _Tree(anew)
    arrays = {}
    for path, array in target.arrays.items():
        place = _place(path, array, before if anew is None else after, moments)
        if place is None:
            arrays[path] = old.arrays.get(path, array)
        else:
            slot, name = place
            moment = grown.get(slot, {}).get(name)
            arrays[path] = np.full(after[name], begun(slot, name), array.dtype) if moment is None else moment
    return target.unflattened(arrays)


def _check_gradients(slots: Mapping[tuple[str, str], Mapping[str, Any]]) -> None:
    """Make sure that what gathers gradients does not gather steps, which are no power of one.

    Raises:
        GrowthError: If it may.
    """
    squares = {name for (_, kind), found in slots.items() for name in found if kind in SQUARES}
    for (slot, kind), found in slots.items():
        keras_adam = slot.endswith(".momentum") and "adam" in slot  # RMSprop calls its own the same
        if kind in VELOCITIES and not squares.isdisjoint(found) and not keras_adam:
            raise GrowthError(
                f"the optimizer keeps {slot!r} of steps that were divided by the root of a second moment, as RMSprop "
                "with momentum does, and there is no rule for these",
                hint="start it afresh, on the grown parameters. Keras's Adam needs a name that says so",
            )


def _place(
    path: str, array: np.ndarray, shapes: Shapes, moments: Mapping[str, str]
) -> tuple[tuple[str, str], str] | None:
    """Return of which moment a leaf of a state is, with the name that there is a rule for, and of which parameter.

    Nothing if it is a number, or whole numbers, which are nobody's moment.

    Raises:
        GrowthError: If it is something else.
    """
    if not array.ndim or array.dtype.kind in "iub":
        return None
    parts = path.split(".")
    for at in range(len(parts) - 1, -1, -1):
        part = parts[at]
        ending = max((each for each in moments if part.endswith(f"_{each}")), key=len, default="")
        if part in moments:
            kind, own = part, ".".join(parts[at + 1 :])
            names = [own] if own in shapes else [name for name in shapes if name.endswith(f".{own}")]
        elif ending and at == len(parts) - 1:  # Keras
            kind, own = ending, part.removesuffix(f"_{ending}")
            names = [name for name in shapes if name.replace(".", "_") == own]
        else:
            continue
        if len(names) == 1 and shapes[names[0]] == array.shape:
            return (".".join([*parts[:at], kind]), moments[kind]), names[0]
    raise GrowthError(
        f"the optimizer keeps {path!r}, which is no moment of one parameter that there is a rule for",
        shapes=str(list(array.shape)),
        hint="SGD, Adam, AdamW, RMSprop and Adagrad can grow, with the tree they were made for; start others afresh",
    )


class _Tree:
    """A tree with names for its leaves.

    Attributes:
        arrays: Its numbers, by name.
    """

    def __init__(self, tree: Any) -> None:
        leaves, self._structure = _jax().tree_util.tree_flatten_with_path(tree)
        self._paths = [tuple(path) for path, _ in leaves]
        self._leaves = [leaf for _, leaf in leaves]
        self._names = [_name(path) for path in self._paths]
        self._tree = tree
        if twice := [name for name in self._names if self._names.count(name) > 1]:
            raise GrowthError(f"two leaves of the tree would be called {twice[0]!r}")
        self.arrays = {
            name: np.asarray(leaf)
            for name, leaf in zip(self._names, self._leaves, strict=True)
            if not _jax().dtypes.issubdtype(getattr(leaf, "dtype", np.float32), _jax().dtypes.extended)
        }

    @cached_property
    def _by_name(self) -> dict[str, tuple[tuple[Any, ...], Any]]:
        return dict(zip(self._names, zip(self._paths, self._leaves, strict=True), strict=True))

    def grown(
        self,
        record: Record,
        keep: Sequence[str],
        given: Mapping[str, str] | None,
        teacher: ir.Model | None,
        student: ir.Model | None,
    ) -> Grown:
        """Grow the leaves."""
        dotted = {weight: text.replace("/", ".") for weight, text in (given or {}).items()}
        globs = [glob.replace("/", ".") for glob in keep]
        return grow(record, self.arrays, globs, given=dotted, teacher=teacher, student=student)

    def unflattened(self, arrays: Mapping[str, np.ndarray]) -> Any:
        """Return a tree like this one with other numbers."""
        leaves = [
            _like(leaf, arrays[name]) if name in arrays else leaf
            for name, leaf in zip(self._names, self._leaves, strict=True)
        ]
        return _jax().tree_util.tree_unflatten(self._structure, leaves)

    def rebuilt(self, found: Grown) -> Any:
        """Return the tree with the parameters that have grown, and with new ones in dicts beside what they are like."""
        if not found.added and not found.renamed:
            return self.unflattened(found.arrays)
        old = {now: before for before, now in found.renamed.items()}
        others = {name: leaf for name, (_, leaf) in self._by_name.items() if name not in self.arrays}
        made: dict[str, Any] = {}
        for name, array in {**found.arrays, **others}.items():
            like = found.added.get(name, name)
            path, leaf = self._by_name.get(old.get(like, like), (None, None))
            keys = None if path is None else _keys(path, name)
            if keys is None:
                raise GrowthError(
                    f"there is no place for {name!r} in the tree",
                    hint="layers can be added to nested dicts, as flax.nnx.to_pure_dict makes them",
                )
            inner = made
            for key in keys[:-1]:
                inner = inner.setdefault(key, {})
            inner[keys[-1]] = array if name in others else _like(leaf, array)
        return made if type(self._tree) is dict else type(self._tree)(made)


def _name(path: Sequence[Any]) -> str:
    parts = [_key(each) for each in path]
    boxed = len(path) > 1 and getattr(path[-1], "name", None) == BOX
    return ".".join(plain(str(part)) for part in (parts[:-1] if boxed else parts))


def _key(entry: Any) -> Any:
    """Return what stands in a path of JAX: a key, the name of an attribute, or a place."""
    return next(getattr(entry, name) for name in ("key", "name", "idx") if hasattr(entry, name))


def _keys(path: Sequence[Any], name: str) -> list[str] | None:
    """Return the keys under which a parameter of some name stands, beside one that has a path; None if there are none.

    A key may have several parts, ``fc1/kernel``.
    """
    keys, parts = [_key(entry) for entry in path], name.split(".")
    if not all(isinstance(key, str) and hasattr(entry, "key") for key, entry in zip(keys, path, strict=True)):
        return None
    counts = [len(plain(key).split(".")) for key in keys]
    if sum(counts) != len(parts):
        return None
    found = []
    for key, count in zip(keys, counts, strict=True):
        found.append(("/" if "/" in key else ".").join(parts[:count]))
        parts = parts[count:]
    return found


def _like(leaf: Any, array: np.ndarray) -> Any:
    """Return numbers as a leaf has its own: an array of JAX, or of numpy, of some type."""
    if isinstance(leaf, _jax().Array):
        return _jax().numpy.asarray(array, dtype=leaf.dtype)
    return np.asarray(array, dtype=np.asarray(leaf).dtype) if np.ndim(leaf) else leaf


def _jax() -> Any:
    try:
        return import_module("jax")
    except ImportError as failure:
        raise N2NError("trees are JAX's, and JAX is not installed", hint="pip install 'onnx-n2n[jax]'") from failure
