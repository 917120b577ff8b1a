"""How each parameter of a grown checkpoint is made of those before.

This is decided from names and recipes alone, before any number is read: so it can be carried out one parameter at a
time, and the same plan serves values, gradients and moments.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from onnx_n2n.errors import GrowthError
from onnx_n2n.io.lazy import Spec
from onnx_n2n.record.layouts import ChannelLayout
from onnx_n2n.record.obstacles import alone, mixed
from onnx_n2n.record.provenance import Origin, unpacked
from onnx_n2n.record.recipe import Recipe
from onnx_n2n.record.record import Record, Remade

Arrays = Mapping[str, np.ndarray]
Apply = Callable[[Remade, np.ndarray], np.ndarray]
Line = tuple[Remade, ...]


def values(remade: Remade, array: np.ndarray) -> np.ndarray:
    """Grow the values of a weight."""
    return remade.recipe.make(array)


def same(one: np.ndarray, other: np.ndarray) -> bool:
    """Say whether two arrays hold the same numbers; NaN is the same as NaN."""
    return one.shape == other.shape and bool(np.all((one == other) | ((one != one) & (other != other))))


@dataclass(frozen=True, eq=False)
class Making:
    """How the parameters are made that lie in one weight, for one of the nodes that read it.

    Attributes:
        weight: The weight.
        origin: Which parameters lie in it, and how.
        at: Their names in the old checkpoint; where it lacks them, the names that they are tied to.
        lines: What becomes of the weight, step by step; several where it becomes several weights, and which of them the
            parameters are for is not known.
    """

    weight: str
    origin: Origin
    at: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """What the parameters are called where the node reads them."""
        return own(self.origin)

    def key(self, name: str) -> tuple[object, ...]:
        """Return a value that is equal for parameters that grow alike; it is empty if the parameter does not grow."""
        if not any(self.lines):
            return ()
        lines = tuple(tuple(map(_key, line)) for line in self.lines)
        return str(self.origin.layout), self.names.index(name), len(self.names), lines

    def make(self, name: str, arrays: Arrays, to: Apply) -> np.ndarray:
        """Return one of the parameters, after all steps.

        Raises:
            GrowthError: If one has another shape than the teacher had, or it is not known for which node they are, and
                the weight grew differently for several.
        """
        found, *others = [_followed(self, line, arrays, to) for line in self.lines]
        if not all(all(map(same, found, other)) for other in others):
            raise GrowthError(
                f"{self.at[0]!r} is used in several places that grew differently, and which of them it is for is not "
                "known",
                node=self.weight,
                hint="`exclude=` what reads it, or export with names",
            )
        return found[self.names.index(name)]


@dataclass(frozen=True, eq=False)
class Plan:
    """How all parameters are made.

    Attributes:
        ways: For each parameter the ways in which it is made, which must agree. One that has none does not grow.
    """

    ways: Mapping[str, tuple[Making, ...]]

    @classmethod
    def of(cls, record: Record, there: Collection[str]) -> Plan:
        """Decide how the parameters are made of those in a checkpoint that has the names ``there``."""
        pairs = tied(record)
        found: dict[str, dict[object, Making]] = {}
        for weight, origin in known(record):
            at = present(origin, there, pairs)
            if at:
                making = Making(weight, origin, at, lines_of(record, weight, origin))
                for name in making.names:
                    found.setdefault(name, {}).setdefault((at, making.key(name)), making)
        return cls({name: tuple(ways.values()) for name, ways in found.items()})

    def source(self, name: str) -> str:
        """Return the parameter of the checkpoint that one is made of."""
        if name not in self.ways:
            return name
        way = self.ways[name][0]
        return way.at[way.names.index(name)]

    def make(self, name: str, arrays: Arrays, to: Apply) -> np.ndarray:
        """Return a parameter, after all steps.

        Raises:
            GrowthError: If it has another shape than the teacher had, or is used in places that grew differently.
        """
        ways = self.ways.get(name, ())
        found = [way.make(name, arrays, to) for way in ways] or [arrays[name]]
        for way, other in zip(ways[1:], found[1:], strict=True):
            if not same(found[0], other):
                raise GrowthError(
                    f"{name!r} is used in two places that grew differently, so that it cannot stay one parameter: "
                    + " and ".join(_place(each) for each in (ways[0], way)),
                    hint="untie it in the network's own code before it is exported, or `exclude=` what reads it",
                )
        return found[0]

    def specs(self, before: Mapping[str, Spec]) -> dict[str, Spec]:
        """Return shapes and types of what is made, from those before; no number is needed for it.

        Raises:
            GrowthError: If one has another shape than the teacher had.
        """
        blanks = {name: np.broadcast_to(np.zeros((), spec.dtype), spec.shape) for name, spec in before.items()}
        found = {name: self.ways[name][0].make(name, blanks, blank) for name in self.ways}
        return {name: Spec(array.shape, array.dtype) for name, array in found.items()}

    def alike(self, name: str, other: str, arrays: Arrays) -> bool:
        """Say whether two parameters that are one before are still one after all steps."""
        if any(each not in self.ways and each not in arrays for each in (name, other)):
            return True  # one has no name of its own here
        keys = [{way.key(each) for way in self.ways.get(each, ())} or {()} for each in (name, other)]
        if keys[0] == keys[1] and len(keys[0]) == 1:
            return True
        return same(self.make(name, arrays, values), self.make(other, arrays, values))

    def readers(self, name: str) -> tuple[str, ...]:
        """Return the nodes that read a parameter."""
        return tuple(dict.fromkeys(way.origin.node for way in self.ways.get(name, ()) if way.origin.node))


def blank(remade: Remade, array: np.ndarray) -> np.ndarray:
    """Return something of the shape of what has grown, which takes no memory."""
    return np.broadcast_to(np.zeros((), array.dtype), remade.recipe.shape(array.shape))


def known(record: Record) -> Iterator[tuple[str, Origin]]:
    """Yield all weights with what they are made of."""
    for weight, entries in record.origins.items():
        for origin in entries:
            yield weight, origin


def names(record: Record) -> set[str]:
    """Return all names that parameters have, as far as a record knows."""
    return {name for _, origin in known(record) for name in (*own(origin), *origin.names)}


def own(origin: Origin) -> tuple[str, ...]:
    """Return the names that parameters have in the place that a node reads them for."""
    return (origin.tied,) if origin.tied else origin.names


def tied(record: Record) -> dict[str, str]:
    """Return for each parameter that is tied to another one the other, both ways."""
    pairs = [(origin.names[0], origin.tied) for _, origin in known(record) if origin.tied]
    return dict(pairs) | {other: name for name, other in pairs}


def present(origin: Origin, there: Collection[str], pairs: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names under which a checkpoint has what a weight is made of; none if it lacks one."""
    for found in (own(origin), origin.names, tuple(pairs.get(name, "") for name in origin.names)):
        if found and all(name in there for name in found):
            return found
    return ()


