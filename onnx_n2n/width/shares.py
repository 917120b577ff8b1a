"""Who carries the shares of a contraction: a weight, a weight further up, a number that scales already, or a new Mul.

A contraction sums over channels; where these have been copied, one of its operands must be multiplied by the shares.
From an operand the search goes back through whatever lets a scale of channels pass, to constants that can take it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property, partial

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Factor, leaves, parts_of, same, total
from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.operators import measures, operator_of, plain
from onnx_n2n.graph.passthrough import stored
from onnx_n2n.graph.quantised import zero_point
from onnx_n2n.graph.uses import Use
from onnx_n2n.record.recipe import Summed
from onnx_n2n.rules.obligations import Contraction, Summand
from onnx_n2n.width.growth import Growth


@dataclass(frozen=True, eq=False)
class Scaled:
    """Operand ``slot`` of a node must be multiplied by a vector along its axis ``position``.

    ``attribute`` names one of the node that may be multiplied instead, when the vector is the same number throughout.
    The vector is ``shares``, which are exact, to the ``power``; they are worked out when somebody asks.
    """

    node: ir.Node
    slot: int
    position: int
    shared: Callable[[], Summed]
    power: float
    attribute: str | None = None

    @cached_property
    def shares(self) -> np.ndarray:
        """The share of every place of the axis."""
        return self.shared().share

    @property
    def vector(self) -> np.ndarray:
        """What the operand is multiplied by."""
        found: np.ndarray = self.shares**self.power
        return found


@dataclass(frozen=True, eq=False)
class Numbers:
    """A constant number that scales a tensor becomes a vector along the tensor's axis ``position`` of ``rank``."""

    use: Use
    vector: np.ndarray
    rank: int
    position: int


@dataclass(frozen=True, eq=False)
class Placement:
    """Where all shares of a growth go.

    Attributes:
        weights: For each use of a constant, the axes of it that carry shares.
        numbers: The constant numbers that carry some.
        products: The operands that are multiplied, because nothing else can carry them.
        apart: For uses of weights that products stand in for, since other uses do not agree: what they would carry.
        replaced: These products.
    """

    weights: dict[Use, list[Summed]]
    numbers: list[Numbers]
    products: list[Scaled]
    apart: dict[Use, list[Summed]]
    replaced: frozenset[Scaled]


@dataclass(frozen=True, eq=False)
class _Weight:
    """A use of a constant, and the shares along one of its axes."""

    value: ir.Value
    use: Use
    summed: Summed


_Load = _Weight | Numbers


def place(analysis: Analysis, growth: Growth) -> Placement:
    """Decide for every contraction over grown channels what carries its shares, exactly once."""
    return _Placer(analysis, growth).run()


