"""Apply a growth record to a checkpoint: the owner's own parameters, under their own names and in their own layouts.

The record is about axes, so that it fits values that the teacher did not have: of a later epoch, or of a network whose
norms were folded into the exported weights.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import GrowthError
from onnx_n2n.insertion import insert
from onnx_n2n.matching import matched
from onnx_n2n.origins import Origin, unpacked
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
        record: The record, with the names of the checkpoint.
        arrays: All parameters, by name.
        grown: Names of those that grew.
        kept: Names of those that are as they were.
        untied: Names of those that were one with another parameter, by the name of that, and no longer are.
        added: Names of those of new layers, by the parameter that each one is like.
        renamed: Parameters that go by another name now, since new layers took theirs.
        copies: Copies of the network in the same file that have grown as it has, by their paths.
        optimizers: Optimizers in the file that have grown, by their paths.
        outside: Tensors in the file that are as they were since they cannot be part of a network, by their paths.
        left: Tensors, or optimizers, that the user keeps as they were.
        moments: The proof of the moments of the optimizers, if there are any and it was asked for.
    """

    record: Record
    arrays: Arrays
    grown: tuple[str, ...]
    kept: tuple[str, ...]
    untied: Mapping[str, str] = field(default_factory=dict)
    added: Mapping[str, str] = field(default_factory=dict)
    renamed: Mapping[str, str] = field(default_factory=dict)
    copies: tuple[str, ...] = ()
    optimizers: tuple[str, ...] = ()
    outside: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    moments: Any = None

    def to_json(self) -> dict[str, Any]:
        """The names as JSON takes them."""
        names = {"grown": list(self.grown), "kept": list(self.kept), "untied": dict(self.untied)}
        names |= {"added": dict(self.added), "renamed": dict(self.renamed)}
        beside = {key: list(getattr(self, key)) for key in ("copies", "optimizers", "outside", "left")}
        return names | beside | {"moments": None if self.moments is None else self.moments.to_json()}


def grow(
    record: Record,
    arrays: Arrays,
    keep: Sequence[str] = (),
    *,
    given: Mapping[str, str] | None = None,
    teacher: ir.Model | None = None,
    student: ir.Model | None = None,
) -> Grown:
    """Grow all parameters of a checkpoint as a record says.

    Args:
        record: The record; its origins say which parameter lies in which weight.
        arrays: The parameters, by name. Tied ones share their memory, or are there under one of their names.
        keep: Globs of parameters that the record does not know, and that stay as they are.
        given: Parameters by weight, where the record does not know them, as ``name`` or ``name:transposed``; and what
            those of new layers are to be called.
        teacher: The model that was exported from this very checkpoint; parameters without a name are known by value.
        student: The last student; needed where layers were added.

    Raises:
        GrowthError: If a weight grew whose parameter is not known, or is not in the checkpoint; if there are parameters
            that the record does not know; if one has another shape than the teacher had; if two that are tied would
            grow apart and have one name only; or if layers were added that cannot be named; or if a model has weights
            of other shapes than the record.
    """
    _check_models(record, teacher, student)
    record = _confirmed(matched(record, arrays, given=given, teacher=teacher), arrays)
    left = _check_complete(record, arrays, keep)
    found = apply(record, arrays, values)
    inserted = insert(record, found.arrays, student, given or {})

    def now(names: Iterable[str]) -> tuple[str, ...]:
        return tuple(inserted.renamed.get(name, name) for name in names)

    untied = dict(zip(now(found.untied), now(found.untied.values()), strict=True))
    return Grown(
        record, inserted.arrays, now(found.grown), now(found.kept), untied, inserted.added, inserted.renamed, left=left
    )


def again(found: Grown, arrays: Arrays, student: ir.Model | None, given: Mapping[str, str]) -> Grown:
    """Grow other values of the same parameters, as of a running mean of them, all of which must be there."""
    other = apply(found.record, arrays, values)
    return replace(found, arrays=insert(found.record, other.arrays, student, given).arrays)


