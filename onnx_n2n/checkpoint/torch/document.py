"""What becomes of all that is in a document of ``torch.save``.

Whatever it holds is accounted for: the network grows, copies of it and optimizers grow with it; what cannot be
part of a network stays; the rest is refused, or stays if the user says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AnySet
from dataclasses import dataclass, field, replace
from glob import escape
from typing import Any

import numpy as np

from onnx_n2n.checkpoint.document import Path, at, dotted, leaves, refilled, replaced
from onnx_n2n.checkpoint.globs import check_keep
from onnx_n2n.checkpoint.growth import Grown
from onnx_n2n.checkpoint.making import Arrays
from onnx_n2n.checkpoint.moments import Pulled
from onnx_n2n.checkpoint.networks import NetworkTensors, network_in
from onnx_n2n.checkpoint.optimizer_order import certain
from onnx_n2n.checkpoint.rounding import is_float
from onnx_n2n.checkpoint.torch.growing import Growing, Tensors
from onnx_n2n.checkpoint.torch.optimizer import parameters_in
from onnx_n2n.checkpoint.torch.states import States
from onnx_n2n.errors import GrowthError
from onnx_n2n.words import count

LISTED = 8  # tensors in an error
ALIKE = 0.5  # how alike a list of values and the network's are at least: the cosine of the angle between them


@dataclass(frozen=True)
class NetworkChange:
    """What becomes of the tensors of a network: other ones at their paths, or in its dictionary, if names changed.

    Attributes:
        tensors: By path.
        home: Where the dictionary is.
        old: The keys there before.
        entries: What stands there instead.
    """

    tensors: Mapping[Path, Any]
    home: Path = ()
    old: frozenset[Any] = frozenset()
    entries: Mapping[str, Any] = field(default_factory=dict)

    def made(self, document: Any) -> Any:
        """Return a document with the entries."""
        if not self.entries:
            return document
        mapping = at(document, self.home)
        keys = list(mapping)
        first = min(map(keys.index, self.old))
        before = {key: mapping[key] for key in keys[:first]}
        behind = {key: mapping[key] for key in keys[first:] if key not in self.old}
        return replaced(document, {self.home: refilled(mapping, {**before, **self.entries, **behind})})


class File:
    """A file at work: its document, and what is in it."""

    def __init__(self, title: str, document: Any, growing: Growing, torch: Tensors) -> None:
        self.title, self.document, self.growing, self.torch = title, document, growing, torch
        self.tensors: dict[Path, Any] = dict(leaves(document, torch.known))
        self.states = States(title, document, self.tensors, growing, torch)
        self.free = {path: tensor for path, tensor in self.tensors.items() if path not in self.states.tensors}

    def grown(self) -> tuple[Grown, Any]:
        """Grow all, and return what became of the network, and the document."""
        left, wanted = self.states.chosen()
        network: NetworkTensors | None = None
        copies: list[NetworkTensors] = []
        if not any(tensor.is_floating_point() and tensor.ndim for tensor in self.free.values()):
            arrays = self.states.from_moments(wanted)
        else:
            shapes = {path: tuple(tensor.shape) for path, tensor in self.free.items()}
            network, copies = network_in(self.growing.record, shapes)
            arrays = self.torch.arrays({name: self.free[path] for name, path in network.paths.items()})
        named = {} if network is None else network.paths
        keep = [*self.growing.keep, *(escape(name) for name, path in named.items() if self.growing.keeps(path))]
        found = self.growing.grow(arrays, keep, network is not None)
        if not self.growing.optimizer and (found.added or found.untied or found.renamed):
            self.states.need_none([each for each in self.states.optimizers if dotted(each.path) not in left])
        changes, followed = [], []
        rounded = dict(found.rounded)
        if network is not None:
            changes.append(self._written(network, network, found, arrays, self._tensors(network)))
            for copy in [*copies, *self._lists(network, copies, arrays)]:
                if all(map(self.growing.keeps, copy.paths.values())):
                    left += [dotted(path) for path in copy.paths.values()]
                else:
                    change, few = self._copied(network, copy, found, arrays)
                    changes.append(change)
                    rounded |= few
                    followed.append(copy)
        known = {path for each in (network, *copies, *followed) if each is not None for path in each.paths.values()}
        outside, more = self._rest({path: t for path, t in self.free.items() if path not in known}, found, arrays)
        self._check_keep(found, named, [*left, *outside, *more])
        states: dict[Path, Any] = {}
        pulled = Pulled()
        for optimizer, order in wanted:
            after, proof = self.states.grown(optimizer, order, found, arrays)
            states |= after
            pulled = pulled.and_also(proof)
        document = replaced(self.document, {**states, **{p: t for each in changes for p, t in each.tensors.items()}})
        for change in changes:
            document = change.made(document)
        report = replace(
            found,
            rounded=rounded,
            copies=tuple(each.title for each in followed),
            optimizers=tuple(dotted(each.path) for each, _ in wanted),
            outside=tuple(outside),
            left=tuple(dict.fromkeys([*found.left, *left, *more])),
            moments=pulled if wanted and self.growing.verify else None,
        )
        if network is None:
            report = replace(report, arrays={}, grown=(), kept=())
        return report, document

    def _check_keep(self, found: Grown, named: Mapping[str, Path], others: Sequence[str]) -> None:
        """Make sure that whatever is to be kept is there, and has not grown.

        Raises:
            OptionError: A glob names nothing, or only what grows.
        """
        was = {now: name for name, now in found.renamed.items()}
        names = [was.get(name, name) for name in (*found.kept, *found.left)]
        staying = [*names, *(dotted(named[name]) for name in names if name in named), *others]
        titles = [title for each in self.states.optimizers for title in (dotted(each.path), dotted((*each.path, "")))]
        left = {f"{name}." for name in others} & set(titles)
        there = [*named, *map(dotted, self.tensors), *titles]
        check_keep(self.growing.keep, [*staying, *left], there)

    # The network and its copies ---------------------------------------------------------------------------------------

    def _tensors(self, network: NetworkTensors) -> dict[str, Any]:
        return {name: self.tensors[path] for name, path in network.paths.items()}

    def _copied(
        self, network: NetworkTensors, copy: NetworkTensors, found: Grown, arrays: Arrays
    ) -> tuple[NetworkChange, dict[str, float]]:
        """Grow a copy of the network, and return what becomes of its tensors, and which of these are rounded.

        Parameters that the copy lacks are taken from the network while it grows, and are not written.

        Raises:
            GrowthError: If its values cannot be those of weights, or do not grow.
        """
        own = self._tensors(copy)
        given = self.torch.arrays(own)
        signed = [name for name in given if is_float(arrays[name].dtype) and arrays[name].ndim > 1]
        if signed and any(np.any(arrays[name] < 0) for name in signed) and all(np.all(given[n] >= 0) for n in signed):
            raise GrowthError(
                f"{copy.title!r} carries the names of the network, and no number in it is negative: it holds no "
                "weights, but perhaps their squares, or a mask",
                hint=f"`keep=[{copy.title + '*'!r}]` leaves it as it is",
            )
        for name, other in _before(found, found.untied).items():  # it had one tensor where the network had two
            if name not in given and other in given:
                given[name], own[name] = given[other], own[other]
        again = self.growing.again(found, {**arrays, **given})
        was = {now: name for name, now in found.renamed.items()}
        few = {dotted(copy.paths[old]): lost for name, lost in again.rounded.items()
               if (old := was.get(name, name)) in copy.paths}  # fmt: skip
        return self._written(network, copy, again, {**arrays, **given}, own), few

    def _written(
        self, network: NetworkTensors, place: NetworkTensors, found: Grown, arrays: Arrays, own: Mapping[str, Any]
    ) -> NetworkChange:
        """Return what becomes of the tensors of the network, or of a copy of it.

        Raises:
            GrowthError: If there are new names, and no place for them.
        """
        made: dict[int, list[tuple[np.ndarray, Any, set[str]]]] = {}
        after: dict[str, Any] = {}
        for name, array in found.arrays.items():
            like = found.like(name, arrays)
            if like not in own and not (name in found.added and place is network):
                continue
            if name not in found.added and array is arrays[like]:
                after[name] = own[like]
                continue
            alike = made.setdefault(id(arrays.get(like)), [])  # what was one tensor, and is equal, is one
            usable = (each for each in alike if like not in each[2] and np.array_equal(each[0], array))
            if (known := next(usable, None)) is None:  # two that are like one are a layer and its copy, and not one
                known = array, self.torch.to_torch(array, own.get(like)), set()
                alike.append(known)
            known[2].add(like)
            after[name] = known[1]
        if after.keys() == place.paths.keys() and not found.renamed:
            return NetworkChange(
                {place.paths[name]: tensor for name, tensor in after.items() if tensor is not own[name]}
            )
        homes = {path[:-1] for path in place.paths.values()}
        keys = {name: path[-1] for name, path in place.paths.items()}
        called = {name: f"{place.prefix}{name.removeprefix(network.prefix)}" for name in [*keys, *after]}
        if len(homes) > 1 or any(called[name] != key for name, key in keys.items()):
            raise GrowthError(
                f"parameters are new or have other names, and those of {place.title!r} are in several dictionaries",
                hint="save model.state_dict(), which is one dictionary",
            )
        return NetworkChange(
            {}, homes.pop(), frozenset(keys.values()), {called[name]: each for name, each in after.items()}
        )

    # What is neither the network nor a copy by name -------------------------------------------------------------------

    def _lists(
        self, network: NetworkTensors, copies: Sequence[NetworkTensors], arrays: Arrays
    ) -> Iterator[NetworkTensors]:
        """Yield lists of values of all parameters in their order, as some running means are kept.

        Raises:
            GrowthError: If a list may be one, and the order is not certain.
        """
        taken = {path for each in (network, *copies) for path in each.paths.values()}
        lists: dict[Path, list[Any]] = {}
        for path, tensor in self.free.items():
            if path not in taken and isinstance(path[-1], int) and tensor.is_floating_point():
                lists.setdefault(path[:-1], []).append(tensor)
        parameters = parameters_in(arrays)
        for home, tensors in lists.items():
            sequence = at(self.document, home)
            whole = isinstance(sequence, list | tuple) and len(sequence) == len(tensors) == len(parameters)
            if not whole or any(self.growing.keeps((*home, number)) for number in range(len(tensors))):
                continue
            shapes = {number: tuple(tensor.shape) for number, tensor in enumerate(tensors)}
            if list(shapes.values()) != list(parameters.values()):
                continue
            names = certain([list(shapes)], shapes, parameters, lambda name: name, f"the list {dotted(home)!r}")
            if _cosine(self.torch.arrays({names[at]: tensor for at, tensor in enumerate(tensors)}), arrays) >= ALIKE:
                yield NetworkTensors({name: (*home, number) for number, name in names.items()}, "", dotted(home))

    def _rest(self, tensors: Mapping[Path, Any], found: Grown, arrays: Arrays) -> tuple[list[str], list[str]]:
        """Return what stays as it is: what cannot be part of a network, and what the user keeps.

        Raises:
            GrowthError: There is something else.
        """
        growing = {array.shape for name, array in arrays.items() if found.renamed.get(name, name) in found.grown}
        outside, left, unknown = [], [], []
        for path, tensor in tensors.items():
            whole = not (tensor.is_floating_point() or tensor.is_complex())
            single = tensor.numel() <= 1 and tuple(tensor.shape) not in growing
            random = tensor.ndim == 1 and str(tensor.dtype) == "torch.uint8"  # the state of a generator
            if not tensor.ndim or single or (whole and (random or tuple(tensor.shape) not in growing)):
                outside.append(dotted(path))
            elif self.growing.keeps(path):
                left.append(dotted(path))
            else:
                unknown.append(f"{dotted(path)} {list(tensor.shape)}")
        for path, shape in _plain_numbers(self.document, arrays, growing):
            if self.growing.keeps(path):
                left.append(dotted(path))
            else:
                unknown.append(f"{dotted(path)} {list(shape)} as a list of numbers")
        if unknown:
            listed = ", ".join([*unknown[:LISTED], *(["..."] if len(unknown) > LISTED else [])])
            raise GrowthError(
                f"the network lacks {count(len(unknown), 'tensor')} of the checkpoint that may have to grow: {listed}",
                hint="what stays as it is can be named with `keep=['GLOB']`",
            )
        return outside, left


def _plain_numbers(document: Any, arrays: Arrays, growing: AnySet[tuple[int, ...]]) -> Iterator[tuple[Path, Any]]:
    """Yield lists of numbers that have the name and the shape of a parameter that grows, with their shapes."""
    for path, each in leaves(document, lambda node: bool(_shape_of_numbers(node))):
        shape, called = _shape_of_numbers(each), f".{dotted(path)}"
        if shape in growing and any(called.endswith(f".{name}") for name in arrays if arrays[name].shape == shape):
            yield path, shape


def _shape_of_numbers(each: Any) -> tuple[int, ...]:
    """Return the shape of nested lists of numbers, one of nothing else and of equal lengths; () for what is none."""
    if not isinstance(each, list | tuple) or not each:
        return ()
    first: Any = each
    while isinstance(first, list | tuple) and first:
        first = first[0]
    if not isinstance(first, int | float):
        return ()
    try:
        found = np.asarray(each)
    except ValueError:  # of several lengths
        return ()
    return found.shape if found.dtype.kind in "fiu" else ()


def _before(found: Grown, pairs: Mapping[str, str]) -> dict[str, str]:
    """Return pairs of names by what they were before new layers took some."""
    was = {now: old for old, now in found.renamed.items()}
    return {was.get(name, name): was.get(other, other) for name, other in pairs.items()}


def _cosine(one: Arrays, other: Arrays) -> float:
    """Return the cosine of the angle between parameters, all together."""
    pairs = [(array.astype(np.float64), other[name].astype(np.float64)) for name, array in one.items()]
    product = sum(float((a * b).sum()) for a, b in pairs)
    sizes = [sum(float((each[side] ** 2).sum()) for each in pairs) for side in (0, 1)]
    return float(product / np.sqrt(sizes[0] * sizes[1])) if all(sizes) else 0.0
