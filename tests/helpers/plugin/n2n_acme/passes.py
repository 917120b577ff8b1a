"""A pass that adds trainable gains."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import onnx_ir as ir

from onnx_n2n.depth.splice import Splice
from onnx_n2n.graph.names import Names
from onnx_n2n.passes.base import Selective
from onnx_n2n.passes.leaving_out import Part, touching
from onnx_n2n.passes.report import Added, Change
from onnx_n2n.record.record import New, Step
from onnx_n2n.verification.options import Proof


@dataclass(frozen=True)
class Gain(Selective):
    """Multiply each channel behind a convolution by a new weight, which is 1."""

    suffix: ClassVar[str] = "gained"  # of the file: model.gained.onnx
    part: ClassVar[str] = "convolution"  # what its options only and without name

    def change(self, model: ir.Model, proof: Proof, folder: Path | None) -> Change:
        """Add the gains to a private working copy."""
        names, order = Names(model), {node: place for place, node in enumerate(model.graph)}
        convolutions = {str(node.name): node for node in _convolutions(model)}
        self.check_names(list(convolutions))
        added, new = [], []
        for name, node in convolutions.items():
            if self.takes(name):
                value, weight = node.outputs[0], node.inputs[1]
                shape = (weight.shape[0], *(1,) * (len(weight.shape) - 2))
                splice = Splice(names, value)
                gain = splice.weight(None, "gain", np.ones(shape), weight.dtype)
                splice.close(splice.node(node, "Mul", [value, gain]), model.graph, order)
                added.append(Added(name, "a gain of 1", (str(splice.nodes[0].name),), (str(gain.name),)))
                new.append(New(str(gain.name), shape))
        return Change(added=tuple(added), steps=(Step(new=tuple(new)),))

    def parts(self, model: ir.Model, proof: Proof, folder: Path | None) -> Sequence[Part]:
        """Return the convolutions: each can be left out, should its gain make the student wrong."""
        chosen = [node for node in _convolutions(model) if self.takes(str(node.name))]
        return touching(model.graph, lambda node: [str(node.name)] if node in chosen else [])

    def nothing(self, model: ir.Model, done: Change) -> tuple[str, str]:
        """Return why there are no gains, and no hint."""
        return "there is no convolution with a constant weight and a name", ""


def _convolutions(model: ir.Model) -> Iterator[ir.Node]:
    """Yield the convolutions of the main graph that have a name and a weight in the model."""
    for node in model.graph:
        if node.op_type == "Conv" and node.name and node.inputs[1].const_value is not None:
            yield node