def apply(record: Record, arrays: Arrays, to: Apply) -> Grown:
    """Apply a record to what belongs to parameters: to their values, or to what follows their gradients.

    Raises:
        GrowthError: If one has another shape than the teacher had, or two that are tied would grow apart.
    """
    found: dict[str, np.ndarray] = {}
    source: dict[str, str] = {}
    ties = _ties(record)
    for weight, origin in _known(record):
        at = _at(origin, arrays, ties)
        if not at:
            continue
        for own, name, array in zip(_own(origin), at, _grown(record, weight, origin, at, arrays, to), strict=True):
            if own in found and not np.array_equal(found[own], array):
                raise GrowthError(
                    f"{own!r} is used in two places that grew differently, so that it cannot stay one parameter",
                    node=weight,
                    hint="untie it in the network's own code first, or --exclude what reads it",
                )
            found[own], source[own] = array, name
    for name in [name for name in found if name not in arrays]:
        if np.array_equal(found[name], found.get(source[name], arrays[source[name]])):
            del found[name]  # it is still the same as the one that it is tied to
    merged = {name: found.get(name, array) for name, array in arrays.items()} | found
    grown = tuple(name for name, array in found.items() if array.shape != arrays[source[name]].shape)
    parted = {name: other for name, other in shared(arrays).items() if not np.array_equal(merged[name], merged[other])}
    untied = {name: source[name] for name in found if name not in arrays} | parted
    return Grown(record, merged, grown, tuple(name for name in arrays if name not in grown), untied)


def shared(arrays: Arrays) -> dict[str, str]:
    """Return the parameters that share their memory with another one, by name, with the first of these."""
    first: dict[tuple[int, tuple[int, ...]], str] = {}
    found = {name: first.setdefault((_address(array), array.shape), name) for name, array in arrays.items()}
    return {name: other for name, other in found.items() if other != name and arrays[name].size}


