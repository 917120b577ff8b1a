"""The graph of a folder: what its class computes, with weights that stay in the folder's files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from contextlib import contextmanager
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.huggingface import writing
from onnx_n2n.huggingface.folder import Folder, opened
from onnx_n2n.huggingface.keys import Read
from onnx_n2n.huggingface.linked import keys_read, model_of
from onnx_n2n.huggingface.network import Network, built, class_of
from onnx_n2n.huggingface.output import Output
from onnx_n2n.huggingface.tracing import examples
from onnx_n2n.huggingface.workspace import Workspace, save, workspace
from onnx_n2n.io.folders import named
from onnx_n2n.io.model import load

FILE = "teacher.onnx"


@dataclass(frozen=True, eq=False)
class Teacher:
    """A folder whose graph is known.

    Attributes:
        folder: The folder.
        network: Its class, without weights.
        found: How the class reads its tensors.
        place: Where its weights are as external data.
        analysis: What may grow in its graph.
        inputs: Shapes of an example.
    """

    folder: Folder
    network: Network
    found: Read
    place: Workspace
    analysis: Analysis
    inputs: Mapping[str, tuple[int, ...]]

    @property
    def path(self) -> Path:
        """The file of its graph."""
        return self.place.path / FILE

    @property
    def shown(self) -> Set[str]:
        """The names of the tensors on which an output of the graph depends."""
        return {str(name) for name in self.analysis.model.graph.initializers}

    @classmethod
    def read(cls, folder: Folder, place: Workspace, *, trust_remote_code: bool = False) -> Teacher:
        """Trace a folder's class.

        Raises:
            ModelError: It does not export, or the folder is not what it needs.
        """
        network = built(class_of(folder.config, folder.path if trust_remote_code else None), folder.config)
        found = keys_read(network, folder)
        save(model_of(folder, network, found, place), place.path / FILE)
        return cls(folder, network, found, place, analyze(load(place.path / FILE)), examples(network.module)[0])


@contextmanager
def taught(
    folder: str | PathLike[str], output: Output | None = None, *, trust_remote_code: bool = False
) -> Iterator[Teacher]:
    """Lend the graph of a folder, as long as its weights are lent as external data.

    Args:
        folder: The folder.
        output: Where a new one is to be written, if one is.
        trust_remote_code: Whether to run code that the config names for the class.

    Raises:
        ModelError: It is no model, or its class does not export, or cannot read it.
        OptionError: Nothing can be written there.
    """
    old, near = opened(folder), None
    if output is not None:
        writing.check_output(old, output.path, force=output.force)
        near = named(Path(output.path)).parent
        output.progress("tracing the class")
    with workspace(old, near) as place:
        yield Teacher.read(old, place, trust_remote_code=trust_remote_code)


def canonical(network: Network) -> dict[str, tuple[int, ...]]:
    """Return the shapes of a network's tensors by the first of their names."""
    return {network.one.get(name, name): shape for name, shape in network.shapes.items()}


def weights_of(model: ir.Model) -> dict[str, ir.TensorProtocol]:
    """Return the weights of a graph, by name."""
    found = {str(name): value.const_value for name, value in model.graph.initializers.items()}
    return {name: tensor for name, tensor in found.items() if tensor is not None}
