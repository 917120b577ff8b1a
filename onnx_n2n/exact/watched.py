"""A run that stays within bounds, and that can be looked at node by node."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx

from onnx_n2n.errors import ModelError
from onnx_n2n.exact.files import File
from onnx_n2n.exact.lengths import Lengths
from onnx_n2n.exact.limit import TooLong, keep
from onnx_n2n.exact.reads import Turned
from onnx_n2n.exact.run import Run
from onnx_n2n.exact.scope import Scope
from onnx_n2n.exact.tensor import Map, Tensor, Value
from onnx_n2n.exact.undecided import Undecided
from onnx_n2n.exact.unrounded import Exact
from onnx_n2n.exact.world import World

LARGEST = 1 << 26  # numbers of one tensor
MOST = 1 << 28  # numbers of all tensors that one run makes


class TooLarge(Undecided):
    """A run with these shapes would take too long, or too much memory."""


class Watched(Run):
    """A run that ends where it would be too large, and in which whatever goes wrong is a reason.

    Args:
        world: What numbers are.
        file: The model.
        exact: Numbers before rounding.
        lengths: Which lengths are free.
        most: How many numbers the run may make in all.

    Attributes:
        made: How many it has made.
    """

    def __init__(
        self, world: World[Any], file: File, exact: Exact | None = None, lengths: Lengths | None = None,
        most: int = MOST,
    ) -> None:  # fmt: skip
        super().__init__(world, file, exact, lengths)
        self.made, self._most = 0, most

    def node(self, node: onnx.NodeProto, scope: Scope) -> list[Value]:
        """Return what a node's outputs are.

        Raises:
            TooLarge: If the run has made as many numbers as it may.
            Undecided: If something in it cannot be decided.
            TooLong: If the time is up.
        """
        keep()
        name = node.name or next(iter(node.output), "")
        try:
            values = super().node(node, scope)
        except (Undecided, ModelError, MemoryError, TooLong):
            raise
        except Exception as error:  # of a rule, or of ONNX's reference implementation: not known is undecided
            said = str(error).strip().splitlines()
            reason = f"its rule fails: {said[0][:200] if said else type(error).__name__}"
            raise Undecided(reason, name, node.op_type) from error
        made = (each for each in tensors(values) if each is not None and not isinstance(each.ids, range | Turned))
        sizes = [int(np.prod(each.shape, dtype=np.int64)) for each in made]  # a constant as a whole takes no memory
        self.made += sum(sizes)
        if self.made > self._most or max(sizes, default=0) > LARGEST:
            raise TooLarge("a run with these shapes takes too many numbers", name, node.op_type)
        return values


def tensors(values: Sequence[Value]) -> Iterator[Tensor | None]:
    """Return the tensors in values: sequences and maps taken apart, None for what is not given."""
    for value in values:
        if isinstance(value, list | Map):
            yield from tensors(value if isinstance(value, list) else [value.values])
        else:
            yield value
