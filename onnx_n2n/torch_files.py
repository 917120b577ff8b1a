"""Checkpoints that ``torch.save`` wrote, opened without running anything that is in them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from onnx_n2n.checkpoint import Grown
from onnx_n2n.errors import GrowthError, ModelError
from onnx_n2n.io.sources import Source
from onnx_n2n.making import Arrays
from onnx_n2n.optimizer import grown_groups, grown_moments, names_in
from onnx_n2n.ties import shared
from onnx_n2n.torch_arrays import to_numpy, to_torch
from onnx_n2n.torch_reading import installed, load

WRAPPERS = ("state_dict", "model_state_dict", "model", "module")  # where a training loop keeps the parameters
OPTIMIZERS = ("optimizer_state_dict", "optimizer", "optim")


def grown(
    growing: Callable[[Arrays], Grown], source: Source, *, optimizer: bool
) -> tuple[Grown, Callable[[Path], object]]:
    """Grow a file, perhaps with the optimizer in it, and return how to write what it became."""
    torch = installed()
    loaded = load(source)
    if not isinstance(loaded, Mapping):
        raise ModelError(f"{source.name} holds no dictionary", hint="save model.state_dict()")
    place = next((key for key in WRAPPERS if isinstance(loaded.get(key), Mapping)), None)
    tensors = loaded if place is None else loaded[place]
    arrays = {name: to_numpy(tensor, name) for name, tensor in tensors.items() if torch.is_tensor(tensor)}
    found = growing(arrays)
    old_names = {now: old for old, now in found.renamed.items()}
    grown: dict[str, Any] = {name: each for name, each in tensors.items() if name not in arrays}
    for name, array in found.arrays.items():
        like = found.untied.get(name, found.added.get(name, old_names.get(name, name)))
        like = old_names.get(like, like)
        grown[name] = to_torch(array).to(tensors[like].dtype) if like in tensors else to_torch(array)
    document = grown if place is None else {**loaded, place: grown}
    if optimizer:
        key = next((key for key in OPTIMIZERS if isinstance(loaded.get(key), Mapping)), None)
        if key is None:
            raise GrowthError(f"there is no optimizer in {source.name}", hint=f"save it under {OPTIMIZERS[0]!r}")
        document = {**document, key: _grow_optimizer(torch, found, loaded[key], arrays)}
    return found, lambda path: torch.save(document, path)


def _grow_optimizer(torch: Any, found: Grown, state: Mapping[str, Any], arrays: Arrays) -> dict[str, Any]:
    """Grow the state that PyTorch's optimizers save, where parameters are numbers in the order of their groups."""
    twice = shared(arrays)
    names = names_in(state["param_groups"], [name for name in arrays if name not in twice])
    old = {names[number]: moments for number, moments in state["state"].items()}
    plain = {
        name: {kind: to_numpy(each, name) if torch.is_tensor(each) else each for kind, each in moments.items()}
        for name, moments in old.items()
    }
    grown = {
        name: {
            kind: to_torch(each).to(old[was][kind].dtype) if torch.is_tensor(old[was][kind]) else each
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
