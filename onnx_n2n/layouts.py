"""How tensors of a training framework lie in one weight of a model, forth and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

# Which block of rows of a PyTorch cell is which gate of ONNX: i o f c of i f g o, z r h of r z n.
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}

Kind = Literal["same", "transposed", "gates", "biases", "channels", "part", "even"]


@dataclass(frozen=True)
class Layout:
    """How tensors of a framework make one weight.

    Attributes:
        kind: ``same`` or ``transposed``; ``gates``, of a recurrent cell, reordered, one tensor for each direction;
            ``biases``, as these, two for each direction, joined; ``channels``, a vector that is not in the weight, as
            of a norm that was folded into it, but grows as an axis of it does; ``part``, a tensor of which the weight
            has only the first places, or copies, along some axes, and whose last axes are the weight's; or ``even``, no
            tensor at all perhaps, since the weight is one number throughout.
        detail: The cell, ``LSTM``, or the axis, ``0``.
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
        return GATES[self.detail] if self.kind in {"gates", "biases"} else ()

    def pack(self, parts: Sequence[Any], library: Any = np) -> Any:
        """Make the weight of its tensors: arrays of numpy, or of ``library``, which calls things as numpy does."""
        if not self.gates:
            return parts[0].T if self.transposed else parts[0]
        rows = [reorder(part, self.gates, library) for part in parts]
        if self.kind == "biases":
            rows = [library.concatenate(rows[at : at + 2]) for at in range(0, len(rows), 2)]
        return library.stack(rows)

    def unpack(self, weight: np.ndarray) -> list[np.ndarray]:
        """Take the weight apart."""
        if not self.gates:
            return [weight.T if self.transposed else weight]
        rows = [part for row in weight for part in _blocks(row, 2 if self.kind == "biases" else 1)]
        return [reorder(row, inverse(self.gates)) for row in rows]


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
