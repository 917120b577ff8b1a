"""Checkpoints that ``torch.save`` wrote, opened without running anything that is in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from onnx_n2n.checkpoint import Grown
from onnx_n2n.errors import ModelError, N2NError
from onnx_n2n.torch_document import File, Growing, Tensors


def grown(growing: Growing, source: Path) -> tuple[Grown, Callable[[Path], object]]:
    """Grow a file, with the optimizers in it, and return how to write what it became."""
    torch = _torch()
    document = _loaded(torch, source)
    tensors = Tensors(torch.is_tensor, partial(_to_numpy, torch), partial(_to_torch, torch))
    try:
        found, after = File(str(source), document, growing, tensors).grown()
    except RecursionError:
        raise ModelError(f"the checkpoint {str(source)!r} is nested too deeply") from None
    return found, lambda path: torch.save(after, path)


def _loaded(torch: Any, source: Path) -> Any:
    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as failure:  # pickle, zip and torch each have their own
        said = (str(failure).strip() or type(failure).__name__).splitlines()[0]
        raise ModelError(f"the checkpoint {str(source)!r} cannot be read: {said}") from failure
    if not isinstance(loaded, Mapping):
        raise ModelError(f"the checkpoint {str(source)!r} holds no dictionary", hint="save model.state_dict()")
    return loaded


def _to_numpy(torch: Any, tensor: Any) -> np.ndarray:
    """Return a tensor's numbers; those of bfloat16, which numpy does not know, as float32 that hold them exactly."""
    plain = tensor.detach().cpu()
    array: np.ndarray = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    return array


def _to_torch(torch: Any, array: np.ndarray, like: Any) -> Any:
    """Return a tensor of the type of another one, which may be a parameter."""
    tensor = torch.from_numpy(np.array(array))
    if like is None:
        return tensor
    tensor = tensor.to(like.dtype)
    return torch.nn.Parameter(tensor, like.requires_grad) if isinstance(like, torch.nn.Parameter) else tensor


def _torch() -> Any:
    try:
        import torch
    except ImportError as failure:
        raise N2NError(
            "this checkpoint is PyTorch's, and PyTorch is not installed", hint="pip install 'onnx-n2n[torch]'"
        ) from failure
    return torch
