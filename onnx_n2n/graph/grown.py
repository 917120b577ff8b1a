"""Grown weights: made when they are asked for, and read back once they are stored somewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from math import prod
from typing import Any, BinaryIO

import numpy as np
import onnx_ir as ir

from onnx_n2n.errors import ModelError
from onnx_n2n.graph.constants import SMALL, constants_of

Make = Callable[[], ir.TensorProtocol]
"""Makes a tensor when it is asked for."""

Part = tuple[int, int, np.ndarray]
"""An axis of a weight, a place along it, and the numbers from there on."""

Parts = Callable[[], Iterator[Part]]
"""Makes a weight part by part, along one axis, up to its end."""

WHOLE = 1 << 28  # bytes up to which a weight is made as a whole before it is written


class Grown(ir.LazyTensor):
    """A weight of a student. It is made of the teacher's each time that it is asked for, unless it is stored."""

    __slots__ = ("_make", "_parts")

    def __init__(self, make: Make, parts: Parts | None, like: ir.TensorProtocol, shape: ir.Shape, name: str) -> None:
        """Remember how to make a weight of another one.

        Args:
            make: Makes it.
            parts: Makes it part by part, if there is a way.
            like: The other one.
            shape: The shape it gets.
            name: The name it gets.
        """
        said: dict[str, Any] = {"doc_string": like.doc_string, "metadata_props": dict(like.metadata_props)}
        super().__init__(make, like.dtype, shape, cache=prod(shape.numpy()) <= SMALL, name=name, **said)
        self._make, self._parts = make, parts

    def store(self, read: Make | None) -> None:
        """Read it from where it is stored from now on, and make it where that is gone or has changed; None forgets."""
        make = self._make

        def found() -> ir.TensorProtocol:
            try:
                return read()  # type: ignore[misc]
            except ModelError:
                return make()

        self._func = make if read is None else found

    @property
    def in_parts(self) -> bool:
        """Whether it is made part by part when it is written."""
        return self._parts is not None and self.nbytes > WHOLE and self.dtype.bitwidth >= 8

    def keep(self) -> None:
        """Keep it in memory once it is made."""
        self.cache = True

    def tofile(self, file: BinaryIO) -> None:
        """Write its bytes to a file: of a large one part by part, so that it is never in memory as a whole."""
        stored = self._func is not self._make
        if stored or self.cache or not self.in_parts:
            super().tofile(file)
            return
        start, shape = file.tell(), self.shape.numpy()
        assert self._parts is not None
        for axis, place, part in self._parts():
            row, offset = (prod(shape[cut:]) * part.itemsize for cut in (axis, axis + 1))
            rows = np.ascontiguousarray(part).view(np.uint8).reshape(prod(shape[:axis]), -1)
            for number, each in enumerate(rows):
                file.seek(start + number * row + place * offset)
                file.write(each.data)


def grown_in(model: ir.Model) -> Iterator[Grown]:
    """Yield the grown weights of a model."""
    for graph in model.graphs():
        for _, tensor in constants_of(graph):
            if isinstance(tensor, Grown):
                yield tensor
