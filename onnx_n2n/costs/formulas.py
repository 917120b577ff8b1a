"""What each operator multiplies and sums up, by the shapes of what it reads and makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

Lengths = tuple[int, ...]

MICROSOFT = "com.microsoft"


class Unknown(Exception):  # noqa: N818 - an answer, no error
    """The shape of an operand is not known, or the node is of a form that has no formula."""


@dataclass(frozen=True)
class Use:
    """A node with the lengths of what it reads and makes."""

    node: ir.Node
    measure: Callable[[ir.Value], Lengths]

    def given(self, slot: int) -> Lengths:
        """Return the shape of an operand."""
        value = self.node.inputs[slot] if slot < len(self.node.inputs) else None
        if value is None:
            raise Unknown
        return self.measure(value)

    def has(self, slot: int) -> bool:
        """Say whether an operand is there."""
        return slot < len(self.node.inputs) and self.node.inputs[slot] is not None

    def made(self) -> Lengths:
        """Return the shape of the first result."""
        return self.measure(self.node.outputs[0])

    def flag(self, name: str) -> bool:
        """Return an attribute that is 0 unless it is given."""
        return bool(self.node.attributes.get_int(name, 0))


Formula = Callable[[Use], int]


def _window(weight: int) -> Formula:
    """Convolution: for each element that comes out, a window of the input channels of its group.

    That is ``elements * (C / group) * kernel``, and a weight ``[M, C / group, *kernel]`` states the latter two.
    """

    def count(use: Use) -> int:
        _, *window = use.given(weight)
        return math.prod(use.made()) * math.prod(window)

    return count


def _spread(use: Use) -> int:
    """Transposed convolution: each element that goes in is spread over a window of the output channels of its group.

    That is ``elements * (M / group) * kernel``, and a weight ``[C, M / group, *kernel]`` states the latter two. What
    padding cuts off is counted too.
    """
    _, *window = use.given(1)
    return math.prod(use.given(0)) * math.prod(window)


def _gemm(use: Use) -> int:
    """``m * k * n``."""
    left, right = use.given(0), use.given(1)
    return math.prod(left) * right[0 if use.flag("transB") else 1]


def _product(left: int, right: int) -> Formula:
    """Matrix product: ``batch * m * k * n``; the batch axes broadcast, a vector has no ``m`` or ``n``."""

    def count(use: Use) -> int:
        a, b = use.given(left), use.given(right)
        if use.flag("transBatchA") or use.flag("transBatchB") or not a or not b:
            raise Unknown
        if len(a) == 1 or len(b) == 1:
            return max(math.prod(a), math.prod(b))
        rows, inner = (a[-1], a[-2]) if use.flag("transA") else (a[-2], a[-1])
        columns = b[-2] if use.flag("transB") else b[-1]
        return _broadcast(a[:-2], b[:-2]) * rows * inner * columns

    return count


def _einsum(use: Use) -> int:
    """The product of the lengths of all letters, for each multiplication: one less than there are operands.

    So three operands are counted as if they were multiplied all at once; in pairs it may be less.
    """
    equation = use.node.attributes.get_string("equation", "").replace(" ", "")
    words = equation.split("->")[0].split(",")
    lengths: dict[str, int] = {}
    batches: list[Lengths] = []
    for slot, word in enumerate(words):
        shape, (before, dots, after) = use.given(slot), word.partition("...")
        if len(shape) < len(before + after) or (not dots and len(shape) > len(word)):
            raise Unknown
        end = len(shape) - len(after)
        for letter, length in zip(before + after, (*shape[: len(before)], *shape[end:]), strict=True):
            lengths[letter] = max(length, lengths.get(letter, 1))
        batches.append(shape[len(before) : end])
    return (len(words) - 1) * math.prod(lengths.values()) * _broadcast(*batches)


def _recurrence(use: Use) -> int:
    """For each step and example, and direction, all gates: ``gates * hidden * (inputs + hidden)``."""
    first, second, _ = use.given(0)
    return first * second * (math.prod(use.given(1)) + math.prod(use.given(2)))


def _attention(past: int) -> Formula:
    """Scores and weighted sums: ``batch * heads * queries * keys * (query dimension + value dimension)``.

    Operands are ``[batch, heads, places, dimension]`` or ``[batch, places, heads * dimension]``. The keys of the past
    count, and so do places that a mask hides.
    """

    def count(use: Use) -> int:
        query, key, value = (use.given(slot) for slot in range(3))
        attributes = use.node.attributes
        heads = attributes.get_int("q_num_heads") or attributes.get_int("num_heads") or 1
        shared = attributes.get_int("kv_num_heads") or heads
        batch, heads, queries, inner = _heads(query, heads)
        _, _, keys, _ = _heads(key, shared)
        _, _, _, outer = _heads(value, shared)
        earlier = use.given(past)[2] if use.has(past) else 0
        return batch * heads * queries * (keys + earlier) * (inner + outer)

    return count


def _heads(shape: Lengths, count: int) -> Lengths:
    """Return an operand's shape as batch, heads, places and dimension."""
    if len(shape) == 4:
        return shape
    if len(shape) != 3 or shape[2] % count:
        raise Unknown
    batch, places, whole = shape
    return batch, count, places, whole // count


