"""What becomes of all that is in a document of ``torch.save``.

Whatever it holds is accounted for: the network grows, copies of it and optimizers grow with it; what cannot be
part of a network stays; the rest is refused, or stays if the user says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from glob import escape
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from onnx_n2n.checkpoint.document import Path, at, dotted, leaves, refilled, replaced
from onnx_n2n.checkpoint.globs import check_keep
from onnx_n2n.checkpoint.growth import Grown
from onnx_n2n.checkpoint.making import Arrays, tied
from onnx_n2n.checkpoint.moments import Pulled, pulled_back
from onnx_n2n.checkpoint.networks import Network, network_in, shapes_in
from onnx_n2n.checkpoint.optimizer import check_kinds
from onnx_n2n.checkpoint.optimizer_order import certain
from onnx_n2n.checkpoint.rounding import is_float
from onnx_n2n.checkpoint.ties import shared
from onnx_n2n.checkpoint.torch.optimizer import Optimizer, grown_state, naming, optimizers_in, parameters_in, read_order
from onnx_n2n.errors import GrowthError, OptionError
from onnx_n2n.record.record import Record

LISTED = 8  # tensors in an error
ALIKE = 0.5  # how alike a list of values and the network's are at least: the cosine of the angle between them


@dataclass(frozen=True)
class Tensors:
    """How a framework's tensors are known, and made arrays and tensors again, like another one if there is one."""

    known: Callable[[Any], bool]
    to_numpy: Callable[[Any, str], np.ndarray]
    to_torch: Callable[[np.ndarray, Any], Any]


@dataclass(frozen=True)
class Growing:
    """How to grow what is in a file.

    Attributes:
        record: What became of the weights.
        grow: Grows the parameters of the network, by name; some, by globs, stay as they are. The last argument says
            whether the values are the network's, so that what it computes can be proven.
        again: Grows other values of the same parameters.
        optimizer: Whether optimizers grow.
        keep: Globs of what stays as it is.
        orders: Files with the names of parameters in the order of optimizers.
        verify: Whether to prove that moments are what they should be.
    """

    record: Record
    grow: Callable[[Arrays, Sequence[str], bool], Grown]
    again: Callable[[Grown, Arrays], Grown]
    optimizer: bool = False
    keep: Sequence[str] = ()
    orders: Sequence[FilePath] = ()
    verify: bool = True

    def keeps(self, path: Path) -> bool:
        """Say whether what is at a path stays as it is since the user says so."""
        return any(fnmatchcase(dotted(path), glob) for glob in self.keep)


