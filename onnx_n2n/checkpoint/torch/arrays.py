"""Tensors of PyTorch as arrays of numpy and back, to the last bit: also of types that numpy itself does not have."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from onnx_n2n.errors import ModelError

# Both libraries call these the same; where PyTorch is older and lacks one, no tensor can be of it.
NARROW = (
    "bfloat16", "float8_e4m3fn", "float8_e4m3fnuz", "float8_e5m2", "float8_e5m2fnuz", "float8_e8m0fnu",
)  # fmt: skip


def to_numpy(tensor: Any, name: str = "") -> np.ndarray:
    """Return the numbers of a tensor of PyTorch on the host; they share its memory if it is there.

    Args:
        tensor: The tensor, of any shape.
        name: What an error calls it.

    Raises:
        ModelError: numpy has no such type, or the tensor is sparse or quantised, or has no numbers.
    """
    if tensor.is_meta:
        raise ModelError(
            f"tensor {name!r} has a shape and no numbers",
            hint="save the model once its weights are loaded: a tensor on the device meta has none",
        )
    plain = tensor.detach().cpu()
    kind = str(plain.dtype).removeprefix("torch.")
    try:
        if kind not in NARROW:
            return np.asarray(plain.resolve_conj().resolve_neg().numpy())
        bits = plain.view(_torch_bits(plain)).numpy()
    except (RuntimeError, TypeError) as failure:
        layout = str(plain.layout).removeprefix("torch.")
        reason = f"tensor {name!r} is of type {kind} and layout {layout}, which numpy does not have"
        raise ModelError(reason, hint="save it as a dense tensor of another type") from failure
    found: np.ndarray = bits.view(getattr(ml_dtypes, kind))
    return found


def to_torch(array: np.ndarray) -> Any:
    """Return a tensor of PyTorch of the same type and bits, with memory of its own.

    Raises:
        ModelError: PyTorch has no such type.
    """
    import torch

    own = np.array(array, order="C")
    kind = own.dtype.name
    if kind not in NARROW:
        return torch.from_numpy(own)
    if not hasattr(torch, kind):
        raise ModelError(f"the PyTorch that is installed has no tensors of type {kind}", hint="install a newer one")
    return torch.from_numpy(own.view(f"u{own.itemsize}")).view(getattr(torch, kind))


def _torch_bits(tensor: Any) -> Any:
    """Return the type of whole numbers of PyTorch that has as many bits as a tensor's own."""
    import torch

    return torch.uint8 if tensor.element_size() == 1 else torch.int16
