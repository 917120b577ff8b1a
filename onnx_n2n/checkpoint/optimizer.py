"""Grow the state of an optimizer with its parameters, by the dual of how these grew.

A first moment follows the gradient, a second moment its square (Adam: D. Kingma, J. Ba, 2015). Along an axis that a
layer reads, weights are divided among copies and gradients are not; along one that it makes it is the other way round.

Places that have had no gradient have no first moment, and as their second the mean over the parameter. With none, steps
there (Adam, usual betas, a constant gradient) would be (1 - 0.9^n) / sqrt(1 - 0.999^n), up to 6.6, times the rate: the
count of steps goes on, and no longer makes up for moments that have just begun. What makes a fresh channel, be it a
mixture of others or a norm's copied scale, has a hundredth of that: its gradients are small as long as the weights are
that read the channel, and with the mean it would hardly move.

New layers start as new places of those that they are like. With no state, Adam's first step is the whole rate for every
number, whatever its gradient is: what added zero then adds the sum of all these.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import numpy as np

from onnx_n2n.checkpoint.growth import Grown, apply
from onnx_n2n.checkpoint.making import values
from onnx_n2n.errors import GrowthError
from onnx_n2n.io.lazy import specs_of
from onnx_n2n.record.record import Record, Remade

SECOND = 2.0
FRESH = 0.01  # times the mean second moment, of what makes a fresh channel: gradients of a tenth of the usual size
# The state of optimizers as PyTorch calls it: the power of a gradient that each one is. Adamax's is the largest of a
# gradient, and what Adadelta gathers of steps, which are divided by the size of gradients, follows no power of them.
MOMENTS = {
    "exp_avg": 1.0,
    "momentum_buffer": 1.0,
    "grad_avg": 1.0,
    "exp_inf": 1.0,
    "acc_delta": 0.0,
    "exp_avg_sq": SECOND,
    "max_exp_avg_sq": SECOND,
    "square_avg": SECOND,
    "sum": SECOND,
}
COPIES = frozenset({"ax", "lookahead_slow_buff"})  # values of the parameter, as ASGD and Lookahead keep them
REASONS = {
    "row_var": "Adafactor keeps means over rows and columns, from which those of a wider weight cannot be known",
    "exp_avg_sq_row": "Adafactor keeps means over rows and columns, from which those of a wider weight cannot be known",
    "step_size": "Rprop keeps a step for each number of a weight, and new ones have had none",
    "old_dirs": "LBFGS keeps directions of all parameters in one vector",
    "absmax1": "moments of 8 bits, as bitsandbytes keeps them, are quantised in blocks",
    "state1": "bitsandbytes keeps moments under names that do not say which they are",
}
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
State = Mapping[str, Mapping[str, Any]]
Shapes = Mapping[str, tuple[int, ...]]
NOTHING: Shapes = MappingProxyType({})


def grow_state(record: Record, state: State, shapes: Shapes = NOTHING) -> dict[str, dict[str, Any]]:
    """Grow the moments of every parameter.

    Args:
        record: What became of the weights.
        state: For each parameter its moments by PyTorch's names; arrays, but for numbers such as ``step``.
        shapes: The shapes of all parameters, of which some may have no moments, and be one weight with others that do.

    Raises:
        GrowthError: If there is something that cannot grow, or the record does not fit.
    """
    grown: dict[str, dict[str, Any]] = {name: dict(moments) for name, moments in state.items()}
    check_kinds(state.values())
    for kind in dict.fromkeys(kind for moments in state.values() for kind in moments):
        if kind not in MOMENTS and kind not in COPIES:
            continue
        arrays = {name: np.asarray(moments[kind]) for name, moments in state.items() if moments.get(kind) is not None}
        rule = values if kind in COPIES else partial(_moment, power=power_of(kind, state.values()))
        if not arrays:
            continue
        zero = np.zeros((), next(iter(arrays.values())).dtype)
        others = {name: np.broadcast_to(zero, shape) for name, shape in shapes.items() if name not in arrays}
        found = apply(record, {**others, **arrays}, rule).arrays
        for name in arrays:
            grown[name][kind] = found[name]
    return grown


def check_kinds(state: Iterable[Mapping[str, Any]]) -> None:
    """Make sure that there is a rule for all that an optimizer keeps for its parameters.

    Raises:
        GrowthError: There is none for something, or no certain one.
    """
    kinds = dict.fromkeys(kind for moments in state for kind, value in moments.items() if _counts(value))
    if strange := [kind for kind in kinds if kind not in MOMENTS and kind not in COPIES]:
        why = next((REASONS[kind] for kind in strange if kind in REASONS), "there is no rule for it")
        raise GrowthError(
            f"the optimizer keeps {strange[0]!r} for its parameters, which cannot grow: {why}",
            hint="SGD, Adam, AdamW, NAdam, RAdam, Adamax, RMSprop, Adagrad, Adadelta, ASGD and Lion can; start others "
            "afresh, and keep their old state with `keep=`, or leave it out of the file",
        )


def _counts(value: Any) -> bool:
    """Say whether something that is kept for a parameter is no single number."""
    return isinstance(value, Mapping | list | tuple) or bool(np.ndim(value))


def power_of(kind: str, state: Iterable[Mapping[str, Any]]) -> float:
    """Return which power of a gradient a moment is; those that RMSprop adds up are divided by their size already."""
    divided = kind == "momentum_buffer" and any("square_avg" in moments for moments in state)
    return 0.0 if divided else MOMENTS[kind]


def _moment(remade: Remade, array: np.ndarray, power: float) -> np.ndarray:
    grown = remade.gradient(array, power)
    known = remade.gradient(np.ones_like(array), 0.0) != 0
    usual = without_gradient(array, power)
    begun = np.full(grown.shape, usual)
    for axis, flags in enumerate(_making(remade)):
        if flags is not None:
            np.moveaxis(begun, axis, 0)[flags] = FRESH * usual
    return np.where(known, grown, begun).astype(array.dtype)


def _making(remade: Remade) -> tuple[np.ndarray | None, ...]:
    """Return per axis where it makes fresh channels: bool[n'], None for nowhere.

    These have mixtures there, or copies without a gradient on an axis that does not read what others make.
    """
    recipe, found = remade.recipe, []
    reads = {part.axis for part in recipe.summed}
    mixed = (*recipe.fresh, *[None] * (len(recipe.index) - len(recipe.fresh)))
    for axis, (index, dual, flags) in enumerate(zip(recipe.index, remade.dual, mixed, strict=True)):
        if index is not None and dual is not None and axis not in reads:
            copied = (dual == 0) & (index < remade.before[axis])
            flags = copied if flags is None else copied | flags
        found.append(flags if flags is not None and flags.any() else None)
    return tuple(found)


def moments_key(remade: Remade) -> Hashable:
    """Return a value that is equal for weights whose moments grow alike, if their values differ."""
    arrays = (*remade.recipe.index, *remade.dual, *_making(remade))
    return remade.before, remade.recipe.scale, tuple(None if each is None else each.tobytes() for each in arrays)


def without_gradient(array: np.ndarray, power: float) -> float:
    """Return the moment that places without a gradient start with, beside those in the ``array`` of a parameter."""
    return float(array.mean(dtype=np.float64)) if power == SECOND else 0.0


def grown_moments(found: Grown, state: State, shapes: Shapes = NOTHING) -> dict[str, tuple[str, dict[str, Any]]]:
    """Grow the moments of the parameters of a checkpoint, as that has grown.

    Parameters that were one and are no longer have none: theirs are mixed. Where both have moments of their own, they
    were not one.

    Args:
        found: What became of the checkpoint.
        state: The moments, by the names of before.
        shapes: See :func:`grow_state`.

    Returns:
        By name, the name before (for a new layer, of what it is like), and the moments.
    """
    names = {name: found.renamed.get(name, name) for name in state}
    own = set(names.values())
    mixed = {name for pair in found.untied.items() if not own.issuperset(pair) for name in pair}
    kept = {name: moments for name, moments in state.items() if names[name] not in mixed}
    grown = {names[name]: (name, moments) for name, moments in grow_state(found.record, kept, shapes).items()}
    return grown | _of_new(found, state)


def _of_new(found: Grown, state: State) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return the moments that parameters of new layers start with."""
    specs = specs_of(found.arrays)

    def begun(name: str, kind: str, value: Any) -> Any:
        if kind in COPIES and value is not None:
            return np.array(found.arrays[name], np.asarray(value).dtype)
        if kind not in MOMENTS or value is None:
            return np.array(value) if isinstance(value, np.ndarray) else value  # each counts its own steps
        usual = without_gradient(value, power_of(kind, state.values()))
        return np.full(specs[name].shape, FRESH * usual if name in found.waiting else usual, np.asarray(value).dtype)

    likes = {name: like for name in found.added if (like := found.like(name, state)) in state}
    return {
        name: (like, {kind: begun(name, kind, value) for kind, value in state[like].items()})
        for name, like in likes.items()
    }


def grown_groups(found: Grown, groups: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the names in the groups of an optimizer, with new ones in the group of what they are like in the end.

    A new one stands behind the one that stands before it in the checkpoint.
    """
    after = [[found.renamed.get(name, name) for name in group] for group in groups]
    order, known = list(found.arrays), {name for group in groups for name in group}
    new = (found.added.keys() | found.untied.keys()).difference(*after)
    for place, name in enumerate(order):
        source = found.like(name, known) if name in new else None
        group = next((now for before, now in zip(groups, after, strict=True) if source in before), None)
        if group is None:
            continue
        before = next((group.index(other) for other in reversed(order[:place]) if other in group), -1)
        group.insert(before + 1, name)
    return after
