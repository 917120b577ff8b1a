"""How tensors of a training framework lie in one weight of a model, forth and back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import prod
from typing import Any, Literal

import numpy as np

# Which block of rows of a PyTorch cell is which gate of ONNX: i o f c of i f g o, z r h of r z n. Keras's LSTM too.
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}

Kind = Literal["same", "transposed", "permuted", "gates", "biases", "columns", "bias", "channels", "part", "even"]
CELLS = ("gates", "biases", "columns", "bias")
PERMUTED = re.compile(r"(\d|-|\(\d(=\d+)?(,\d(=\d+)?)*\))+")
MOST = 5  # axes that are tried in every order


@dataclass(frozen=True)
class Layout:
    """How tensors of a framework make one weight.

    Attributes:
        kind: ``same`` or ``transposed``; ``permuted``, with other axes; ``gates``, of a recurrent cell, reordered, one
            tensor for each direction; ``biases``, as these, two for each direction, joined; ``columns`` and ``bias``,
            the same for Keras, which has units as columns, and one bias; ``channels``, a vector that is not in the
            weight, as of a norm that was folded into it, but grows as an axis of it does; ``part``, a tensor of which
            the weight has only the first places, or copies, along some axes, and whose last axes are the weight's; or
            ``even``, no tensor at all perhaps, since the weight is one number throughout.
        detail: The cell, ``LSTM``, or the axis, ``0``. Of ``permuted``, for each axis of the weight which axis of the
            tensor it is: ``3201`` brings a kernel of rows, columns, inputs and outputs to what ONNX has; ``-`` is an
            axis of length 1 that the tensor has not, and ``0(1,2=4)`` joins axes 1 and 2, of which the last has length
            4, in the tensor that has grown.
    """

    kind: Kind = "same"
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.kind}:{self.detail}" if self.detail else self.kind

    @classmethod
    def read(cls, text: str) -> Layout:
        """Read what ``str`` gives."""
        kind, _, detail = text.partition(":")
        return cls(kind, detail)  # type: ignore[arg-type]

    @property
    def transposed(self) -> bool:
        """Whether a matrix is transposed."""
        return self.kind == "transposed"

    @property
    def gates(self) -> tuple[int, ...]:
        """Which block of rows of the framework's tensor comes first, second, ... in the weight of a cell."""
        return GATES[self.detail] if self.kind in CELLS else ()

    @property
    def joined(self) -> tuple[tuple[tuple[int, int | None], ...], ...]:
        """For each axis of the weight the axes of the tensor that it is made of, with their lengths where given."""
        found: list[tuple[tuple[int, int | None], ...]] = []
        for group in re.findall(r"\d|-|\([^)]*\)", self.detail if self.kind == "permuted" else ""):
            axes = [each.partition("=") for each in group.strip("()-").split(",") if each]
            found.append(tuple((int(axis), int(length) if length else None) for axis, _, length in axes))
        return tuple(found)

    def axes(self, rank: int) -> tuple[tuple[int, ...], ...]:
        """Return the axes of the tensor by those of the weight, which has so many, unless it is of a cell."""
        if self.joined:
            return tuple(tuple(axis for axis, _ in group) for group in self.joined)
        order = range(rank)[:: -1 if self.transposed else 1]
        return tuple((axis,) for axis in order)

    def pack(self, parts: Sequence[Any], library: Any = np) -> Any:
        """Make the weight of its tensors: arrays of numpy, or of ``library``, which calls things as numpy does."""
        if self.joined:
            groups = self.axes(0)
            order = tuple(axis for group in groups for axis in group)
            moved = library.moveaxis(parts[0], order, tuple(range(len(order))))
            return moved.reshape([prod(parts[0].shape[axis] for axis in group) for group in groups])
        if not self.gates:
            return parts[0].T if self.transposed else parts[0]
        rows = [reorder(part.T if self.kind == "columns" else part, self.gates, library) for part in parts]
        if self.kind == "biases":
            rows = [library.concatenate(rows[at : at + 2]) for at in range(0, len(rows), 2)]
        if self.kind == "bias":
            rows = [library.concatenate([row, library.zeros_like(row)]) for row in rows]
        return library.stack(rows)

    def unpack(self, weight: np.ndarray) -> list[np.ndarray]:
        """Take the weight apart."""
        if self.joined:
            return [self._spread(weight)]
        if not self.gates:
            return [weight.T if self.transposed else weight]
        rows = [part for row in weight for part in _blocks(row, 1 if self.kind in {"gates", "columns"} else 2)]
        if self.kind == "bias":
            rows = rows[::2]
        parts = [reorder(row, inverse(self.gates)) for row in rows]
        return [part.T for part in parts] if self.kind == "columns" else parts

    def _spread(self, weight: np.ndarray) -> np.ndarray:
        lengths: list[int] = []
        for group, whole in zip(self.joined, weight.shape, strict=True):
            known = prod(length for _, length in group if length is not None)
            lengths += [whole // known if length is None else length for _, length in group]
        order = [axis for group in self.joined for axis, _ in group]
        return weight.reshape(lengths).transpose(inverse(order))


SAME, TRANSPOSED = Layout(), Layout("transposed")


def reorder(array: Any, order: Sequence[int], library: Any = np) -> Any:
    """Bring the blocks of rows that an array is made of into another order."""
    blocks = _blocks(array, len(order))
    return library.concatenate([blocks[place] for place in order])


def inverse(order: Sequence[int]) -> tuple[int, ...]:
    """Return the order that undoes another."""
    return tuple(order.index(place) for place in range(len(order)))


def _blocks(array: Any, count: int) -> list[Any]:
    length = array.shape[0] // count
    return [array[at * length : (at + 1) * length] for at in range(count)]


def permuted(groups: Sequence[Sequence[int]], lengths: Sequence[int]) -> Layout:
    """Return the layout with these axes of a tensor for each axis of the weight, and these lengths of the tensor's."""
    flat = [axis for group in groups for axis in group]
    if all(len(group) == 1 for group in groups):
        if flat == sorted(flat):
            return SAME
        if len(flat) == 2:
            return TRANSPOSED
    return Layout("permuted", "".join(map(_group, groups, [lengths] * len(groups))))


def _group(axes: Sequence[int], lengths: Sequence[int]) -> str:
    if len(axes) < 2:
        return f"{axes[0]}" if axes else "-"
    return f"({axes[0]},{','.join(f'{axis}={lengths[axis]}' for axis in axes[1:])})"


def arrangements(lengths: Sequence[int], shape: Sequence[int]) -> Iterator[Layout]:
    """Yield the layouts in which a tensor of some lengths has the shape of a weight; as it is first."""
    rank = len(lengths)
    for order in permutations(range(rank)) if rank <= MOST else [tuple(range(rank))]:
        groups, at = [], 0
        for length in shape:
            end = at + (at < rank and lengths[order[at]] == length)
            while length > 1 and end < rank and prod(lengths[axis] for axis in order[at:end]) < length:
                end += 1
            groups.append(order[at:end])
            if prod(lengths[axis] for axis in groups[-1]) != length:
                break
            at = end
        else:
            if at == rank:
                yield permuted(groups, lengths)