def _address(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _known(record: Record) -> Iterator[tuple[str, Origin]]:
    """Yield all weights with what they are made of."""
    for weight, entries in record.origins.items():
        for origin in entries:
            yield weight, origin


def _ties(record: Record) -> dict[str, str]:
    """Return for each parameter that is tied to another one the other, both ways."""
    pairs = [(origin.names[0], origin.tied) for _, origin in _known(record) if origin.tied]
    return dict(pairs) | {other: name for name, other in pairs}


def _confirmed(record: Record, arrays: Arrays) -> Record:
    """Return a record without the second names that a checkpoint does not know, where these are only likely."""

    def plain(origin: Origin) -> Origin:
        sure = origin.source != "name" or origin.tied in arrays
        return origin if sure else replace(origin, tied="")

    return replace(record, origins={weight: tuple(map(plain, found)) for weight, found in record.origins.items()})


def _own(origin: Origin) -> tuple[str, ...]:
    """Return the names that parameters have in the place that a node reads them for."""
    return (origin.tied,) if origin.tied else origin.names


def _at(origin: Origin, arrays: Arrays, ties: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names under which a checkpoint has what a weight is made of; none if it lacks one."""
    for names in (_own(origin), origin.names, tuple(ties.get(name, "") for name in origin.names)):
        if names and all(name in arrays for name in names):
            return names
    return ()


def _grown(
    record: Record, weight: str, origin: Origin, at: Sequence[str], arrays: Arrays, to: Apply
) -> list[np.ndarray]:
    """Return the parameters that a weight is made of, after all steps.

    Raises:
        GrowthError: If one has another shape than the teacher had, or it is not known for which node they are, and the
            weight grew differently for several.
    """
    found, *others = [_followed(line, origin, at, arrays, to) for line in followed_by(record, weight, origin)]
    if not all(all(map(np.array_equal, found, other)) for other in others):
        raise GrowthError(
            f"{at[0]!r} is used in several places that grew differently, and which of them it is for is not known",
            node=weight,
            hint="--exclude what reads it, or export with names",
        )
    return found


def followed_by(record: Record, weight: str, origin: Origin) -> list[tuple[Remade, ...]]:
    """Return how a weight grew for the node that an origin is about: one line of steps, or all if that is not known."""
    lines = [line for _, line in record.lines(weight)]
    own = [line for line in lines if not line or origin.node in line[-1].readers]
    return [tuple(_alone(record, remade, origin.node) for remade in line) for line in own or lines]


def _followed(
    line: Sequence[Remade], origin: Origin, at: Sequence[str], arrays: Arrays, to: Apply
) -> list[np.ndarray]:
    parts = [arrays[name] for name in at]
    if not line:
        return parts
    if origin.layout.kind in {"channels", "part"}:
        (array,) = parts
        for remade in line:
            along = _channels if origin.layout.kind == "channels" else _whole
            array = to(along(remade, origin, array), array)
        return [array]
    try:
        array = origin.layout.pack(parts)
    except (IndexError, ValueError):  # numpy's words for axes that are not there
        shapes = f"{', '.join(str(list(part.shape)) for part in parts)} where the teacher has {list(line[0].before)}"
        raise GrowthError(f"{at[0]!r} cannot lie in the weight as {origin.layout}", shapes=shapes) from None
    for remade in line:
        if array.shape != remade.before:
            raise GrowthError(
                f"{at[0]!r} is not of the shape that the teacher had",
                shapes=f"{list(array.shape)} as {origin.layout}, where the teacher has {list(remade.before)}",
                hint="the record must belong to the model that was exported from this network",
            )
        array = to(remade, array)
    return unpacked(origin, array)


def _alone(record: Record, remade: Remade, node: str) -> Remade:
    """Return what becomes of a weight for one node, where the student multiplies for it since others read it too."""
    apart = (each for step in record.steps if remade in step.remade for each in step.apart)
    same = (each for each in apart if (each.teacher, each.student) == (remade.teacher, remade.student))
    return next((each for each in same if node in each.readers), remade)


def _check_multiplied(record: Record) -> None:
    """Make sure that all that the student multiplies by is in parameters, and these are known for their readers."""
    if nodes := [node for step in record.steps for node in step.multiplied]:
        raise GrowthError(
            f"the student multiplies what {len(nodes)} nodes read by shares, which the network's own code does not do: "
            + ", ".join(map(repr, nodes[:8])),
            hint="grow by a whole factor, or --exclude the group that these read",
        )
    lines = [(origin.node, line) for weight, origin in _known(record) for _, line in record.lines(weight)]
    found = {_alone(record, remade, node) for node, line in lines for remade in line}
    for weight in (each.teacher for step in record.steps for each in step.apart if each not in found):
        raise GrowthError(
            f"{weight!r} is used in two places that grew differently, and what it is called in these is not known",
            hint="untie it in the network's own code before it is exported, or --exclude what reads it",
        )


def _channels(remade: Remade, origin: Origin, array: np.ndarray) -> Remade:
    """Return what becomes of a vector that runs along an axis of a weight.

    Raises:
        GrowthError: If the channels are mixed, or there are more or fewer of them.
    """
    recipe, axis, name = remade.recipe, int(origin.layout.detail), origin.names[0]
    if array.shape != remade.before[axis : axis + 1]:
        shapes = f"{list(array.shape)} along axis {axis} of {list(remade.before)}"
        raise GrowthError(f"{name!r} is not of the shape that the teacher had", node=remade.teacher, shapes=shapes)
    if axis < len(recipe.rows) and recipe.rows[axis] is not None:
        reason = f"{name!r} was folded into a weight that grew by mixtures of its channels"
        raise GrowthError(reason, node=remade.teacher)
    return Remade(name, name, array.shape, Recipe((recipe.index[axis],)), (remade.dual[axis],), remade.readers)


def _whole(remade: Remade, origin: Origin, array: np.ndarray) -> Remade:
    """Return what becomes of a tensor of which a weight is a part; its last axes are the weight's.

    Raises:
        GrowthError: If the weight grew along an axis of which it has a part, or is none.
    """
    recipe, name, first = remade.recipe, origin.names[0], len(remade.before) - array.ndim
    if first < 0 or recipe.zero is not None:
        shapes = f"{list(array.shape)} and {list(remade.before)}"
        raise GrowthError(f"the weight that grew is no part of {name!r}", node=remade.teacher, shapes=shapes)
    for axis, index in enumerate(recipe.index):
        if index is not None and (axis < first or array.shape[axis - first] != remade.before[axis]):
            raise GrowthError(f"{name!r} is more than the weight that grew", node=remade.teacher)
    summed = tuple(replace(part, axis=part.axis - first) for part in recipe.summed)
    whole = replace(
        recipe, index=recipe.index[first:], summed=summed, fresh=recipe.fresh[first:], rows=recipe.rows[first:]
    )
    return Remade(name, name, array.shape, whole, remade.dual[first:], remade.readers)


def _check_models(record: Record, teacher: ir.Model | None, student: ir.Model | None) -> None:
    """Make sure that models are those of the record, as far as names and shapes say."""
    last = {name: line[-1] for weight in record.origins for name, line in record.lines(weight) if line}
    wanted = (
        ("teacher", teacher, {each.teacher: each.before for step in record.steps[:1] for each in step.remade}),
        ("student", student, {name: each.after for name, each in last.items()}),
    )
    for kind, model, shapes in wanted:
        for name, shape in shapes.items():
            value = None if model is None else model.graph.initializers.get(name)
            if value is not None and value.const_value is not None and tuple(value.const_value.shape.numpy()) != shape:
                raise GrowthError(
                    f"weight {name!r} of the {kind} is not of the shape that the record says",
                    shapes=f"{list(value.const_value.shape.numpy())} where it says {list(shape)}",
                    hint=f"the {kind} must be the one that the record was written with",
                )
    outputs = [{str(value.name) for value in model.graph.outputs} for model in (teacher, student) if model is not None]
    if len(outputs) > 1 and not outputs[0] <= outputs[1]:
        missing = min(outputs[0] - outputs[1])
        raise GrowthError(f"the student has no output {missing!r}", hint="pass the teacher and student of the record")


def _check_complete(record: Record, arrays: Arrays, keep: Sequence[str]) -> tuple[str, ...]:
    """Make sure that whatever grew is a known parameter of the checkpoint, and the other way round.

    Returns:
        What is not, and stays as it is since the user says so.
    """
    ties = _ties(record)
    _check_multiplied(record)
    unknown = []
    for weight in dict.fromkeys(each.teacher for step in record.steps[:1] for each in step.remade):
        entries = record.origins.get(weight, ())
        if not any(origin.layout.kind == "even" or _at(origin, arrays, ties) for origin in entries):
            unknown.append(f"{weight!r}" + (f" (known as {entries[0].names[0]!r})" if entries else ""))
    if unknown:
        raise GrowthError(
            f"the checkpoint has no parameter for {len(unknown)} weights that grew: {', '.join(unknown[:8])}",
            hint="--teacher finds parameters by their values, --name WEIGHT=PARAMETER gives one, and exports with "
            "torch.onnx.export(..., dynamo=True) keep names. What the network's own code computes, as a table of "
            "frequencies, must not grow: --exclude its group",
        )
    known = {name for _, origin in _known(record) for name in (*_own(origin), *origin.names)}
    unnamed = [name for name, array in arrays.items() if name not in known and array.ndim]
    strange = [name for name in unnamed if not any(fnmatchcase(name, glob) for glob in keep)]
    if strange:
        raise GrowthError(
            f"the record does not know {len(strange)} tensors of the checkpoint: {', '.join(strange[:8])}",
            hint="what stays as it is can be named with --keep GLOB",
        )
    return tuple(unnamed)
