"""Grow the state of an optimizer with its parameters, by the dual of how these grew.

A first moment follows the gradient, a second moment its square (Adam: D. Kingma, J. Ba, 2015). Along an axis that a
layer reads, weights are divided among copies and gradients are not; along one that it makes it is the other way round.

Places that have had no gradient have no first moment, and as their second the mean over the parameter. With none, steps
there (Adam, usual betas, a constant gradient) would be (1 - 0.9^n) / sqrt(1 - 0.999^n), up to 6.6, times the rate: the
count of steps goes on, and no longer makes up for moments that have just begun. What makes a fresh channel has a
hundredth of that: its gradients are small as long as the weights are that read the channel, and with the mean it would
hardly move.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from onnx_n2n.checkpoint import Grown, apply
from onnx_n2n.errors import GrowthError
from onnx_n2n.record import Record, Remade

SECOND = 2.0
FRESH = 0.01  # times the mean second moment, of what makes a fresh channel: gradients of a tenth of the usual size
# The state of SGD, Adam, AdamW, RMSprop and Adagrad as PyTorch calls it: the power of a gradient that each one is.
MOMENTS = {
    "exp_avg": 1.0,
    "momentum_buffer": 1.0,
    "grad_avg": 1.0,
    "exp_avg_sq": SECOND,
    "max_exp_avg_sq": SECOND,
    "square_avg": SECOND,
    "sum": SECOND,
}
BUFFERS = ("running_mean", "running_var", "num_batches_tracked")
State = Mapping[str, Mapping[str, Any]]


def grow_state(record: Record, state: State) -> dict[str, dict[str, Any]]:
    """Grow the moments of every parameter.

    Args:
        record: What became of the weights.
        state: For each parameter its moments by PyTorch's names; arrays, but for numbers such as ``step``.

    Raises:
        GrowthError: If there is a moment that no gradient of the parameter explains, or the record does not fit.
    """
    grown: dict[str, dict[str, Any]] = {name: dict(moments) for name, moments in state.items()}
    kinds = dict.fromkeys(kind for moments in state.values() for kind, value in moments.items() if np.ndim(value))
    for kind in kinds:
        if kind not in MOMENTS:
            raise GrowthError(
                f"the optimizer keeps {kind!r} for its parameters, for which there is no rule",
                hint="SGD, Adam, AdamW, RMSprop and Adagrad can grow; start others afresh",
            )
        # RMSprop adds up gradients that are divided by their size already.
        divided = kind == "momentum_buffer" and any("square_avg" in moments for moments in state.values())
        rule = partial(_moment, power=0.0 if divided else MOMENTS[kind])
        arrays = {name: np.asarray(moments[kind]) for name, moments in state.items() if np.ndim(moments.get(kind, 0))}
        for name, array in apply(record, arrays, rule).arrays.items():
            grown[name][kind] = array
    return grown


def _moment(remade: Remade, array: np.ndarray, power: float) -> np.ndarray:
    grown = remade.gradient(array, power)
    known = remade.gradient(np.ones_like(array), 0.0) != 0
    usual = without_gradient(array, power)
    begun = np.full(grown.shape, usual)
    for axis, flags in enumerate(remade.recipe.fresh):
        if flags is not None:
            np.moveaxis(begun, axis, 0)[flags] = FRESH * usual
    return np.where(known, grown, begun).astype(array.dtype)


def without_gradient(array: np.ndarray, power: float) -> float:
    """Return the moment that places without a gradient start with, beside those in the ``array`` of a parameter."""
    return float(array.mean(dtype=np.float64)) if power == SECOND else 0.0


def grown_moments(found: Grown, state: State) -> dict[str, tuple[str, dict[str, Any]]]:
    """Grow the moments of the parameters of a checkpoint, as that has grown.

    New layers have no moments, and neither have parameters that were one and are no longer: theirs are mixed.

    Returns:
        By name, the name before, and the moments.
    """
    mixed = {*found.untied, *found.untied.values()}
    names = {name: found.renamed.get(name, name) for name in state}
    kept = {name: moments for name, moments in state.items() if names[name] not in mixed}
    return {names[name]: (name, moments) for name, moments in grow_state(found.record, kept).items()}


def grown_groups(found: Grown, groups: Sequence[Sequence[str]]) -> list[list[str]]:
    """Return the names in the groups of an optimizer, with new ones in the group of what they are like.

    A new one stands behind the one that stands before it in the checkpoint.
    """
    after = [[found.renamed.get(name, name) for name in group] for group in groups]
    like = {**found.added, **found.untied}
    order = list(found.arrays)
    for place, name in enumerate(order):
        group = next((group for group in after if like.get(name) in group), None)
        if group is None or name in group:
            continue
        before = next((group.index(other) for other in reversed(order[:place]) if other in group), -1)
        group.insert(before + 1, name)
    return after


def names_in(groups: Sequence[Mapping[str, Any]], parameters: Sequence[str]) -> dict[int, str]:
    """Return the name of each parameter number in a PyTorch optimizer's ``param_groups``.

    Raises:
        GrowthError: If the groups do not say, and there are more or fewer parameters than in the checkpoint.
    """
    numbers = [number for group in groups for number in group["params"]]
    named = [name for group in groups for name in group.get("param_names", ())]
    if len(named) != len(numbers):
        named = [name for name in parameters if not name.endswith(BUFFERS)]
    if len(named) != len(numbers):
        raise GrowthError(
            f"the optimizer has {len(numbers)} parameters and the checkpoint {len(named)}: which is which is not known",
            hint="make the optimizer with model.named_parameters(), so that its state says",
        )
    return dict(zip(numbers, named, strict=True))
