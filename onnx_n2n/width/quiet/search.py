"""The search for quiet channels: what every node asks for, from the norms through whatever is linear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Axis, Factor, Product, holds, resolve
from onnx_n2n.errors import NotApplicable
from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.passthrough import COPIES, REARRANGERS, behind_copies, stored
from onnx_n2n.graph.uses import Use, operand
from onnx_n2n.record.forms import Form, number, power, shaped, tensor, times
from onnx_n2n.rules.obligations import Contraction, Mean, Norm
from onnx_n2n.width.quiet.channels import Quiet, title
from onnx_n2n.width.quiet.equations import Equations, Gains
from onnx_n2n.width.quiet.written import written

LINEAR = frozenset({"Add", "Sub", "Sum", "Mean", "Where", "Concat"})  # in all operands together
MOVING = REARRANGERS | {
    "Dropout", "Flatten", "Slice", "Split", "Gather", "Pad", "Expand", "Tile", "Neg", "AveragePool",
    "GlobalAveragePool", "ReduceMean", "ReduceSum", "Resize",
}  # fmt: skip
MAPS = frozenset({"MatMul", "Gemm", "Conv", "ConvTranspose", "Einsum", "FusedMatMul"})
ADDED = {"Gemm": 2, "Conv": 2, "ConvTranspose": 2}  # the input slot of what some of these add
# Zero at zero, and with a slope there: a channel that is zero behind a Relu would never learn.
THROUGH_ZERO = frozenset({"Gelu", "Tanh", "Erf", "Swish", "Mish", "HardSwish", "Softsign", "Sin", "Asinh", "Atan"})
SQUARES = frozenset({"Pow", "Abs"})  # inside a norm that is written out
LARGEST = 1e3  # sum of absolute weights above which rounding would show


def quieten(analysis: Analysis, factor: Factor, *, tied: bool = False) -> Quiet:
    """Find what new channels of ``factor`` must hold in every tensor so that all means over it are as before.

    Args:
        analysis: What is known of the model.
        factor: The channels.
        tied: Whether they must be zero where a head reads them that is a table too, so that both stay one parameter.

    Raises:
        NotApplicable: If there is no way.
    """
    return _Search(analysis, factor, tied).run()


@dataclass
class _Search:
    analysis: Analysis
    factor: Factor
    tied: bool
    equations: Equations = field(default_factory=Equations)
    whole: dict[ir.Value, ir.Node] = field(default_factory=dict)  # the weights sum to 1: all channels get the same
    writers: dict[Use, ir.Value] = field(default_factory=dict)  # which tensor decides what a constant writes
    rows: dict[Use, np.ndarray] = field(default_factory=dict)
    ones: set[Use] = field(default_factory=set)
    norms: list[Norm] = field(default_factory=list)
    means: list[Mean] = field(default_factory=list)

    def run(self) -> Quiet:
        size = self.factor.size or 0
        self.zero, self.mean = np.zeros(size), np.full(size, 1 / size)
        self._read_ledger()
        self._read_interface()
        for node in self.analysis.nodes.get(self.factor, ()):
            self._visit(node)
        self.writers = {use: value for use, value in self.writers.items() if use not in self.ones}
        holds = self.equations.solve(self.mean, (node for node, _ in self.writers))
        for value, held in holds.items():
            if not np.abs(held).sum() < LARGEST:
                raise NotApplicable(
                    f"new channels of {str(value.name)!r} would be made of numbers too large to be exact"
                )
        for value, node in self.whole.items():
            if abs(holds[value].sum() - 1) > 1e-9:
                raise NotApplicable(f"{title(node)} writes the same to every channel, and the new ones must stay zero")
        shrunk, followed = [], []
        for mean in self.means:
            held = holds[operand(mean.node, 0)]
            if held.any() and not np.allclose(held, self.mean):
                raise NotApplicable(f"{title(mean.node)} takes a mean of scaled channels")
            if not held.any():
                found = written(mean.node, self.analysis.constants, self.ones)
                if found is not None and not self._touches(self.analysis.axes_of_use(*found[1])):
                    found = None
                if found is None and mean.node.outputs[0].is_graph_output():
                    raise NotApplicable(f"{title(mean.node)} is an output of the model")
                if found is None:
                    shrunk.append(mean)
                else:
                    followed.append(found)
        rows = self.rows | {use: holds[value] for use, value in self.writers.items()}
        self._check_shared(rows)
        forms = {value: _form(held, self.equations.gains[value]) for value, held in holds.items()}
        forms_of_rows = {use: _form(held, {}) for use, held in self.rows.items()}
        forms_of_rows |= {use: forms[value] for use, value in self.writers.items()}
        holds = {value: held for value, held in holds.items() if value not in self.analysis.constants}
        norms, means = tuple(self.norms), tuple(shrunk)
        return Quiet(holds, rows, frozenset(self.ones), norms, tuple(followed), means, forms, forms_of_rows)

    # --- what nodes ask for

    def _read_ledger(self) -> None:
        self.sums: dict[ir.Node, list[Contraction]] = {}
        for node in self.analysis.nodes.get(self.factor, ()):
            for contraction in self.analysis.contractions.get(node, ()):
                if any(summed and self._on(axis) for axis, summed in contraction.summands[0].parts):
                    self.sums.setdefault(node, []).append(contraction)
                    self._keep_tied(contraction)
        for evenness in self.analysis.evenness.get(self.factor, ()):
            if evenness.by is None:
                raise NotApplicable(evenness.reason.text)
            if resolve(evenness.axis) is not self.factor:
                raise NotApplicable(f"{evenness.reason.text}, of which these channels are a part")
            if isinstance(evenness.by, Norm):
                self.norms.append(evenness.by)
            else:
                self.means.append(evenness.by)
        self._by_node = {norm.node: norm for norm in self.norms}
        self._averaging = {mean.node for mean in self.means}

    def _keep_tied(self, contraction: Contraction) -> None:
        """Let what a head reads that is a table too be zero, so that the head needs no numbers of its own."""
        read = [operand(contraction.node, summand.slot) for summand in contraction.summands]
        if self.tied and any(stored(value)[0] in self.analysis.twins.tied for value in read):
            for value in read:
                if stored(value)[0] not in self.analysis.constants:
                    self.equations.fix(value, self.zero, contraction.node)

    def _read_interface(self) -> None:
        """New channels of an input are computed right behind it, along its last axis; those of outputs are left out."""
        ports = [port for port in self.analysis.ports if self._on(port.axis)]
        for port in ports:
            if port.inward and (resolve(port.axis) is not self.factor or port.picker is not None):
                raise NotApplicable(
                    f"graph input {port.value.name!r} has these channels as a part of an axis, or copied"
                )
            if port.inward and port.position != len(port.value.shape or ()) - 1:
                raise NotApplicable(f"graph input {port.value.name!r} has these channels on another axis than the last")
        self._picking = {port.picker for port in ports}

    def _visit(self, node: ir.Node) -> None:
        if node in self._picking:
            return
        operands = [(slot, value) for slot, value in enumerate(node.inputs) if value is not None]
        given = [(slot, value) for slot, value in operands if self._touches(self.analysis.axes_of_use(node, slot))]
        made = [value for value in node.outputs if self._touches(self.analysis.axes.get(value))]
        if not given and not made:
            return
        for value in [*(value for _, value in given), *made]:
            if value not in self.analysis.constants and self._count(value) > 1:
                raise NotApplicable(f"{str(value.name)!r} has these channels twice")
        if node in self._by_node:
            self._norm(self._by_node[node])
        elif not made:
            self._ends(node)
        elif plain(node.domain) not in {"", "com.microsoft"}:
            raise NotApplicable(f"{title(node)} stands between what writes the stream and its norm")
        elif node.op_type in MAPS:
            self._map(node, given, made[0])
        elif node.op_type in LINEAR:
            self._linear(node, operands, given, made[0])
        elif node.op_type in {"Mul", "Div"}:
            self._scale(node, given, made[0])
        elif node.op_type in MOVING:
            self._move(node, given, made)
        elif node.op_type in THROUGH_ZERO or (node.op_type in SQUARES and self._squares(node)):
            self.equations.fix(self._computed(node, given[0][0]), self.zero, node)
            self.equations.fix(made[0], self.zero, node)
        else:
            raise NotApplicable(f"{title(node)} stands between what writes the stream and its norm")

    def _ends(self, node: ir.Node) -> None:
        """A node after which the factor is gone: a sum, a mean, or a question for its length."""
        if node not in self.sums and node not in self._averaging and node.op_type not in {"Shape", "Size"}:
            raise NotApplicable(f"{title(node)} looks at all channels at once")
        if node in self._averaging:
            self.equations.tie(self._computed(node, 0), operand(node, 0), node)

    def _norm(self, norm: Norm) -> None:
        node = norm.node
        others = [slot for slot in range(1, len(node.outputs)) if slot not in norm.sums]
        if node.op_type == "EmbedLayerNormalization":
            others = []  # what it also gives counts the places
        if any(node.outputs[slot].uses() or node.outputs[slot].is_graph_output() for slot in others):
            raise NotApplicable(f"{title(node)} also gives its mean or variance")
        if not self._constant(node, norm.gain) or (norm.bias is not None and not self._constant(node, norm.bias)):
            raise NotApplicable(f"{title(node)} has a gain or bias that is computed")
        if norm.bias is not None and not self._touches(self.analysis.axes_of_use(node, norm.bias)):
            raise NotApplicable(f"{title(node)} adds the same number to every channel")
        held = self.mean if norm.centred else self.zero
        for slot in norm.inputs:
            if not self._touches(self.analysis.axes_of_use(node, slot)):
                raise NotApplicable(f"{title(node)} adds the same number to every channel")
            if not self._constant(node, slot):
                self.equations.fix(operand(node, slot), held, node)
            elif self.analysis.constants.vector_like(operand(node, slot)):
                self.rows[node, slot] = held
            else:
                self.writers[node, slot] = operand(node, slot)
                self.equations.fix(operand(node, slot), held, node)
        for slot in norm.sums:
            if slot < len(node.outputs):
                self.equations.fix(node.outputs[slot], held, node)
        self.equations.fix(node.outputs[0], self.zero, node)
        if norm.bias is not None:
            self.rows[node, norm.bias] = self.zero
        self.ones.add((node, norm.gain))

    def _map(self, node: ir.Node, given: list[tuple[int, ir.Value]], made: ir.Value) -> None:
        """A linear map: it writes the factor with a weight, or passes it on."""
        summed = {(s.slot, s.position) for contraction in self.sums.get(node, ()) for s in contraction.summands}
        passing = []
        for slot, value in given:
            axes = self.analysis.axes_of_use(node, slot) or ()
            if any(self._on(axis) and (slot, place) not in summed for place, axis in enumerate(axes)):
                passing.append((slot, value))
        added = ADDED.get(node.op_type)
        scaled = sum(slot != added for slot, _ in passing) > 1  # channel by channel, as in a depthwise convolution
        for slot, value in passing:
            if self._constant(node, slot) and scaled and slot != added:
                self.rows[node, slot] = self.mean  # anything, so that a channel that is zero can learn
            elif self._constant(node, slot):
                self._write(node, slot, made)
            elif not scaled:
                self.equations.tie(value, made, node)
        if scaled:
            computed = [value for slot, value in passing if not self._constant(node, slot) and slot != added]
            if not computed or any(slot == added and not self._constant(node, slot) for slot, _ in passing):
                raise NotApplicable(f"{title(node)} scales channels by channels")
            self.equations.fix(computed[0], self.zero, node)
            self.equations.fix(made, self.zero, node)
        biased = node.op_type == "Gemm" and len(node.inputs) > 2 and node.inputs[2] is not None
        if biased and not self._touches(self.analysis.axes_of_use(node, 2)):
            self.whole[made] = node

    def _linear(
        self, node: ir.Node, operands: list[tuple[int, ir.Value]], given: list[tuple[int, ir.Value]], made: ir.Value
    ) -> None:
        if node.op_type == "Sub" and self._centres(node):
            self.equations.fix(self._computed(node, 0), self.mean, node)
            self.equations.fix(made, self.zero, node)
            return
        slots = {slot for slot, _ in given}
        for slot, value in operands:
            if node.op_type == "Where" and slot == 0:
                if slot in slots:
                    raise NotApplicable(f"{title(node)} chooses by channel")
            elif slot not in slots:
                if node.op_type != "Concat":  # there it is laid beside the channels
                    self.whole[made] = node
            elif self._constant(node, slot):
                self._write(node, slot, made)
            else:
                self.equations.tie(value, made, node)

    def _write(self, node: ir.Node, slot: int, made: ir.Value) -> None:
        """Let a constant write what a tensor holds; a matrix stays one, so that it writes the same for all its uses."""
        value = operand(node, slot)
        self.writers[node, slot] = made
        if not self.analysis.constants.vector_like(value):
            self.equations.tie(value, made, node)

    def _centres(self, node: ir.Node) -> bool:
        """Say whether a node subtracts the mean over the factor from the tensor that it is the mean of."""
        mean = operand(node, 1).producer()
        while mean is not None and mean.op_type in COPIES:
            mean = operand(mean, 0).producer()
        return mean in self._averaging and mean is not None and mean.inputs[0] is node.inputs[0]

    def _scale(self, node: ir.Node, given: list[tuple[int, ir.Value]], made: ir.Value) -> None:
        if len(given) == 1:
            slot, value = given[0]
            if slot == 1 and node.op_type == "Div":
                raise NotApplicable(f"{title(node)} divides by the stream")
            if self._constant(node, slot):  # it makes the channels of something that has none
                self._write(node, slot, made)
            else:
                self.equations.tie(value, made, node)
            return
        uses = {slot: behind_copies(node, slot) for slot, _ in given}
        constants = [slot for slot, use in uses.items() if self._constant(*use)]
        if len(constants) == 1 and (node.op_type == "Mul" or constants == [1]):
            (slot,) = constants
            gain = self._vector(*uses[slot])
            if gain is None or not gain.all():
                raise NotApplicable(f"{title(node)} scales by a matrix, or by zero")
            value = operand(node, 1 - slot)
            exponent = 1 if node.op_type == "Mul" else -1
            self.equations.tie_scaled(value, made, node, gain, operand(*uses[slot]), exponent)
            self.ones.add(uses[slot])
            return
        if node.op_type == "Div" or constants:
            raise NotApplicable(f"{title(node)} divides by the stream, or makes it of constants only")
        # A product is zero where one operand is: in a square, or where a stream is gated. With both at zero none of
        # them would ever learn.
        self.equations.fix(given[0][1], self.zero, node)
        self.equations.fix(made, self.zero, node)

    def _move(self, node: ir.Node, given: list[tuple[int, ir.Value]], made: list[ir.Value]) -> None:
        if node.op_type == "Pad" and not self._pads_with_zero(node):
            self.whole[made[0]] = node
        if node.op_type == "Dropout" and any(mask.uses() or mask.is_graph_output() for mask in made[1:]):
            raise NotApplicable(f"{title(node)} also gives its mask")
        if node.op_type == "Cast" and node.attributes["to"].value not in FLOATS:
            raise NotApplicable(f"{title(node)} rounds to whole numbers")
        if not given:  # the axis arises, with equal values along it
            self.whole[made[0]] = node
            self.equations.tie(made[0], made[0], node)
        for slot, value in given:
            if slot:
                raise NotApplicable(f"{title(node)} is steered by the channels")
            for output in made:
                if self._constant(node, slot):
                    self._write(node, slot, output)
                else:
                    self.equations.tie(value, output, node)

    def _squares(self, node: ir.Node) -> bool:
        if node.op_type == "Abs":
            return True
        power = self.analysis.constants.small(operand(node, 1))
        return power is not None and power.size == 1 and float(power.reshape(-1)[0]) > 1

    def _pads_with_zero(self, node: ir.Node) -> bool:
        if len(node.inputs) < 3 or node.inputs[2] is None:
            value = node.attributes.get("value")
            return value is None or not value.value
        array = self.analysis.constants.small(operand(node, 2))
        return array is not None and not array.any()

    def _check_shared(self, rows: Mapping[Use, np.ndarray]) -> None:
        """Make sure that all uses of a matrix, which stays one, write the same."""
        first: dict[ir.Value, np.ndarray] = {}
        for (node, slot), row in rows.items():
            value = operand(node, slot)
            if not self.analysis.constants.vector_like(value) and not np.allclose(first.setdefault(value, row), row):
                raise NotApplicable(f"{str(value.name)!r} would have to write differently in two places")

    # --- questions

    def _count(self, value: ir.Value) -> int:
        """Count how often the factor is in the place of one number of a tensor; parts of a sum are different places."""

        def times(axis: Axis) -> int:
            axis = resolve(axis)
            if isinstance(axis, Factor):
                return int(axis is self.factor)
            return (sum if isinstance(axis, Product) else max)(map(times, axis.parts))

        return sum(map(times, self.analysis.axes.get(value) or ()))

    def _computed(self, node: ir.Node, slot: int) -> ir.Value:
        """Return an operand that must not be a constant, for whose new channels there is no rule here."""
        value = operand(node, slot)
        if value in self.analysis.constants:
            raise NotApplicable(f"{title(node)} reads the channels of a constant, {str(value.name)!r}")
        return value

    def _on(self, axis: Axis) -> bool:
        return holds(axis, self.factor)

    def _touches(self, axes: tuple[Axis, ...] | None) -> bool:
        return any(map(self._on, axes or ()))

    def _constant(self, node: ir.Node, slot: int) -> bool:
        """Say whether an operand is a constant that can be given new channels of its own."""
        value = operand(node, slot)
        if value not in self.analysis.constants:
            return False
        axes = self.analysis.axes_of_use(node, slot) or ()
        if any(self._on(axis) and resolve(axis) is not self.factor for axis in axes):
            raise NotApplicable(f"{str(value.name)!r} has the channels as a part of an axis")
        if any(map(self._on, axes)) and not self.analysis.constants.scalable(value):
            raise NotApplicable(f"{str(value.name)!r} is quantised, so that it cannot hold sums of its rows")
        return True

    def _vector(self, node: ir.Node, slot: int) -> np.ndarray | None:
        array = self.analysis.constants.array(operand(node, slot))
        if array is None or array.size != self.factor.size:
            return None
        return array.reshape(-1).astype(np.float64)


def _form(held: np.ndarray, gains: Gains) -> Form | None:
    """Return what weights are before they are rounded: the mean, perhaps with gains; None for zeros."""
    if not held.any():
        return None
    scales = [power(shaped(tensor(str(gain.name)), -1), exponent) for gain, exponent in gains.items()]
    return times(number(1, len(held)), *scales)
