"""Checkpoints that ``torch.save`` wrote, opened without running anything that is in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from onnx_n2n.checkpoint import Arrays, Grown
from onnx_n2n.errors import GrowthError, ModelError, N2NError
from onnx_n2n.optimizer import grown_groups, grown_moments, names_in
from onnx_n2n.ties import shared

WRAPPERS = ("state_dict", "model_state_dict", "model", "module")  # where a training loop keeps the parameters
OPTIMIZERS = ("optimizer_state_dict", "optimizer", "optim")


def grown(
    growing: Callable[[Arrays], Grown], source: Path, *, optimizer: bool
) -> tuple[Grown, Callable[[Path], object]]:
    """Grow a file, perhaps with the optimizer in it, and return how to write what it became."""
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
    found = growing(arrays)
    old_names = {now: old for old, now in found.renamed.items()}
    grown: dict[str, Any] = {name: each for name, each in tensors.items() if name not in arrays}
    for name, array in found.arrays.items():
        like = found.untied.get(name, found.added.get(name, old_names.get(name, name)))
        like = old_names.get(like, like)
        grown[name] = _to_torch(torch, array, tensors[like]) if like in tensors else torch.from_numpy(np.array(array))
    document = grown if place is None else {**loaded, place: grown}
    if optimizer:
        key = next((key for key in OPTIMIZERS if isinstance(loaded.get(key), Mapping)), None)
        if key is None:
            raise GrowthError(f"there is no optimizer in {str(source)!r}", hint=f"save it under {OPTIMIZERS[0]!r}")
        document = {**document, key: _grow_optimizer(torch, found, loaded[key], arrays)}
    return found, lambda path: torch.save(document, path)


def _grow_optimizer(torch: Any, found: Grown, state: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Grow the state that PyTorch's optimizers save, where parameters are numbers in the order of their groups."""
    twice = shared(arrays)
    names = names_in(state["param_groups"], [name for name in arrays if name not in twice])
    old = {names[number]: moments for number, moments in state["state"].items()}
    plain = {
        name: {kind: _to_numpy(torch, each) if torch.is_tensor(each) else each for kind, each in moments.items()}
        for name, moments in old.items()
    }
    grown = {
        name: {
            kind: _to_torch(torch, each, old[was][kind]) if torch.is_tensor(old[was][kind]) else each
            for kind, each in moments.items()
        }
        for name, (was, moments) in grown_moments(found, plain).items()
    }
    groups = [[names[number] for number in group["params"]] for group in state["param_groups"]]
    numbers: dict[str, int] = {}
    after = []
    for group, members in zip(state["param_groups"], grown_groups(found, groups), strict=True):
        for name in members:
            numbers[name] = len(numbers)
        named = {"param_names": members} if "param_names" in group else {}
        after.append({**group, **named, "params": [numbers[name] for name in members]})
    return {**state, "state": {numbers[name]: moments for name, moments in grown.items()}, "param_groups": after}


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
