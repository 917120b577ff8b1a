"""How large numbers can get behind an operator: the property that decides where channels may be fresh.

A fresh channel holds other numbers than any channel of the teacher. What it reaches must stay finite wherever the
teacher is finite, because nothing times zero is zero if it is infinite. So every operator says what bounds its results.
One that says nothing may overflow: behind it, channels are copies. ``width/reach`` reckons with these.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.graph.operators import operator_of


class Range:
    """What bounds the results of an operator."""

    def __str__(self) -> str:
        return (type(self).__doc__ or "").split(":")[0].rstrip(".").lower()


@dataclass(frozen=True)
class Moves(Range):
    """Moves: results are operands, or zero.

    Attributes:
        slots: The input slots of what is moved; None for all that are floating-point numbers.
    """

    slots: tuple[int, ...] | None = (0,)

    def __str__(self) -> str:
        return "moves"


@dataclass(frozen=True)
class Keeps(Range):
    """Keeps: no result is larger than the largest operand times a number, plus a number.

    Attributes:
        times: What operands are multiplied by at most.
        plus: What is added at most.
        rectifies: Whether the result differs from that of Relu by at most ``plus``.
        symmetric: Whether larger operands have larger results, whatever their signs.
    """

    times: float = 1.0
    plus: float = 0.0
    rectifies: bool = False
    symmetric: bool = False

    def __str__(self) -> str:
        return "keeps" if self.times <= 1 else f"amplifies by {self.times:g}"


@dataclass(frozen=True)
class Bounded(Range):
    """Bounded: whatever finite numbers come in, no result is larger than a number."""

    by: float = 1.0

    def __str__(self) -> str:
        return f"bounded by {self.by:g}"


@dataclass(frozen=True)
class Overflows(Range):
    """Overflows: results may be infinite where operands are finite; ``bound`` says how large they can be.

    Attributes:
        bound: The largest result of operands up to a size.
        symmetric: Whether larger operands have larger results, whatever their signs.
    """

    bound: Callable[[float], float]
    symmetric: bool = False

    def __str__(self) -> str:
        return "may overflow"


@dataclass(frozen=True)
class Kind(Range):
    """What ``width/reach`` has a formula of its own for, by the name of that; with the words for the table."""

    name: str
    words: str

    def __str__(self) -> str:
        return self.words


ADDS = Kind("add", "adds")
MULTIPLIES = Kind("multiply", "amplifies")
DIVIDES = Kind("divide", "may overflow")
CONTRACTS = Kind("contract", "amplifies")
SUMS = Kind("sum", "amplifies")
WORST = Kind("worst", "keeps")
CLIPS = Kind("clip", "keeps")
PADS = Kind("pad", "moves")
RAISES = Kind("power", "may overflow")
CASTS = Kind("cast", "moves")
NORMALISES = Kind("normalise", "bounded by the length of an axis")
SCALES = Kind("batch norm", "amplifies")
FILLS = Kind("fill", "moves")
FUSED = Kind("fused", "amplifies")
RECURS = Kind("recur", "feeds back")
BIASED = Kind("biased", "adds")
DEQUANTISES = Kind("dequantise", "bounded by its scales")
PACKED = Kind("packed attention", "amplifies")
ATTENDS = Kind("attend", "amplifies")
TURNS = Kind("turn", "amplifies")
BRANCHES = Kind("branch", "keeps")
REPEATS = Kind("repeat", "feeds back")

Ranged = Range | Callable[[ir.Node], "Range | None"]


def attribute(node: ir.Node, name: str, default: float) -> float:
    """Return a number that is an attribute; what an enclosing function sets may be any number."""
    found = node.attributes.get(name)
    return default if found is None else math.inf if found.is_ref() else float(found.value)


def exponential(size: float) -> float:
    """Return e to a power, also where that is more than a number can be."""
    return math.exp(size) if size < 700 else math.inf


def _dropout(node: ir.Node) -> Range | None:
    trains = len(node.inputs) > 2 and node.inputs[2] is not None
    return None if trains else Moves()


def activated(node: ir.Node) -> Range | None:
    """Return what bounds the activation that is fused into a node."""
    stated, parameters = node.attributes.get("activation"), node.attributes.get("activation_params")
    numbers = [abs(float(each)) for each in parameters.value] if parameters is not None else []
    alpha = attribute(node, "activation_alpha", numbers[0] if numbers else 1.0)
    match stated.value if stated is not None else "":
        case "":
            return Moves()
        case "Relu":
            return Keeps(rectifies=True)
        case "Sigmoid" | "Tanh" | "HardSigmoid" | "Softsign":
            return Bounded(1.0)
        case "LeakyRelu":
            return Keeps(max(1.0, abs(alpha)))
        case "Clip":
            return Bounded(max(numbers)) if len(numbers) == 2 else None
        case "HardSwish":
            return Keeps(plus=0.4, rectifies=True)
    return None


def _slope(default: float) -> Ranged:
    return lambda node: Keeps(max(1.0, abs(attribute(node, "alpha", default))))


def _affine(node: ir.Node) -> Range:
    return Keeps(abs(attribute(node, "alpha", 1.0)), abs(attribute(node, "beta", 0.0)))


def _selu(node: ir.Node) -> Range:
    alpha, gamma = attribute(node, "alpha", 1.67326), attribute(node, "gamma", 1.0507)
    return Keeps(max(1.0, abs(gamma)), abs(alpha * gamma))


def _exponential_unit(node: ir.Node) -> Range:
    return Keeps(1.0, 2 * abs(attribute(node, "alpha", 1.0)), rectifies=True)


def _hard_sigmoid(node: ir.Node) -> Range:
    return Bounded(1.0 if math.isfinite(attribute(node, "alpha", 0.2)) else math.inf)


def _thresholded(node: ir.Node) -> Range:
    return Keeps(1.0, abs(attribute(node, "alpha", 1.0)), rectifies=True)


def _swish(node: ir.Node) -> Range:
    alpha = attribute(node, "alpha", 1.0)
    return Keeps(1.0, 0.28 / alpha, rectifies=True) if alpha > 0 else Keeps()


RANGES: dict[tuple[str, str], Ranged] = {}


def ranged(operators: str, said: Ranged, *, domain: str = "") -> None:
    """Say what bounds the results of operators, names separated by blanks.

    Raises:
        ValueError: If that has been said already.
    """
    for operator in operators.split():
        if (domain, operator) in RANGES:
            raise ValueError(f"the range of {operator} is known already")
        RANGES[domain, operator] = said


def range_of(node: ir.Node) -> Range | None:
    """Return what bounds the results of a node, or None if nothing is known to."""
    found = RANGES.get(operator_of(node))
    return found(node) if callable(found) else found


MICROSOFT = "com.microsoft"
GELU = Keeps(plus=0.17, rectifies=True)

ranged(
    "Identity Transpose Reshape Flatten Squeeze Unsqueeze Slice Gather GatherElements GatherND Expand Tile Split "
    "DepthToSpace SpaceToDepth ReverseSequence Compress Trilu CenterCropPad Crop Neg SequenceAt",
    Moves(),
)
ranged("ExpandDims", Moves(), domain=MICROSOFT)
ranged("Dropout", _dropout)
ranged("Resize Upsample GridSample", TURNS)
ranged("ConstantOfShape", FILLS)
ranged("Concat", Moves(None))
ranged("Cast CastLike", CASTS)
ranged("Pad", PADS)
ranged("Abs", Keeps(symmetric=True))
ranged("Relu", Keeps(rectifies=True))
ranged("Ceil Floor Round", Keeps(plus=1.0))
ranged("Shrink", lambda node: Keeps(1.0, abs(attribute(node, "bias", 0.0))))
ranged("Gelu", GELU)
ranged("Gelu QuickGelu", GELU, domain=MICROSOFT)
ranged("Mish HardSwish", Keeps(plus=0.4, rectifies=True))
ranged("Softplus", Keeps(plus=0.7, rectifies=True))
ranged("Swish", _swish)
ranged("ThresholdedRelu", _thresholded)
ranged("Elu Celu", _exponential_unit)
ranged("BiasGelu FastGelu", BIASED, domain=MICROSOFT)
ranged("LogSoftmax", Keeps(2.0, 60.0))
ranged("Selu", _selu)
ranged("LeakyRelu", _slope(0.01))
ranged("Affine", _affine)
ranged("Asinh", Keeps(symmetric=True))
ranged("MaxPool GlobalMaxPool ReduceMax ReduceMin", WORST)
ranged("NhwcMaxPool", WORST, domain=MICROSOFT)
ranged("Max Min Where", WORST)
ranged("Clip", CLIPS)
ranged("Sigmoid Tanh Erf Sin Cos Softsign Sign Softmax Hardmax", Bounded(1.0))
ranged("Atan", Bounded(1.58))
ranged("HardSigmoid", _hard_sigmoid)
ranged("BiasSoftmax", Bounded(1.0), domain=MICROSOFT)
ranged("Exp", Overflows(exponential))
ranged("Cosh Sinh", Overflows(exponential, symmetric=True))
ranged("Add Sub Sum", ADDS)
ranged("BiasAdd", ADDS, domain=MICROSOFT)
ranged("Mul PRelu", MULTIPLIES)
ranged("Div", DIVIDES)
ranged("Pow", RAISES)
ranged("MatMul Gemm Conv ConvTranspose Einsum", CONTRACTS)
ranged("NhwcConv", CONTRACTS, domain=MICROSOFT)
ranged("FusedMatMul TransposeMatMul", CONTRACTS, domain=MICROSOFT)
ranged("FusedConv FusedGemm", FUSED, domain=MICROSOFT)
ranged("Mean ReduceMean ReduceSum AveragePool GlobalAveragePool ReduceL1", SUMS)
ranged("BatchNormalization", SCALES)
ranged(
    "LayerNormalization RMSNormalization SimplifiedLayerNormalization InstanceNormalization GroupNormalization",
    NORMALISES,
)
ranged("SkipLayerNormalization SkipSimplifiedLayerNormalization GroupNorm", NORMALISES, domain=MICROSOFT)
ranged("RNN GRU LSTM", RECURS)
ranged("Attention", ATTENDS)
ranged("Attention", PACKED, domain=MICROSOFT)
ranged("DequantizeLinear", DEQUANTISES)
ranged("DequantizeLinear", DEQUANTISES, domain=MICROSOFT)
ranged("MultiHeadAttention GroupQueryAttention", ATTENDS, domain=MICROSOFT)
ranged("RotaryEmbedding", TURNS)
ranged("RotaryEmbedding", TURNS, domain=MICROSOFT)
ranged("If", BRANCHES)
ranged("Loop Scan", REPEATS)
