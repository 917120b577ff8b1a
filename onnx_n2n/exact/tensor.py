"""What a name in a graph stands for while a model is run."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx
from onnx import helper

from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.reads import Ids

WHOLE = frozenset(int(type_) for name, type_ in onnx.TensorProto.DataType.items() if "INT" in name)
BOOL, STRING, INT64, FLOAT = (
    onnx.TensorProto.BOOL, onnx.TensorProto.STRING, onnx.TensorProto.INT64, onnx.TensorProto.FLOAT,
)  # fmt: skip


@dataclass(frozen=True)
class Tensor:
    """A tensor that is known, or calculated with, or both.

    Args:
        type: The element type, as ONNX numbers them.
        known: The elements themselves, where no input has a part in them.
        numbers: The numbers that it is calculated with; where there are none yet, those of ``known``.
        sized: Whether ``known`` depends on the lengths that were drawn for free axes. Then it says how long or where
            something is, and as a number each element is a random one that stands for it.
        rough: Whether ``known`` has been rounded, so that it only serves to say how long something is.
        ids: Which elements of the run's constants those of ``known`` are: their numbers in `Reads`, 0 for none; None
            where none is.
        fixed: Whether no input has a part in ``numbers``.
    """

    type: int
    known: np.ndarray | None = None
    numbers: Numbers | None = None
    sized: bool = False
    rough: bool = False
    ids: Ids | None = None
    fixed: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The lengths of the axes."""
        if self.numbers is not None:
            return self.numbers.shape
        assert self.known is not None
        return self.known.shape

    @property
    def whole(self) -> bool:
        """Whether its type is one of whole numbers."""
        return self.type in WHOLE

    @property
    def real(self) -> bool:
        """Whether its type is one of floating-point numbers."""
        return self.type not in WHOLE and self.type not in {BOOL, STRING}

    @property
    def certain(self) -> bool:
        """Whether ``known`` is what it is for all lengths of free axes, without rounding."""
        return self.known is not None and not self.sized and not self.rough and self.numbers is None

    def but(self, **changes: Any) -> Tensor:
        """Return the same with some parts changed."""
        return replace(self, **changes)


@dataclass(frozen=True)
class Map:
    """What a classifier gives for one row: a number for each of its labels, which are part of the model.

    Args:
        labels: Whole numbers or texts.
        values: The numbers, [labels].
    """

    labels: tuple[int | str, ...]
    values: Tensor


Value = Tensor | list["Value"] | Map | None  # a sequence is a list, an optional that is empty is None


def named(type_: int) -> str:
    """Return the name of an element type."""
    return str(onnx.TensorProto.DataType.Name(type_))


def kind(type_: int) -> np.dtype[Any]:
    """Return NumPy's type for an element type."""
    return np.dtype(helper.tensor_dtype_to_np_dtype(type_))
