"""What a run remembers of values that it has met, for laws such as ``f(f(x)) = f(x)``."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from onnx_n2n.exact.chance import VARIABLE, Bound

SAMPLE = 64  # so many numbers are looked up first: where none of them is known, none is taken to be


@dataclass(frozen=True)
class Piece:
    """Fingerprints, uint64[n] each, in the order of their first lane, with a column of numbers each, float64[k, n]."""

    first: np.ndarray
    second: np.ndarray
    values: np.ndarray

    @classmethod
    def sorted(cls, first: np.ndarray, second: np.ndarray, values: np.ndarray) -> Piece:
        """Return a piece of fingerprints in any order; of equal ones the first is kept."""
        places = np.argsort(first, kind="stable")
        first = first[places]
        kept = np.append(True, first[1:] != first[:-1])
        places = places[kept]
        return cls(first[kept], second[places], values[:, places])

    def find(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return which fingerprints are here, bool[m], and where, int64[m]."""
        places = np.minimum(np.searchsorted(self.first, first), len(self.first) - 1)
        return (self.first[places] == first) & (self.second[places] == second), places


@dataclass
class Memory:
    """Fingerprints with values, in pieces each of which is more than twice as large as the next.

    Attributes:
        pieces: The pieces.
        bound: What bounds all of the values.
    """

    pieces: list[Piece] = field(default_factory=list)
    bound: Bound = VARIABLE

    def remember(self, prints: np.ndarray, values: np.ndarray, bound: Bound) -> None:
        """Keep fingerprints, uint64[2, ...], with values, float64[k, ...], that are bounded by something."""
        self.bound = self.bound.joined(bound)
        if not prints[0].size:
            return
        piece = Piece.sorted(prints[0].ravel(), prints[1].ravel(), values.reshape(len(values), prints[0].size))
        while self.pieces and len(self.pieces[-1].first) <= 2 * len(piece.first):
            other = self.pieces.pop()
            piece = Piece.sorted(
                np.concatenate([other.first, piece.first]),
                np.concatenate([other.second, piece.second]),
                np.concatenate([other.values, piece.values], 1),
            )
        self.pieces.append(piece)

    def recall(self, prints: np.ndarray, values: np.ndarray, bound: Bound) -> tuple[np.ndarray, Bound]:
        """Return values, float64[k, ...], with those that are remembered in their places, and what bounds all."""
        first, second = prints[0].ravel(), prints[1].ravel()
        some = np.linspace(0, max(len(first) - 1, 0), min(SAMPLE, len(first))).astype(np.int64)
        for piece in self.pieces:
            if not piece.find(first[some], second[some])[0].any():
                continue
            known, places = piece.find(first, second)
            flat = values.reshape(len(values), first.size).copy()
            flat[:, known] = piece.values[:, places[known]]
            values, bound = flat.reshape(values.shape), bound.joined(self.bound)
        return values, bound
