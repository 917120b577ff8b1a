"""What a node asks of the run that it is part of: this stands below both."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import onnx

from onnx_n2n.exact.files import File
from onnx_n2n.exact.lengths import Lengths, Trail
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.reads import Reads
from onnx_n2n.exact.scope import Scope
from onnx_n2n.exact.tensor import Tensor, Value
from onnx_n2n.exact.unrounded import Exact
from onnx_n2n.exact.world import World


class Running(Protocol):
    """One run of one model, as its nodes see it.

    Attributes:
        world: What numbers are.
        file: The model.
        exact: Numbers before rounding.
        reads: Which elements of constants have been read.
        trail: The shapes of what has been visited.
        lengths: Which axes are free.
    """

    world: World[Any]
    file: File
    exact: Exact
    reads: Reads
    trail: Trail
    lengths: Lengths

    def graph(self, graph: onnx.GraphProto, scope: Scope) -> list[Value]:
        """Return what a graph's outputs are, where the scope has its inputs already."""
        ...

    def node(self, node: onnx.NodeProto, scope: Scope) -> list[Value]:
        """Return what a node's outputs are."""
        ...

    def constant(self, name: str, array: np.ndarray, *, written: bool = True) -> Tensor:
        """Return a constant, none of whose elements has been read."""
        ...

    def leaf_of(self, node: onnx.NodeProto, name: str, array: np.ndarray, *, written: bool = True) -> Tensor:
        """Return the constant that a node holds, the same one each time that the node holds the same."""
        ...

    def read(self, tensor: Tensor) -> None:
        """Note that all elements of a tensor are read."""
        ...

    def reach(self, what: str, reached: np.ndarray) -> None:
        """Note which parts of something that has no constants the run has met."""
        ...

    def decide_by(self, tensor: Tensor, what: tuple[Any, ...], place: str) -> None:
        """Note that something is decided by elements that depend on the lengths that were drawn."""
        ...

    def numbers(self, tensor: Tensor) -> Numbers:
        """Return what a tensor is calculated with."""
        ...

    def exact_setting(self, node: onnx.NodeProto, name: str) -> Numbers | None:
        """Return what an attribute was before it was rounded, where that is known."""
        ...
