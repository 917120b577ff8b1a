"""The index of a checkpoint in several files, as Hugging Face has it: which tensor is in which file.

``{"metadata": {"total_size": 17}, "weight_map": {"fc.weight": "model-00001-of-00002.safetensors", ...}}``
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from onnx_n2n.errors import ModelError
from onnx_n2n.io.lazy import Spec
from onnx_n2n.io.sources import Source
from onnx_n2n.io.tensorfile import parse, shown
from onnx_n2n.words import count

ENDING = ".index.json"
LONGEST = 100_000_000  # bytes, as of the header that such a file stands for
PLAIN = re.compile(r"[^/\\\0:]+\.(safetensors|bin|pt|pth)")


@dataclass(frozen=True)
class Index:
    """Which tensor is in which file.

    Attributes:
        source: The file that says so.
        document: All that it says.
    """

    source: Source
    document: Mapping[str, Any]

    @classmethod
    def read(cls, source: Source) -> Index:
        """Read an index.

        Raises:
            ModelError: It is none, or names files that are not beside it.
        """
        if source.size > LONGEST:
            raise ModelError(f"{source.name} has {source.size} bytes, too many for an index")
        try:
            document = parse(source.read().tobytes().decode())
        except ValueError as failure:
            raise ModelError(f"{source.name} cannot be read: {failure}") from failure
        files = document.get("weight_map") if isinstance(document, dict) else None
        if not isinstance(files, dict) or not files:
            raise ModelError(
                f"{source.name} is not the index of a checkpoint: it has no weight_map from tensors to files"
            )
        for name, file in files.items():
            if not isinstance(file, str) or not PLAIN.fullmatch(file):
                raise ModelError(
                    f"{source.name} says that {shown(name)} is in {shown(file)}, which is not a file beside it",
                    hint="an index names .safetensors or .bin files in its own folder",
                )
        endings = {file.rpartition(".")[2] for file in files.values()}
        if len(endings) > 1:
            raise ModelError(f"{source.name} names files of several formats: {', '.join(sorted(endings))}")
        if not isinstance(document.get("metadata", {}), dict):
            raise ModelError(f"the metadata in {source.name} is not a JSON object")
        return cls(source, document)

    @property
    def files(self) -> tuple[str, ...]:
        """The names of the files, sorted."""
        return tuple(sorted(set(self.weight_map.values())))

    @property
    def weight_map(self) -> Mapping[str, str]:
        """The file of each tensor."""
        found: Mapping[str, str] = self.document["weight_map"]
        return found

    def check(self, found: Mapping[str, Mapping[str, object]]) -> None:
        """Make sure that the files, by name, have the tensors that the index says they have.

        Raises:
            ModelError: They have others.
        """
        for name, file in self.weight_map.items():
            if name not in found[file]:
                reason = f"{self.source.name} says that tensor {shown(name)} is in {file!r}, and it is not there"
                raise ModelError(reason, hint="the index and its files must be of one checkpoint")
        for file, names in found.items():
            if more := [name for name in names if self.weight_map.get(name) != file]:
                raise ModelError(
                    f"{file!r} has {count(len(more), 'tensor')} that {self.source.name} does not list for it: "
                    + ", ".join(map(shown, more[:8])),
                    hint="the index and its files must be of one checkpoint",
                )

    def updated(self, files: Mapping[str, str], before: Mapping[str, Spec], after: Mapping[str, Spec]) -> bytes:
        """Return the index of what has grown; the arguments are those of :func:`updated`."""
        return updated(self.document, files, before, after)


def updated(
    document: Mapping[str, Any], files: Mapping[str, str], before: Mapping[str, Spec], after: Mapping[str, Spec]
) -> bytes:
    """Return the index of what has grown.

    Args:
        document: What the index says of before.
        files: The file of each tensor.
        before: Shapes and types of the tensors that there were.
        after: Those of the tensors that there are.
    """
    metadata = dict(document.get("metadata", {}))
    if "total_size" in metadata:
        metadata["total_size"] = sum(spec.nbytes for spec in after.values())
    if isinstance(parameters := metadata.get("total_parameters"), int):  # tied ones are counted once there
        metadata["total_parameters"] = parameters + _count(after) - _count(before)
    document = {**document, "metadata": metadata, "weight_map": dict(files)}
    return f"{json.dumps(document, indent=2, sort_keys=True)}\n".encode()


def _count(specs: Mapping[str, Spec]) -> int:
    return sum(spec.nbytes // spec.dtype.itemsize for spec in specs.values())
