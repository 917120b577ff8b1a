"""What each ONNX operator does to axes, by family; importing the package registers them all."""

from onnx_n2n.rules import (  # noqa: F401 - imported so that they register their rules
    attention,
    classical,
    contraction,
    control,
    elementwise,
    fused,
    indexing,
    losses,
    normalisation,
    optionals,
    quantisation,
    random,
    recurrent,
    reduction,
    regions,
    reshaping,
    scanning,
    segments,
    sequences,
    signals,
    sizes,
    sources,
    text,
    windows,
)
from onnx_n2n.rules.context import Context, Refusal
from onnx_n2n.rules.ranges import Bounded, Keeps, Moves, Range
from onnx_n2n.rules.registry import close, content, declare, known, ranged, rule, rule_for, shape_rule_for

close()

__all__ = [
    "Bounded", "Context", "Keeps", "Moves", "Range", "Refusal", "content", "declare", "known", "ranged", "rule",
    "rule_for", "shape_rule_for",
]  # fmt: skip
