"""How tensors of a training framework lie in one weight of a model, forth and back."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations
from math import prod
from typing import Any, ClassVar

import numpy as np

# Which block of rows of a PyTorch cell is which gate of ONNX: i o f c of i f g o, z r h of r z n. Keras's LSTM too.
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}

PERMUTED = re.compile(r"(\d|-|\(\d(=\d+)?(,\d(=\d+)?)*\))+")
MOST = 5  # axes that are tried in every order


class Layout:
    """How tensors of a framework make one weight; ``str`` gives it as records and exports have it.

    Attributes:
        kind: What it is called there.
        counts: Of how many tensors the weight may be made.
    """

    kind: ClassVar[str]
    counts: ClassVar[tuple[int, ...]] = (1,)

    def __str__(self) -> str:
        return self.kind

    @staticmethod
    def read(text: str) -> Layout:
        """Read what ``str`` gives.

        Raises:
            ValueError: There is no such layout.
        """
        kind, _, detail = text.partition(":")
        if text in PLAIN:
            return PLAIN[text]
        if kind in CELLS and detail in GATES:
            return CELLS[kind](detail)
        if kind == ChannelLayout.kind and re.fullmatch("[0-9]", detail):
            return ChannelLayout(int(detail))
        if kind == Permuted.kind and PERMUTED.fullmatch(detail):
            return Permuted(detail)
        raise ValueError(f"there is no layout {text[:60]!r}")

    @property
    def joined(self) -> tuple[tuple[tuple[int, int | None], ...], ...]:
        """For each axis of the weight the axes of the tensor that it is made of, with their lengths; else nothing."""
        return ()

    def fits(self, rank: int) -> bool:  # noqa: ARG002 - most fit any
        """Say whether a weight of so many axes can be made so."""
        return True

    def axes(self, rank: int) -> tuple[tuple[int, ...], ...]:
        """Return the axes of the tensor by those of the weight, which has so many, unless it is of a cell."""
        return tuple((axis,) for axis in range(rank))

    def pack(self, parts: Sequence[Any], library: Any = np) -> Any:  # noqa: ARG002 - not all need one
        """Make the weight of its tensors: arrays of numpy, or of ``library``, which calls things as numpy does."""
        return parts[0]

    def unpack(self, weight: np.ndarray) -> list[np.ndarray]:
        """Take the weight apart."""
        return [weight]


@dataclass(frozen=True)
class Same(Layout):
    """The weight is the tensor."""

    kind = "same"


@dataclass(frozen=True)
class Transposed(Layout):
    """A matrix is transposed."""

    kind = "transposed"

    def axes(self, rank: int) -> tuple[tuple[int, ...], ...]:
        """Return the axes backwards."""
        return tuple((axis,) for axis in reversed(range(rank)))

    def pack(self, parts: Sequence[Any], library: Any = np) -> Any:  # noqa: ARG002
        """Turn the tensor."""
        return parts[0].T

    def unpack(self, weight: np.ndarray) -> list[np.ndarray]:
        """Turn the weight."""
        return [weight.T]


@dataclass(frozen=True)
class PartLayout(Layout):
    """The weight has only the first places, or copies, of a tensor along some axes; their last axes are the same."""

    kind = "part"


@dataclass(frozen=True)
class Even(Layout):
    """The weight is one number throughout, and perhaps made of no tensor at all."""

    kind = "even"
    counts = (0, 1)


@dataclass(frozen=True)
class ChannelLayout(Layout):
    """A vector that is not in the weight, as of a norm that was folded into it, but grows as ``axis`` of it does."""

    axis: int
    kind = "channels"

    def __str__(self) -> str:
        return f"{self.kind}:{self.axis}"

    def fits(self, rank: int) -> bool:
        """Say whether there is such an axis."""
        return self.axis < rank


@dataclass(frozen=True)
class Permuted(Layout):
    """The tensor's axes in another order, or joined.

    Attributes:
        notation: For each axis of the weight which axis of the tensor it is: ``3201`` brings a kernel of rows, columns,
            inputs and outputs to what ONNX has; ``-`` is an axis of length 1 that the tensor has not, and ``0(1,2=4)``
            joins axes 1 and 2, of which the last has length 4, in the tensor that has grown.
    """

    notation: str
    kind = "permuted"

    def __str__(self) -> str:
        return f"{self.kind}:{self.notation}"

    @property
    def joined(self) -> tuple[tuple[tuple[int, int | None], ...], ...]:
        """For each axis of the weight the axes of the tensor that it is made of, with their lengths where given."""
        found: list[tuple[tuple[int, int | None], ...]] = []
        for group in re.findall(r"\d|-|\([^)]*\)", self.notation):
            axes = [each.partition("=") for each in group.strip("()-").split(",") if each]
            found.append(tuple((int(axis), int(length) if length else None) for axis, _, length in axes))
        return tuple(found)

    def fits(self, rank: int) -> bool:
        """Say whether that is the number of axes named."""
        return len(self.joined) == rank

    def axes(self, rank: int) -> tuple[tuple[int, ...], ...]:  # noqa: ARG002 - it is known
        """Return the axes named."""
        return tuple(tuple(axis for axis, _ in group) for group in self.joined)

    def pack(self, parts: Sequence[Any], library: Any = np) -> Any:
        """Move and join the axes."""
        groups = self.axes(0)
        order = tuple(axis for group in groups for axis in group)
        moved = library.moveaxis(parts[0], order, tuple(range(len(order))))
        return moved.reshape([prod([parts[0].shape[axis] for axis in group]) for group in groups])

    def unpack(self, weight: np.ndarray) -> list[np.ndarray]:
        """Part the axes and move them back."""
        lengths: list[int] = []
        for group, whole in zip(self.joined, weight.shape, strict=True):
            known = prod(length for _, length in group if length is not None)
            lengths += [whole // known if length is None else length for _, length in group]
        order = [axis for group in self.joined for axis, _ in group]
        return [weight.reshape(lengths).transpose(inverse(order))]


@dataclass(frozen=True)
class Gates(Layout):
    """The gates of a recurrent ``cell``, ``LSTM``, in another order; one tensor for each direction."""

    cell: str
    kind = "gates"
    counts = (1, 2)
    rank: ClassVar[int] = 3

    def __str__(self) -> str:
        return f"{self.kind}:{self.cell}"

    def fits(self, rank: int) -> bool:
        """Say whether a cell has such a weight."""
        return rank == self.rank

    def pack(self, parts: Sequence[Any], library: Any = np) -> Any:
        """Reorder the gates of each direction."""
        return library.stack([reorder(part, GATES[self.cell], library) for part in parts])

    def unpack(self, weight: np.ndarray) -> list[np.ndarray]:
        """Bring the gates of each direction back into order."""
        return [reorder(row, inverse(GATES[self.cell])) for row in weight]


@dataclass(frozen=True)
class Columns(Gates):
    """As :class:`Gates`, for Keras, which has units as columns."""

    kind = "columns"

    def pack(self, parts: Sequence[Any], library: Any = np) -> Any:
        """Turn each direction, and reorder it."""
        return super().pack([part.T for part in parts], library)

    def unpack(self, weight: np.ndarray) -> list[np.ndarray]:
        """Bring the gates of each direction back into order, and turn it."""
        return [part.T for part in super().unpack(weight)]


@dataclass(frozen=True)
class Biases(Gates):
    """As :class:`Gates`: two tensors for each direction, joined."""

    kind = "biases"
    counts = (2, 4)
    rank: ClassVar[int] = 2

    def pack(self, parts: Sequence[Any], library: Any = np) -> Any:
        """Reorder the gates of both biases of each direction, and join them."""
        rows = [reorder(part, GATES[self.cell], library) for part in parts]
        return library.stack([library.concatenate(rows[at : at + 2]) for at in range(0, len(rows), 2)])

    def unpack(self, weight: np.ndarray) -> list[np.ndarray]:
        """Part the biases of each direction, and bring their gates back into order."""
        return super().unpack([half for row in weight for half in _blocks(row, 2)])  # type: ignore[arg-type]


@dataclass(frozen=True)
class Bias(Biases):
    """As :class:`Biases`, for Keras, which has one: the other is zero."""

    kind = "bias"
    counts = (1, 2)

    def pack(self, parts: Sequence[Any], library: Any = np) -> Any:
        """Join the bias of each direction with zeros."""
        return super().pack([each for part in parts for each in (part, library.zeros_like(part))], library)

    def unpack(self, weight: np.ndarray) -> list[np.ndarray]:
        """Leave out the zeros."""
        return super().unpack(weight)[::2]


SAME, TRANSPOSED, EVEN, PART = Same(), Transposed(), Even(), PartLayout()
PLAIN: dict[str, Layout] = {each.kind: each for each in (SAME, TRANSPOSED, EVEN, PART)}
CELLS = {each.kind: each for each in (Gates, Biases, Columns, Bias)}


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
    return Permuted("".join(map(_group, groups, [lengths] * len(groups))))


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
