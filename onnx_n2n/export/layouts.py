"""How a weight lies in the file, and how in the framework that it came from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

# Which block of rows of a PyTorch cell is which gate of ONNX: i o f c of i f g o, z r h of r z n.
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


@dataclass(frozen=True)
class Layout:
    """How the tensors of a framework make one initializer.

    Attributes:
        transposed: Whether a matrix is transposed.
        gates: For recurrent cells, which block of rows of the framework's tensor comes first, second, ... here.
        joined: How many tensors are laid end to end for each direction: 2 for the biases of a cell.
    """

    transposed: bool = False
    gates: tuple[int, ...] = ()
    joined: int = 1

    @property
    def same(self) -> bool:
        """Whether there is nothing to do."""
        return not self.transposed and not self.gates

    def pack(self, parts: Sequence[np.ndarray]) -> np.ndarray:
        """Make the initializer."""
        if self.gates:
            blocks = [np.concatenate([np.split(part, len(self.gates))[gate] for gate in self.gates]) for part in parts]
            return np.stack([np.concatenate(blocks[k : k + self.joined]) for k in range(0, len(blocks), self.joined)])
        return parts[0].T if self.transposed else parts[0]

    def unpack(self, array: np.ndarray) -> list[np.ndarray]:
        """Take the initializer apart."""
        if self.gates:
            blocks = [block for row in array for block in np.split(row, self.joined)]
            back = np.argsort(self.gates)
            return [np.concatenate([np.split(block, len(self.gates))[gate] for gate in back]) for block in blocks]
        return [array.T if self.transposed else array]


SAME, TRANSPOSED = Layout(), Layout(transposed=True)
