"""How parameters of a training framework lie in the weights of a model, forth and back."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

# Where each gate of ONNX stands among those of PyTorch: LSTM i o f c of i f g o, GRU z r h of r z n.
GATES = {"LSTM": (0, 3, 1, 2), "GRU": (1, 0, 2), "RNN": (0,)}


def reorder(array: np.ndarray, operator: str, *, back: bool = False) -> np.ndarray:
    """Bring the gates of an array, whose first axis they make up, into the order of ONNX, or back."""
    order = GATES[operator]
    gates = np.split(array, len(order))
    places = np.argsort(order) if back else order
    return np.concatenate([gates[place] for place in places])


def join(layouts: Sequence[str], arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Return the weight that holds some parameters: one, or those of all directions of a recurrent layer."""
    kind, *rest = layouts[0].split(":")
    if kind == "same":
        return arrays[0]
    if kind == "transposed":
        return np.ascontiguousarray(arrays[0].T)
    parts = [reorder(array, rest[0]) for array in arrays]
    if kind == "gates":
        return np.stack(parts)
    return np.stack([np.concatenate(parts[at : at + 2]) for at in range(0, len(parts), 2)])


def split(layouts: Sequence[str], weight: np.ndarray) -> list[np.ndarray]:
    """Return the parameters that a weight holds."""
    kind, *rest = layouts[0].split(":")
    if kind == "same":
        return [weight]
    if kind == "transposed":
        return [np.ascontiguousarray(weight.T)]
    if kind == "gates":
        return [reorder(part, rest[0], back=True) for part in weight]
    return [reorder(part, rest[0], back=True) for direction in weight for part in np.split(direction, 2)]
