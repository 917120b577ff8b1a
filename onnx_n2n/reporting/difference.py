"""What differs between two models."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Set
from dataclasses import asdict, dataclass
from typing import Any

import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis, analyze
from onnx_n2n.collector import still
from onnx_n2n.graph.constants import constants_of, parameters
from onnx_n2n.graph.operators import qualified
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.io.history import KEY, Entry, digest, history
from onnx_n2n.io.jsonable import finite
from onnx_n2n.io.model import ModelLike, open_model
from onnx_n2n.reporting import ends, stated
from onnx_n2n.reporting.attributes import differing
from onnx_n2n.reporting.pairing import Pairing, Scope, bodies, paired
from onnx_n2n.reporting.sizes import GroupSize, group_sizes
from onnx_n2n.reporting.stated import Changed
from onnx_n2n.reporting.values import Values, compared, formed
from onnx_n2n.verification.interfaces import Difference
from onnx_n2n.words import count


@dataclass(frozen=True)
class Part:
    """What differs in a node that both models have.

    Attributes:
        what: ``name``, ``operator``, ``attribute``, ``input`` or ``output``.
        name: The attribute, or the number of the input or output; else empty.
        before: What it is in the teacher; None if it is not there.
        after: What it is in the student; None if it is not there.
    """

    what: str
    name: str
    before: str | None
    after: str | None


@dataclass(frozen=True)
class NodeChange:
    """A node that one of the models has, or both.

    Attributes:
        what: ``added``, ``removed`` or ``changed``.
        name: Its name in the student, or of a removed one in the teacher; of one without a name, what it makes.
        operator: Its operator, with the domain unless it is ONNX's own.
        scope: Where it is: empty for the model's graph, else the node and attribute of a body, or the function.
        parts: What has changed.
    """

    what: str
    name: str
    operator: str
    scope: str
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True)
class WeightChange:
    """An initializer or constant that one of the models has, or both.

    Attributes:
        what: ``added``, ``removed``, of another ``type`` or ``shape``, with other ``values``, or only another ``name``.
        name: Its name in the student, or of a removed one in the teacher.
        scope: Where it is, as of nodes.
        before: Type and shape in the teacher, as ``float32[16,3,3,3]``; empty if it is not there.
        after: The same in the student.
        was: Its name in the teacher, if that is another one; else empty.
        values: How the numbers differ; None if there are none to compare.
    """

    what: str
    name: str
    scope: str
    before: str = ""
    after: str = ""
    was: str = ""
    values: Values | None = None


@dataclass(frozen=True)
class Diff:
    """What differs between two models: empty if nothing does.

    ``bool(diff)`` is true if something differs, as that of a list with entries; ``diff.same`` is the contrary.

    Not compared are doc strings and metadata of nodes, tensors and functions; denotations, types and shapes that are
    declared for tensors inside, and names of bodies; in which order nodes stand that do not wait for each other, and on
    which devices they run; and where weights are stored.

    Attributes:
        nodes_before: How many nodes the teacher has, with those in bodies and functions.
        nodes_after: How many the student has.
        parameters_before: Floating-point weights of the teacher.
        parameters_after: Floating-point weights of the student.
        interface: Inputs and outputs.
        header: The IR version, the producer, the domain and version of the model, its doc string, name, doc string and
            metadata of the graph, what is said of training, of devices and of how tensors are quantised.
        opsets: Versions of operator sets.
        functions: Functions that only one of the models has, or that take, give or state something else.
        nodes: Nodes.
        weights: Initializers and constants.
        metadata: Metadata entries; without the lineage, if the student descends from the teacher.
        passes: What made the student out of the teacher, the oldest first; None if its lineage does not say that.
        groups: The teacher's groups with their sizes in the student, then those of outputs that became longer; none
            unless the student descends from the teacher.
    """

    nodes_before: int
    nodes_after: int
    parameters_before: int
    parameters_after: int
    interface: tuple[Difference, ...] = ()
    header: tuple[Changed, ...] = ()
    opsets: tuple[Changed, ...] = ()
    functions: tuple[Changed, ...] = ()
    nodes: tuple[NodeChange, ...] = ()
    weights: tuple[WeightChange, ...] = ()
    metadata: tuple[Changed, ...] = ()
    passes: tuple[Entry, ...] | None = None
    groups: tuple[GroupSize, ...] = ()

    def __bool__(self) -> bool:
        """Whether something differs."""
        return not self.same

    @property
    def same(self) -> bool:
        """Whether nothing differs that is compared."""
        found = (self.interface, self.header, self.opsets, self.functions, self.nodes, self.weights, self.metadata)
        return not any(found)

    @property
    def grown(self) -> tuple[GroupSize, ...]:
        """The groups whose size has changed."""
        return tuple(group for group in self.groups if group.after not in (None, group.before))

    @property
    def short(self) -> str:
        """What differs, in some words."""
        kinds = {"node": self.nodes, "weight": self.weights, "metadata entry": self.metadata, "opset": self.opsets}
        kinds |= {"input or output": self.interface, "function": self.functions, "header field": self.header}
        plurals = {"metadata entry": "metadata entries", "input or output": "inputs or outputs"}
        found = [count(len(entries), kind, plurals.get(kind, "")) for kind, entries in kinds.items() if entries]
        return f"{', '.join(found)} differ" if found else "nothing differs"

    def __repr__(self) -> str:
        return f"<Diff: {self.short}>"

    def to_json(self) -> dict[str, Any]:
        """Return the differences as JSON-ready values."""
        fields = asdict(self)
        made = [{"pass": each.text, "seed": each.seed, "idle": each.idle} for each in self.passes or ()]
        passes = None if self.passes is None else made
        sides = {
            what: {"before": fields.pop(f"{what}_before"), "after": fields.pop(f"{what}_after")}
            for what in ("nodes", "parameters")
        }
        changes = {"node_changes": fields.pop("nodes"), "weight_changes": fields.pop("weights")}
        found: dict[str, Any] = finite({"same": self.same, **sides, **fields, **changes, "passes": passes})
        return found


@still()
def diff(teacher: ModelLike, student: ModelLike) -> Diff:
    """Compare two models: interface, operator sets, nodes, weights and metadata. Nothing is run.

    >>> onnx_n2n.diff("model.onnx", "model.onnx").same
    True

    Nodes are matched by name, then by what they read and what reads them, so a model whose names were changed is
    compared too. Large weights are read one after the other. If the lineage of the student says that it was made of
    this teacher, ``passes`` and ``groups`` say how.

    Args:
        teacher: A model; it is not changed.
        student: Another one; it is not changed.

    Returns:
        What differs. ``bool(diff)`` says whether anything does.

    Raises:
        ModelError: One of them cannot be read.
    """
    return between(open_model(teacher).model, open_model(student).model)


def between(
    teacher: ir.Model, student: ir.Model, pairing: Pairing | None = None, analysis: Analysis | None = None
) -> Diff:
    """Compare two models that are open; what is known of them is not worked out again."""
    pairing = pairing or paired(teacher, student)
    passes = _passes(teacher, student)
    opsets = [stated.opsets(model) for model in (teacher, student)]
    entries = [dict(model.metadata_props) for model in (teacher, student)]
    if passes is not None:
        for each in entries:
            each.pop(KEY, None)
    return Diff(
        nodes_before=_count(teacher),
        nodes_after=_count(student),
        parameters_before=parameters(teacher),
        parameters_after=parameters(student),
        interface=tuple(stated.interface(teacher, student, pairing)),
        header=tuple(stated.compared(*map(stated.header, (teacher, student)))),
        opsets=tuple(stated.compared(*opsets)),
        functions=tuple(stated.functions(teacher, student, pairing)),
        nodes=tuple(_nodes(pairing)),
        weights=tuple(_weights(pairing)),
        metadata=tuple(stated.compared(*entries)),
        passes=passes,
        groups=group_sizes(analysis or analyze(teacher), student, pairing) if passes else (),
    )


def _passes(teacher: ir.Model, student: ir.Model) -> tuple[Entry, ...] | None:
    """Return what made a student out of a teacher, as its lineage says."""
    entries = history(student)
    if not entries or history(teacher) == entries:
        return None
    own = digest(teacher)
    start = next((place for place, entry in enumerate(entries) if entry.parent == own), None)
    return None if start is None else entries[start:]


def _count(model: ir.Model) -> int:
    inside = sum(sum(1 for _ in function.all_nodes()) for function in model.functions.values())
    return inside + sum(1 for _ in model.graph.all_nodes())


def _nodes(pairing: Pairing) -> Iterator[NodeChange]:
    """Yield the nodes that differ, in the order of the student, those that are gone last."""
    matched = {graph for scope in pairing.scopes for graph in (scope.teacher, scope.student)}
    for scope in pairing.scopes:
        partners = {}
        held = {value for graph in (scope.teacher, scope.student) for value, _ in constants_of(graph)}
        for new in scope.student:
            old = pairing.nodes.get(new)
            if old is None:
                yield from _alone("added", new, scope.name, matched)
                continue
            partners[old] = new
            if parts := tuple(_parts(old, new, pairing, held)):
                yield NodeChange("changed", title(new), qualified(new), scope.name, parts)
            yield from _inside("added", new, scope.name, matched)
        for old in scope.teacher:
            if old not in partners:
                yield from _alone("removed", old, scope.name, matched)
            else:
                yield from _inside("removed", old, scope.name, matched)


def _alone(what: str, node: ir.Node, scope: str, matched: Collection[ir.Graph]) -> Iterator[NodeChange]:
    """Yield a node without a partner, and those in its bodies."""
    yield NodeChange(what, title(node), qualified(node), scope)
    yield from _inside(what, node, scope, matched)


def _inside(what: str, node: ir.Node, scope: str, matched: Collection[ir.Graph]) -> Iterator[NodeChange]:
    """Yield the nodes of the bodies of a node that have no partner."""
    for body in bodies_of(node):
        if body not in matched:
            for inner in body:
                yield from _alone(what, inner, f"{scope}/{title(node)}".lstrip("/"), matched)


def title(node: ir.Node) -> str:
    """Return the name of a node, or what it makes."""
    return node.name or next((str(value.name) for value in node.outputs if value.name), "")


def _parts(old: ir.Node, new: ir.Node, pairing: Pairing, held: Set[ir.Value]) -> Iterator[Part]:
    if (old.name or "") != (new.name or ""):
        yield Part("name", "", old.name, new.name)
    if _called(old) != _called(new):
        yield Part("operator", "", _called(old), _called(new))
    if held.isdisjoint((*old.outputs, *new.outputs)):  # else they are compared with all weights
        yield from (Part("attribute", *found) for found in differing(old.attributes, new.attributes))
    for name, body, replaced in bodies(old, new):
        if not ends.alike(body, replaced, pairing):
            yield Part("attribute", name, ends.shown(body), ends.shown(replaced))
    for what in ("input", "output"):
        before, after = _trimmed(getattr(old, f"{what}s")), _trimmed(getattr(new, f"{what}s"))
        for slot in range(max(len(before), len(after))):
            one = before[slot] if slot < len(before) else None
            other = after[slot] if slot < len(after) else None
            if (pairing.values.get(other) if other is not None else None) is not one:
                yield Part(what, str(slot), *(None if value is None else value.name for value in (one, other)))


def _called(node: ir.Node) -> str:
    """Return an operator, with which of several functions of that name it is."""
    return qualified(node) + f":{node.overload}" * bool(node.overload)


def _trimmed(values: Iterable[ir.Value | None]) -> list[ir.Value | None]:
    """Return operands without those at the end that are left out."""
    found: list[ir.Value | None] = [None if value is None or value.name == "" else value for value in values]
    while found and found[-1] is None:
        found.pop()
    return found


def _weights(pairing: Pairing) -> Iterator[WeightChange]:
    """Yield the weights that differ, in the order of the student, those that are gone last."""
    for scope in pairing.scopes:
        yield from _weights_in(scope, pairing)


def _weights_in(scope: Scope, pairing: Pairing) -> Iterator[WeightChange]:
    before, after = dict(constants_of(scope.teacher)), dict(constants_of(scope.student))
    names = {value.name: value for value in before}
    kept = set()
    for value, tensor in after.items():
        old = pairing.values.get(value)
        if old not in before:
            old = names.get(value.name)  # an initializer that was a Constant node, or the other way
        if old is None or old not in before:
            yield WeightChange("added", str(value.name), scope.name, "", formed(tensor))
            continue
        kept.add(old)
        found = compared(before[old], tensor)
        was = str(old.name) if old.name != value.name else ""
        if what := _what(before[old], tensor, found) or "name" * bool(was):
            yield WeightChange(what, str(value.name), scope.name, formed(before[old]), formed(tensor), was, found)
    for value, tensor in before.items():
        if value not in kept:
            yield WeightChange("removed", str(value.name), scope.name, formed(tensor))


def _what(old: ir.TensorProtocol, new: ir.TensorProtocol, values: Values | None) -> str:
    """Return in what a weight differs, the most telling first; empty if it does not."""
    if old.shape.numpy() != new.shape.numpy():
        return "shape"
    if old.dtype != new.dtype:
        return "type"
    return "values" if values is None or values.different else ""