def lines_of(record: Record, weight: str, origin: Origin) -> tuple[Line, ...]:
    """Return how a weight grew for the node that an origin is about: one line of steps, or all if that is not known."""
    lines = [line for _, line in record.lines(weight)]
    own_lines = [line for line in lines if not line or origin.node in line[-1].readers]
    found = [tuple(alone(record, remade, origin.node) for remade in line) for line in own_lines or lines]
    return tuple({tuple(map(_key, line)): line for line in found}.values())


def _key(remade: Remade) -> tuple[object, ...]:
    recipe = remade.recipe
    dual = tuple(None if each is None else each.tobytes() for each in remade.dual)
    return remade.before, recipe.key(), recipe.noise, recipe.seed if recipe.drawn else (), dual


def _place(way: Making) -> str:
    return f"in weight {way.weight!r}" + (f" that {way.origin.node!r} reads" if way.origin.node else "")


def _followed(making: Making, line: Sequence[Remade], arrays: Arrays, to: Apply) -> list[np.ndarray]:
    origin, at = making.origin, making.at
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
        raise GrowthError(f"{at[0]!r} cannot be packed into the weight as {origin.layout}", shapes=shapes) from None
    for remade in line:
        if array.shape != remade.before:
            raise GrowthError(
                f"{at[0]!r} does not have the shape that the teacher had",
                shapes=f"{list(array.shape)} as {origin.layout}, where the teacher has {list(remade.before)}",
                hint="the record must belong to the model that was exported from this network",
            )
        array = to(remade, array)
    return unpacked(origin, array)


def _channels(remade: Remade, origin: Origin, array: np.ndarray) -> Remade:
    """Return what becomes of a vector that runs along an axis of a weight.

    Raises:
        GrowthError: If the channels are mixed, or there are more or fewer of them.
    """
    assert isinstance(origin.layout, ChannelLayout)
    recipe, axis, name = remade.recipe, origin.layout.axis, origin.names[0]
    if array.shape != remade.before[axis : axis + 1]:
        shapes = f"{list(array.shape)} along axis {axis} of {list(remade.before)}"
        raise GrowthError(f"{name!r} does not have the shape that the teacher had", node=remade.teacher, shapes=shapes)
    if mixed(origin, remade):
        reason = f"{name!r} was folded into a weight that grew by mixtures of its channels"
        raise GrowthError(reason, node=remade.teacher)
    return Remade(name, name, array.shape, Recipe((recipe.index[axis],)), (remade.dual[axis],), remade.readers)


def _whole(remade: Remade, origin: Origin, array: np.ndarray) -> Remade:
    """Return what becomes of a tensor of which a weight is a part; its last axes are the weight's.

    Raises:
        GrowthError: If the weight is only a part along an axis that grew, or is no part of the tensor.
    """
    recipe, name, first = remade.recipe, origin.names[0], len(remade.before) - array.ndim
    if first < 0 or recipe.zero is not None:
        shapes = f"{list(array.shape)} and {list(remade.before)}"
        raise GrowthError(f"the weight that grew is not a part of {name!r}", node=remade.teacher, shapes=shapes)
    for axis, index in enumerate(recipe.index):
        if index is not None and (axis < first or array.shape[axis - first] != remade.before[axis]):
            reason = f"the weight that grew is only a part of {name!r}, along an axis that grew"
            raise GrowthError(reason, node=remade.teacher)
    summed = tuple(replace(part, axis=part.axis - first) for part in recipe.summed)
    along = {name: getattr(recipe, name)[first:] for name in ("index", "fresh", "mixed", "rows")}
    whole = replace(recipe, summed=summed, **along)
    return Remade(name, name, array.shape, whole, remade.dual[first:], remade.readers)
