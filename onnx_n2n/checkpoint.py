"""Apply a growth record to a checkpoint: the owner's own parameters, under their own names and in their own layouts.

The record is about axes, so that it fits values that the teacher did not have: of a later epoch, or of a network whose
norms were folded into the exported weights.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

import numpy as np

from onnx_n2n.errors import GrowthError
from onnx_n2n.layouts import join, split
from onnx_n2n.origins import Origin
from onnx_n2n.record import Record, Remade
from onnx_n2n.weights import Recipe

Arrays = Mapping[str, np.ndarray]
Apply = Callable[[Remade, np.ndarray], np.ndarray]


def values(remade: Remade, array: np.ndarray) -> np.ndarray:
    """Grow the values of a weight."""
    return remade.recipe.make(array)


@dataclass(frozen=True)
class Grown:
    """What became of a checkpoint.

    Attributes:
        arrays: All parameters, by name.
        grown: Names of those that grew.
        kept: Names of those that are as they were.
    """

    arrays: Arrays
    grown: tuple[str, ...]
    kept: tuple[str, ...]


def grow(record: Record, arrays: Arrays, keep: Sequence[str] = ()) -> Grown:
    """Grow all parameters of a checkpoint as a record says.

    Args:
        record: The record; its origins say which parameter lies in which weight.
        arrays: The parameters, by name.
        keep: Globs of parameters that the record does not know, and that stay as they are.

    Raises:
        GrowthError: If a weight grew whose parameter is not known, or is not in the checkpoint; if there are parameters
            that the record does not know; if one has another shape than the teacher had; if two that are tied would
            grow apart; or if layers were added.
    """
    _check_complete(record, arrays, keep)
    return apply(record, arrays, values)


def apply(record: Record, arrays: Arrays, to: Apply) -> Grown:
    """Apply a record to what belongs to parameters: to their values, or to what follows their gradients.

    Raises:
        GrowthError: If one has another shape than the teacher had, or two that are tied would grow apart.
    """
    found: dict[str, np.ndarray] = {}
    for weight, entries in record.origins.items():
        known = [Origin(**entry) for entry in entries if entry["name"] in arrays]
        for held in _held(known):
            for name, array in _grown(record, weight, held, arrays, to).items():
                if name in found and not np.array_equal(found[name], array):
                    raise GrowthError(
                        f"{name!r} is used in two places that grew differently, so that it cannot stay one parameter",
                        node=weight,
                        hint="untie it in the network's own code first, or --exclude what reads it",
                    )
                found[name] = array
    grown = tuple(name for name, array in found.items() if array.shape != arrays[name].shape)
    merged = {name: found.get(name, array) for name, array in arrays.items()}
    return Grown(merged, grown, tuple(name for name in arrays if name not in grown))


def _held(known: Sequence[Origin]) -> list[list[Origin]]:
    """Group what a weight holds at a time: all parts of a recurrent layer, else each parameter by itself."""
    parts = [origin for origin in known if ":" in origin.layout and not origin.layout.startswith("channels")]
    return [[origin] for origin in known if origin not in parts] + ([parts] if parts else [])


def _grown(
    record: Record, weight: str, held: Sequence[Origin], arrays: Arrays, to: Apply
) -> dict[str, np.ndarray]:
    """Return the parameters that a weight holds, after all steps."""
    line = next(
        (line for _, line in record.lines(weight) if not line or held[0].node in line[-1].readers),
        next(iter(record.lines(weight)))[1],
    )
    if not line:
        return {}
    layout = held[0].layout
    if layout.startswith("channels"):
        axis, name = int(layout.split(":")[1]), held[0].name
        array = arrays[name]
        for remade in line:
            array = to(_along(remade, axis, name), array)
        return {name: array}
    layouts = [origin.layout for origin in held]
    array = join(layouts, [arrays[origin.name] for origin in held])
    for remade in line:
        if array.shape != remade.before:
            raise GrowthError(
                f"{held[0].name!r} is not of the shape that the teacher had",
                shapes=f"{list(array.shape)} as {layout}, where the teacher has {list(remade.before)}",
                hint="the record must belong to the model that was exported from this network",
            )
        array = to(remade, array)
    return dict(zip((origin.name for origin in held), split(layouts, array), strict=True))


def _along(remade: Remade, axis: int, name: str) -> Remade:
    """Return what becomes of a vector that runs along an axis of a weight."""
    recipe = remade.recipe
    if axis < len(recipe.rows) and recipe.rows[axis] is not None:
        reason = f"{name!r} was folded into a weight that grew by mixtures of its channels"
        raise GrowthError(reason, node=remade.teacher)
    return Remade(
        name, name, (remade.before[axis],), Recipe((recipe.index[axis],)), (remade.dual[axis],), remade.readers
    )


def _check_complete(record: Record, arrays: Arrays, keep: Sequence[str]) -> None:
    """Make sure that whatever grew is a known parameter of the checkpoint, and the other way round."""
    if any(step.new for step in record.steps):
        names = [new.student for step in record.steps for new in step.new]
        raise GrowthError(
            f"layers were added, {names[0]!r} among their weights, and their names in a checkpoint are not known",
            hint="grow the checkpoint by the record of the wider model, and take new layers from the student",
        )
    unknown = []
    for weight in dict.fromkeys(each.teacher for step in record.steps[:1] for each in step.remade):
        names = [entry["name"] for entry in record.origins.get(weight, ())]
        if not any(name in arrays for name in names) and names != [""]:
            unknown.append(f"{weight!r}" + (f" (known as {names[0]!r})" if names else ""))
    if unknown:
        raise GrowthError(
            f"the checkpoint has no parameter for {len(unknown)} weights that grew: {', '.join(unknown[:8])}",
            hint="export with torch.onnx.export(..., dynamo=True), which keeps names",
        )
    known = {entry["name"] for entries in record.origins.values() for entry in entries}
    strange = [name for name, array in arrays.items() if name not in known and array.ndim]
    strange = [name for name in strange if not any(fnmatchcase(name, glob) for glob in keep)]
    if strange:
        raise GrowthError(
            f"the record does not know {len(strange)} tensors of the checkpoint: {', '.join(strange[:8])}",
            hint="what stays as it is can be named with --keep GLOB",
        )
