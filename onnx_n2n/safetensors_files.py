"""Checkpoints in files of safetensors."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from onnx_n2n import tensorfile
from onnx_n2n.checkpoint import Arrays, Grown
from onnx_n2n.errors import ModelError
from onnx_n2n.io.sources import Source


def grown(growing: Callable[[Arrays], Grown], source: Source) -> tuple[Grown, Callable[[Path], object]]:
    """Grow a file, and return how to write what it became."""
    try:
        arrays, metadata = tensorfile.read(source)
    except ValueError as failure:
        raise ModelError(f"{source.name} cannot be read: {failure}") from failure
    found = growing(arrays)
    whole = tensorfile.to_bytes(found.arrays, metadata)
    return found, lambda path: path.write_bytes(whole)
