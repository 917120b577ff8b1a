"""Models whose large weights stay in files, from which ONNX Runtime maps them: it parses none, and copies none.

A tensor in an ONNX file is a row of bytes like one in a data file of its own. So the graph can be handed over without
its weights, and says of each where in the same file it is. A session opens in no time then, and takes the memory of
what a run makes.
"""

from __future__ import annotations

import math
from pathlib import Path

import onnx
import onnx_ir as ir

from onnx_n2n.errors import ModelError
from onnx_n2n.io import wire
from onnx_n2n.io.incoming import skeleton
from onnx_n2n.io.messages import tensors
from onnx_n2n.io.sources import Pages, Source

LARGE = 1 << 24  # bytes of weights below which a model is handed over as it is
_PAGE = 4096  # where a tensor may begin to be mapped at once
_WEIGHTS = "weights"
WIDENING = frozenset({"Cast", "DequantizeLinear"})  # what makes larger numbers of weights


def of_file(path: Path) -> bytes | None:
    """Return what a file holds, with its large weights left in it; None where it is better opened as it is.

    That is a small file, one that cannot be read so (who opens it says why), and a link, since ONNX Runtime follows
    none out of the folder.
    """
    try:
        source = Source.of(path)
        if source.size < LARGE or path.is_symlink():
            return None
        proto, places = wire.skim(Pages(source))
        for position, (start, length) in places.items():
            wire.check_length(wire.outline(proto.graph.initializer[position]), length)
            wire.locate(proto.graph.initializer[position], path.name, start, length)
        return bytes(proto.SerializeToString())
    except (ModelError, ValueError):
        return None


class Apart:
    """A file in a folder that takes the large weights of a model, one after the other."""

    def __init__(self, folder: Path) -> None:
        """Begin no file yet.

        Args:
            folder: Where it will be.
        """
        self.folder, self._end = folder, 0
        self._places: dict[str, tuple[int, int]] = {}
        self._failure: OSError | None = None

    def __contains__(self, name: object) -> bool:
        return name in self._places

    def add(self, name: str, data: bytes) -> None:
        """Write a weight, by its name; once the disk does not take one, whoever wants to locate it learns that."""
        path, start = self.folder / _WEIGHTS, -(-self._end // _PAGE) * _PAGE
        try:
            with path.open("r+b" if self._places else "xb") as file:
                file.seek(start)
                file.write(data)
        except OSError as failure:
            self._failure = failure
        self._places[name], self._end = (start, len(data)), start + len(data)

    def locate(self, slot: onnx.TensorProto) -> None:
        """Make a tensor say where its weight is.

        Raises:
            OSError: The disk has not taken all weights.
        """
        if self._failure is not None:
            raise self._failure
        wire.locate(slot, _WEIGHTS, *self._places[slot.name])


def of_proto(model: onnx.ModelProto, apart: Apart) -> bytes | None:
    """Return a model without its large weights, once all of them are apart; None where it is better serialised whole.

    That is a small model, one with data in files already, and one that cannot be taken apart.
    """
    entries = sum(math.prod(tensor.dims) for tensor in model.graph.initializer)
    external = any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors(model))
    if entries * 4 < LARGE or external:
        return None
    try:
        proto, lazy = skeleton(model)
        theirs = {tensor.name: tensor for tensor in model.graph.initializer}
        if len(theirs) < len(model.graph.initializer):
            return None
        for slot, _ in lazy:
            if slot.name not in apart:
                outline = wire.outline(theirs[slot.name])
                data = outline.tobytes()
                wire.check_length(outline, len(data))
                apart.add(slot.name, data)
            apart.locate(slot)
        return bytes(proto.SerializeToString())
    except (ModelError, OSError):
        return None


def weight(model: ir.Model) -> int:
    """Return how many bytes the weights of a model have."""
    held = (value.const_value for value in model.graph.initializers.values())
    return sum(tensor.nbytes for tensor in held if tensor is not None and tensor.dtype != ir.DataType.STRING)


def loaded(model: ir.Model) -> int:
    """Return how many bytes weights take in a run: ONNX Runtime casts all of them at first, mostly to float32."""
    casts = (node.inputs[0] for node in model.graph if node.op_type in WIDENING and node.inputs)
    held = (value.const_value for value in casts if value is not None)
    return weight(model) + sum(4 * tensor.size for tensor in held if tensor is not None)
