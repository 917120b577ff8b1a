"""The optimizers in a file of ``torch.save``: which of them grow, and what becomes of these."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from onnx_n2n.checkpoint.document import Path, at, dotted, refilled
from onnx_n2n.checkpoint.growth import Grown
from onnx_n2n.checkpoint.making import Arrays, tied
from onnx_n2n.checkpoint.moments import Pulled, pulled_back
from onnx_n2n.checkpoint.networks import shapes_in
from onnx_n2n.checkpoint.optimizer import check_kinds
from onnx_n2n.checkpoint.rounding import is_float
from onnx_n2n.checkpoint.ties import shared
from onnx_n2n.checkpoint.torch.growing import Growing, Tensors
from onnx_n2n.checkpoint.torch.optimizer import Optimizer, grown_state, naming, optimizers_in, read_order
from onnx_n2n.errors import GrowthError, OptionError
from onnx_n2n.words import count


class States:
    """The states of optimizers in a document.

    Attributes:
        optimizers: All of them.
        tensors: The tensors of the document that are in one, by path.
    """

    def __init__(
        self, title: str, document: Any, tensors: Mapping[Path, Any], growing: Growing, torch: Tensors
    ) -> None:
        """Look for optimizers in a document, whose tensors are known by their paths."""
        self._title, self._document, self._growing, self._torch = title, document, growing, torch
        self.optimizers: tuple[Optimizer, ...] = tuple(optimizers_in(document))
        starts = {(*each.path, key) for each in self.optimizers for key in ("state", "param_groups")}
        self.tensors = {
            path: tensor
            for path, tensor in tensors.items()
            if any(path[:length] in starts for length in range(len(path)))
        }

    def chosen(self) -> tuple[list[str], list[tuple[Optimizer, list[str]]]]:
        """Return the optimizers that stay as they are, and those that grow, with the order that a file says.

        Raises:
            GrowthError: There is one that does neither, or none.
            OptionError: There are more orders, or fewer, than optimizers without names.
        """
        kept = [
            each for each in self.optimizers if self._growing.keeps(each.path) or self._growing.keeps((*each.path, ""))
        ]
        others = [each for each in self.optimizers if each not in kept]
        left = [dotted(each.path) for each in kept]
        if self._growing.optimizer and not others:
            hint = "it is a dictionary with 'state' and 'param_groups', as optimizer.state_dict() gives"
            raise GrowthError(f"there is no optimizer in {self._title!r} that could grow", hint=hint)
        if not self._growing.optimizer:
            self.need_none([each for each in others if any(tensor.ndim for tensor in self._inside(each).values())])
            return left, []
        orders = [read_order(path) for path in self._growing.orders]
        nameless = [each for each in others if not each.names]
        if orders and len(orders) != len(nameless):
            titles = ", ".join(repr(dotted(each.path)) for each in nameless) or "none"
            given, wanted = count(len(orders), "file"), count(len(nameless), "optimizer")
            raise OptionError(
                f"`optimizer_order=` gives {given} for {wanted} without names: {titles}",
                hint="pass `optimizer_order=` once for each of them, in this order",
            )
        said = dict(zip([each.path for each in nameless], orders, strict=False))
        return left, [(each, said.get(each.path, [])) for each in others]

    def need_none(self, optimizers: Sequence[Optimizer]) -> None:
        """Refuse to leave optimizers as they are without a word."""
        if optimizers:
            titles = ", ".join(repr(dotted(each.path)) for each in optimizers)
            where = f" ({titles})" if titles != "''" else ""
            raise GrowthError(
                f"the checkpoint holds the state of an optimizer{where}, which has to grow with the parameters",
                hint=f"`optimizer=True` grows it, `keep=[{dotted(optimizers[0].path) + '*'!r}]` leaves it as it is",
            )

    def _inside(self, optimizer: Optimizer) -> dict[Path, Any]:
        start = optimizer.path
        return {path: tensor for path, tensor in self.tensors.items() if path[: len(start)] == start}

    def from_moments(self, optimizers: Sequence[tuple[Optimizer, list[str]]]) -> dict[str, np.ndarray]:
        """Return parameters of the right names and shapes for a file that holds none: as moments and the record say.

        Raises:
            GrowthError: If there are no names.
        """
        if not optimizers:
            raise GrowthError(f"the checkpoint {self._title!r} holds no parameters", hint="save model.state_dict()")
        found: dict[str, tuple[int, ...]] = {}
        for optimizer, order in optimizers:
            numbers = [number for group in optimizer.numbers for number in group]
            names = order or optimizer.names
            if not names:
                raise GrowthError(
                    f"the checkpoint {self._title!r} holds no parameters, and {optimizer.title} no names, so that "
                    "which moments are whose is not known",
                    hint="save both in one file: torch.save({'model': model.state_dict(), 'optimizer': "
                    "optimizer.state_dict()}, ...); or make the optimizer with model.named_parameters(); or pass "
                    "`optimizer_order=['FILE']`",
                )
            shapes = optimizer.shapes
            found |= {name: shapes[number] for number, name in zip(numbers, names, strict=False) if number in shapes}
        said = shapes_in(self._growing.record)
        prefix, less = _heads(said, found)
        for name, shape in said.items():
            found.setdefault(f"{prefix}{name.removeprefix(less)}", shape)
        arrays = {name: np.zeros(shape, np.float32) for name, shape in found.items()}
        for pair in tied(self._growing.record).items():  # numbers that tell when what is one parameter becomes two
            both = [f"{prefix}{name.removeprefix(less)}" for name in pair]
            if all(name in found for name in both):
                arrays |= dict.fromkeys(both, np.random.default_rng(0).standard_normal(found[both[0]], np.float32))
        return arrays

    def grown(
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
            one = min(map(str, strange))
            raise GrowthError(
                f"{optimizer.title} keeps moments for {one!r}, and none of its groups lists that parameter"
            )
        for path, tensor in self._inside(optimizer).items():
            if path[len(optimizer.path)] == "param_groups" and tensor.numel() > 1:
                reason = f"{optimizer.title} has a tensor in its groups, {dotted(path)!r}, which may have to grow"
                raise GrowthError(reason)
        own = {named.names[number]: kept for number, kept in optimizer.state.items()}
        before = {
            name: {
                kind: _wide(self._torch.to_numpy(each, f"{name}.{kind}")) if self._torch.known(each) else each
                for kind, each in kept.items()
            }
            for name, kept in own.items()
        }
        twice = shared(arrays)
        shapes = {name: array.shape for name, array in arrays.items() if name not in twice or name in before}
        moments, numbers, groups = grown_state(optimizer, named, found, shapes, before)
        proof = pulled_back(found, before, moments, shapes) if self._growing.verify else Pulled()
        state = {
            numbers[name]: {
                kind: self._torch.to_torch(each, own[was][kind]) if each is not before[was][kind] else own[was][kind]
                for kind, each in kept.items()
            }
            for name, (was, kept) in moments.items()
        }
        places = {key: (*optimizer.path, key) for key in ("state", "param_groups")}
        whole = refilled(at(self._document, places["state"]), state)
        return {places["state"]: whole, places["param_groups"]: groups}, proof


def _heads(known: Collection[str], there: Collection[str]) -> tuple[str, str]:
    """Return the beginning that only the names there have, and the one that only known names have, to match most."""
    ways = {("", "")}
    ways |= {(name.removesuffix(own), "") for own in known for name in there if name.endswith(f".{own}")}
    ways |= {("", own.removesuffix(name)) for own in known for name in there if own.endswith(f".{name}")}

    def fits(way: tuple[str, str]) -> tuple[int, int]:
        more, less = way
        called = (f"{more}{name.removeprefix(less)}" for name in known if name.startswith(less))
        return sum(name in there for name in called), -len(more + less)

    return max(ways, key=fits)


def _wide(array: np.ndarray) -> np.ndarray:
    """Return numbers of less than 32 bits as float32, which hold them exactly, and round once when they are written."""
    return array.astype(np.float32) if is_float(array.dtype) and array.dtype.itemsize < 4 else array
