"""How far fresh channels of a factor reach, node by node, until outgoing weights of zero end it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.groups import layer_name
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Axis, Factor, Product, Reason, holds, leaves, resolve, size
from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.passthrough import EXPANDERS
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.graph.uses import Use
from onnx_n2n.rules.ranges import Bounded, Keeps, Kind, Moves, Overflows
from onnx_n2n.rules.registry import range_of
from onnx_n2n.width.folding import Fold
from onnx_n2n.width.mixing import Mixing
from onnx_n2n.width.reach.magnitudes import ROOM, WHOLE, Magnitudes, carried, sliced
from onnx_n2n.width.reach.reach import COPIED, LOST, MIXED, NOTHING, Gain, Reach, keeps, settled, worst


@dataclass(frozen=True)
class Walked:
    """What all walks through a model share.

    Attributes:
        analysis: The model's.
        mixing: Which constants are mixed.
        folds: Which of them with the norm behind them.
        magnitudes: Which tensors have a bound anyway.
        formulas: What becomes of fresh channels, by the name of a kind of range.
    """

    analysis: Analysis
    mixing: Mixing
    folds: Mapping[Use, Fold]
    magnitudes: Magnitudes
    formulas: Mapping[str, Formula]

    @cached_property
    def given(self) -> Mapping[Factor, Sequence[ir.Value]]:
        """For each factor the graph inputs that have it inside: new channels of these are copies."""
        inputs, known = self.analysis.model.graph.inputs, self.analysis.axes
        axes = [(value, axis) for value in inputs for axis in known.get(value, ())]
        axes += [(port.value, port.axis) for port in self.analysis.ports if port.inward]
        found: dict[Factor, list[ir.Value]] = {}
        for value, axis in axes:
            for factor in leaves(axis):
                found.setdefault(factor, []).append(value)
        return found

    @cached_property
    def constants(self) -> dict[Use, Reach]:
        """What is known of the fresh channels of each constant that a walk has come to, by its use."""
        return {}

    def constant(self, value: ir.Value, use: Use) -> Reach:
        """Return what is known of the fresh channels of a constant, whatever walk they are of."""
        if use not in self.constants:
            bound, largest = self.magnitudes[value], self.magnitudes.largest(value)
            kind = MIXED if self.mixing.mixes(value, use) else COPIED
            self.constants[use] = NOTHING if bound == 0 else settled(kind, bound, largest, ROOM)
        return self.constants[use]


class Walk:
    """One walk: what is known of each tensor that has the channels of a factor.

    Args:
        model: The model.
        factor: Whose fresh channels are followed.
        positive: Whether mixtures have positive weights only.
    """

    def __init__(self, model: Walked, factor: Factor, *, positive: bool) -> None:
        self.model = model
        self.analysis, self.magnitudes, self.mixing = model.analysis, model.magnitudes, model.mixing
        self.folds, self.formulas = model.folds, model.formulas
        self.factor, self.positive = factor, positive
        self.slots = self.analysis.nodes.get(factor, {})
        self.nodes: dict[ir.Graph, list[ir.Node]] = {}
        for node in self.slots:
            self.nodes.setdefault(node.graph, []).append(node)  # type: ignore[arg-type]
        self.found: dict[ir.Value, Reach] = dict.fromkeys(model.given.get(factor, ()), COPIED)
        self.whys: dict[ir.Value, Reason] = {}

    def run(self, most: float) -> Gain | Reason:
        """Return the largest gain of all tensors, or why one leaves the range or has more than the ``most`` allowed."""
        self.visit(self.analysis.model.graph)
        gain: Gain = 0.0
        for node in self.slots:
            for value in node.outputs:
                reach = self.found.get(value)
                if reach is None or not (value.uses() or value.is_graph_output()):
                    continue
                if reach.lost:
                    return self.whys[value]
                gain = np.maximum(gain, 0.0 if reach.copy else reach.gain)
                if np.max(gain) > most:
                    times = f"fresh channels may get {np.max(gain):.3g} times as large as what they are made of"
                    return self.reason(node, times)
        return gain

    def visit(self, graph: ir.Graph) -> None:
        """Walk over those nodes of a graph that have to do with the factor."""
        for node in self.nodes.get(graph, ()):
            bodies = list(bodies_of(node))
            if bodies:
                self._bodies(node, bodies)
            else:
                self._visit(node)

    def _visit(self, node: ir.Node) -> None:
        for slot, value in enumerate(node.outputs):
            if self.touches(self.analysis.axes.get(value)) and value not in self.analysis.constants:
                self.learn(node, value, self._result(node, slot))

    def learn(self, node: ir.Node, value: ir.Value, reach: Reach) -> None:
        """Note what is known of a tensor, with the first node at which it was lost."""
        known = settled(reach, self.magnitudes[value], self.magnitudes.largest(value), ROOM)
        self.found[value] = known
        self.whys.pop(value, None)
        if known.lost:
            before = [each for each in node.inputs if each is not None and each in self.whys]
            why = "fresh channels may leave the range of the teacher's here"
            self.whys[value] = self.whys[before[0]] if before else self.reason(node, why)

    # --- questions

    def on(self, axis: Axis) -> bool:
        """Say whether an axis has the factor."""
        return holds(axis, self.factor)

    def touches(self, axes: Sequence[Axis] | None) -> bool:
        """Say whether a tensor has the factor."""
        return any(map(self.on, axes or ()))

    def reason(self, node: ir.Node, text: str) -> Reason:
        """Return a reason that names a node."""
        return Reason(f"{node.op_type}: {text}", layer_name(node))

    def operand(self, node: ir.Node, slot: int) -> Reach | None:
        """Return what is known of the fresh channels of an operand, None if it has none."""
        value = node.inputs[slot]
        if value is None or slot not in self.slots.get(node, ()):
            return None
        if value in self.analysis.constants:
            return self.model.constant(value, (node, slot))
        return NOTHING if self.magnitudes[value] == 0 else self.found.get(value, LOST)

    def differs(self, node: ir.Node, slot: int) -> bool:
        """Say whether the channels of an operand may differ: it has them, and had them before it was expanded."""
        value = node.inputs[slot]
        while self.operand(node, slot) is not None:
            made = value.producer() if value is not None else None
            if made is None or operator_of(made) not in EXPANDERS:
                return True
            node, slot, value = made, 0, made.inputs[0]
        return False

    def beside(self, value: ir.Value) -> Reach:
        """Return what is known of an operand without fresh channels, as a part of a sum."""
        if self.magnitudes.bounded(value):
            return Reach(plus=self.magnitudes[value])
        return Reach(teacher=1.0)

    def part(self, node: ir.Node, slot: int) -> Reach:
        """Return what is known of any operand, as a part of a sum."""
        value, reach = node.inputs[slot], self.operand(node, slot)
        assert value is not None
        if reach is None:
            return self.beside(value)
        if reach.copy and not reach.linear and self.magnitudes.bounded(value):
            return Reach(plus=self.magnitudes[value], copy=True)
        return reach

    def chosen(self, node: ir.Node, reach: Reach, slots: Iterable[int]) -> Reach:
        """Return what is known of numbers that operands choose; where these have the channels, of each others."""
        alike = all(self.operand(node, slot) is None for slot in slots if slot < len(node.inputs))
        return reach if alike else replace(reach, copy=False, linear=False, below=False)

    def floats(self, node: ir.Node, among: Iterable[int] | None = None) -> list[int]:
        """Return the slots of the operands that are no whole numbers, of all or ``among`` some."""
        return [
            slot for slot in (range(len(node.inputs)) if among is None else among)
            if (value := node.inputs[slot]) is not None and self.magnitudes.dtype(value) not in WHOLE
        ]  # fmt: skip

    def sizes(self, node: ir.Node, slot: int) -> Gain:
        """Return the bound of an operand, for each channel of the factor where it is a constant."""
        value = node.inputs[slot]
        assert value is not None
        axes = self.analysis.axes_of_use(node, slot) or ()
        places = [place for place, axis in enumerate(axes) if self.on(axis)]
        array = self.analysis.constants.array(value) if len(places) == 1 else None
        if array is None or not np.isfinite(array).all():
            return self.magnitudes[value]
        rows = np.abs(np.moveaxis(array, places[0], 0).astype(np.float64)).reshape(array.shape[places[0]], -1)
        return self.by_channel((node, slot), axes[places[0]], rows.max(axis=1, initial=0))

    def by_channel(self, use: Use, axis: Axis, sizes: np.ndarray) -> Gain:
        """Return the largest of the sizes along an axis of an operand, for each channel of the factor.

        If fresh places of it are mixtures, any channel may be the second of what is made of the first.
        """
        if use in self.folds or self.mixing.blends(use) or size(axis) != len(sizes) or not self.on(axis):
            return float(sizes.max(initial=0))
        found = np.zeros(self.factor.size or 0)
        places, channels = _channels(axis, self.factor)
        np.maximum.at(found, channels, sizes[places])
        return found

    # --- nodes

    def _result(self, node: ir.Node, slot: int) -> Reach:
        reading = self.slots[node]
        fresh = [reach for each in reading if (reach := self.operand(node, each)) is not None]
        if fresh and all(reach.copy for reach in fresh):
            return NOTHING if all(reach.linear for reach in fresh) and node.op_type == "Identity" else COPIED
        said = range_of(node)
        match said:
            case Bounded():
                return Reach(plus=said.by)
            case Moves(slots):
                moved = [self.operand(node, each) for each in (self.floats(node, reading) if slots is None else slots)]
                # What has not got the channels is laid beside them, or gives all of them the same number.
                found = worst(reach for reach in moved if reach is not None) if any(moved) else COPIED
                return self.chosen(node, found, set(range(len(node.inputs))).difference(slots) if slots else ())
            case Keeps():
                return keeps(worst(self.part(node, each) for each in self.floats(node)), said, positive=self.positive)
            case Overflows(exponential=True) if self.positive and all(reach.linear for reach in fresh):
                return Reach(gain=1.0, plus=1.0, below=True, floor=True)  # exp is convex, and 1 where the operand is 0
            case Overflows(symmetric=True):
                return Reach(gain=1.0) if all(reach.linear for reach in fresh) else LOST
            case Kind(name) if name in self.formulas:
                return self.formulas[name](self, node, slot)
        return LOST

    def _bodies(self, node: ir.Node, bodies: list[ir.Graph]) -> None:
        if node.op_type in {"Loop", "Scan"}:
            self._repeat(node, bodies[0])
            return
        for body in bodies:
            self.visit(body)
        for slot, value in enumerate(node.outputs):
            if self.touches(self.analysis.axes.get(value)):
                ends = [body.outputs[slot] for body in bodies]
                self.learn(node, value, worst(self._given(end) for end in ends))

    def _given(self, value: ir.Value) -> Reach:
        """Return what is known of a tensor that a body is given or gives."""
        if value in self.analysis.constants:
            return Reach(plus=self.magnitudes[value], copy=True)
        return self.found.get(value, LOST)

    def _repeat(self, node: ir.Node, body: ir.Graph) -> None:
        """Find what is known of the states of a loop: what holds after the body too if it holds before."""
        for inner, outer in sliced(node, body):
            if self.touches(self.analysis.axes.get(outer)):
                self.found[inner] = self._given(outer)
        states = [each for each in carried(node, body) if self.touches(self.analysis.axes.get(each[1]))]
        first = {inner: self._given(outer) for outer, inner, _ in states}
        taken = dict(first)
        for again in range(4):
            self.found.update(taken)
            self.visit(body)
            made = {inner: self._given(end) for _, inner, end in states}
            if all(made[inner].within(taken[inner]) and not taken[inner].lost for inner in made):
                break
            taken = {inner: worst((first[inner], made[inner])) if again != 1 else LOST for inner in made}
        else:
            for _, inner, end in states:
                self.found[inner] = self.found[end] = LOST
                self.whys[inner] = self.whys[end] = self.reason(node, "a state with fresh channels feeds back")
        loop = node.op_type == "Loop"
        for value, end in zip(node.outputs, list(body.outputs)[loop:], strict=False):
            if self.touches(self.analysis.axes.get(value)):
                self.learn(node, value, self._given(end))
        for value, (_, inner, _) in zip(node.outputs, carried(node, body), strict=False):
            if self.touches(self.analysis.axes.get(value)):
                self.learn(node, value, worst((self.found[value], self.found[inner])))


def _channels(axis: Axis, factor: Factor) -> tuple[np.ndarray, np.ndarray]:
    """Return int64[n] twice: the places of an axis that have a factor, and which channel of it each of them is of."""
    axis = resolve(axis)
    if isinstance(axis, Factor):
        places = np.arange((axis.size or 0) if axis is factor else 0)
        return places, places
    if isinstance(axis, Product):
        found = np.full(1, -1)
        for part in axis.parts:
            inner = np.full(size(part) or 0, -1)
            places, channels = _channels(part, factor)
            inner[places] = channels
            found = np.maximum.outer(found, inner).ravel()
        return np.flatnonzero(found >= 0), found[found >= 0]
    pairs = [(axis.starts[n], *_channels(axis.parts[n], factor)) for n in axis.having.get(factor, ())]
    none = np.zeros(0, np.int64)
    return (
        np.concatenate([none, *(start + places for start, places, _ in pairs)]),
        np.concatenate([none, *(channels for *_, channels in pairs)]),
    )


Formula = Callable[[Walk, ir.Node, int], Reach]
