"""What becomes of fresh channels behind single operators, where a number or two do not say it.

Each function takes the walk so far, a node and the slot of one of its outputs.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from onnx_n2n.graph.operators import plain
from onnx_n2n.record.mixture import MOST
from onnx_n2n.rules.ranges import GELU, Bounded, Keeps, Moves, activated, attribute
from onnx_n2n.width.reach import bounds
from onnx_n2n.width.reach.bounds import SATURATING, packed, padding
from onnx_n2n.width.reach.magnitudes import ROOM
from onnx_n2n.width.reach.reach import COPIED, LOST, MIXED, SPOILED, SQUARED, Gain, Reach, keeps, total, worst
from onnx_n2n.width.reach.reading import MANY, clipped, exponent, normalised, smallest, steps, terms, unread
from onnx_n2n.width.reach.walk import Walk

ADDING = frozenset({"Conv", "ConvTranspose", "Gemm", "NhwcConv", "FusedConv", "FusedGemm"})
# Not Softplus: ONNX Runtime's recurrent layers take the logarithm of an exponential that overflows.
STEPS = SATURATING | {"relu", "leakyrelu", "elu", "thresholdedrelu", "affine"}


def unknown(_: Walk, __: ir.Node, ___: int) -> Reach:
    """Nothing is known."""
    return LOST


def add(walk: Walk, node: ir.Node, _: int) -> Reach:
    """All operands are added; what is small cannot lead out of the range where it is added to a mask."""
    found = total(walk.part(node, slot) for slot in walk.floats(node))
    return _beside(walk, node, found, walk.magnitudes.rounded(node.outputs[0]))


def _beside(walk: Walk, node: ir.Node, found: Reach, most: float) -> Reach:
    """Return what is known beside numbers of the teacher's, as large as there are, of what is at most so large."""
    known = all(math.isfinite(walk.magnitudes[value]) for value in node.inputs if value is not None)
    small = known and 0 < found.teacher <= 1 and not np.any(found.gain) and found.plus <= most
    return Reach(teacher=1.0) if small else found


def _scaled(reach: Reach, factor: Gain) -> Reach:
    """Return what is known after a product with numbers that are not larger than ``factor``."""
    return reach.times(factor) if np.isfinite(factor).all() else LOST


def multiply(walk: Walk, node: ir.Node, _: int) -> Reach:
    """Two operands are multiplied; a product with constants stays a mixture, and a gate keeps what it gates."""
    if len(node.inputs) != 2:
        return LOST
    one, other = (walk.operand(node, slot) for slot in (0, 1))
    if node.op_type == "PRelu":
        slope = node.inputs[1]
        return LOST if one is None or slope is None else one.keeps(max(1.0, walk.magnitudes[slope]), 0.0)
    if normalised(walk.analysis, node) is not None:
        return LOST  # where that has a bound, it holds
    if one is None or other is None:
        reach, value = (other, node.inputs[0]) if one is None else (one, node.inputs[1])
        assert reach is not None
        assert value is not None
        return MIXED if reach.linear else _scaled(reach, walk.magnitudes[value])
    if node.inputs[0] is node.inputs[1]:
        return SQUARED if one.linear else _scaled(one, walk.magnitudes[node.inputs[0]])  # type: ignore[index]
    for place in (0, 1):
        gate, base = node.inputs[place], node.inputs[1 - place]
        made = gate.producer() if gate is not None else None
        if made is not None and (near := _gate(made)) is not None and made.inputs[0] is base:
            return keeps((other, one)[place], Keeps(1.0, near, rectifies=True), positive=walk.positive)
    found = [_scaled(one, walk.sizes(node, 1)), _scaled(other, walk.sizes(node, 0))]
    return min(found, key=lambda reach: reach.rank)


def _gate(node: ir.Node) -> float | None:
    """Return by how much x times a gate of x differs from a Relu at most; None for what is no gate."""
    if node.op_type == "HardSigmoid":
        alpha, beta = attribute(node, "alpha", 0.2), attribute(node, "beta", 0.5)
        return max(1 - beta, beta) ** 2 / (4 * alpha) if 0 < alpha < math.inf and 0 <= beta <= 1 else None
    return 0.28 if node.op_type == "Sigmoid" else None


