"""The networks of ``architectures.py`` with drawn values, their checkpoints, and four exports of each."""

from __future__ import annotations

import functools
import io
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch

from helpers.architectures import ARCHITECTURES, TIED
from onnx_n2n.record.record import Record

# The torch.export exporter, with norms kept and as it is by default; the TorchScript exporter, the same two.
KEPT, FOLDED = ("kept", "script-kept"), ("default", "script-folded")
EXPORTS = ("kept", "default", "script-kept", "script-folded")


@functools.cache
def network(kind: str) -> Any:
    """Return a network with drawn values, in evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        net = ARCHITECTURES[kind].make().eval()
    with torch.no_grad():
        for name, tensor in net.state_dict().items():
            if tensor.is_floating_point() and name.endswith("running_var"):
                tensor.uniform_(0.5, 2, generator=generator)
            elif tensor.is_floating_point():
                tensor.add_(torch.randn(tensor.shape, generator=generator) * 0.2)
    return net


@functools.cache
def example(kind: str) -> Any:
    """Return an input."""
    generator, made = torch.Generator().manual_seed(1), ARCHITECTURES[kind]
    if made.tokens:
        return torch.randint(made.tokens, made.example, generator=generator)
    return torch.randn(made.example, generator=generator)


@functools.cache
def exported(folder: Path, kind: str) -> dict[str, Path]:
    """Export a network with drawn values, once."""
    return written(folder, kind, network(kind))


def written(folder: Path, kind: str, net: Any) -> dict[str, Path]:
    """Write a network to files in four ways, by way; the torch.export exporter runs once for both of its own."""
    arguments, paths = (example(kind),), {way: folder / f"{kind}-{way}.onnx" for way in EXPORTS}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(net, arguments, dynamo=True, optimize=False, verbose=False)
        program.save(str(paths["kept"]))
        program.optimize()  # which is what optimize=True does
        program.save(str(paths["default"]))
        for way, mode in (("script-kept", "PRESERVE"), ("script-folded", "EVAL")):
            training, buffer = getattr(torch.onnx.TrainingMode, mode), io.BytesIO()
            torch.onnx.export(
                net, arguments, buffer, dynamo=False, training=training, do_constant_folding=mode == "EVAL"
            )
            paths[way].write_bytes(buffer.getvalue())
    return paths


def state(kind: str) -> dict[str, np.ndarray]:
    """Return the checkpoint of a network; tied tensors share their memory."""
    return {name: tensor.numpy() for name, tensor in network(kind).state_dict().items()}


def tensors(kind: str) -> set[str]:
    """Return the names of what a network computes with: a count of batches is for training only."""
    return {name for name in state(kind) if not name.endswith("num_batches_tracked")}


def recovered(kind: str, module: Any) -> set[str]:
    """Return the tensors of a network that a module made of its export has, bit-equal, under their own names."""
    found, theirs = module.state_dict(), state(kind)
    names = {name: TIED.get(kind, {}).get(name, name) for name in tensors(kind)}
    return {name for name, at in names.items() if at in found and np.array_equal(found[at].numpy(), theirs[name])}


def known(kind: str, record: Record) -> set[str]:
    """Return the tensors of a network that a record knows."""
    entries = [origin for found in record.origins.values() for origin in found]
    return {name for origin in entries for name in (*origin.names, origin.tied)} & tensors(kind)
