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


def of_proto(model: onnx.ModelProto, folder: Path) -> bytes | None:
    """Return a model whose large weights are written into a folder, once; None where it is better serialised whole.

    That is a small model, one with data in files already, and one that cannot be taken apart.
    """
    entries = sum(math.prod(tensor.dims) for tensor in model.graph.initializer)
    external = any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in tensors(model))
    if entries * 4 < LARGE or external:
        return None
    try:
        proto, lazy = skeleton(model)
        theirs, end = {tensor.name: tensor for tensor in model.graph.initializer}, 0
        if len(theirs) < len(model.graph.initializer):
            return None
        with (folder / _WEIGHTS).open("xb") as file:
            for slot, _ in lazy:  # their own way to read copies twice
                outline = wire.outline(theirs[slot.name])
                data = outline.tobytes()
                wire.check_length(outline, len(data))
                start = -(-end // _PAGE) * _PAGE
                file.seek(start)
                file.write(data)
                end = start + len(data)
                wire.locate(slot, _WEIGHTS, start, len(data))
        return bytes(proto.SerializeToString())
    except (ModelError, OSError):
        return None


def weight(model: ir.Model) -> int:
    """Return how many bytes the weights of a model have."""
    held = (value.const_value for value in model.graph.initializers.values())
    return sum(tensor.nbytes for tensor in held if tensor is not None and tensor.dtype != ir.DataType.STRING)