def divide(walk: Walk, node: ir.Node, _: int) -> Reach:
    """A quotient is as many times larger as the smallest divisor says; with one for all channels it stays a mixture."""
    over, value, under = walk.operand(node, 0), node.inputs[0], node.inputs[1]
    if value is None or under is None:
        return LOST
    if over is not None and not walk.differs(node, 1):
        if over.linear:
            return MIXED
        if over.below and over.floor and not over.plus and walk.analysis.floors.of(node, 1).never_negative:
            return over
    least = smallest(walk.analysis, node, 1)
    return _scaled(walk.beside(value) if over is None else over, 1 / least) if least else LOST


def root(walk: Walk, node: ir.Node, _: int) -> Reach:
    """A root is no larger than its operand, or than 1."""
    return walk.part(node, 0).keeps(1.0, 1.0) if walk.analysis.floors.of(node, 0).never_negative else LOST


def logarithm(walk: Walk, node: ir.Node, slot: int) -> Reach:
    """The logarithm of what is never below a number has a bound."""
    return _within(bounds.logarithm(walk.magnitudes, node, slot))


def invert(walk: Walk, node: ir.Node, slot: int) -> Reach:
    """One over what is never below a number has a bound."""
    return _within(bounds.invert(walk.magnitudes, node, slot))


def _within(bound: float) -> Reach:
    return Reach(plus=bound) if math.isfinite(bound) else LOST


def contract(walk: Walk, node: ir.Node, _: int) -> Reach:
    """Products are summed over axes; with weights a mixture stays one."""
    added = 2 if node.op_type in ADDING else None
    slots = [slot for slot in range(min(len(node.inputs), added or 9)) if node.inputs[slot] is not None]
    passing = [
        (slot, walk.part(node, slot))
        for slot in slots
        if _passes(walk, node, slot) and walk.operand(node, slot) is not None
    ]
    found = _product(walk, node, slots, passing) if len(slots) == 2 else LOST
    if added is None or added >= len(node.inputs) or node.inputs[added] is None:
        return found
    return total([found, walk.part(node, added)])


def fused(walk: Walk, node: ir.Node, slot: int) -> Reach:
    """A contraction has a sum and an activation behind it."""
    before = contract(walk, node, slot)
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        before = total([before, walk.part(node, 3)])
    said = activated(node)
    match said:
        case Bounded(by):
            return LOST if before.lost else before.keeps(0.0, by)
        case Keeps():
            return keeps(before, said, positive=walk.positive)
        case Moves():
            return before
    return LOST


def biased(walk: Walk, node: ir.Node, slot: int) -> Reach:
    """A Gelu of a sum."""
    return keeps(add(walk, node, slot), GELU, positive=walk.positive)


def packed_attention(walk: Walk, node: ir.Node, slot: int) -> Reach:
    """What the operator makes inside must have a bound, so that scores of fresh heads have one."""
    largest, value = packed(walk.magnitudes, node), node.inputs[0]
    assert value is not None
    bounded = largest**2 * 2.0**16 <= ROOM * walk.magnitudes.largest(value) if largest < 1e150 else False
    return Reach(plus=largest) if bounded and not slot else SPOILED


def fill(_: Walk, __: ir.Node, ___: int) -> Reach:
    """All places hold the same."""
    return COPIED


def _product(walk: Walk, node: ir.Node, slots: list[int], passing: list[tuple[int, Reach]]) -> Reach:
    if len(passing) == 1:
        ((slot, reach),) = passing
        if reach.linear:
            return MIXED
        return _scaled(reach, _weight(walk, node, next(other for other in slots if other != slot)))
    found = [
        _scaled(reach, _weight(walk, node, next(other for other in slots if other != slot))) for slot, reach in passing
    ]
    return min(found, key=lambda reach: reach.rank, default=LOST)


def _weight(walk: Walk, node: ir.Node, slot: int) -> Gain:
    """Return what numbers of the other operand are multiplied by at most, in sum, by the operand at a slot."""
    value = node.inputs[slot]
    assert value is not None
    if slot == 0 and node.op_type == "MatMul" and value in walk.magnitudes.convex:
        return 1.0
    scale = abs(attribute(node, "alpha", 1.0))
    array = walk.analysis.constants.array(value) if slot == 1 and node.op_type in {"Conv", "FusedConv"} else None
    if array is not None:
        norms = np.abs(array.astype(np.float64)).reshape(len(array), -1).sum(axis=1)
        return walk.by_channel((node, slot), (walk.analysis.axes_of_use(node, slot) or ())[0], norms)
    return scale * walk.magnitudes.summed(node) * walk.magnitudes[value]


