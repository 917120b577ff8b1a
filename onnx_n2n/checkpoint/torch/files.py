"""Checkpoints that ``torch.save`` wrote, opened without running anything that is in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onnx_n2n.checkpoint.growth import Grown
from onnx_n2n.checkpoint.torch.arrays import to_numpy, to_torch
from onnx_n2n.checkpoint.torch.document import File
from onnx_n2n.checkpoint.torch.growing import Growing, Tensors
from onnx_n2n.checkpoint.torch.reading import installed, load
from onnx_n2n.errors import ModelError
from onnx_n2n.io.sources import Source


def grown(growing: Growing, source: Source) -> tuple[Grown, Callable[[Path], object]]:
    """Grow a file, with the optimizers in it, and return how to write what it became."""
    document = load(source)  # says what a file of others is, also where PyTorch is not installed
    torch = installed()
    if not isinstance(document, Mapping | list | tuple):
        raise ModelError(f"{source.name} holds no dictionary and no list", hint="save model.state_dict()")
    try:
        found, after = File(str(source.path), document, growing, Tensors(torch.is_tensor, to_numpy, _like)).grown()
    except RecursionError:
        raise ModelError(f"{source.name} is nested too deeply") from None
    return found, lambda path: torch.save(after, path)


def _like(array: np.ndarray, like: Any) -> Any:
    """Return a tensor of the type of another one, which may be a parameter."""
    tensor = to_torch(array)
    if like is None:
        return tensor
    parameter = installed().nn.Parameter
    tensor = tensor.to(like.dtype)
    return parameter(tensor, like.requires_grad) if isinstance(like, parameter) else tensor
