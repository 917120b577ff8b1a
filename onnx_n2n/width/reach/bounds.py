"""How large the results of single operators can be, where a number or two do not say it.

Each function takes the bounds so far, a node and the slot of one of its outputs.
"""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from onnx_n2n.axes.algebra import size
from onnx_n2n.rules.ranges import GELU, Bounded, Keeps, Moves, activated
from onnx_n2n.width.reach.magnitudes import LARGEST, Magnitudes
from onnx_n2n.width.reach.reading import MANY, clipped, exponent, normalised, smallest, steps, terms, unread

HIGHEST = 710.0  # the logarithm of the largest number of any type
GATED = frozenset({"sigmoid", "hardsigmoid"})  # between 0 and 1
SATURATING = GATED | {"tanh", "softsign"}
STEPS = {ir.DataType.FLOAT16: 2.0**12, ir.DataType.BFLOAT16: 2.0**9, ir.DataType.DOUBLE: 2.0**54}


def unknown(_: Magnitudes, __: ir.Node, ___: int) -> float:
    """Return infinity: there is no bound."""
    return math.inf


def add(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of a sum of all operands."""
    return sum(found.given(node))


def multiply(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of a product, or of a tensor over the root of its mean square."""
    if (length := normalised(found.analysis, node)) is not None:
        return math.sqrt(length)
    given = found.given(node)
    if node.op_type == "PRelu":
        return given[0] * max([1.0, *given[1:]])
    return math.prod(given) if 0 not in given else 0.0


def contract(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of sums of products, with what is added to them."""
    operands = [value for value in node.inputs[:2] if value is not None]
    if any(math.isinf(found[value]) for value in operands if value not in found.analysis.constants):
        return math.inf  # no weight needs to be read
    if len(node.inputs) > 2 and node.op_type == "Einsum":
        return math.inf
    first = node.inputs[0]
    terms = 1.0 if first in found.convex and node.op_type == "MatMul" else found.summed(node)
    scale = _number(node, "alpha")
    added = [found[value] for value in node.inputs[2:3] if value is not None]
    return scale * terms * math.prod(found[value] for value in operands) + _number(node, "beta") * sum(added)


def fused(found: Magnitudes, node: ir.Node, slot: int) -> float:
    """Return the bound of a contraction with a sum and an activation behind it."""
    before = contract(found, node, slot) + sum(found[value] for value in node.inputs[3:4] if value is not None)
    match activated(node):
        case Bounded(by):
            return by
        case Keeps(times, plus):
            return times * before + plus
        case Moves():
            return before
    return math.inf


def biased(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of a Gelu of a sum."""
    return sum(found.given(node)) + GELU.plus


def dequantise(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of whole numbers, less a zero point, times a scale."""
    number, scale = node.inputs[:2]
    dtype = found.dtype(number) if number is not None else None
    return 2 * LARGEST.get(dtype, math.inf) * found[scale] if scale is not None and dtype is not None else math.inf


def packed(found: Magnitudes, node: ir.Node) -> float:
    """Return the bound of queries, keys and values that an attention makes of its operand by a weight of its own."""
    given, weight, bias = (*node.inputs[:3], None)[:3]
    if given is None or weight is None or math.isinf(found[given]) or len(node.inputs) > 4:
        return math.inf
    axes = found.analysis.axes_of_use(node, 1)
    rows = size(axes[0]) if axes else None
    return (rows or math.inf) * found[given] * found[weight] + (found[bias] if bias is not None else 0.0)


def packed_attention(found: Magnitudes, node: ir.Node, slot: int) -> float:
    """Return the bound of the means of values that an attention has made itself."""
    return math.inf if slot else packed(found, node)


def fill(_: Magnitudes, node: ir.Node, __: int) -> float:
    """Return the number that all places get."""
    value = node.attributes.get("value")
    return 0.0 if value is None else abs(float(value.value.numpy().reshape(-1)[0]))


def _number(node: ir.Node, name: str) -> float:
    stated = node.attributes.get(name)
    return 1.0 if stated is None else abs(float(stated.value)) if not stated.is_ref() else math.inf


def reduce(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of a sum or mean over places, or of the mean of all operands."""
    given = found.given(node)
    return terms(found.analysis, node) * given[0] if node.op_type != "Mean" else sum(given)


def clip(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of a Clip: its ends, if both are known."""
    ends = clipped(found.analysis, node)
    bounds = [abs(bound) for bound in ends if bound is not None]
    if len(bounds) == 2:
        return max(bounds)
    given = [found[value] for value in (node.inputs[0], *unread(node, ends)) if value is not None]
    return max([*bounds, *given])


def pad(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of an operand with a number around it."""
    return max([*found.given(node)[:1], padding(found, node)])


def padding(found: Magnitudes, node: ir.Node) -> float:
    """Return the number that a Pad puts in, infinity where it is not known."""
    value = node.inputs[2] if len(node.inputs) > 2 else None
    return found[value] if value is not None else abs(_number(node, "value")) if "value" in node.attributes else 0.0


def power(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of a power with a constant exponent."""
    power, base = exponent(found.analysis, node), node.inputs[0]
    if power is None or power < 0 or base is None:
        return math.inf
    try:
        return float(max(1.0, found[base]) ** power)
    except OverflowError:
        return math.inf


def root(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of a root."""
    return math.sqrt(max(found.given(node)))


def logarithm(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of a logarithm of what is never below a number; no number has a larger one than ``HIGHEST``."""
    least = found.analysis.floors.of(node, 0).least
    return max(HIGHEST, 1 - math.log(least)) if least > 0 else math.inf


def invert(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of one over what is never below a number."""
    least = found.analysis.floors.of(node, 0).least
    return 1 / least if least > 0 else math.inf


def cast(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of a tensor in another type, which the range of its own type is too."""
    value = node.inputs[0]
    within = found[value] if value is not None else math.inf
    if value is not None and (dtype := found.dtype(value)) in LARGEST:
        within = min(within, LARGEST[dtype])
    return within


def divide(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of a quotient by constants, or of a tensor over the root of its mean square."""
    over, under = node.inputs[:2]
    if over is None or under is None:
        return math.inf
    if (length := normalised(found.analysis, node)) is not None:
        return math.sqrt(length)
    least = smallest(found.analysis, node, 1)
    return found[over] / least if least else math.inf


def normalise(found: Magnitudes, node: ir.Node, slot: int) -> float:
    """Return the root of the length that is normalised over times the gain, plus the bias; of no other output."""
    if slot:
        return math.inf
    skip = node.op_type.startswith("Skip")
    gain, bias = (node.inputs[place] if place < len(node.inputs) else None for place in ((2, 3) if skip else (1, 2)))
    if node.op_type == "SkipSimplifiedLayerNormalization":
        bias = None
    axes = [size(axis) for axis in found.analysis.axes_of_use(node, 0) or ()]
    stated = node.attributes.get("axis")
    if node.op_type in {"InstanceNormalization", "GroupNormalization", "GroupNorm"}:
        over = axes[1:] if node.op_type != "GroupNorm" else axes
    else:
        over = axes[(stated.value if stated is not None else -1) :]
    length = math.prod(n for n in over if n) if over and None not in over else MANY
    scale = found[gain] if gain is not None else math.inf
    return math.sqrt(length) * scale + (found[bias] if bias is not None else 0.0)


def recur(found: Magnitudes, node: ir.Node, slot: int) -> float:
    """Return the bound of a state that is a saturating function, a mean of such with the state, or a sum of such.

    The cell of an LSTM grows by at most 1 in a step, until 1 is less than half of its last bit. So does the state of a
    GRU, by 2, whose gates may be negative.
    """
    names = steps(node)
    if names is None or not SATURATING.issuperset(names):
        return math.inf
    cell = node.op_type == "LSTM" and slot == 2
    place = 6 if cell else 5
    start = node.inputs[place] if len(node.inputs) > place else None
    begun = found[start] if start is not None else 0.0
    dtype = found.dtype(node.inputs[0]) if node.inputs[0] is not None else None
    if cell:
        return begun + STEPS.get(dtype, 2.0**25)  # type: ignore[arg-type]
    if node.op_type == "GRU" and names[0] not in GATED:  # (1 - z) * n + z * h, with z below zero
        return begun + 2 * STEPS.get(dtype, 2.0**25)  # type: ignore[arg-type]
    return max(1.0, begun) if node.op_type == "GRU" else 1.0


def batch_norm(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of a BatchNormalization in evaluation."""
    parts = found.affine(node)
    first = node.inputs[0]
    if parts is None or first is None:
        return math.inf
    return float(np.abs(parts[0]).max(initial=0)) * found[first] + float(np.abs(parts[1]).max(initial=0))


def choose(found: Magnitudes, node: ir.Node, _: int) -> float:
    """Return the bound of what is chosen among operands."""
    return max(found.given(node))
