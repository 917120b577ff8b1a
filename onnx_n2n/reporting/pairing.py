"""Which nodes and tensors of a student stand for which of its teacher: by name, then by what surrounds them.

1. Inputs and weights of the same name are paired, in bodies and functions inputs at the same place; and nodes of the
   same name, or with outputs of the same names, if their operators are the same.
2. Forwards: a node is paired with one of the same operator that reads the tensors paired with those that it reads.
   Which constants it reads does not matter, since their names may differ, and the names of what computes them.
3. Backwards, from the outputs and from all pairs: what makes the same operand of two paired nodes is paired, if the
   operators are the same.
4. Nodes of the same name that are left have changed their operator.

Bodies of paired nodes are paired in the same way, and functions of the same name.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import onnx_ir as ir

from onnx_n2n.graph.operators import operator_of
from onnx_n2n.graph.uses import reads


@dataclass(frozen=True)
class Scope:
    """Two graphs, one in each model, of which one stands for the other.

    Attributes:
        name: Where they are: empty for the graphs of the models, else the node and attribute, or the function.
        teacher: The graph of the teacher.
        student: That of the student.
    """

    name: str
    teacher: ir.Graph
    student: ir.Graph


@dataclass
class Pairing:
    """What of a student stands for what of its teacher.

    Attributes:
        nodes: The teacher's node for a node of the student.
        values: The teacher's tensor for a tensor of the student.
        scopes: The graphs that were paired.
    """

    nodes: dict[ir.Node, ir.Node] = field(default_factory=dict)
    values: dict[ir.Value, ir.Value] = field(default_factory=dict)
    scopes: list[Scope] = field(default_factory=list)


def paired(teacher: ir.Model, student: ir.Model) -> Pairing:
    """Pair the nodes and tensors of two models."""
    pairing = Pairing()
    _Graphs(Scope("", teacher.graph, student.graph), pairing).pair()
    for identifier, function in student.functions.items():
        if identifier in teacher.functions:
            name = "::".join(part for part in identifier if part)
            _Graphs(Scope(name, teacher.functions[identifier].graph, function.graph), pairing).pair()
    return pairing


class _Graphs:
    """The pairs in two graphs while they are being found."""

    def __init__(self, scope: Scope, pairing: Pairing) -> None:
        self._scope = scope
        self._pairing = pairing
        self._free = dict.fromkeys(scope.teacher)  # the teacher's nodes that have no partner yet
        self._taken: set[ir.Value] = set()  # the teacher's tensors that have one
        self._fixed = [_fixed(graph) for graph in (scope.teacher, scope.student)]

    def pair(self) -> None:
        teacher, student = self._scope.teacher, self._scope.student
        self._pairing.scopes.append(self._scope)
        if self._scope.name and len(teacher.inputs) == len(student.inputs):  # a caller binds them by place
            for one, other in zip(teacher.inputs, student.inputs, strict=True):
                self._join(one, other)
        self._pair_interface(teacher.inputs, student.inputs)
        for name, value in student.initializers.items():
            if name in teacher.initializers:
                self._join(teacher.initializers[name], value)
        self._by_name(_name)
        self._by_name(_makes)
        self._forwards()
        self._backwards()
        self._by_name(_name, any_operator=True)
        self._by_name(_makes, any_operator=True)
        for new in student:
            old = self._pairing.nodes.get(new)
            if old is not None:
                self._pair_bodies(old, new)

    def _pair_interface(self, old: Sequence[ir.Value], new: Sequence[ir.Value]) -> None:
        """Pair inputs by name; those that are left by place, where as many are left on both sides."""
        names = {value.name: value for value in old}
        for value in new:
            if value.name in names:
                self._join(names[value.name], value)
        left = [value for value in old if value not in self._taken]
        others = [value for value in new if value not in self._pairing.values]
        if len(left) == len(others):
            for one, other in zip(left, others, strict=True):
                self._join(one, other)

    def _join(self, old: ir.Value, new: ir.Value) -> None:
        if new not in self._pairing.values and old not in self._taken:
            self._pairing.values[new] = old
            self._taken.add(old)

    def _marry(self, old: ir.Node, new: ir.Node) -> None:
        self._pairing.nodes[new] = old
        del self._free[old]
        for one, other in zip(old.outputs, new.outputs, strict=False):
            self._join(one, other)

    def _left(self) -> Iterator[ir.Node]:
        return (node for node in self._scope.student if node not in self._pairing.nodes)

    def _by_name(self, key: Callable[[ir.Node], Hashable], *, any_operator: bool = False) -> None:
        """Pair nodes of which a name, or the names of what they make, is the same and no others' in the graph."""

        def entry(node: ir.Node) -> tuple[Hashable, object]:
            return key(node), None if any_operator else operator_of(node)

        free = _unique((entry(node), node) for node in self._free if key(node))
        for found, new in _unique((entry(node), node) for node in self._left() if key(node)).items():
            if found in free:
                self._marry(free[found], new)

    def _forwards(self) -> None:
        """Pair nodes by what they read, in the order in which they run."""
        waiting: dict[Hashable, deque[ir.Node]] = {}
        fixed, others = self._fixed
        for old in self._free:
            key = _key(old, [None if v is None or v in fixed else v for v in old.inputs])
            waiting.setdefault(key, deque()).append(old)
        for new in self._left():
            known = [None if v is None or v in others else self._pairing.values.get(v, v) for v in new.inputs]
            found = waiting.get(_key(new, known))
            if found and any(value is not None for value in known):
                self._marry(found.popleft(), new)

    def _backwards(self) -> None:
        """Pair what makes the operands of pairs."""
        teacher, student = self._scope.teacher, self._scope.student
        mine = set(student)
        pending = [(old, new) for new, old in self._pairing.nodes.items() if new in mine]
        operands: list[tuple[ir.Value | None, ir.Value | None]] = []
        outputs = {value.name: value for value in teacher.outputs}
        for place, value in enumerate(student.outputs):
            by_place = teacher.outputs[place] if len(teacher.outputs) == len(student.outputs) else None
            operands.append((outputs.get(value.name, by_place), value))
        while pending or operands:
            if not operands:
                old, new = pending.pop()
                operands += zip(old.inputs, new.inputs, strict=False)
                continue
            one, other = operands.pop()
            if one is None or other is None or other in self._pairing.values or one in self._taken:
                continue
            makers = one.producer(), other.producer()
            if makers[0] is None and makers[1] is None:
                self._join(one, other)
            elif makers[0] in self._free and makers[1] in mine and makers[1] not in self._pairing.nodes:
                old, new = makers  # type: ignore[assignment]
                if operator_of(old) == operator_of(new) and one.index() == other.index():
                    self._marry(old, new)
                    pending.append((old, new))

    def _pair_bodies(self, old: ir.Node, new: ir.Node) -> None:
        for name, one, other in bodies(old, new):
            inside = f"{self._scope.name}/" if self._scope.name else ""
            title = f"{inside}{new.name or new.outputs[0].name}.{name}"
            _Graphs(Scope(title, one, other), self._pairing).pair()


