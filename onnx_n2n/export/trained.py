"""Which tensors of a model are trained, which go with it, and which never change: decided here, for every framework.

In this order:

1. ``--freeze`` and ``--train`` of the user.
2. The exporter, where it says what was a parameter, a buffer, a constant (``graph_signature`` of torch.export), or what
   a tensor was made of that has no name of its own.
3. What was an initializer is a parameter if a gradient reaches it, unless it looks like what a formula needs: a single
   number, a mask, a table of sines, a state of zeros. Statistics of BatchNormalization are state.
4. What was a Constant node, or is filled by ConstantOfShape, is a constant, unless the file holds its weights there.

What 3 and 4 decide by the looks of a tensor is a guess, and is reported as one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import onnx_ir as ir

from onnx_n2n.depth.splice import MARK
from onnx_n2n.export.choice import STATISTICS, Choice, Decision
from onnx_n2n.export.flow import Flow, Meeting
from onnx_n2n.export.looks import MEASURED, SLOTS, Looks, weighs
from onnx_n2n.graph.constants import FLOATS, uniform
from onnx_n2n.graph.operators import qualified
from onnx_n2n.graph.quantised import NARROW
from onnx_n2n.graph.uses import Use
from onnx_n2n.record.provenance import Origins

MADE = frozenset({"Constant", "ConstantOfShape"})
CONSTANT = re.compile(r"(^|/)Constant(_\d+)?(_output_\d+)?$")  # what the output of a Constant node is called
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
        self._looks = Looks(told=bool(origins.kinds), scripted=model.producer_name == "pytorch" and not origins.kinds)
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
        if decision.kind == "state" and slot in SLOTS.get(qualified(node), frozenset()):
            return Decision("trained", f"a weight of {qualified(node)}")
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
            return Decision("constant", f"computed from constants by {qualified(node)}")
        found = self._made_of(meetings, value) if self._kinds else None
        if found is not None:
            return found
        by_node = CONSTANT.search(str(value.name)) is not None or (node is not None and node.op_type in MADE)
        if by_node and not self._by_nodes:
            looks = self._looks.of(value, tensor, meetings)
            seems = looks.kind == "trained" and any(map(weighs, meetings))
            because = "a Constant node" + (", though it stands where weights do" if seems else "")
            return Decision("constant", because, guess=seems)
        found = self._looks.of(value, tensor, meetings)
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
        slotted = [meeting for meeting in meetings if weighs(meeting)]
        beside = [name for meeting in slotted for name in self._beside(meeting)]
        if beside:
            return Decision("trained", f"{found.because}, beside {beside[0]!r}")
        if self._lost and (slotted or not uniform(tensor.numpy())):
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
        if any(self._is_weight(value) for value in stored):
            return False
        nodes = (node for graph in graphs for node in graph if qualified(node) in MADE)
        return any(self._is_weight(node.outputs[0]) for node in nodes)

    def _is_weight(self, value: ir.Value) -> bool:
        return any(map(weighs, self._flow.meetings(value)))


WHOLE = "quantised numbers, which cannot be trained"


def _told(kind: str) -> Decision:
    if kind == "PARAMETER":
        return Decision("trained", "the exporter says that it is a parameter")
    if kind == "BUFFER":
        return Decision("state", "the exporter says that it is a buffer")
    return Decision("constant", "the exporter says that it is a constant")


def _measured(decision: Decision) -> str:
    return "is measured in training, not trained: a statistic of a BatchNormalization" if decision == STATISTICS else ""


def _near(meetings: Iterable[Meeting]) -> Iterator[ir.Node]:
    """Yield the nodes that compute with a tensor until it meets data, and there."""
    for meeting in meetings:
        yield from meeting.passed
        if meeting.node is not None:
            yield meeting.node


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SOUGHT} more" if len(names) > SOUGHT else ""
    return ", ".join(map(repr, names[:SOUGHT])) + more
