"""How to grow what is in a file of ``torch.save``: as the caller says, and with the framework's own tensors."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path as FilePath
from typing import Any

import numpy as np

from onnx_n2n.checkpoint.document import Path, dotted
from onnx_n2n.checkpoint.growth import Grown
from onnx_n2n.checkpoint.making import Arrays
from onnx_n2n.errors import GrowthError
from onnx_n2n.record.record import Record


@dataclass(frozen=True)
class Tensors:
    """How a framework's tensors are known, and made arrays and tensors again, like another one if there is one."""

    known: Callable[[Any], bool]
    to_numpy: Callable[[Any, str], np.ndarray]
    to_torch: Callable[[np.ndarray, Any], Any]

    def arrays(self, tensors: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return tensors as arrays; those that are one in the file are one.

        Raises:
            GrowthError: One is sparse or quantised.
            ModelError: One has no numbers.
        """
        if scattered := [name for name, tensor in tensors.items() if tensor.is_sparse or tensor.is_quantized]:
            raise GrowthError(f"{scattered[0]!r} is no plain tensor, but a sparse or quantised one, which cannot grow")
        seen: dict[Any, np.ndarray] = {}
        found = {}
        for name, tensor in tensors.items():
            key = (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype) if tensor.numel() else name
            if key not in seen:
                seen[key] = self.to_numpy(tensor, name)
            found[name] = seen[key]
        return found


@dataclass(frozen=True)
class Growing:
    """How to grow what is in a file.

    Attributes:
        record: What became of the weights.
        grow: Grows the parameters of the network, by name; some, by globs, stay as they are. The last argument says
            whether the values are the network's, so that what it computes can be proven.
        again: Grows other values of the same parameters.
        optimizer: Whether optimizers grow.
        keep: Globs of what stays as it is.
        orders: Files with the names of parameters in the order of optimizers.
        verify: Whether to prove that moments are what they should be.
    """

    record: Record
    grow: Callable[[Arrays, Sequence[str], bool], Grown]
    again: Callable[[Grown, Arrays], Grown]
    optimizer: bool = False
    keep: Sequence[str] = ()
    orders: Sequence[FilePath] = ()
    verify: bool = True

    def keeps(self, path: Path) -> bool:
        """Say whether what is at a path stays as it is since the user says so."""
        return any(fnmatchcase(dotted(path), glob) for glob in self.keep)
