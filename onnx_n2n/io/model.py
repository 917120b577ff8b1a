"""Models in and out, as whatever the caller has; ``kinds.py`` says what that may be.

Inside, a model is always an ``onnx_ir.Model``. The student is the teacher except where growth requires otherwise, so
all that a caller's model says comes back with the student, also what the IR has no room for (see ``carried.py``).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

import onnx
import onnx_graphsurgeon as gs
import onnx_ir as ir
from onnx_graphsurgeon.ir.tensor import LazyValues
from onnx_graphsurgeon.logger import G_LOGGER

from onnx_n2n.errors import told
from onnx_n2n.io import files
from onnx_n2n.io.incoming import private, skeleton
from onnx_n2n.io.kinds import ModelLike as ModelLike
from onnx_n2n.io.kinds import Plain, plain
from onnx_n2n.io.messages import replace
from onnx_n2n.io.outgoing import to_bytes, to_proto
from onnx_n2n.options import taken

M = TypeVar("M")


@dataclass(frozen=True)
class Loan(Generic[M]):
    """A caller's model while this library has it.

    Attributes:
        model: A private working copy: no change to its nodes, values, attributes, initializers or metadata shows in
            the caller's model. The values of the tensors are shared with the caller's, and read when they are needed,
            so the caller's model must not change before the student is out.
        give_back: Turns a student, which is ``model`` or a clone of it after growth, into the kind of model that the
            caller gave. For a path that is an ``ir.Model``. Raises ModelError if the student is not valid.
    """

    model: ir.Model
    give_back: Callable[[ir.Model], M]


@overload
def open_model(model: str | os.PathLike[str] | ir.Model) -> Loan[ir.Model]: ...
@overload
def open_model(model: onnx.ModelProto) -> Loan[onnx.ModelProto]: ...
@overload
def open_model(model: ModelLike) -> Loan[Any]: ...
def open_model(model: ModelLike) -> Loan[Any]:
    """Take a model from a caller, whatever holds it.

    External weights of a ``ModelProto`` or ``gs.Graph`` are looked for in the working directory, because neither says
    which file it came from. Bytes and file objects have none.

    Raises:
        ModelError: The model cannot be read, or not represented.
        OptionError: It is no model at all.
    """
    given = plain(model)
    loan = _opened(given.model)
    return Loan(loan.model, lambda student: given.back(loan.give_back(student)))


def _opened(model: Plain) -> Loan[Any]:
    if isinstance(model, (str, os.PathLike)):
        return Loan(load(model), lambda student: student)
    if isinstance(model, ir.Model):
        return Loan(private(model), lambda student: student)
    if isinstance(model, bytes):
        return Loan(files.from_bytes(model), to_bytes)
    if isinstance(model, onnx.ModelProto):
        return Loan(files.from_proto(*skeleton(model), Path()), to_proto)
    return Loan(files.from_proto(_export(model), [], Path()), lambda student: _import(to_proto(student), model))


@taken("path")
def load(path: str | os.PathLike[str]) -> ir.Model:
    """Read an ONNX file. Its large weights stay on disk until somebody asks for their values.

    >>> onnx_n2n.load("model.onnx").graph.inputs[0].name
    'x'

    If the file, or one with external data, is not what it was by then, reading them raises a ModelError.

    Args:
        path: A binary ONNX file, or a folder with a ``model.onnx``. Its external data files must be in the same
            folder, or below.

    Raises:
        ModelError: The file is missing, unreadable, empty, cut short or not ONNX, or the IR cannot represent the
            model. Or a file with external data is missing, too short, or outside of the model's folder.
    """
    return files.read(path)


@taken("path", "force")
def save(model: ModelLike, path: str | os.PathLike[str], *, force: bool = False) -> None:
    """Write a model to a file, all of it or nothing. The same model gives the same bytes.

    >>> onnx_n2n.save(onnx.load("model.onnx"), "copy.onnx")

    Weights are written one after the other, into the file itself. They go into ``<path>.<digest>.data`` instead if the
    teacher had external weights, or if one file would be too large for protobuf; ``<digest>`` tells the data of one
    model from that of the next. The model takes its place when all of its data has, and at once.

    Args:
        model: Stays as it is.
        path: Where to write; ``-`` is stdout, for a single file.
        force: Whether to replace a file that is there, and the data file that was written with it. The files that the
            model was read from are never replaced, and neither are links, pipes, devices and folders.

    Raises:
        OptionError: The folder does not exist or is not writable, or there is something that may not be replaced.
        ModelError: The model is not valid, a tensor cannot be read, or the disk does not take the file.
    """
    files.write(model if isinstance(model, ir.Model) else open_model(model).model, path, force=force)


@contextmanager
def _graphsurgeon(failure: str) -> Iterator[None]:
    """Keep graphsurgeon from printing, and say in one sentence what went wrong in it."""
    with G_LOGGER.suppress(G_LOGGER.CRITICAL + 1), told(failure):
        yield


@_graphsurgeon("graphsurgeon cannot export the graph")
def _export(graph: gs.Graph) -> onnx.ModelProto:
    """Turn a caller's graph into a proto, and undo what the exporter does to the graph itself."""
    roots = [graph, *graph.functions]
    domains = [(root, root.import_domains, len(root.import_domains or ())) for root in roots]
    blocks = [block for root in roots for block in (root, *root.subgraphs(recursive=True))]
    constants = [tensor for block in blocks for tensor in block.tensors().values() if isinstance(tensor, gs.Constant)]
    lazy = [values.tensor for values in (constant._values for constant in constants) if type(values) is LazyValues]
    names = [tensor.name for tensor in lazy]
    try:
        proto = gs.export_onnx(graph)
    finally:
        for tensor, name in zip(lazy, names, strict=True):
            tensor.name = name
        for root, imports, length in domains:
            root.import_domains = imports
            if imports is not None:
                del imports[length:]
    _drop_captured(proto.graph, frozenset())
    assert isinstance(proto, onnx.ModelProto)
    return proto


