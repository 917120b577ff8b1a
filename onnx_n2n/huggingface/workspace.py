"""The weight files of a Hugging Face folder as external data: under plain names, in one folder, and never copied.

The hub's cache has links in a model's folder, and what they lead to elsewhere. ONNX Runtime and our own reader follow
no link out of a folder. So the files get second names (hard links) in a hidden folder, which vanishes in the end.

Both accept files with second names; onnx and ``onnx_ir.ExternalTensor`` refuse these too. So a tensor is read by us.
"""

from __future__ import annotations

import contextlib
import os
import posixpath
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
import onnx_ir as ir

from onnx_n2n.errors import ModelError, OptionError
from onnx_n2n.huggingface.folder import Folder, Stored
from onnx_n2n.io.atomic import unwritten
from onnx_n2n.io.carried import Files, carried, carry
from onnx_n2n.io.messages import tensors
from onnx_n2n.io.outgoing import to_sketch
from onnx_n2n.io.rooms import room
from onnx_n2n.io.space import suffices
from onnx_n2n.io.stand_ins import Kept
from onnx_n2n.io.tensorfile import DTYPES
from onnx_n2n.io.wire import LARGE, fill, locate, outline, write_tensor


@dataclass(frozen=True)
class Workspace:
    """A folder of ours in which the weight files of a model are, and no links.

    Attributes:
        folder: The model.
        path: The folder.
        inside: The path in it of the folder that has the weight files, if another one has them.
    """

    folder: Folder
    path: Path
    inside: str = ""

    def tensor(self, stored: Stored, name: str = "") -> ir.TensorProtocol:
        """Return a tensor as external data of this folder: nothing of it is read before somebody asks for numbers.

        In a message (:func:`onnx_n2n.io.outgoing.to_proto`) it says where it is in the folder.

        Args:
            stored: The tensor.
            name: What it is called in a graph; its key if not given.
        """
        kind = ir.DataType.from_numpy(DTYPES[stored.dtype])
        slot = onnx.TensorProto(name=name or stored.key, data_type=kind.value, dims=stored.shape)
        locate(slot, posixpath.join(self.inside, stored.file.name), stored.offset, stored.length)
        return Kept(lambda: ir.Tensor(self.folder.array(stored.key), kind), outline(slot), slot)

    def carry(self, model: ir.Model) -> None:
        """Let a model know that its weights are in files of the folder, which must stay what they are."""
        read = tuple(self.folder.sources[name] for name in self.folder.shards)
        carry(model.graph, replace(carried(model), files=Files(read, external=True)))


@contextmanager
def workspace(folder: Folder, near: Path | None = None) -> Iterator[Workspace]:
    """Lend a folder with the weight files of a model; nothing is written into the model's own, and nothing copied.

    Args:
        folder: The model.
        near: A folder on whose disk the weight files may be, as that in which the student will be. It is tried first,
            and then the one for temporary files.

    Raises:
        ModelError: The files can get no second names in either.
    """
    files = {name: Path(os.path.realpath(folder.sources[name].path)) for name in folder.shards}
    parents = list(dict.fromkeys((*(() if near is None else (near,)), Path(tempfile.gettempdir()))))
    with contextlib.ExitStack() as stack:
        for parent in parents:
            if (inside := _linked(files, parent, stack)) is not None:
                yield Workspace(folder, inside)
                return
    raise ModelError(
        f"the weight files of {str(folder.path)!r} cannot get second names, which their graph needs, in "
        f"{' or '.join(repr(str(parent)) for parent in parents)}",
        hint="set TMPDIR to a folder of yours on the same disk",
    )


def save(model: ir.Model, path: Path) -> None:
    """Write a graph into a workspace of ours: weights that are in files there stay in these, and none is copied.

    Weights that are in no file, as those that a class makes of several tensors, go into one of their own, one by one.

    Args:
        model: The graph; what of it is in files is in files of the workspace.
        path: Where to write, in the workspace; what is there is replaced.

    Raises:
        ModelError: The disk does not take it.
    """
    sketch = to_sketch(model)
    top = len(sketch.proto.graph.initializer)  # they come first
    large: list[tuple[onnx.TensorProto, ir.TensorProtocol]] = []
    for position, slot in enumerate(tensors(sketch.proto)):
        tensor = sketch.tensor(slot)
        if isinstance(tensor, Kept) and isinstance(tensor.origin, onnx.TensorProto):
            del slot.external_data[:]
            slot.external_data.extend(tensor.origin.external_data)
        elif position < top and tensor.nbytes > LARGE:
            large.append((slot, tensor))
        else:
            fill(slot, tensor)
    data = path.with_name(f"{path.name}.data")
    data.unlink(missing_ok=True)
    suffices(path, path.parent, sum(tensor.nbytes for _, tensor in large))
    try:
        with data.open("xb") as file:
            for slot, tensor in large:
                start = file.tell()
                write_tensor(file, tensor)
                locate(slot, data.name, start, tensor.nbytes)
        path.write_bytes(sketch.proto.SerializeToString())
    except OSError as failure:
        raise unwritten(path, failure) from failure


def _linked(files: Mapping[str, Path], parent: Path, stack: contextlib.ExitStack) -> Path | None:
    """Return a new hidden folder with second names of files, as long as the stack lasts; None if that cannot be."""
    with contextlib.ExitStack() as trial, contextlib.suppress(OSError, OptionError):
        inside = trial.enter_context(room(parent))
        for name, file in files.items():
            os.link(file, inside / name)
        stack.push(trial.pop_all())
        return inside
    return None
