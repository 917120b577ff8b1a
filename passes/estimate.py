"""What a pass takes, said before it is done: bytes to read and to write, and memory."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir

from onnx_n2n.graph.constants import constants_of
from onnx_n2n.graph.grown import Grown
from onnx_n2n.io import space
from onnx_n2n.io.atomic import STDOUT, folder_of
from onnx_n2n.io.carried import carried
from onnx_n2n.io.files import check_size, extent
from onnx_n2n.record.recipe import PART
from onnx_n2n.words import in_bytes

LIBRARIES = 120_000_000  # bytes of this library and of those that it imports, with what it notes of a graph
BLOCKS = 64_000_000  # bytes of what all cores make of a weight at a time, and of what the allocator keeps
DOUBLE = 8  # bytes of a number in double precision
LAZY = (ir.LazyTensor, ir.ExternalTensor)  # tensors that are on the disk, or made, until somebody asks for them


@dataclass(frozen=True)
class Estimate:
    """What a pass takes.

    Attributes:
        place: Where the student would be written; None for a model that is in no file.
        read: Bytes of the files that are read, each counted once.
        write: Bytes of the student's files.
        free: Bytes that are free on the disk where it goes; None where the system does not say.
        memory: About how many bytes of memory it takes to make and to write the student, all libraries included.
        weights: Bytes of the weights of the larger model: verification opens one model at a time, and what its runs
            hold besides is not known before. None where nothing is run.
    """

    place: Path | None
    read: int
    write: int
    free: int | None
    memory: int
    weights: int | None

    @property
    def sentences(self) -> tuple[str, ...]:
        """The same for people."""
        written = f" and write {in_bytes(self.write)} to {'stdout' if self.place == STDOUT else self.place}"
        found = f"Would read {in_bytes(self.read)}{written if self.place else ''}; "
        found += f"needs about {in_bytes(self.memory)} of memory."
        if self.weights is None:
            return (found,)
        mapped = f"up to {in_bytes(self.weights)} of weights, mapped from its file if they are many"
        return (found, f"Verification adds one model at a time: {mapped}, and what its runs make, not known before.")

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON-ready values."""
        return {
            "read": self.read,
            "write": self.write,
            "free": self.free,
            "memory": self.memory,
            "weights": self.weights,
        }


def estimated(teacher: ir.Model, student: ir.Model, place: Path | None, *, runs: bool) -> Estimate:
    """Return what it takes to write a student, or to hand it over in memory.

    Args:
        teacher: The teacher.
        student: What has become of a copy of it, of which no weight has been made yet.
        place: Where it goes; None for a model that is in no file.
        runs: Whether both are run.

    Raises:
        ModelError: There is no room for it on the disk.
    """
    size = extent(student)
    if place is not None:
        check_size(place, folder_of(place), size.whole)
    before, after = (tuple(_held(model)) for model in (teacher, student))
    return Estimate(
        place,
        sum(source.size for source in carried(teacher).files.read),
        0 if place is None else size.whole,
        None if place is None else space.free(folder_of(place)),
        _about(LIBRARIES + (_streamed(before, after, size.around) if place else _whole(before, after))),
        max(_bytes(before), _bytes(after)) if runs else None,
    )


def _about(number: int) -> int:
    """Return a number with two digits that count."""
    return round(number, 2 - len(str(number)))


def _held(model: ir.Model) -> Iterable[ir.TensorProtocol]:
    return (tensor for graph in model.graphs() for _, tensor in constants_of(graph))


def _bytes(tensors: Iterable[ir.TensorProtocol]) -> int:
    return sum(tensor.nbytes for tensor in tensors)


def _streamed(before: tuple[ir.TensorProtocol, ...], after: tuple[ir.TensorProtocol, ...], around: int) -> int:
    """Return what is in memory at most where weights are read, made and written one after the other.

    That is one weight of the teacher with what it becomes; or one of an added layer, which is made in double precision;
    or one of the student, as it is read for the report. What cannot be left on the disk is there all the time: weights
    of added layers, and what is outside of the initializers, of the student as a tensor, in a message and serialised.
    """
    largest, longest = (max(map(_size, tensors), default=0) for tensors in (before, after))
    made = max((BLOCKS + _made(tensor) for tensor in after if isinstance(tensor, Grown)), default=0)
    added = [tensor for tensor in after if not isinstance(tensor, LAZY)]
    double = max((DOUBLE * tensor.size for tensor in added), default=0)
    inside = _bytes(tensor for tensor in before if not isinstance(tensor, LAZY))
    return max(largest + made, double, longest) + _bytes(added) + inside + 3 * around


def _made(tensor: Grown) -> int:
    """Return how much of a weight is in memory at a time: all of it, or two of its parts."""
    parts = 2 * PART * tensor.dtype.itemsize
    return int(min(tensor.nbytes, parts) if tensor.in_parts else tensor.nbytes)


def _whole(before: tuple[ir.TensorProtocol, ...], after: tuple[ir.TensorProtocol, ...]) -> int:
    """Return what is in memory at most where a student stays there: all of it, and one weight on its way into it."""
    return BLOCKS + _bytes(after) + max(map(_size, before), default=0) + 2 * max(map(_size, after), default=0)


def _size(tensor: ir.TensorProtocol) -> int:
    return int(tensor.nbytes)