def _drop_captured(graph: onnx.GraphProto, outer: frozenset[str]) -> None:
    """Remove the copies of outer initializers that the exporter puts into the branches that use them."""
    replace(graph.initializer, [tensor for tensor in graph.initializer if tensor.name not in outer])
    outer = outer.union(tensor.name for tensor in graph.initializer)
    for attribute in (attribute for node in graph.node for attribute in node.attribute):
        if attribute.HasField("g"):
            _drop_captured(attribute.g, outer)


@_graphsurgeon("graphsurgeon cannot import the student")
def _import(student: onnx.ModelProto, teacher: gs.Graph) -> gs.Graph:
    """Turn a student into a graph that has every attribute, also of its nodes and tensors, that the caller's has."""
    graph = gs.import_onnx(student)
    functions = {function.unique_id: function for function in teacher.functions}
    for function in graph.functions:
        if function.unique_id in functions:
            _put_back(functions[function.unique_id], function)
    _put_back(teacher, graph)
    return graph


def _put_back(old: gs.Graph, new: gs.Graph) -> None:
    _put_attributes_back(old, new)
    new.name_idx = old.name_idx
    tensors = old.tensors()
    for name, tensor in new.tensors().items():
        if name in tensors:
            _put_attributes_back(tensors[name], tensor)
    nodes = {node.outputs[0].name: node for node in old.nodes if node.outputs}
    for node in new.nodes:
        teachers = nodes.get(node.outputs[0].name) if node.outputs else None
        if teachers is not None:
            _put_attributes_back(teachers, node)
            for key, value in node.attrs.items():
                if isinstance(value, gs.Graph) and isinstance(teachers.attrs.get(key), gs.Graph):
                    _put_back(teachers.attrs[key], value)


def _put_attributes_back(old: object, new: object) -> None:
    if type(old) is type(new):
        vars(new).update({key: value for key, value in vars(old).items() if key not in vars(new)})
