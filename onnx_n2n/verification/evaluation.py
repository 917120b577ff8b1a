"""Models that were exported as they train, run as they are evaluated.

A Dropout that drops makes another output in every run, and a BatchNormalization that normalises by the batch moves its
statistics. What is verified is a copy in which both do what they do in evaluation; the files keep their nodes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import onnx
import onnx_ir as ir
from onnx import helper

from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.subgraphs import body_protos, roots_of
from onnx_n2n.io.messages import replace
from onnx_n2n.verification.decisions import Named
from onnx_n2n.verification.sessions import SessionModel

# Operators that drop, with the slot that says whether they do.
MODE = {
    ("", "Dropout"): 2,
    ("com.microsoft", "BiasDropout"): 4,
    ("com.microsoft", "BitmaskBiasDropout"): 4,
    ("com.microsoft", "BitmaskDropout"): 2,
}
NORM = ("", "BatchNormalization")


@dataclass
class Modes:
    """Which nodes of a teacher train: a student that trains elsewhere is another model.

    Attributes:
        trains: Domains and types of the operators of which some node trains.
        rests: First outputs of the nodes that could train, and do not.
    """

    trains: set[tuple[str, str]] = field(default_factory=set)
    rests: set[str] = field(default_factory=set)

    def allow(self, node: onnx.NodeProto) -> bool:
        """Whether a node of a student trains as one of the teacher's does."""
        return operator_of(node) in self.trains and node.output[0] not in self.rests


def evaluated(
    source: SessionModel, skeleton: ir.Model, teacher: Modes | None = None, modes: Modes | None = None
) -> tuple[SessionModel, tuple[Named, ...]]:
    """Return a model as it is evaluated, with the nodes that train in the file.

    Args:
        source: The model.
        skeleton: The same, to be read.
        teacher: Where the teacher trains; nodes that train elsewhere go on doing so.
        modes: Is told where this model trains.
    """
    kinds = {operator_of(node) for graph in roots_of(skeleton) for node in graph.all_nodes()}
    if kinds.isdisjoint({*MODE, NORM}):
        return source, ()
    proto = source.proto()
    seen = Modes() if modes is None else modes
    found = list(_evaluate(proto.graph, proto.graph.initializer, teacher, seen))
    for function in proto.functions:
        found += _evaluate(function, (), teacher, seen)
    return (source.holding(proto), tuple(found)) if found else (source, ())


def _evaluate(
    graph: onnx.GraphProto | onnx.FunctionProto,
    initializers: Iterable[onnx.TensorProto],
    teacher: Modes | None,
    modes: Modes,
    off: frozenset[str] = frozenset(),
) -> Iterator[Named]:
    """Evaluate the nodes of a graph and of the bodies in it; ``off`` names what says false around it."""
    off |= {tensor.name for tensor in initializers if _false(tensor)}
    off |= {node.output[0] for node in graph.node if node.op_type == "Constant" and _says_false(node)}
    nodes = []
    for node in graph.node:
        nodes.append(node)
        slot = MODE.get(operator_of(node), len(node.input))
        drops = slot < len(node.input) and bool(node.input[slot]) and node.input[slot] not in off
        trains = drops or (operator_of(node) == NORM and _trains(node))
        if trains:
            modes.trains.add(operator_of(node))
        elif operator_of(node) in {*MODE, NORM}:
            modes.rests.add(node.output[0])
        if trains and teacher is not None and not teacher.allow(node):
            pass
        elif drops:
            node.input[slot] = ""
            yield Named.of(node)
        elif trains:
            kept = [attribute for attribute in node.attribute if attribute.name != "training_mode"]
            del node.attribute[:]
            node.attribute.extend(kept)
            for name, statistic in zip(node.output[1:], node.input[3:], strict=False):  # as they are stored
                if name:
                    nodes.append(helper.make_node("Identity", [statistic], [name]))
            del node.output[1:]
            yield Named.of(node)
        for body in body_protos(node):
            yield from _evaluate(body, body.initializer, teacher, modes, off)
    replace(graph.node, nodes)


def _trains(node: onnx.NodeProto) -> bool:
    """Whether a BatchNormalization normalises by the batch, or may be told to by whoever calls its function."""
    return any(mode.name == "training_mode" and (mode.i or mode.ref_attr_name) for mode in node.attribute)


def _says_false(node: onnx.NodeProto) -> bool:
    return any(attribute.name == "value" and _false(attribute.t) for attribute in node.attribute)


def _false(tensor: onnx.TensorProto) -> bool:
    if tensor.data_type != onnx.TensorProto.BOOL or tensor.external_data:
        return False
    values = onnx.numpy_helper.to_array(tensor)
    return values.size > 0 and not values.any()
