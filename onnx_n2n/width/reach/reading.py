"""What nodes say of the numbers that they multiply, add, clip, raise or normalise by."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import size
from onnx_n2n.graph.passthrough import COPIES
from onnx_n2n.rules.ranges import RAISES, Overflows
from onnx_n2n.rules.registry import range_of

CUBE = 3.0
MANY = 2.0**40  # numbers, more than any memory holds: where it is not known how many are summed


def clipped(analysis: Analysis, node: ir.Node) -> tuple[float | None, float | None]:
    """Return the bounds of a Clip, None where there is none that is known to be a number."""
    ends: list[float | None] = []
    for slot, name in ((1, "min"), (2, "max")):
        value = node.inputs[slot] if slot < len(node.inputs) else None
        array = analysis.constants.array(value) if value is not None else None
        stated = node.attributes.get(name)
        number = float(array.reshape(-1)[0]) if array is not None and array.size else None
        number = float(stated.value) if stated is not None and not stated.is_ref() else number
        ends.append(number if number is not None and math.isfinite(number) else None)
    return ends[0], ends[1]


def unread(node: ir.Node, ends: tuple[float | None, float | None]) -> list[ir.Value]:
    """Return the operands of a Clip that are bounds, but no numbers that are known."""
    given = (node.inputs[slot] if slot < len(node.inputs) else None for slot in (1, 2))
    return [value for value, end in zip(given, ends, strict=True) if value is not None and end is None]


def exponent(analysis: Analysis, node: ir.Node) -> float | None:
    """Return the exponent of a Pow, if it is one constant number."""
    value = node.inputs[1]
    array = analysis.constants.array(value) if value is not None else None
    return float(array.reshape(-1)[0]) if array is not None and array.size == 1 else None


def steep(analysis: Analysis, node: ir.Node) -> bool:
    """Say whether an operator grows faster than a cube, which in 32 bits has room up to 10^12."""
    said = range_of(node)
    if said is RAISES:
        power = exponent(analysis, node)
        return power is None or abs(power) > CUBE
    return isinstance(said, Overflows)


def smallest(analysis: Analysis, node: ir.Node, slot: int) -> float:
    """Return the smallest absolute value of an operand that is constant or positive, 0 for any other."""
    value = node.inputs[slot]
    if value is None:
        return 0.0
    array = analysis.constants.array(value)
    if array is None:
        return max(0.0, analysis.floors.of(node, slot).least)
    if array.dtype.kind in "OSUb" or not array.size:
        return 0.0
    least = float(np.abs(array.astype(np.float64)).min())
    return least if math.isfinite(least) else 0.0


def normalised(analysis: Analysis, node: ir.Node) -> float | None:
    """Return the length that a tensor is normalised over by a node of ``x / sqrt(mean of x * x + epsilon)``."""
    for place, slot in ((0, 1), (1, 0)):
        over, under = node.inputs[place], node.inputs[slot]
        if over is None or under is None or (node.op_type == "Div" and place == 1):
            continue
        root = _behind(under, {"Reciprocal"}) if node.op_type == "Mul" else under
        added = _behind(_behind(root, {"Sqrt"}), {"Add"}, through=True)
        for term, other in (added.inputs[:2], added.inputs[1::-1]) if isinstance(added, ir.Node) else ():
            mean = _behind(term, {"ReduceMean"}, node=True)
            array = analysis.constants.array(other) if other is not None else None
            positive = array is not None and bool((array >= 0).all())
            if positive and isinstance(mean, ir.Node) and _squares(analysis, mean.inputs[0], over):
                return terms(analysis, mean)
    return None


def _behind(
    value: ir.Value | ir.Node | None, operators: set[str], *, through: bool = False, node: bool = False
) -> ir.Value | ir.Node | None:
    """Return the first operand of the node that makes a tensor, or the node itself, if it is of some operators."""
    producer = value.producer() if isinstance(value, ir.Value) else None
    while producer is not None and producer.op_type == "Cast":
        producer = producer.inputs[0].producer() if producer.inputs[0] is not None else None
    if producer is None or producer.op_type not in operators:
        return None
    return producer if through or node else producer.inputs[0]


def _squares(analysis: Analysis, value: ir.Value | None, base: ir.Value) -> bool:
    producer = value.producer() if value is not None else None
    if producer is None or producer.op_type not in {"Pow", "Mul"}:
        return False
    same = _plain(producer.inputs[0]) is _plain(base)
    if producer.op_type == "Pow":
        return same and exponent(analysis, producer) == 2
    return same and _plain(producer.inputs[1]) is _plain(base)


def _plain(value: ir.Value | None) -> ir.Value | None:
    producer = value.producer() if value is not None else None
    while producer is not None and producer.op_type in COPIES:
        value = producer.inputs[0]
        producer = value.producer() if value is not None else None
    return value


def steps(node: ir.Node) -> list[str] | None:
    """Return the activations of a recurrent layer in lower case; None where they are not known."""
    stated = node.attributes.get("activations")
    if stated is None:
        return ["tanh"]
    return None if stated.is_ref() else [str(name).lower() for name in stated.value]


def affine(analysis: Analysis, node: ir.Node) -> tuple[np.ndarray, np.ndarray] | None:
    """Return float64[n] twice: what a BatchNormalization in evaluation multiplies channels by, and what it adds."""
    arrays = [analysis.constants.array(value) if value is not None else None for value in node.inputs[1:5]]
    training = node.attributes.get("training_mode")
    if any(array is None for array in arrays) or (training is not None and training.value):
        return None
    stated = node.attributes.get("epsilon")
    scale, bias, mean, variance = (np.asarray(array, np.float64) for array in arrays)
    with np.errstate(all="ignore"):
        times = scale / np.sqrt(variance + (stated.value if stated is not None else 1e-5))
        plus = bias - times * mean
    return (times, plus) if np.isfinite(times).all() and np.isfinite(plus).all() else None


def terms(analysis: Analysis, node: ir.Node) -> float:
    """Return how many numbers each is the sum of that a reduction or a pool makes; at most so many as memory holds."""
    kernel = node.attributes.get("kernel_shape")
    if kernel is not None:
        return float(math.prod(kernel.value))
    axes = analysis.axes_of_use(node, 0) or ()
    stated = node.attributes.get("axes")
    given = node.inputs[1] if len(node.inputs) > 1 else None
    listed = analysis.constants.small(given) if given is not None else None
    places = list(range(len(axes)))
    if node.op_type.startswith("Global"):
        places = places[2:]
    elif stated is not None or listed is not None:
        places = [int(place) % len(axes) for place in (stated.value if stated is not None else listed.ravel()) if axes]  # type: ignore[union-attr]
    lengths = [size(axes[place]) for place in places]
    return float(math.prod(length or 1 for length in lengths)) if lengths and None not in lengths else MANY
