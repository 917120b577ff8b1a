"""Which tensors of a model are trained, which go with it, and which never change: decided here, for every framework.

In this order:

1. ``--freeze`` and ``--train`` of the user.
2. The exporter, where it says what was a parameter, a buffer, a constant (``graph_signature`` of torch.export), or what
   a tensor was made of that has no name of its own.
3. What was an initializer is a parameter if a gradient reaches it, unless it looks like what a formula needs: a single
   number, a mask, a table of sines, a state of zeros. Statistics of BatchNormalization are state.
4. What was a Constant node, or is filled by ConstantOfShape, is a constant, unless the file holds its weights there.

What 3 and 4 read off the looks of a tensor is a guess, and is told as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from onnx_n2n.depth.splice import LAST_PART, MARK
from onnx_n2n.export.choice import STATISTICS, Choice, Decision
from onnx_n2n.export.flow import Flow, Meeting, operator_of
from onnx_n2n.export.formulas import formula_of, is_written
from onnx_n2n.graph.constants import FLOATS
from onnx_n2n.graph.quantised import NARROW
from onnx_n2n.graph.uses import Use
from onnx_n2n.record.provenance import ANONYMOUS, Origins

# Slots that hold weights, whatever they look like.
SLOTS: Mapping[str, frozenset[int]] = {
    "BatchNormalization": frozenset({1, 2, 3, 4}),
    "Conv": frozenset({1, 2}),
    "ConvTranspose": frozenset({1, 2}),
    "DeformConv": frozenset({1, 3}),
    "Einsum": frozenset({0, 1, 2}),
    "GRU": frozenset({1, 2, 3}),
    "Gemm": frozenset({0, 1, 2}),
    "GroupNormalization": frozenset({1, 2}),
    "InstanceNormalization": frozenset({1, 2}),
    "LSTM": frozenset({1, 2, 3, 7}),
    "LayerNormalization": frozenset({1, 2}),
    "MatMul": frozenset({0, 1}),
    "PRelu": frozenset({1}),
    "RMSNormalization": frozenset({1}),
    "RNN": frozenset({1, 2, 3}),
    "com.microsoft.Attention": frozenset({1, 2}),
    "com.microsoft.BiasGelu": frozenset({1}),
    "com.microsoft.EmbedLayerNormalization": frozenset({2, 3, 4, 5, 6}),
    "com.microsoft.FastGelu": frozenset({1}),
    "com.microsoft.FusedConv": frozenset({1, 2}),
    "com.microsoft.FusedGemm": frozenset({0, 1, 2}),
    "com.microsoft.FusedMatMul": frozenset({0, 1}),
    "com.microsoft.MultiHeadAttention": frozenset({3}),
    "com.microsoft.SkipLayerNormalization": frozenset({2, 3, 4}),
    "com.microsoft.SkipSimplifiedLayerNormalization": frozenset({2, 3}),
}
PRODUCTS = frozenset({"MatMul", "Einsum", "com.microsoft.FusedMatMul"})  # also of tables: angles, Fourier transforms
LAYERS = PRODUCTS | frozenset({"Conv", "ConvTranspose", "Gemm"})
MEASURED = frozenset({3, 4})  # slots of BatchNormalization

# Operators that take tensors of one number that nobody learns: paddings, states and sums that begin at zero.
FILLED = frozenset(
    {"Concat", "Expand", "GRU", "InstanceNormalization", "LSTM", "Loop", "Pad", "RNN", "Scan", "ScatterElements",
     "ScatterND", "Slice", "Where"}
)  # fmt: skip
CURVED = frozenset(
    {"Abs", "Clip", "Cos", "Elu", "Erf", "Exp", "Log", "Mish", "Reciprocal", "Relu", "Sigmoid", "Sin", "Softmax",
     "Softplus", "Sqrt", "Tanh"}
)  # fmt: skip
"""What is put through one of these, before any data, is learned: a formula would have its value."""

MASK = 1e4  # what a mask adds is larger than any weight
MADE = frozenset({"Constant", "ConstantOfShape"})
CONSTANT = re.compile(r"(^|/)Constant(_\d+)?(_output_\d+)?$")  # what the output of a Constant node is called
VARIABLE = "ReadVariableOp"  # in what tf2onnx calls a variable of TensorFlow
SOUGHT = 3  # names of parameters that a reason lists


class Decider:
    """Decides over the tensors of one model.

    Args:
        model: The model, with its functions written out.
        origins: What its exporter has left behind.
        choice: What the user wants.
    """

    def __init__(self, model: ir.Model, origins: Origins, choice: Choice) -> None:
        self._origins, self._choice, self._flow = origins, choice, Flow(model)
        self._kinds = origins.kinds
        self._scripted = model.producer_name == "pytorch" and not origins.kinds
        self._lost = self._unseen(model)
        self._by_nodes = not self._kinds and self._in_constants(model)

    def of(self, value: ir.Value, tensor: ir.TensorProtocol, alias: str) -> Decision:
        """Decide over a tensor of the file, or one that nodes make of constants.

        Args:
            value: What it is in the graph.
            tensor: What is in it.
            alias: What its name becomes in a framework.
        """
        found = self._found(value, tensor)
        refusal = f"is of the type {tensor.dtype.name}" if tensor.dtype not in FLOATS else ""
        return self._choice.over(found, [*self._names(value), alias], refusal=refusal or _measured(found))

    def for_use(self, decision: Decision, use: Use | None, name: str) -> Decision:
        """Decide over a tensor for one of its uses, by its name there: ones may be scales and variances.

        Args:
            decision: What it is for all of them.
            use: The node that reads it, and at which slot; None is an output.
            name: What it is called in the framework.
        """
        told = self._kinds.get(name)
        if told in {"PARAMETER", "BUFFER"}:
            return _told(told)
        if use is None or self._kinds:
            return decision
        node, slot = use
        if node.op_type == "BatchNormalization" and slot in MEASURED:
            return STATISTICS
        if decision.kind == "state" and slot in SLOTS.get(operator_of(node), frozenset()):
            return Decision("trained", f"a weight of {operator_of(node)}")
        return decision

    def chosen(self, decision: Decision, names: Sequence[str]) -> Decision:
        """Put what the user wants over a decision, once it is known what a tensor is called."""
        return self._choice.over(decision, names, refusal=_measured(decision))

    def _names(self, value: ir.Value) -> list[str]:
        """Return what a tensor is called, in the file and by those who read it."""
        found = [self._origins.of(value, (use.node, use.idx)) for use in value.uses()]
        return [str(value.name), *(name for origin in found if origin is not None for name in origin.names)]

    def _found(self, value: ir.Value, tensor: ir.TensorProtocol) -> Decision:
        """Decide without the user."""
        if tensor.dtype not in FLOATS:
            return Decision("constant", WHOLE if tensor.dtype in NARROW else "not a floating-point number")
        told = self._kinds.get(str(value.name))
        if told is not None:
            return _told(told)
        node = value.producer()
        meetings = self._flow.meetings(value)
        filled = node is not None and node.op_type == "ConstantOfShape" and self._by_nodes
        if node is not None and node.op_type not in {"Constant", "Identity"} and not filled:
            return Decision("constant", f"computed from constants by {operator_of(node)}")
        found = self._made_of(meetings, value) if self._kinds else None
        if found is not None:
            return found
        by_node = CONSTANT.search(str(value.name)) is not None or (node is not None and node.op_type in MADE)
        if by_node and not self._by_nodes:
            looks = self._looks(value, tensor, meetings)
            seems = looks.kind == "trained" and any(map(_slotted, meetings))
            because = "a Constant node" + (", though it stands where weights do" if seems else "")
            return Decision("constant", because, guess=seems)
        found = self._looks(value, tensor, meetings)
        if self._kinds:
            return self._unnamed(value, tensor, found, meetings)
        if by_node and found.kind == "trained":
            return Decision("trained", f"{found.because}; the file holds its weights in such nodes", guess=True)
        return found

    def _made_of(self, meetings: list[Meeting], value: ir.Value) -> Decision | None:
        """Decide by the parameters that the exporter says a tensor of no name was made of."""
        names = [name for name in self._names(value)[1:] if name in self._kinds]
        if names:
            whole = [name for name in names if self._kinds[name] == "PARAMETER"]
            return _told("PARAMETER" if whole else self._kinds[names[0]])
        told = [name for node in _near(meetings) for name in self._origins.arguments(node)]
        lost = list(dict.fromkeys(name for name in told if name in self._lost))
        if lost and not all(meeting.steers for meeting in meetings):
            return Decision("trained", f"the exporter made it of {_listed(lost)}")
        return None

    def _unnamed(
        self, value: ir.Value, tensor: ir.TensorProtocol, found: Decision, meetings: list[Meeting]
    ) -> Decision:
        """Decide over a tensor where the exporter names its parameters and this is none of them."""
        if found.kind != "trained":
            return replace(found, guess=found.guess and bool(self._lost))
        if MARK in str(value.name):
            return Decision("trained", "a layer that was added has it")
        slotted = [meeting for meeting in meetings if _slotted(meeting)]
        beside = [name for meeting in slotted for name in self._beside(meeting)]
        if beside:
            return Decision("trained", f"{found.because}, beside {beside[0]!r}")
        if self._lost and (slotted or not _even(tensor.numpy())):
            sought = _listed(sorted(self._lost))
            return Decision("trained", f"{found.because}; it may be made of {sought}, which the file lacks", guess=True)
        if slotted:
            return Decision("trained", f"{found.because}, though the exporter does not name it", guess=True)
        return Decision("constant", "the exporter names all parameters, and this is none of them", bool(self._lost))

    def _beside(self, meeting: Meeting) -> list[str]:
        """Return the parameters that a node reads besides."""
        assert meeting.node is not None
        names = [str(value.name) for value in meeting.node.inputs if value is not None]
        return [name for name in names if self._kinds.get(name) == "PARAMETER"]

    def _looks(self, value: ir.Value, tensor: ir.TensorProtocol, meetings: list[Meeting]) -> Decision:
        """Decide by what a tensor is used for, and what is in it."""
        if not meetings:
            return Decision("constant", "nothing reads it")
        if _statistics(meetings) and not any(_slotted(m) and not _statistics([m]) for m in meetings):
            return STATISTICS
        reached = [meeting for meeting in meetings if not meeting.steers]
        if not reached:
            frozen = any(meeting.quantised for meeting in meetings)
            operator = _operator(meetings[0])
            because = f"a frozen number of the quantised {operator}" if frozen else f"no gradient passes {operator}"
            return Decision("constant", because)
        slotted = [meeting for meeting in reached if _slotted(meeting)]
        made = value.producer() is not None or bool(self._kinds)
        if made and {*map(_operator, slotted)} == {"InstanceNormalization"} and _even(tensor.numpy()):
            return Decision("constant", "one number throughout, as norms without weights have")
        if tensor.size <= 1:
            return self._single(value, tensor, reached, slotted)
        if slotted:
            return self._weight(tensor, slotted)
        array = tensor.numpy().astype(np.float64)
        even, formula = _even(array), formula_of(array)
        if not np.isfinite(array).all() or np.abs(array).max(initial=0.0) >= MASK:
            return Decision("constant", "a mask: it holds numbers larger than weights are", guess=True)
        if formula:
            return Decision("constant", _FORMULAS[formula], guess=True)
        if even and all(_operator(meeting) in FILLED for meeting in reached):
            if self._named(value):
                return Decision("trained", "one number throughout, under a name that only variables have", guess=True)
            return Decision("constant", "one number throughout, as paddings and states are", guess=True)
        vector = max(array.shape) == array.size
        if not vector and not even and set(np.unique(array)) <= {0.0, 1.0}:
            return Decision("constant", "a mask of zeros and ones", guess=True)
        operator = _operator(reached[0])
        if reached[0].node is None:
            return Decision("trained", "an initializer that is an output", guess=True)
        embedding = operator == "Gather" and reached[0].slot == 0 and array.ndim == 2
        guess = not (vector or embedding or self._named(value))
        return Decision("trained", f"an initializer that {operator} reads", guess)

    def _weight(self, tensor: ir.TensorProtocol, slotted: list[Meeting]) -> Decision:
        """Decide over a tensor that stands where weights do."""
        operators = {_operator(meeting) for meeting in slotted}
        if operators <= PRODUCTS:
            formula = formula_of(tensor.numpy())
            if formula == "sines" or (formula and max(tensor.shape.numpy()) == tensor.size):
                return Decision("constant", _FORMULAS[formula], guess=True)
        return Decision("trained", f"a weight of {_operator(slotted[0])}")

    def _single(
        self, value: ir.Value, tensor: ir.TensorProtocol, reached: list[Meeting], slotted: list[Meeting]
    ) -> Decision:
        """Decide over a single number: most are part of a formula."""
        if slotted and not all(_operator(meeting) in PRODUCTS and not tensor.shape for meeting in slotted):
            return Decision("trained", f"a weight of {_operator(slotted[0])}")
        if self._named(value):
            return Decision("trained", "one number, under a name that only variables have")
        curve = next((node for meeting in reached for node in meeting.passed if node.op_type in CURVED), None)
        if curve is not None:
            return Decision("trained", f"one number, but put through {curve.op_type}", guess=True)
        if len(tensor.shape) == 1 and any(map(_behind_layer, reached)):
            return Decision("trained", "one number, but added to what a layer makes", guess=True)
        if not ANONYMOUS.match(str(value.name)) and LAST_PART.search(str(value.name)) and tensor.shape:
            return Decision("trained", "one number, but named as weights are", guess=True)
        stated = value.producer() is not None or is_written(tensor.numpy().reshape(-1)[0] if tensor.size else 0.5)
        return Decision("constant", "one number, as formulas have", guess=not stated)

    def _named(self, value: ir.Value) -> bool:
        """Say whether a tensor has a name that its exporter gives to variables only."""
        name = str(value.name)
        if VARIABLE in name:
            return True
        copied = value.producer() is not None
        return self._scripted and not copied and not ANONYMOUS.match(name) and not name.startswith("/")

    def _unseen(self, model: ir.Model) -> frozenset[str]:
        """Return the parameters that the exporter names and that stand nowhere in the file under their names."""
        wanted = {name for name, kind in self._kinds.items() if kind == "PARAMETER"}
        folded = {name for name in wanted if f"{name.rpartition('.')[0]}.running_mean".lstrip(".") in self._kinds}
        there = {str(value.name) for graph in model.graphs() for value in graph.initializers.values()}
        for node in model.graph.all_nodes() if wanted - folded - there else ():
            for slot, value in enumerate(node.inputs):
                origin = None if value is None else self._origins.of(value, (node, slot))
                there.update(() if origin is None else (*origin.names, origin.tied))
        return frozenset(wanted - folded - there)

    def _in_constants(self, model: ir.Model) -> bool:
        """Say whether a file holds its weights in nodes: some stand where weights do, and no initializer."""
        graphs = list(model.graphs())
        stored = [value for graph in graphs for value in graph.initializers.values()]
        if any(self._weighs(value) for value in stored):
            return False
        nodes = (node for graph in graphs for node in graph if operator_of(node) in MADE)
        return any(self._weighs(node.outputs[0]) for node in nodes)

    def _weighs(self, value: ir.Value) -> bool:
        return any(map(_slotted, self._flow.meetings(value)))


WHOLE = "quantised numbers, which cannot be trained"
_FORMULAS = {"progression": "numbers at even steps, or powers", "sines": "a table of sines"}


def _told(kind: str) -> Decision:
    if kind == "PARAMETER":
        return Decision("trained", "the exporter says that it is a parameter")
    if kind == "BUFFER":
        return Decision("state", "the exporter says that it is a buffer")
    return Decision("constant", "the exporter says that it is a constant")


def _measured(decision: Decision) -> str:
    return "is measured in training, not trained: a statistic of a BatchNormalization" if decision == STATISTICS else ""


def _even(array: np.ndarray) -> bool:
    return bool(np.all(array == array.flat[0])) if array.size else True


def _slotted(meeting: Meeting) -> bool:
    return meeting.node is not None and meeting.slot in SLOTS.get(operator_of(meeting.node), frozenset())


def _statistics(meetings: Iterable[Meeting]) -> bool:
    return any(_operator(m) == "BatchNormalization" and m.slot in MEASURED for m in meetings)


def _operator(meeting: Meeting) -> str:
    return "an output" if meeting.node is None else operator_of(meeting.node)


def _near(meetings: Iterable[Meeting]) -> Iterator[ir.Node]:
    """Yield the nodes that compute with a tensor until it meets data, and there."""
    for meeting in meetings:
        yield from meeting.passed
        if meeting.node is not None:
            yield meeting.node


def _behind_layer(meeting: Meeting) -> bool:
    """Say whether a tensor is added to what a layer makes."""
    if meeting.node is None or meeting.node.op_type != "Add":
        return False
    makers = [value.producer() for value in meeting.node.inputs if value is not None]
    return any(maker is not None and operator_of(maker) in LAYERS for maker in makers)


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SOUGHT} more" if len(names) > SOUGHT else ""
    return ", ".join(map(repr, names[:SOUGHT])) + more