@dataclass
class _Placer:
    analysis: Analysis
    growth: Growth
    taken: set[Use] = field(default_factory=set)  # numbers that carry shares already

    def __post_init__(self) -> None:
        self.silent: dict[ir.Value, set[Factor]] = {}  # in which tensors new channels are zero
        for factor, quiet in self.growth.quiet.items():
            for value in quiet.silent:
                self.silent.setdefault(value, set()).add(factor)

    def run(self) -> Placement:
        products: list[Scaled] = []
        loads: list[tuple[_Load, Scaled | None]] = []
        for contraction in self.analysis.ledger.contractions:
            if not self._grows(contraction):
                continue
            summand, found = self._summand(contraction)
            for part in (summand, *summand.along):
                if part is not summand:
                    found = self._carry(contraction, part)
                other = self._computed(contraction) if part is summand else part
                spare = None if contraction.whole else self._product(contraction, other)
                if found is None:
                    assert spare is not None, "what sums whole numbers has a constant that can be divided"
                    products.append(spare)
                else:
                    loads += [(load, spare) for load in found]
                    self.taken.update(load.use for load in found if isinstance(load, Numbers))
        return self._settle(loads, products)

    def _settle(self, loads: list[tuple[_Load, Scaled | None]], products: list[Scaled]) -> Placement:
        """Give up on weights whose uses do not agree: a scale must not show elsewhere, and a copy would untie them.

        Only where there is no other way every use gets a copy.
        """
        apart: dict[Use, list[Summed]] = {}
        numbered = {spare for load, spare in loads if isinstance(load, Numbers)}
        replaced: set[Scaled] = set()
        while refused := self._refused(loads):
            for load, spare in loads:
                if spare in refused - numbered and isinstance(load, _Weight):
                    replaced.add(spare)
                    apart.setdefault(load.use, []).append(load.summed)
            products += list(dict.fromkeys(spare for _, spare in loads if spare is not None and spare in refused))
            loads = [(load, spare) for load, spare in loads if spare not in refused]
        weights: dict[Use, list[Summed]] = {}
        numbers = []
        for load, _ in loads:
            if isinstance(load, Numbers):
                numbers.append(load)
            else:
                weights.setdefault(load.use, []).append(load.summed)
        return Placement(weights, numbers, products, apart, frozenset(replaced))

    def _refused(self, loads: list[tuple[_Load, Scaled | None]]) -> set[Scaled]:
        wanted: dict[ir.Value, list[tuple[_Weight, Scaled | None]]] = {}
        for load, spare in loads:
            if isinstance(load, _Weight):
                wanted.setdefault(load.value, []).append((load, spare))
        return {
            spare
            for value, entries in wanted.items()
            if not self._agree(value, [weight for weight, _ in entries])
            for _, spare in entries
            if spare is not None
        }

    def _agree(self, value: ir.Value, wanted: list[_Weight]) -> bool:
        if self.analysis.constants.vector_like(value):
            return True
        asked = {weight.use for weight in wanted}
        if value.is_graph_output() or {(use.node, use.idx) for use in value.uses() if not measures(use.node)} != asked:
            return False
        kinds = {(w.summed.axis, w.summed.share.tobytes(), w.summed.key.tobytes()) for w in wanted}
        return len(kinds) * len(asked) == len(wanted)

    # --- one contraction

    def _grows(self, contraction: Contraction) -> bool:
        silent = self._silent(contraction)
        summed = [axis for axis, summed in contraction.summands[0].parts if summed]
        return any(leaf in self.growth.channels and leaf not in silent for axis in summed for leaf in leaves(axis))

    def _silent(self, contraction: Contraction) -> frozenset[Factor]:
        """Return the factors whose new channels are zero in an operand, so that nothing is there to be shared."""
        values = [contraction.node.inputs[summand.slot] for summand in contraction.summands]
        return frozenset(factor for value in values if value is not None for factor in self.silent.get(value, ()))

    def _summand(self, contraction: Contraction) -> tuple[Summand, list[_Load] | None]:
        """Return the operand to multiply, one that constants can carry for or else one that is computed, with these.

        A head that is a table as well comes last: as a table it cannot carry anything, and both should stay one.
        """
        if contraction.power is None:
            direct = [s for s in reversed(contraction.summands) if self._constant(contraction.node, s.slot)]
            tied = [s for s in direct if stored(contraction.node.inputs[s.slot])[0] in self.analysis.twins.tied]
            free = [s for s in direct if s not in tied]
            for summand in (*free, *(s for s in contraction.summands if s not in direct), *tied):
                found = self._carry(contraction, summand)
                if found is not None:
                    return summand, found
        return self._computed(contraction), None

    def _computed(self, contraction: Contraction) -> Summand:
        """Return an operand that is computed, which a Mul may scale without touching what other nodes share."""
        computed = [s for s in contraction.summands if not self._constant(contraction.node, s.slot)]
        return (computed or list(contraction.summands))[0]

    def _product(self, contraction: Contraction, summand: Summand) -> Scaled:
        shared = partial(self._summed, contraction, summand, summand.position)
        together = any(each.along for each in contraction.summands)  # each gets its own shares, not all of them at once
        attribute = None if together else contraction.scale
        power = contraction.power or 1.0
        return Scaled(contraction.node, summand.slot, summand.position, shared, power, attribute)

    def _summed(self, contraction: Contraction, summand: Summand, axis: int) -> Summed:
        share, key = np.ones(1), np.zeros(1, np.int64)
        silent = self._silent(contraction)
        for part, summed in summand.parts:
            length = self.growth.length(part)
            share = np.multiply.outer(share, self.growth.share(part, silent) if summed else np.ones(length)).ravel()
            places = self.growth.index(part) if summed else np.arange(length)
            key = np.add.outer(key * max(length, 1), places).ravel()
        before, after = (self.growth.length(edge) for edge in (summand.before, summand.after))
        beside = np.arange(before + after) + (key.max(initial=0) + 1)  # places of their own, each with all its weight
        share = np.concatenate([np.ones(before), share, np.ones(after)])
        return Summed(axis, share, np.concatenate([beside[:before], key, beside[before:]]))

    # --- back from an operand

    def _carry(self, contraction: Contraction, summand: Summand) -> list[_Load] | None:
        """Return the constants that can carry the shares of an operand, all of them together, or None."""
        found = list(self._back(contraction, contraction.node, summand))
        return None if None in found else [load for load in found if load is not None]

    def _back(self, contraction: Contraction, node: ir.Node, summand: Summand) -> Iterator[_Load | None]:
        """Yield the loads for one operand; None where the way back ends at something that cannot carry."""
        value = node.inputs[summand.slot]
        if value is None:
            yield None
        elif value in self.analysis.constants:
            axes = self.analysis.axes_of_use(node, summand.slot) or ()
            constants = self.analysis.constants
            able = constants.scalable(value) or zero_point(constants, node, summand.slot) is not None
            fits = able and 0 <= summand.position < len(axes)
            if fits and self.growth.length(axes[summand.position]) == self._length(summand):
                summed = self._summed(contraction, summand, summand.position)
                yield _Weight(value, (node, summand.slot), summed)
            else:
                yield None
        else:
            producer = value.producer()
            alone = sum(not measures(use.node) for use in value.uses()) == 1 and not value.is_graph_output()
            there = summand.position >= 0  # an operand that is broadcast may lack the axis
            if producer is None or not there or not alone or not self._plain(producer):
                yield None
            else:
                yield from self._through(contraction, producer, value, summand)

    def _through(
        self, contraction: Contraction, node: ir.Node, value: ir.Value, summand: Summand
    ) -> Iterator[_Load | None]:
        rank = len(self.analysis.axes.get(value, ()))
        operator, position = node.op_type, summand.position
        if operator == "Identity" or (operator == "Cast" and node.attributes["to"].value in FLOATS):
            yield from self._back(contraction, node, replace(summand, slot=0))  # another Cast would round
        elif operator == "DequantizeLinear":
            stored = node.inputs[0] is not None and node.inputs[0] in self.analysis.constants
            yield from self._back(contraction, node, replace(summand, slot=0)) if stored else [None]
        elif operator == "Transpose":
            found = node.attributes.get("perm")
            perm = found.value if found is not None else range(rank - 1, -1, -1)
            yield from self._back(contraction, node, replace(summand, slot=0, position=perm[position]))
        elif operator in {"Reshape", "Squeeze", "Unsqueeze", "Flatten"}:
            moved = self._relocate(node, summand)
            yield from [None] if moved is None else self._back(contraction, node, moved)
        elif operator in {"Add", "Sub"}:
            for slot in (0, 1):
                yield from self._back(contraction, node, self._aligned(node, slot, rank, summand))
        elif operator in {"Mul", "Div"}:
            yield from self._scale(contraction, node, rank, summand)
        elif operator == "Split" and _axis(node, 0) % rank == position:
            sizes = [self.analysis.axes[output][position] for output in node.outputs]
            place = next(place for place, output in enumerate(node.outputs) if output is value)
            before, after = total(*sizes[:place], summand.before), total(summand.after, *sizes[place + 1 :])
            yield from self._back(contraction, node, replace(summand, slot=0, before=before, after=after))
        elif operator == "Slice" and self._apart(node, position, rank):
            yield from self._back(contraction, node, replace(summand, slot=0))
        elif operator in {"Gather", "GatherND"}:
            place = self._gathered(node, position, rank)
            yield from self._back(contraction, node, replace(summand, slot=0, position=place))
        elif operator == "Concat" and _axis(node, 1) % rank != position:
            for slot in range(len(node.inputs)):
                yield from self._back(contraction, node, replace(summand, slot=slot))
        elif operator in MAKERS:
            yield from self._made(contraction, node, rank, summand)
        elif operator in NORMS:
            yield from self._normed(contraction, node, value, rank, summand)
        else:
            yield None

    def _apart(self, node: ir.Node, position: int, rank: int) -> bool:
        """Say whether a Slice cuts other axes than one."""
        stated = node.attributes.get("axes")
        cut = node.inputs[3] if len(node.inputs) > 3 else None
        axes = self.analysis.constants.small(cut) if cut is not None else stated.value if stated is not None else None
        return axes is not None and all(int(axis) % rank != position for axis in axes)

    def _gathered(self, node: ir.Node, position: int, rank: int) -> int:
        """Return where an axis of what is looked up lies in the table; below 0 where none is known to be it."""
        table, places = (self.analysis.axes_of_use(node, slot) for slot in (0, 1))
        if not table or places is None:
            return -1
        front = _axis(node, 0) % len(table) if node.op_type == "Gather" else 0
        behind = rank - front - len(places) + (node.op_type == "GatherND")
        left = rank - position
        return position if position < front else len(table) - left if left <= behind else -1

    def _scale(self, contraction: Contraction, node: ir.Node, rank: int, summand: Summand) -> Iterator[_Load | None]:
        """Go on with one operand of a product or quotient, or take the number that the tensor is scaled by."""
        for slot in (1, 0) if node.op_type == "Mul" else (0,):
            found = list(self._back(contraction, node, self._aligned(node, slot, rank, summand)))
            if None not in found:
                yield from found
                return
        for slot in (0, 1) if node.op_type == "Mul" else (1,):
            value, use = node.inputs[slot], (node, slot)
            constants = self.analysis.constants
            constant = value is not None and value in constants and constants.scalable(value)
            if constant and constants[value].size == 1 and use not in self.taken:  # type: ignore[index]
                vector = self._summed(contraction, summand, 0).share
                vector = vector if node.op_type == "Mul" else 1 / vector
                if exact(constants[value].numpy().reshape(()), vector):  # type: ignore[index]
                    yield Numbers(use, vector, rank, summand.position)
                    return
        yield None

    def _made(self, contraction: Contraction, node: ir.Node, rank: int, summand: Summand) -> Iterator[_Load | None]:
        """Take the weight that makes the channels, and the bias with it."""
        for slot, place, from_end in MAKERS[node.op_type]:
            if node.op_type == "Gemm" and slot == 1:
                transposed = node.attributes.get("transB")
                place = 0 if transposed is not None and transposed.value else 1
            if slot < len(node.inputs) and node.inputs[slot] is not None:
                operand = len(self.analysis.axes_of_use(node, slot) or ())
                if node.op_type == "MatMul" and operand < 2:
                    yield None  # a vector makes no channels: it sums them up
                    continue
                wanted = rank - 1 if from_end else 1
                position = place + operand if place < 0 else place
                yield from (
                    self._back(contraction, node, replace(summand, slot=slot, position=position))
                    if summand.position == wanted and self._constant(node, slot)
                    else [None]
                )

    def _normed(
        self, contraction: Contraction, node: ir.Node, value: ir.Value, rank: int, summand: Summand
    ) -> Iterator[_Load | None]:
        """Take the gain and the bias of a norm, if they have a number for each channel."""
        slots, from_end = NORMS[node.op_type]
        for slot in slots if value is node.outputs[0] else ():
            if slot < len(node.inputs) and node.inputs[slot] is not None:
                at = self._aligned(node, slot, rank, summand).position if from_end else summand.position - 1
                yield from self._back(contraction, node, replace(summand, slot=slot, position=at))
        if value is not node.outputs[0]:
            yield None

    def _relocate(self, node: ir.Node, summand: Summand) -> Summand | None:
        """Find the channels in the operand of a node that merges or splits axes, if they lie on one axis there."""
        axes = self.analysis.axes_of_use(node, 0) or ()
        whole = self.analysis.axes.get(node.outputs[0], ())[summand.position]
        if sum(same(axis, whole) for axis in axes) == 1:  # other axes than that of the channels are rearranged
            return replace(summand, slot=0, position=next(p for p, axis in enumerate(axes) if same(axis, whole)))
        if leaves(summand.before) or leaves(summand.after):
            return None
        channels = [leaf for axis, summed in summand.parts if summed for leaf in leaves(axis)]
        everywhere = [leaf for axis in axes for leaf in leaves(axis)]
        if any(everywhere.count(channel) != 1 for channel in channels):
            return None
        places = {place for place, axis in enumerate(axes) for leaf in leaves(axis) if leaf in channels}
        if len(places) != 1:
            return None
        (place,) = places
        parts = tuple((part, part in channels) for part in parts_of(axes[place]))
        if sum(summed for _, summed in parts) != len(channels):
            return None  # some lie inside a sum
        return Summand(0, place, parts)

    def _aligned(self, node: ir.Node, slot: int, rank: int, summand: Summand) -> Summand:
        """Return the same axis of an operand that broadcasts; a position below 0 where it has none."""
        operand = self.analysis.axes_of_use(node, slot)
        return replace(summand, slot=slot, position=summand.position - (rank - len(operand or ())))

    def _plain(self, node: ir.Node) -> bool:
        """Say whether an operator has a meaning that is known here."""
        return not plain(node.domain) or operator_of(node) in FUSED

    def _length(self, summand: Summand) -> int:
        edges = self.growth.length(summand.before) + self.growth.length(summand.after)
        return edges + int(np.prod([self.growth.length(part) for part, _ in summand.parts], dtype=np.int64))

    def _constant(self, node: ir.Node, slot: int) -> bool:
        """Say whether an operand is a constant, possibly behind nodes that only move it."""
        return stored(node.inputs[slot])[0] in self.analysis.constants


