"""The state that optimizers of PyTorch save: ``{"state": ..., "param_groups": ...}``, with parameters as numbers.

Names come from the groups (``param_names``), or stand in place of the numbers, as in what FSDP gathers; or a file says
them; or they are certain (:mod:`onnx_n2n.checkpoint.optimizer_order`).
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path as FilePath
from typing import Any

from onnx_n2n.checkpoint.document import Path, dotted, leaves
from onnx_n2n.checkpoint.growth import Grown
from onnx_n2n.checkpoint.making import Arrays, lines_of
from onnx_n2n.checkpoint.optimizer import BUFFERS, COPIES, MOMENTS, grown_groups, grown_moments, moments_key
from onnx_n2n.checkpoint.optimizer_order import Shape, certain
from onnx_n2n.checkpoint.ties import shared
from onnx_n2n.errors import GrowthError, ModelError
from onnx_n2n.words import count

ANOTHER = "if it is the optimizer of another network, `keep=` leaves it as it is"


@dataclass(frozen=True, eq=False)
class Optimizer:
    """The state of an optimizer.

    Attributes:
        path: Where it is in the document.
        state: What it keeps, by number.
        groups: Its groups.
    """

    path: Path
    state: Mapping[Any, Mapping[str, Any]]
    groups: Sequence[Mapping[str, Any]]

    @property
    def title(self) -> str:
        """What to call it."""
        return f"the optimizer {dotted(self.path)!r}" if self.path else "the optimizer"

    @cached_property
    def numbers(self) -> list[list[Any]]:
        """What stands for parameters, by group."""
        return [list(group["params"]) for group in self.groups]

    @property
    def names(self) -> list[str]:
        """The names of all parameters, if it says them, or none."""
        numbers = [number for group in self.numbers for number in group]
        if numbers and all(isinstance(number, str) for number in numbers):
            return numbers
        names = [str(name) for group in self.groups for name in group.get("param_names") or ()]
        return names if len(names) == len(numbers) else []

    @cached_property
    def shapes(self) -> dict[Any, Shape]:
        """The shape of each parameter that has moments, by number.

        Raises:
            GrowthError: If its moments are not of one shape.
        """
        found: dict[Any, Shape] = {}
        for number, kept in self.state.items():
            for kind, each in kept.items():
                if not (kind in MOMENTS or kind in COPIES) or not hasattr(each, "shape"):
                    continue
                if found.setdefault(number, tuple(each.shape)) != tuple(each.shape):
                    shapes = f"{list(found[number])} and {list(each.shape)}"
                    raise GrowthError(f"moments of one parameter of {self.title} are of two shapes", shapes=shapes)
        return found


def optimizers_in(document: Any) -> Iterator[Optimizer]:
    """Yield all states of optimizers in a document, known by their form."""
    for path, each in leaves(document, _is_state):
        yield Optimizer(path, {key: _kept(kept) for key, kept in each["state"].items()}, each["param_groups"])


def _is_state(each: Any) -> bool:
    if not isinstance(each, Mapping):
        return False
    state, groups = each.get("state"), each.get("param_groups")
    grouped = isinstance(groups, list | tuple) and len(groups) > 0 and all(map(_is_group, groups))
    return isinstance(state, Mapping) and grouped


def _is_group(group: Any) -> bool:
    return isinstance(group, Mapping) and isinstance(group.get("params"), list | tuple)


def _kept(each: Any) -> Mapping[str, Any]:
    """Return what is kept for a parameter by name, whatever it is."""
    return each if isinstance(each, Mapping) else {"state": each}


def read_order(path: FilePath) -> list[str]:
    """Return the names in a file: one on each line, but for blank ones and those that begin with ``#``; or JSON's list.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        text = path.read_text("utf-8")
        listed = json.loads(text) if text.lstrip().startswith("[") else text.splitlines()
    except (OSError, ValueError) as failure:
        reason = getattr(failure, "strerror", None) or failure
        raise ModelError(f"the order {str(path)!r} cannot be read: {reason}") from failure
    names = [each.strip() for each in listed if isinstance(each, str)]
    if len(names) != len(listed):
        raise ModelError(f"the order {str(path)!r} is not a list of names")
    found = [name for name in names if name and not name.startswith("#")]
    if not found:
        raise ModelError(f"the order {str(path)!r} has no names")
    return found


@dataclass(frozen=True)
class Naming:
    """Which parameter of the checkpoint each number of an optimizer is.

    Attributes:
        names: The parameters, by number.
        less: What only the checkpoint has in front of its names.
        more: What only the optimizer has in front of them.
    """

    names: Mapping[Any, str]
    less: str = ""
    more: str = ""

    def calls(self, name: str) -> str:
        """Return what the optimizer calls a parameter of the checkpoint."""
        return f"{self.more}{name.removeprefix(self.less)}"


def parameters_in(arrays: Arrays) -> dict[str, Shape]:
    """Return the shapes of what can be a parameter in a state dict, each once, in the order of the network."""
    twice = shared(arrays)
    return {
        name: array.shape
        for name, array in arrays.items()
        if name not in twice and not name.endswith(BUFFERS) and array.dtype.kind not in "iub"
    }


