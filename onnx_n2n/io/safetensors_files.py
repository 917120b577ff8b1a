"""Files of safetensors, read and written one tensor at a time."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from onnx_n2n.errors import ModelError
from onnx_n2n.io import tensorfile
from onnx_n2n.io.lazy import Lazy
from onnx_n2n.io.sources import Source


def opened(source: Source) -> tuple[Lazy, Mapping[str, str]]:
    """Return the tensors in a file, and its metadata.

    Raises:
        ModelError: It cannot be read.
    """
    try:
        return tensorfile.read(source)
    except ValueError as failure:
        raise ModelError(f"{source.name} cannot be read: {failure}") from failure


def write(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write a file.

    Raises:
        ModelError: The format has no such type.
    """
    try:
        with path.open("wb") as file:
            tensorfile.write(file, arrays, metadata)
    except ValueError as failure:
        raise ModelError(f"the checkpoint cannot be written: {failure}") from failure
