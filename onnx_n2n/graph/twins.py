"""Weights that are one parameter in two places: a table of embeddings, and the head that reads it the other way round.

Exporters write such a parameter once, with two readers, or twice, of which one is turned. Code that ties them keeps one
of both: so they must stay one when the model grows. Source: O. Press and L. Wolf, *Using the Output Embedding to
Improve Language Models*, 2017.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import onnx_ir as ir

from onnx_n2n.graph.constants import FLOATS, Constants, uniform
from onnx_n2n.graph.operators import measures, operator_of
from onnx_n2n.graph.uses import Use

# The slots in which rows are looked up.
TABLES = {("", "Gather"): (0,), ("com.microsoft", "EmbedLayerNormalization"): (2, 3, 4)}
ORDERS = ((0, 1), (1, 0))
SAMPLE = 64  # numbers: weights that differ in these are not compared as a whole


@dataclass(frozen=True, eq=False)
class Twins:
    """Which constants hold the numbers of a table.

    Attributes:
        constants: All constants.
        tables: For each constant that holds the numbers of a table that stands before it that table, and which axis of
            it each axis is.
    """

    constants: Constants
    tables: Mapping[ir.Value, tuple[ir.Value, tuple[int, int]]]

    @classmethod
    def of(cls, constants: Constants) -> Twins:
        """Compare all matrices with the tables that have as many numbers along their axes."""
        matrices = [value for value in constants if _matrix(constants, value)]
        found: dict[ir.Value, tuple[ir.Value, tuple[int, int]]] = {}
        for table in matrices:
            if table not in found and any(_looked_up((use.node, use.idx)) for use in table.uses()):
                for other in matrices:
                    if other is not table and other not in found and (order := _order(constants, table, other)):
                        found[other] = table, order
        return cls(constants, found)

    def uses(self, value: ir.Value) -> Iterator[tuple[Use, tuple[int, ...]]]:
        """Yield all that reads a constant or a twin of it, and which axis of what is read each of its axes is."""
        first, order = self._first(value)
        for other in (first, *(twin for twin, (table, _) in self.tables.items() if table is first)):
            own = self._first(other)[1]
            axes = tuple(own.index(axis) for axis in order)
            yield from (((use.node, use.idx), axes) for use in other.uses())

    @cached_property
    def tied(self) -> frozenset[ir.Value]:
        """The constants that are a table in one place and something else in another."""
        matrices = (value for value in self.constants if _matrix(self.constants, value))
        return frozenset(
            value
            for value in matrices
            if len({_looked_up(use) for use, _ in self.uses(value) if not measures(use[0])}) == 2
        )

    @cached_property
    def doubled(self) -> frozenset[ir.Value]:
        """The weights of which the model holds another one with the same numbers, perhaps turned.

        Exporters write a parameter so that code uses on inputs of two and of three dimensions, or as a kernel too.
        """
        alike: dict[object, list[ir.Value]] = {}
        for value in self.constants:
            tensor = self.constants[value]
            if tensor.dtype in FLOATS and math.prod(tensor.shape.numpy()) > 1:
                array = tensor.numpy().squeeze()
                sample = (array.diagonal() if array.ndim == 2 else array.ravel())[:SAMPLE]  # the same if it is turned
                alike.setdefault((tensor.dtype, tuple(sorted(array.shape)), sample.tobytes()), []).append(value)
        return frozenset(
            value
            for near in alike.values()
            for value in near
            if any(other is not value and self._alike(value, other) for other in near)
        )

    def _alike(self, one: ir.Value, other: ir.Value) -> bool:
        first, second = (self.constants[value].numpy().squeeze() for value in (one, other))
        turned = second.T if second.ndim == 2 else second
        return not uniform(first) and (np.array_equal(first, second) or np.array_equal(first, turned))

    def _first(self, value: ir.Value) -> tuple[ir.Value, tuple[int, ...]]:
        return self.tables.get(value, (value, tuple(range(len(self.constants[value].shape)))))


def _matrix(constants: Constants, value: ir.Value) -> bool:
    tensor = constants[value]
    return tensor.dtype in FLOATS and len(tensor.shape) == 2 and not constants.vector_like(value)


def _looked_up(use: Use) -> bool:
    """Say whether a node looks up rows of what it reads, by indices that are computed or given."""
    node, slot = use
    return slot in TABLES.get(operator_of(node), ()) and node.attributes.get_int("axis", 0) == 0


def _order(constants: Constants, table: ir.Value, other: ir.Value) -> tuple[int, int] | None:
    """Return which axis of a table each axis of a matrix is, if both hold the same numbers, not all of them alike."""
    one, two = constants[table], constants[other]
    for order in ORDERS if one.dtype == two.dtype else ():
        if tuple(two.shape.numpy()) == tuple(one.shape.numpy()[axis] for axis in order):
            turned, array = one.numpy().transpose(order), two.numpy()
            if np.array_equal(turned[0], array[0]) and np.array_equal(turned, array) and not uniform(array):
                return order
    return None