def exact(number: np.ndarray, vector: np.ndarray) -> bool:
    """Say whether the type of a number holds it times each of a vector of powers of two: not a half of the smallest."""
    some = vector[(vector > 0) & np.isfinite(vector)]
    with np.errstate(over="ignore", under="ignore"):
        made = (number.astype(np.float64) * some).astype(number.dtype).astype(np.float64)
    return bool(np.all(made / some == number.astype(np.float64)))


def _axis(node: ir.Node, standard: int) -> int:
    found = node.attributes.get("axis")
    return standard if found is None else int(found.value)


FUSED = {("com.microsoft", name) for name in (
    "DequantizeLinear", "SimplifiedLayerNormalization", "SkipLayerNormalization", "SkipSimplifiedLayerNormalization"
)}  # fmt: skip

# The operands that make the channels of a linear map: slot, axis of the operand, and whether they come out last.
MAKERS: dict[str, tuple[tuple[int, int, bool], ...]] = {
    "MatMul": ((1, -1, True),),
    "Gemm": ((1, 1, True), (2, -1, True)),
    "Conv": ((1, 0, False), (2, 0, False)),
}

# The gain and the bias of a norm, and whether their axes are the last ones of the tensor, or the one of its channels.
NORMS: dict[str, tuple[tuple[int, ...], bool]] = {
    "LayerNormalization": ((1, 2), True),
    "RMSNormalization": ((1,), True),
    "SimplifiedLayerNormalization": ((1,), True),
    "SkipLayerNormalization": ((2, 3), True),
    "SkipSimplifiedLayerNormalization": ((2,), True),
    "InstanceNormalization": ((1, 2), False),
    "BatchNormalization": ((1, 2), False),
}