@dataclass(frozen=True)
class Change:
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
        self.optimizers: list[Optimizer] = list(optimizers_in(document))
        inside = [(*each.path, key) for each in self.optimizers for key in ("state", "param_groups")]
        self.tensors: dict[Path, Any] = dict(leaves(document, torch.known))
        self.free = {
            path: tensor
            for path, tensor in self.tensors.items()
            if not any(path[: len(start)] == start for start in inside)
        }

    def grown(self) -> tuple[Grown, Any]:
        """Grow all, and return what became of the network, and the document."""
        left, wanted = self._chosen()
        network: Network | None = None
        copies: list[Network] = []
        if not any(tensor.is_floating_point() and tensor.ndim for tensor in self.free.values()):
            arrays = self._from_moments(wanted)
        else:
            shapes = {path: tuple(tensor.shape) for path, tensor in self.free.items()}
            network, copies = network_in(self.growing.record, shapes)
            arrays = self._arrays({name: self.free[path] for name, path in network.paths.items()})
        named = {} if network is None else network.paths
        keep = [*self.growing.keep, *(escape(name) for name, path in named.items() if self.growing.keeps(path))]
        found = self.growing.grow(arrays, keep, network is not None)
        if not self.growing.optimizer and (found.added or found.untied or found.renamed):
            self._need_none([each for each in self.optimizers if dotted(each.path) not in left])
        changes, followed = [], []
        if network is not None:
            changes.append(self._written(network, network, found, arrays, self._tensors(network)))
            for copy in [*copies, *self._lists(network, copies, arrays)]:
                if all(map(self.growing.keeps, copy.paths.values())):
                    left += [dotted(path) for path in copy.paths.values()]
                else:
                    changes.append(self._copied(network, copy, found, arrays))
                    followed.append(copy)
        known = {path for each in (network, *copies, *followed) if each is not None for path in each.paths.values()}
        outside, more = self._rest({path: t for path, t in self.free.items() if path not in known}, found, arrays)
        self._check_keep(found, named, [*left, *outside, *more])
        states: dict[Path, Any] = {}
        pulled = Pulled()
        for optimizer, order in wanted:
            after, proof = self._optimized(optimizer, order, found, arrays)
            states |= after
            pulled = pulled.and_also(proof)
        document = replaced(self.document, {**states, **{p: t for each in changes for p, t in each.tensors.items()}})
        for change in changes:
            document = change.made(document)
        report = replace(
            found,
            copies=tuple(each.title for each in followed),
            optimizers=tuple(dotted(each.path) for each, _ in wanted),
            outside=tuple(outside),
            left=tuple(dict.fromkeys([*found.left, *left, *more])),
            moments=pulled if wanted and self.growing.verify else None,
        )
        if network is None:
            report = replace(report, arrays={}, grown=(), kept=())
        return report, document

    def _chosen(self) -> tuple[list[str], list[tuple[Optimizer, list[str]]]]:
        """Return the optimizers that stay as they are, and those that grow, with the order that a file says.

        Raises:
            GrowthError: There is one that does neither, or none.
            OptionError: There are more orders, or fewer, than optimizers without names.
        """
        kept = [
            each for each in self.optimizers if self.growing.keeps(each.path) or self.growing.keeps((*each.path, ""))
        ]
        others = [each for each in self.optimizers if each not in kept]
        left = [dotted(each.path) for each in kept]
        if self.growing.optimizer and not others:
            hint = "it is a dictionary with 'state' and 'param_groups', as optimizer.state_dict() gives"
            raise GrowthError(f"there is no optimizer in {self.title!r} that could grow", hint=hint)
        if not self.growing.optimizer:
            self._need_none([each for each in others if any(tensor.ndim for tensor in self._inside(each).values())])
            return left, []
        orders = [read_order(path) for path in self.growing.orders]
        nameless = [each for each in others if not each.names]
        if orders and len(orders) != len(nameless):
            titles = ", ".join(repr(dotted(each.path)) for each in nameless) or "none"
            raise OptionError(
                f"{len(orders)} orders are given, and the optimizers without names are {len(nameless)}: {titles}",
                hint="--optimizer-order is given once for each of them, in this order",
            )
        said = dict(zip([each.path for each in nameless], orders, strict=False))
        return left, [(each, said.get(each.path, [])) for each in others]

    def _need_none(self, optimizers: Sequence[Optimizer]) -> None:
        """Refuse to leave optimizers as they are without a word."""
        if optimizers:
            titles = ", ".join(repr(dotted(each.path)) for each in optimizers)
            where = f" ({titles})" if titles != "''" else ""
            raise GrowthError(
                f"the checkpoint holds the state of an optimizer{where}, which has to grow with the parameters",
                hint=f"--optimizer grows it, --keep {dotted(optimizers[0].path) + '*'!r} leaves it as it is",
            )

    def _check_keep(self, found: Grown, named: Mapping[str, Path], others: Sequence[str]) -> None:
        """Make sure that whatever is to be kept is there, and has not grown.

        Raises:
            OptionError: A glob names nothing, or only what grows.
        """
        was = {now: name for name, now in found.renamed.items()}
        names = [was.get(name, name) for name in (*found.kept, *found.left)]
        staying = [*names, *(dotted(named[name]) for name in names if name in named), *others]
        titles = [title for each in self.optimizers for title in (dotted(each.path), dotted((*each.path, "")))]
        left = {f"{name}." for name in others} & set(titles)
        there = [*named, *map(dotted, self.tensors), *titles]
        check_keep(self.growing.keep, [*staying, *left], there)

    def _inside(self, optimizer: Optimizer) -> dict[Path, Any]:
        return {
            path: tensor
            for path, tensor in self.tensors.items()
            if path[: len(optimizer.path)] == optimizer.path and path not in self.free
        }

    # What the values are ----------------------------------------------------------------------------------------------

    def _tensors(self, network: Network) -> dict[str, Any]:
        return {name: self.tensors[path] for name, path in network.paths.items()}

    def _arrays(self, tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return tensors as arrays; those that are one in the file are one.

        Raises:
            GrowthError: One has no numbers, or none in rows.
        """
        if absent := [name for name, tensor in tensors.items() if tensor.is_meta]:
            raise GrowthError(f"{absent[0]!r} has a shape and no numbers", hint="save it from where its numbers are")
        if scattered := [name for name, tensor in tensors.items() if tensor.is_sparse or tensor.is_quantized]:
            raise GrowthError(f"{scattered[0]!r} is no plain tensor, but a sparse or quantised one, which cannot grow")
        seen: dict[Any, np.ndarray] = {}
        found = {}
        for name, tensor in tensors.items():
            key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype) if tensor.numel() else name
            if key not in seen:
                seen[key] = self.torch.to_numpy(tensor, name)
            found[name] = seen[key]
        return found

    def _from_moments(self, optimizers: Sequence[tuple[Optimizer, list[str]]]) -> dict[str, np.ndarray]:
        """Return parameters of the right names and shapes for a file that holds none: as moments and the record say.

        Raises:
            GrowthError: If there are no names.
        """
        if not optimizers:
            raise GrowthError(f"the checkpoint {self.title!r} holds no parameters", hint="save model.state_dict()")
        found: dict[str, tuple[int, ...]] = {}
        for optimizer, order in optimizers:
            numbers = [number for group in optimizer.numbers for number in group]
            names = order or optimizer.names
            if not names:
                raise GrowthError(
                    f"the checkpoint {self.title!r} holds no parameters, and {optimizer.title} no names, so that "
                    "which moments are whose is not known",
                    hint="save both in one file: torch.save({'model': model.state_dict(), 'optimizer': "
                    "optimizer.state_dict()}, ...); or make the optimizer with model.named_parameters(); or pass "
                    "--optimizer-order FILE",
                )
            shapes = optimizer.shapes
            found |= {name: shapes[number] for number, name in zip(numbers, names, strict=False) if number in shapes}
        said = shapes_in(self.growing.record)
        prefix, less = _heads(said, found)
        for name, shape in said.items():
            found.setdefault(f"{prefix}{name.removeprefix(less)}", shape)
        arrays = {name: np.zeros(shape, np.float32) for name, shape in found.items()}
        for pair in tied(self.growing.record).items():  # numbers that tell when what is one parameter becomes two
            both = [f"{prefix}{name.removeprefix(less)}" for name in pair]
            if all(name in found for name in both):
                arrays |= dict.fromkeys(both, np.random.default_rng(0).standard_normal(found[both[0]], np.float32))
        return arrays

    def _copied(self, network: Network, copy: Network, found: Grown, arrays: Arrays) -> Change:
        """Grow a copy of the network, and return what becomes of its tensors.

        What it has not is taken from the network, and left out again.

        Raises:
            GrowthError: If its values are none of weights, or do not grow.
        """
        own = self._tensors(copy)
        given = self._arrays(own)
        signed = [name for name in given if is_float(arrays[name].dtype) and arrays[name].ndim > 1]
        if signed and any(np.any(arrays[name] < 0) for name in signed) and all(np.all(given[n] >= 0) for n in signed):
            raise GrowthError(
                f"{copy.title!r} carries the names of the network, and no number in it is negative: it holds no "
                "weights, but perhaps their squares, or a mask",
                hint=f"--keep {copy.title + '*'!r} leaves it as it is",
            )
        for name, other in _before(found, found.untied).items():  # it had one tensor where the network had two
            if name not in given and other in given:
                given[name], own[name] = given[other], own[other]
        again = self.growing.again(found, {**arrays, **given})
        return self._written(network, copy, again, {**arrays, **given}, own)

    def _written(
        self, network: Network, place: Network, found: Grown, arrays: Arrays, own: Mapping[str, Any]
    ) -> Change:
        """Return what becomes of the tensors of the network, or of a copy of it.

        Raises:
            GrowthError: If there are new names, and no place for them.
        """
        made: dict[int, list[tuple[np.ndarray, Any]]] = {}
        after: dict[str, Any] = {}
        for name, array in found.arrays.items():
            like = _like(found, arrays, name)
            if like not in own and not (name in found.added and place is network):
                continue
            if name not in found.added and array is arrays[like]:
                after[name] = own[like]
                continue
            alike = made.setdefault(id(arrays.get(like)), [])  # what was one tensor, and is equal, is one
            tensor = next((tensor for other, tensor in alike if np.array_equal(other, array)), None)
            if tensor is None:
                tensor = self.torch.to_torch(array, own.get(like))
                alike.append((array, tensor))
            after[name] = tensor
        if after.keys() == place.paths.keys() and not found.renamed:
            return Change({place.paths[name]: tensor for name, tensor in after.items() if tensor is not own[name]})
        homes = {path[:-1] for path in place.paths.values()}
        keys = {name: path[-1] for name, path in place.paths.items()}
        called = {name: f"{place.prefix}{name.removeprefix(network.prefix)}" for name in [*keys, *after]}
        if len(homes) > 1 or any(called[name] != key for name, key in keys.items()):
            raise GrowthError(
                f"parameters are new or have other names, and those of {place.title!r} are in several dictionaries",
                hint="save model.state_dict(), which is one dictionary",
            )
        return Change({}, homes.pop(), frozenset(keys.values()), {called[name]: each for name, each in after.items()})

    # What is neither the network nor a copy by name -------------------------------------------------------------------

    def _lists(self, network: Network, copies: Sequence[Network], arrays: Arrays) -> Iterator[Network]:
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
            if _cosine(self._arrays({names[at]: tensor for at, tensor in enumerate(tensors)}), arrays) >= ALIKE:
                yield Network({name: (*home, number) for number, name in names.items()}, "", dotted(home))

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
        if unknown:
            listed = ", ".join([*unknown[:LISTED], *(["..."] if len(unknown) > LISTED else [])])
            raise GrowthError(
                f"{len(unknown)} tensors of the checkpoint are not the network's, and may have to grow: {listed}",
                hint="what stays as it is can be named with --keep GLOB",
            )
        return outside, left

    # Optimizers -------------------------------------------------------------------------------------------------------

    def _optimized(
        self, optimizer: Optimizer, order: Sequence[str], found: Grown, arrays: Arrays
    ) -> tuple[dict[Path, Any], Pulled]:
        """Return what becomes of the parts of an optimizer, with the proof of its moments.

        Raises:
            GrowthError: It cannot grow, or which parameter is which is not known.
            VerificationError: The proof fails.
        """
        check_kinds(optimizer.state.values())
        named = naming(optimizer, found, arrays, order)
        if strange := optimizer.state.keys() - named.names.keys():
            reason = f"{optimizer.title} keeps something for {min(map(str, strange))!r}, which is in none of its groups"
            raise GrowthError(reason)
        for path, tensor in self._inside(optimizer).items():
            if path[len(optimizer.path)] == "param_groups" and tensor.numel() > 1:
                reason = f"{optimizer.title} has a tensor in its groups, {dotted(path)!r}, which may have to grow"
                raise GrowthError(reason)
        own = {named.names[number]: kept for number, kept in optimizer.state.items()}
        before = {
            name: {
                kind: _wide(self.torch.to_numpy(each, f"{name}.{kind}")) if self.torch.known(each) else each
                for kind, each in kept.items()
            }
            for name, kept in own.items()
        }
        twice = shared(arrays)
        shapes = {name: array.shape for name, array in arrays.items() if name not in twice}
        moments, numbers, groups = grown_state(optimizer, named, found, shapes, before)
        proof = pulled_back(found, before, moments, shapes) if self.growing.verify else Pulled()
        state = {
            numbers[name]: {
                kind: self.torch.to_torch(each, own[was][kind]) if each is not before[was][kind] else own[was][kind]
                for kind, each in kept.items()
            }
            for name, (was, kept) in moments.items()
        }
        places = {key: (*optimizer.path, key) for key in ("state", "param_groups")}
        whole = refilled(at(self.document, places["state"]), state)
        return {places["state"]: whole, places["param_groups"]: groups}, proof


def _heads(known: Collection[str], there: Collection[str]) -> tuple[str, str]:
    """Return what only names that are there begin with, and what only the known ones do: as most of them say."""
    ways = {("", "")}
    ways |= {(name.removesuffix(own), "") for own in known for name in there if name.endswith(f".{own}")}
    ways |= {("", own.removesuffix(name)) for own in known for name in there if own.endswith(f".{name}")}

    def fits(way: tuple[str, str]) -> tuple[int, int]:
        more, less = way
        called = (f"{more}{name.removeprefix(less)}" for name in known if name.startswith(less))
        return sum(name in there for name in called), -len(more + less)

    return max(ways, key=fits)


def _before(found: Grown, pairs: Mapping[str, str]) -> dict[str, str]:
    """Return pairs of names by what they were before new layers took some."""
    was = {now: old for old, now in found.renamed.items()}
    return {was.get(name, name): was.get(other, other) for name, other in pairs.items()}


def _like(found: Grown, arrays: Arrays, name: str) -> str:
    """Return the parameter, by its name before, of which one that there is now is made, or that it is like."""
    was = {now: old for old, now in found.renamed.items()}
    there = name not in found.added and was.get(name, name) in arrays
    other = name if there else found.added.get(name, found.untied.get(name, name))
    return was.get(other, other)


def _wide(array: np.ndarray) -> np.ndarray:
    """Return numbers of less than 32 bits as float32, which hold them exactly, and round once when they are written."""
    return array.astype(np.float32) if is_float(array.dtype) and array.dtype.itemsize < 4 else array


def _cosine(one: Arrays, other: Arrays) -> float:
    """Return the cosine of the angle between parameters, all together."""
    pairs = [(array.astype(np.float64), other[name].astype(np.float64)) for name, array in one.items()]
    product = sum(float((a * b).sum()) for a, b in pairs)
    sizes = [sum(float((each[side] ** 2).sum()) for each in pairs) for side in (0, 1)]
    return float(product / np.sqrt(sizes[0] * sizes[1])) if all(sizes) else 0.0
