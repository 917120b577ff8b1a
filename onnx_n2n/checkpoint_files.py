"""Checkpoints in files: safetensors, and what ``torch.save`` writes, opened without running anything that is in it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
from safetensors.numpy import save as to_bytes

from onnx_n2n.checkpoint import Grown, grow
from onnx_n2n.errors import GrowthError, ModelError, N2NError
from onnx_n2n.optimizer import grow_state, names_in
from onnx_n2n.record import Record

WRAPPERS = ("state_dict", "model_state_dict", "model", "module")  # where a training loop keeps the parameters
OPTIMIZERS = ("optimizer_state_dict", "optimizer", "optim")


def grow_file(
    record: Record, source: Path, target: Path, *, optimizer: bool = False, keep: Sequence[str] = ()
) -> Grown:
    """Grow the checkpoint in a file, and write it to another, in the same format and with all else that is in it.

    Args:
        record: What became of the weights.
        source: A ``.safetensors`` file, or one of ``torch.save`` with a dictionary of tensors, perhaps as an entry.
        target: Where to write.
        optimizer: Whether to grow the optimizer's state too, which must be in the file.
        keep: Globs of parameters that the record does not know, and that stay as they are.

    Raises:
        ModelError: The file cannot be read.
        GrowthError: It does not fit the record, or has no optimizer, or one that cannot grow.
        N2NError: PyTorch is not installed, and the file needs it.
    """
    if not source.is_file():
        raise ModelError(f"the checkpoint {str(source)!r} does not exist, or is no file")
    if source.suffix == ".safetensors":
        if optimizer:
            raise GrowthError("a safetensors file holds no optimizer", hint="pass the checkpoint that torch.save wrote")
        return _grow_safetensors(record, source, target, keep)
    return _grow_torch(record, source, target, optimizer=optimizer, keep=keep)


def _grow_safetensors(record: Record, source: Path, target: Path, keep: Sequence[str]) -> Grown:
    try:
        with safetensors.safe_open(str(source), "numpy") as file:
            metadata = file.metadata()
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
    except (OSError, TypeError, safetensors.SafetensorError) as failure:
        raise ModelError(f"the checkpoint {str(source)!r} cannot be read: {failure}") from failure
    found = grow(record, arrays, keep=keep)
    target.write_bytes(to_bytes({name: np.ascontiguousarray(each) for name, each in found.arrays.items()}, metadata))
    return found


def _grow_torch(record: Record, source: Path, target: Path, *, optimizer: bool, keep: Sequence[str]) -> Grown:
    torch = _torch()
    try:
        loaded = torch.load(source, map_location="cpu", weights_only=True)
    except Exception as failure:  # pickle, zip and torch each have their own
        said = (str(failure).strip() or type(failure).__name__).splitlines()[0]
        raise ModelError(f"the checkpoint {str(source)!r} cannot be read: {said}") from failure
    if not isinstance(loaded, Mapping):
        raise ModelError(f"the checkpoint {str(source)!r} holds no dictionary", hint="save model.state_dict()")
    place = next((key for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
    tensors = loaded if place is None else loaded[place]
    arrays = {name: _to_numpy(torch, tensor) for name, tensor in tensors.items() if torch.is_tensor(tensor)}
    found = grow(record, arrays, keep=keep)
    grown: dict[str, Any] = dict(tensors)
    grown |= {name: _to_torch(torch, found.arrays[name], tensors[name]) for name in arrays}
    document = grown if place is None else {**loaded, place: grown}
    if optimizer:
        key = next((key for key in OPTIMIZERS if isinstance(loaded.get(key), Mapping)), None)
        if key is None:
            raise GrowthError(f"there is no optimizer in {str(source)!r}", hint=f"save it under {OPTIMIZERS[0]!r}")
        document = {**document, key: _grow_optimizer(torch, record, loaded[key], list(arrays))}
    torch.save(document, target)
    return found


def _grow_optimizer(
    torch: Any, record: Record, state: Mapping[str, Any], parameters: Sequence[str]
) -> dict[str, Any]:
    names = names_in(state["param_groups"], parameters)
    plain = {
        names[number]: {k: _to_numpy(torch, each) if torch.is_tensor(each) else each for k, each in moments.items()}
        for number, moments in state["state"].items()
    }
    grown = grow_state(record, plain)
    moments = {
        number: {
            kind: _to_torch(torch, grown[names[number]][kind], each) if torch.is_tensor(each) else each
            for kind, each in old.items()
        }
        for number, old in state["state"].items()
    }
    return {**state, "state": moments}


def _to_numpy(torch: Any, tensor: Any) -> np.ndarray:
    """Return a tensor's numbers; those of bfloat16, which numpy does not know, as float32 that hold them exactly."""
    plain = tensor.detach().cpu()
    array: np.ndarray = (plain.float() if plain.dtype == torch.bfloat16 else plain).numpy()
    return array


def _to_torch(torch: Any, array: np.ndarray, like: Any) -> Any:
    return torch.from_numpy(np.array(array)).to(like.dtype)


def _torch() -> Any:
    try:
        import torch
    except ImportError as failure:
        raise N2NError(
            "this checkpoint is PyTorch's, and PyTorch is not installed", hint="pip install 'onnx-n2n[torch]'"
        ) from failure
    return torch