def _passes(walk: Walk, node: ir.Node, slot: int) -> bool:
    """Say whether an operand brings the factor into the result: somewhere it is not summed over."""
    axes = walk.analysis.axes_of_use(node, slot) or ()
    summands = [
        each for contraction in walk.analysis.contractions.get(node, ()) for each in contraction.summands
        if each.slot == slot
    ]  # fmt: skip
    for place, axis in enumerate(axes):
        here = [each for each in summands if each.position == place]
        if not here:
            if walk.on(axis):
                return True
            continue
        if walk.on(axis) and not any(on and walk.on(part) for each in here for part, on in each.parts):
            return True
    return False


def reduce(walk: Walk, node: ir.Node, slot: int) -> Reach:
    """Places are summed, or all operands averaged."""
    if node.op_type == "Mean":
        return add(walk, node, slot)
    reach, count = walk.part(node, 0), terms(walk.analysis, node)
    if reach.linear and node.op_type != "ReduceL1":
        return MIXED
    if reach.below and reach.floor:
        return Reach(gain=1.0, plus=reach.plus * count, below=True, floor=True)
    return _scaled(reach, count) if count < MANY else LOST


def choose(walk: Walk, node: ir.Node, _: int) -> Reach:
    """Each result is that of one operand."""
    if node.op_type == "Where":
        found = worst(walk.part(node, slot) for slot in (1, 2))
        return walk.chosen(node, _beside(walk, node, found, walk.magnitudes.largest(node.outputs[0])), (0,))
    found = worst(walk.part(node, slot) for slot in walk.floats(node))
    return replace(found, linear=False, below=found.below and "Min" not in node.op_type)


def clip(walk: Walk, node: ir.Node, _: int) -> Reach:
    """A Clip keeps within its ends; one with a lower end alone is nearly a Relu."""
    low, high = clipped(walk.analysis, node)
    reach, others = walk.part(node, 0), [walk.beside(value) for value in unread(node, (low, high))]
    if low is not None and high is None and not others:
        return keeps(reach, Keeps(plus=abs(low), rectifies=True), positive=walk.positive)
    return worst([reach, *others]).keeps(1.0, max(abs(low or 0.0), abs(high or 0.0)))


def pad(walk: Walk, node: ir.Node, _: int) -> Reach:
    """A number is put around the operand."""
    reach, number = walk.part(node, 0), padding(walk.magnitudes, node)
    return reach if number == 0 else reach.keeps(1.0, number)


def power(walk: Walk, node: ir.Node, _: int) -> Reach:
    """Roots keep; a whole power of a mixture is no larger than that of the larger of its two; powers are convex."""
    reach, power = walk.operand(node, 0), exponent(walk.analysis, node)
    if reach is None or power is None:
        return LOST
    if power < 0:
        least = walk.analysis.floors.of(node, 0).least
        return _within(least**power) if least > 0 else LOST
    if power <= 1:
        return reach.keeps(1.0, 1.0)
    if reach.linear and power == int(power):
        return Reach(gain=1.0) if power % 2 else SQUARED
    if reach.below and reach.floor and not reach.teacher and walk.analysis.floors.of(node, 0).never_negative:
        # (c1 a + c2 b + plus)^p <= c1 a^p + c2 b^p + (1 - s) (plus / (1 - s))^p, where 1 - s is at least 1/8.
        return Reach(gain=1.0, plus=_raised(reach.plus / (1 - MOST), power), below=True, floor=True)
    return LOST


def _raised(base: float, power: float) -> float:
    try:
        return float(base**power)
    except OverflowError:
        return math.inf


def cast(walk: Walk, node: ir.Node, _: int) -> Reach:
    """The range of the other type may be smaller."""
    reach = walk.part(node, 0)
    before, after = (walk.magnitudes.largest(value) for value in (node.inputs[0], node.outputs[0]) if value is not None)
    return reach if reach.linear or (reach.below and reach.floor) or after >= before else LOST