def _projecting_attention(use: Use) -> int:
    """Projections by one weight, then ``batch * queries * keys * (queries' width + values' width)``."""
    batch, places, inputs = use.given(0)
    projected = use.given(1)[1]
    widths = use.node.attributes.get_ints("qkv_hidden_sizes") or [projected // 3] * 3
    earlier = use.given(4)[3] if use.has(4) else 0
    return batch * places * (inputs * projected + (places + earlier) * (widths[0] + widths[2]))


def _broadcast(*shapes: Lengths) -> int:
    """Return how many elements shapes have together."""
    try:
        return math.prod(np.broadcast_shapes(*shapes))
    except ValueError:
        raise Unknown from None


CONVOLUTION, PRODUCT = _window(1), _product(0, 1)

FORMULAS: Mapping[tuple[str, str], Formula] = {
    ("", "Attention"): _attention(past=4),
    ("", "CausalConvWithState"): CONVOLUTION,
    ("", "Conv"): CONVOLUTION,
    ("", "ConvInteger"): CONVOLUTION,
    ("", "ConvTranspose"): _spread,
    ("", "DeformConv"): CONVOLUTION,
    ("", "Einsum"): _einsum,
    ("", "GRU"): _recurrence,
    ("", "Gemm"): _gemm,
    ("", "LSTM"): _recurrence,
    ("", "MatMul"): PRODUCT,
    ("", "MatMulInteger"): PRODUCT,
    ("", "QLinearConv"): _window(3),
    ("", "QLinearMatMul"): _product(0, 3),
    ("", "RNN"): _recurrence,
    (MICROSOFT, "Attention"): _projecting_attention,
    (MICROSOFT, "DynamicQuantizeMatMul"): PRODUCT,
    (MICROSOFT, "FusedGemm"): _gemm,
    (MICROSOFT, "FusedMatMul"): PRODUCT,
    (MICROSOFT, "FusedMatMulActivation"): PRODUCT,
    (MICROSOFT, "GemmFastGelu"): PRODUCT,
    (MICROSOFT, "MatMulIntegerToFloat"): PRODUCT,
    (MICROSOFT, "MultiHeadAttention"): _attention(past=6),
    (MICROSOFT, "NhwcConv"): CONVOLUTION,
    (MICROSOFT, "NhwcFusedConv"): CONVOLUTION,
    (MICROSOFT, "TransposeMatMul"): PRODUCT,
}

# Operators of the standard that multiply and sum up, for which there is no formula.
HARD = frozenset({"DFT", "LinearAttention", "STFT"})

# Operators outside of the standard that are free, as activations and norms are. All others count as unknown.
FREE = frozenset(
    {
        "BiasAdd", "BiasDropout", "BiasGelu", "BiasSoftmax", "BiasSplitGelu", "DequantizeLinear",
        "EmbedLayerNormalization", "ExpandDims", "FastGelu", "Gelu", "GroupNorm", "Inverse", "NhwcMaxPool",
        "QLinearAdd", "QLinearAveragePool", "QLinearConcat", "QLinearGlobalAveragePool", "QLinearLeakyRelu",
        "QLinearMul", "QLinearSigmoid", "QLinearSoftmax", "QuantizeLinear", "QuickGelu", "RotaryEmbedding",
        "SkipGroupNorm", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization",
    }
)  # fmt: skip