def bodies(old: ir.Node, new: ir.Node) -> Iterator[tuple[str, ir.Graph, ir.Graph]]:
    """Yield the bodies that two nodes have in the same place, with what that is called, as ``cases[1]``."""
    for name, attribute in new.attributes.items():
        before = old.attributes.get(name)
        if before is not None and before.type == attribute.type:
            for place, (one, other) in enumerate(zip(_bodies(before), _bodies(attribute), strict=False)):
                yield name + f"[{place}]" * (attribute.type == ir.AttributeType.GRAPHS), one, other


def _name(node: ir.Node) -> str:
    return node.name or ""


def _makes(node: ir.Node) -> tuple[str, ...]:
    return tuple(value.name for value in node.outputs if value.name)


def _bodies(attribute: ir.Attr) -> Sequence[ir.Graph]:
    if attribute.is_ref():
        return ()
    if attribute.type == ir.AttributeType.GRAPH:
        return (attribute.as_graph(),)
    return attribute.as_graphs() if attribute.type == ir.AttributeType.GRAPHS else ()


def _fixed(graph: ir.Graph) -> set[ir.Value]:
    """Return the constants of a graph, and what nodes make of nothing else."""
    found = set(graph.initializers.values()) - set(graph.inputs)
    found.update(value for value in graph.initializers.values() if value.const_value is not None)
    for node in graph:
        if all(value in found for value in reads(node)):
            found.update(node.outputs)
    return found


def _key(node: ir.Node, read: Sequence[ir.Value | None]) -> Hashable:
    return operator_of(node), len(node.outputs), tuple(read)


def _unique(entries: Iterable[tuple[Hashable, ir.Node]]) -> dict[Hashable, ir.Node]:
    """Return the nodes whose entry no other node has."""
    found: dict[Hashable, ir.Node] = {}
    twice: set[Hashable] = set()
    for entry, node in entries:
        if entry in found:
            twice.add(entry)
        found[entry] = node
    return {entry: node for entry, node in found.items() if entry not in twice}