def normalise(walk: Walk, node: ir.Node, slot: int) -> Reach:
    """Only where a sum of squares cannot be infinite: there the result has a bound."""
    operands = node.inputs[: 2 if node.op_type.startswith("Skip") else 1]  # what is added to the first, too
    given = [value for value in operands if value is not None]
    reach = total(walk.part(node, slot) for slot in range(len(given)))
    size = sum(walk.magnitudes[value] for value in given)
    small = size <= math.sqrt(walk.magnitudes.largest(given[0])) * ROOM**8
    safe = walk.operand(node, 0) is not None and (reach.linear or small)
    return SPOILED if slot or not safe or len(node.inputs) > 3 else Reach(plus=walk.magnitudes[node.outputs[0]])


def batch_norm(walk: Walk, node: ir.Node, _: int) -> Reach:
    """Each channel is multiplied by a number, and another is added; a mixture that is folded stays one."""
    parts, reach = walk.magnitudes.affine(node), walk.operand(node, 0)
    if parts is None or reach is None:
        return LOST
    if reach.linear and (node, 1) in walk.folds:
        return MIXED
    axes = walk.analysis.axes_of_use(node, 1) or ()
    times = walk.by_channel((node, 1), axes[0], np.abs(parts[0]))
    return _scaled(reach, times).keeps(1.0, float(np.abs(parts[1]).max(initial=0)))


def recur(_: Walk, node: ir.Node, __: int) -> Reach:
    """A fresh state reads no fresh one, so that all steps are like the first."""
    names = steps(node)
    if node.op_type != "RNN" or names is None or not STEPS.issuperset(names):
        return LOST
    alphas = node.attributes.get("activation_alpha")
    betas = node.attributes.get("activation_beta")
    alpha, beta = (
        1.0 if stated is None else math.inf if stated.is_ref() else max(map(abs, stated.value), default=1.0)
        for stated in (alphas, betas)
    )
    return Reach(gain=max(1.0, alpha), plus=max(1.0, alpha, beta))


def attend(walk: Walk, node: ir.Node, slot: int) -> Reach:
    """The result is a mean of values; where scores have the factor too, they must have a bound."""
    if slot > 2:
        return SPOILED  # the scores themselves
    if slot:
        return worst(walk.part(node, each) for each in walk.floats(node))
    if len(node.inputs) < 3 or None in node.inputs[:3]:
        return LOST
    values = walk.operand(node, 2)
    beside = [slot for slot in range(3, len(node.inputs)) if walk.operand(node, slot) is not None]
    if values is not None and beside:  # biases, caches and masks
        values = total([values, *(walk.part(node, slot) for slot in beside)]).keeps(1.0, 0.0)
    query, key = node.inputs[:2]
    assert query is not None
    assert key is not None
    scored = any(_passes(walk, node, each) and walk.operand(node, each) is not None for each in (0, 1))
    if not scored:
        return values or LOST
    product = walk.magnitudes[query] * walk.magnitudes[key] * 2.0**16 * max(1.0, abs(attribute(node, "scale", 0.0)))
    bounded = product <= ROOM * walk.magnitudes.largest(query)
    return values.keeps(1.0, 0.0) if values is not None and bounded else LOST


def turn(walk: Walk, node: ir.Node, _: int) -> Reach:
    """Linear in the first operand, and the same for all channels unless another one has them too, as angles have."""
    reach, others = walk.part(node, 0), [walk.operand(node, slot) for slot in range(1, len(node.inputs))]
    if node.attributes.get("extrapolation_value") is not None:
        reach = replace(reach, linear=False)
    if reach.linear and others.count(None) == len(others):
        return MIXED
    extra = abs(attribute(node, "extrapolation_value", 0.0))
    return reach.keeps(_turned(walk, node), extra)


def _turned(walk: Walk, node: ir.Node) -> float:
    """Return what a number is multiplied by at most, in sum: as cubic curves go beyond what they lead through."""
    if node.op_type == "RotaryEmbedding":
        angles = node.inputs[2:4] if plain(node.domain) else node.inputs[1:3]
        most = max((walk.magnitudes[value] for value in angles if value is not None), default=math.inf)
        return max(1.0, 2 * most * abs(attribute(node, "scale", 1.0)))
    return 4.0 if abs(attribute(node, "cubic_coeff_a", -0.75)) <= 1 else math.inf