def naming(optimizer: Optimizer, found: Grown, arrays: Arrays, order: Sequence[str] = ()) -> Naming:
    """Return which parameter each number is.

    Args:
        optimizer: The optimizer.
        found: What became of the checkpoint.
        arrays: The parameters before.
        order: Their names in the order of the groups, if a user gives it.

    Raises:
        GrowthError: If that is not known, or what is said does not fit.
    """
    numbers = [number for group in optimizer.numbers for number in group]
    listed = list(order) or optimizer.names
    if not listed:
        alike = _Growth(found, optimizer).of
        return Naming(certain(optimizer.numbers, optimizer.shapes, parameters_in(arrays), alike, optimizer.title))
    if len(listed) != len(numbers):
        reason = f"there are {count(len(listed), 'name')} for {count(len(numbers), 'parameter')} of {optimizer.title}"
        raise GrowthError(reason, hint="write each name on a line of its own, in the order of the groups")
    if len(set(listed)) != len(listed):
        double = next(name for name in listed if listed.count(name) > 1)
        raise GrowthError(f"two parameters of {optimizer.title} are called {double!r}")
    less, more = _aligned(listed, arrays, optimizer)
    actual = [f"{less}{name.removeprefix(more)}" for name in listed]
    result = Naming(dict(zip(numbers, actual, strict=True)), less, more)
    for number, shape in optimizer.shapes.items():
        name = result.names[number]
        if arrays[name].shape != shape:
            raise GrowthError(
                f"{optimizer.title} has moments of another shape than {name!r}",
                shapes=f"{list(shape)} where the parameter has {list(arrays[name].shape)}",
                hint="`optimizer_order=` must list them in the order of the groups" if order else ANOTHER,
            )
    return result


def _aligned(names: Sequence[str], arrays: Arrays, optimizer: Optimizer) -> tuple[str, str]:
    """Return what to put before names, or to take away, so that they are those of the checkpoint.

    Raises:
        GrowthError: Nothing does, or several things do.
    """
    first = min(names, key=len)
    ways = {("", "")}
    ways |= {(known.removesuffix(first), "") for known in arrays if known.endswith(f".{first}")}
    ways |= {("", first.removesuffix(known)) for known in arrays if first.endswith(f".{known}")}

    def fits(less: str, more: str) -> bool:
        return all(name.startswith(more) and f"{less}{name.removeprefix(more)}" in arrays for name in names)

    fitting = sorted((way for way in ways if fits(*way)), key=lambda way: len("".join(way)))
    if not fitting:
        missing = next((name for name in names if name not in arrays), first)
        raise GrowthError(
            f"{optimizer.title} has moments for {missing!r}, and the network has no such parameter",
            hint=ANOTHER,
        )
    if len(fitting) > 1 and fitting[0] != ("", ""):
        fronts = f"{fitting[0][0]!r} or {fitting[1][0]!r}"
        reason = f"two sets of parameters have the names in {optimizer.title}, with {fronts} in front"
        raise GrowthError(reason, hint="pass a file with the full names by `optimizer_order=`")
    return fitting[0]


class _Growth:
    """How the moments of parameters grow, as something that can be compared."""

    def __init__(self, found: Grown, optimizer: Optimizer) -> None:
        self._record = found.record
        # Where parameters come in, names decide in which group; and noise on copies of values is each weight's own.
        kinds = {kind for kept in optimizer.state.values() for kind in kept}
        self._named = bool(found.added or found.untied or found.renamed or kinds & COPIES)

    def of(self, name: str) -> Hashable:
        """Return something that is equal for parameters whose moments grow in the same way."""
        return name if self._named else self._all.get(name, frozenset())

    @cached_property
    def _all(self) -> dict[str, frozenset[Hashable]]:
        found: dict[str, set[Hashable]] = {}
        for weight, origins in self._record.origins.items():
            for origin in origins:
                ways = tuple(tuple(map(moments_key, line)) for line in lines_of(self._record, weight, origin))
                for place, name in enumerate(origin.names):
                    for called in {name, origin.tied} - {""} if any(ways) else ():
                        found.setdefault(called, set()).add((str(origin.layout), place, ways))
        return {name: frozenset(ways) for name, ways in found.items()}


def grown_state(
    optimizer: Optimizer,
    named: Naming,
    found: Grown,
    shapes: Mapping[str, Shape],
    state: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, tuple[str, dict[str, Any]]], dict[str, Any], list[dict[str, Any]]]:
    """Grow the state of an optimizer.

    Args:
        optimizer: The optimizer.
        named: Which parameter each number is.
        found: What became of the checkpoint.
        shapes: The shapes of the parameters before.
        state: What the optimizer keeps, by parameter, as arrays.

    Returns:
        By parameter, its name before, and its moments; the number of each parameter; and the groups.

    Raises:
        GrowthError: Something in it cannot grow.
    """
    members = [[named.names[number] for number in group] for group in optimizer.numbers]
    by_name = any(isinstance(number, str) for number in named.names)
    numbers: dict[str, Any] = {}
    groups = []
    for group, names in zip(optimizer.groups, grown_groups(found, members), strict=True):
        said = [named.calls(name) for name in names]
        for name, call in zip(names, said, strict=True):
            numbers[name] = call if by_name else len(numbers)
        own = {"param_names": said} if "param_names" in group else {}
        groups.append({**group, **own, "params": [numbers[name] for name in names]})
    return grown_moments(found, state, shapes), numbers, groups
