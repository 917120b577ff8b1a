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


class Range:
    """What bounds the results of an operator; as a text, a word or two for the table."""


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
        exponential: Whether it is e to the operand.
    """

    bound: Callable[[float], float]
    symmetric: bool = False
    exponential: bool = False

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
ROOTS = Kind("root", "keeps")
LOGARITHMS = Kind("logarithm", "bounded by its least operand")
INVERTS = Kind("invert", "bounded by its least operand")
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


def _exponential_unit(node: ir.Node) -> Range | None:
    alpha = attribute(node, "alpha", 1.0)
    # Celu divides by alpha in the exponent: below zero, that grows with the operand.
    defined = node.op_type == "Elu" or 0 < alpha < math.inf
    return Keeps(1.0, 2 * abs(alpha), rectifies=True) if defined else None


def _hard_sigmoid(node: ir.Node) -> Range:
    return Bounded(1.0 if math.isfinite(attribute(node, "alpha", 0.2)) else math.inf)


def _thresholded(node: ir.Node) -> Range:
    return Keeps(1.0, abs(attribute(node, "alpha", 1.0)), rectifies=True)


def _quick_gelu(node: ir.Node) -> Range:
    return _swish(node, 1.702)


def _swish(node: ir.Node, standard: float = 1.0) -> Range:
    alpha = attribute(node, "alpha", standard)
    return Keeps(1.0, 0.28 / alpha, rectifies=True) if 0 < alpha < math.inf else Keeps()


RANGES: dict[tuple[str, str], Ranged] = {}
"""What bounds the results of the built-in operators, by domain and type."""


def _say(operators: str, said: Ranged, domain: str = "") -> None:
    RANGES.update(((domain, operator), said) for operator in operators.split())


MICROSOFT = "com.microsoft"
GELU = Keeps(plus=0.17, rectifies=True)

_say(
    "Identity Transpose Reshape Flatten Squeeze Unsqueeze Slice Gather GatherElements GatherND Expand Tile Split "
    "DepthToSpace SpaceToDepth ReverseSequence Compress Trilu CenterCropPad Crop Neg SequenceAt",
    Moves(),
)
_say("ExpandDims", Moves(), domain=MICROSOFT)
_say("Dropout", _dropout)
_say("Resize Upsample GridSample", TURNS)
_say("ConstantOfShape", FILLS)
_say("Concat", Moves(None))
_say("Cast CastLike", CASTS)
_say("Pad", PADS)
_say("Abs", Keeps(symmetric=True))
_say("Relu", Keeps(rectifies=True))
_say("Ceil Floor Round", Keeps(plus=1.0))
_say("Shrink", lambda node: Keeps(1.0, abs(attribute(node, "bias", 0.0))))
_say("Gelu", GELU)
_say("Gelu", GELU, domain=MICROSOFT)
_say("QuickGelu", _quick_gelu, domain=MICROSOFT)
_say("Mish HardSwish", Keeps(plus=0.4, rectifies=True))
_say("Softplus", Keeps(plus=0.7, rectifies=True))
_say("Swish", _swish)
_say("ThresholdedRelu", _thresholded)
_say("Elu Celu", _exponential_unit)
_say("BiasGelu FastGelu", BIASED, domain=MICROSOFT)
_say("LogSoftmax", Keeps(2.0, 60.0))
_say("Selu", _selu)
_say("LeakyRelu", _slope(0.01))
_say("Affine", _affine)
_say("Asinh", Keeps(symmetric=True))
_say("MaxPool GlobalMaxPool ReduceMax ReduceMin", WORST)
_say("NhwcMaxPool", WORST, domain=MICROSOFT)
_say("Max Min Where", WORST)
_say("Clip", CLIPS)
_say("Sigmoid Tanh Erf Sin Cos Softsign Sign Softmax Hardmax", Bounded(1.0))
_say("Atan", Bounded(1.58))
_say("HardSigmoid", _hard_sigmoid)
_say("BiasSoftmax", Bounded(1.0), domain=MICROSOFT)
_say("Exp", Overflows(exponential, exponential=True))
_say("Cosh Sinh", Overflows(exponential, symmetric=True))
_say("Add Sub Sum", ADDS)
_say("BiasAdd", ADDS, domain=MICROSOFT)
_say("Mul PRelu", MULTIPLIES)
_say("Div", DIVIDES)
_say("Pow", RAISES)
_say("Sqrt", ROOTS)
_say("Log", LOGARITHMS)
_say("Reciprocal", INVERTS)
_say("MatMul Gemm Conv ConvTranspose Einsum", CONTRACTS)
_say("NhwcConv", CONTRACTS, domain=MICROSOFT)
_say("FusedMatMul TransposeMatMul", CONTRACTS, domain=MICROSOFT)
_say("FusedConv FusedGemm", FUSED, domain=MICROSOFT)
_say("Mean ReduceMean ReduceSum AveragePool GlobalAveragePool ReduceL1", SUMS)
_say("BatchNormalization", SCALES)
_say(
    "LayerNormalization RMSNormalization SimplifiedLayerNormalization InstanceNormalization GroupNormalization",
    NORMALISES,
)
_say("SkipLayerNormalization SkipSimplifiedLayerNormalization GroupNorm", NORMALISES, domain=MICROSOFT)
_say("RNN GRU LSTM", RECURS)
_say("Attention", ATTENDS)
_say("Attention", PACKED, domain=MICROSOFT)
_say("DequantizeLinear", DEQUANTISES)
_say("DequantizeLinear", DEQUANTISES, domain=MICROSOFT)
_say("MultiHeadAttention GroupQueryAttention", ATTENDS, domain=MICROSOFT)
_say("RotaryEmbedding", TURNS)
_say("RotaryEmbedding", TURNS, domain=MICROSOFT)
_say("If", BRANCHES)
_say("Loop Scan", REPEATS)
