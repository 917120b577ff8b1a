"""Operators at which a rounding step decides: they select by comparing, or they round to steps of their own.

Two right models may differ behind such a node by more than rounding: two scores that are equal but for the last bit
come in another order, a number half-way between two steps goes up in one model and down in the other.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

import onnx
import onnx_ir as ir

from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.subgraphs import body_protos, roots_of


class Kind(Enum):
    """How what an operator gives belongs to what it reads."""

    ELEMENTWISE = "entry by entry, perhaps by a range that all entries have in common"
    WHOLE = "by all entries at once"
    INSIDE = "nothing can be said from outside: it rounds in the midst of other arithmetic"


def _keys(kind: Kind, names: str, domain: str = "") -> dict[tuple[str, str], Kind]:
    return {(domain, name): kind for name in names.split()}


DECISIVE = {
    **_keys(
        Kind.ELEMENTWISE,
        "Cast CastLike Ceil DynamicQuantizeLinear Equal Floor Greater GreaterOrEqual Less LessOrEqual Mod "
        "QuantizeLinear Round Shrink Sign ThresholdedRelu",
    ),
    **_keys(Kind.ELEMENTWISE, "QuantizeLinear", "com.microsoft"),
    **_keys(Kind.ELEMENTWISE, "Binarizer", "ai.onnx.ml"),
    **_keys(
        Kind.WHOLE,
        "ArgMax ArgMin GridSample Hardmax MaxPool MaxRoiPool NonMaxSuppression NonZero Range TopK Unique",
    ),
    **_keys(
        Kind.WHOLE,
        "LinearClassifier SVMClassifier TreeEnsemble TreeEnsembleClassifier TreeEnsembleRegressor",
        "ai.onnx.ml",
    ),
    **_keys(Kind.INSIDE, "QLinearConv QLinearMatMul"),
    **_keys(
        Kind.INSIDE,
        "DynamicQuantizeLSTM DynamicQuantizeMatMul MatMulNBits MoE QAttention QGemm QLinearAdd QLinearAveragePool "
        "QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul QLinearReduceMean "
        "QLinearSigmoid QLinearSoftmax QLinearWhere QMoE",
        "com.microsoft",
    ),
}

# Outputs that are real, and as steady as what goes in: the scale of a range that is taken at run time.
STEADY = {("", "DynamicQuantizeLinear"): (1,)}

# Types that a Cast of real numbers rounds to; between wider real types it rounds as all arithmetic does.
COARSE = {
    kind
    for kind in ir.DataType
    if kind.is_integer() or kind == ir.DataType.BOOL or (kind.is_floating_point() and kind.bitwidth <= 8)
}


@dataclass(frozen=True)
class Named:
    """A node, as a verdict names it.

    Attributes:
        node: Its name; empty where it has none.
        operator: Its operator type.
    """

    node: str
    operator: str

    @classmethod
    def of(cls, node: onnx.NodeProto) -> Named:
        """Name a node."""
        return cls(node.name, node.op_type)


def kind_of(node: onnx.NodeProto) -> Kind | None:
    """How a node decides; None for one that does not."""
    kind = DECISIVE.get(operator_of(node))
    if node.op_type == "Cast" and all(
        attribute.i not in COARSE for attribute in node.attribute if attribute.name == "to"
    ):
        return None
    if node.op_type == "MaxPool" and not any(node.output[1:]):
        return None  # the largest value itself is as steady as what goes in
    return kind


def decides(model: ir.Model) -> bool:
    """Whether any node of a model, its bodies and functions may be one at which rounding decides."""
    return any(operator_of(node) in DECISIVE for graph in roots_of(model) for node in graph.all_nodes())


def within(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """All nodes of a graph, and of the bodies in it."""
    for node in graph.node:
        yield node
        for body in body_protos(node):
            yield from within(body)
