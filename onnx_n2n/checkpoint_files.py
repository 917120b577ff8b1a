"""Checkpoints in files: safetensors, and what ``torch.save`` writes, opened without running anything that is in it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n import tensorfile
from onnx_n2n.checkpoint import Arrays, Grown, grow, shared
from onnx_n2n.errors import GrowthError, ModelError, N2NError
from onnx_n2n.io.atomic import drafting, unwritten
from onnx_n2n.io.sources import Source
from onnx_n2n.optimizer import grown_groups, grown_moments, names_in
from onnx_n2n.record import Record

WRAPPERS = ("state_dict", "model_state_dict", "model", "module")  # where a training loop keeps the parameters
OPTIMIZERS = ("optimizer_state_dict", "optimizer", "optim")


Growing = Callable[[Arrays], Grown]
Write = Callable[[Path], object]


def grow_file(
    record: Record,
    source: Path,
    target: Path,
    *,
    force: bool = False,
    read: Iterable[Source] = (),
    optimizer: bool = False,
    keep: Sequence[str] = (),
    given: Mapping[str, str] | None = None,
    teacher: ir.Model | None = None,
    student: ir.Model | None = None,
    prove: Callable[[Grown, Arrays], None] = lambda *_: None,
) -> Grown:
    """Grow the checkpoint in a file, and write it to another, in the same format and with all else that is in it.

    Args:
        record: What became of the weights.
        source: A ``.safetensors`` file, or one of ``torch.save`` with a dictionary of tensors, perhaps as an entry.
        target: Where to write.
        force: Whether to replace a file that is there.
        read: Other files that are read on the way, and are never written.
        optimizer: Whether to grow the optimizer's state too, which must be in the file.
        keep: See :func:`onnx_n2n.checkpoint.grow`, as for what follows.
        given: Parameters by weight.
        teacher: The model that was exported from this checkpoint.
        student: The model that has grown.
        prove: Is given what has grown and what was there before anything is written.

    Raises:
        ModelError: The file cannot be read.
        OptionError: Nothing can be written at the target.
        GrowthError: It does not fit the record, or has no optimizer, or one that cannot grow.
        N2NError: PyTorch is not installed, and the file needs it.
    """
    checkpoint = Source.of(source, f"the checkpoint {str(source)!r}")

    def growing(arrays: Arrays) -> Grown:
        found = grow(record, arrays, keep, given=given, teacher=teacher, student=student)
        prove(found, arrays)
        return found

    with drafting(target, force=force, read=(checkpoint, *read)) as draft:
        if source.suffix == ".safetensors":
            if optimizer:
                hint = "pass the checkpoint that torch.save wrote"
                raise GrowthError("a safetensors file holds no optimizer", hint=hint)
            found, write = _grown_safetensors(growing, checkpoint)
        else:
            found, write = _grown_torch(growing, source, optimizer=optimizer)
        try:
            write(draft.path)
        except (OSError, RuntimeError) as failure:  # PyTorch raises the latter where the disk is full
            raise unwritten(target, failure) from failure
        draft.publish()
    return found


def _grown_safetensors(growing: Growing, source: Source) -> tuple[Grown, Write]:
    try:
        arrays, metadata = tensorfile.read(source)
    except ValueError as failure:
        raise ModelError(f"{source.name} cannot be read: {failure}") from failure
    found = growing(arrays)
    whole = tensorfile.to_bytes(found.arrays, metadata)
    return found, lambda path: path.write_bytes(whole)


def _grown_torch(growing: Growing, source: Path, *, optimizer: bool) -> tuple[Grown, Write]:
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
