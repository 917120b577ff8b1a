"""Branches that fit no lengths of a run: variables stand for what one gives, the same ones for what says the same."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import onnx

from onnx_n2n.exact.files import dense, domain_of, opsets
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.operators.moving import chosen_of
from onnx_n2n.exact.running import Running
from onnx_n2n.exact.scope import names_around
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor, Value
from onnx_n2n.exact.undecided import Undecided

FEW = 64  # whole numbers that say how a branch moves things
Called = tuple[str, str, str]  # a function's domain, name and overload


def beside(site: Site, share: Numbers, value: Value, other: tuple[object, ...]) -> Value:
    """Return a value where a decision is 1, and what stands for another one where it is 0: variables.

    Args:
        site: The node.
        share: The decision.
        value: What the branch gives that is taken at these lengths.
        other: What says all of what the other branch gives.
    """
    if isinstance(value, list):
        return [beside(site, share, each, (*other, place)) for place, each in enumerate(value)]
    if not isinstance(value, Tensor):
        raise Undecided("what a branch gives is no tensor, and the other branch does not fit")
    site.run.read(value)
    unseen = site.world.variable(("unseen branch", *other), value.shape)
    return Tensor(value.type, None, chosen_of(share, site.run.numbers(value), unseen))


def written(site: Site, graph: onnx.GraphProto) -> str:
    """Return what stands for how a branch is written, its names replaced by numbers, with what it reads from around it.

    Few whole numbers have been read by that. All that decides what the branch would give is part of it: the versions
    of operators, what attributes are in the function that it stands in, and the functions that it calls.
    """
    read = list(dict.fromkeys(names_around(graph)))
    around = [_printed(site, site.scope.values.get(name)) for name in read]
    script = Script(site.run, site.scope.versions, site.scope.attributes)
    text = script.graph(graph, {name: f"around {place}" for place, name in enumerate(read)})
    return hashlib.blake2b(repr((text, around, script.functions())).encode()).hexdigest()


def _printed(site: Site, value: Value) -> object:
    """Return what stands for a value at the lengths that are run."""
    if not isinstance(value, Tensor):
        return [_printed(site, each) for each in value] if isinstance(value, list) else repr(value)
    if value.certain and value.whole and np.prod(value.shape) <= FEW:
        site.run.read(value)
        return value.type, np.asarray(value.known).tolist()
    if value.rough and value.numbers is None:
        return value.type, np.asarray(value.known).tolist()
    marks = hashlib.blake2b(b"".join(site.world.marks(site.run.numbers(value)))).hexdigest()
    return value.type, value.shape, marks


@dataclass
class Script:
    """What graphs say, whatever they call their tensors.

    Args:
        run: The run that they are part of.
        versions: The version of each domain's operators.
        attributes: What the function that they stand in was called with; None where it is not known.
        called: The functions that they call, in their order.
    """

    run: Running
    versions: Mapping[str, int]
    attributes: Mapping[str, onnx.AttributeProto] | None
    called: dict[Called, None] = field(default_factory=dict)

    def graph(self, graph: onnx.GraphProto, names: Mapping[str, str]) -> object:
        """Return what a graph says that sees some names, each with what stands for it."""
        seen = dict(names)
        inputs = [_named(seen, each.name) for each in graph.input]
        constants = [(_named(seen, each.name), self._array(self.run.file.array(each))) for each in graph.initializer]
        constants += [
            (_named(seen, each.values.name), self._array(dense(self.run.file, each)))
            for each in graph.sparse_initializer
        ]
        return inputs, constants, self._nodes(graph.node, seen), [seen.get(each.name) for each in graph.output]

    def functions(self) -> list[object]:
        """Return what the functions say that have been called so far, and those that these call."""
        found: list[object] = []
        for key in self.called:
            function = self.run.file.functions[key]
            inner = Script(self.run, opsets(function.opset_import), None)
            seen: dict[str, str] = {}
            inputs = [_named(seen, name) for name in function.input]
            defaults = [inner._attribute(each, {}) for each in function.attribute_proto]
            nodes = inner._nodes(function.node, seen)
            found.append((key, inputs, list(function.attribute), defaults, nodes, [*map(seen.get, function.output)]))
            if more := inner.called.keys() - self.called.keys():
                self.called |= dict.fromkeys(sorted(more))
                return self.functions()
        return found

    def _nodes(self, nodes: Iterable[onnx.NodeProto], seen: dict[str, str]) -> list[object]:
        found: list[object] = []
        for node in nodes:
            key = domain_of(node.domain), node.op_type, node.overload
            if key in self.run.file.functions:
                self.called[key] = None
            attributes = [self._attribute(each, seen) for each in sorted(node.attribute, key=lambda each: each.name)]
            inputs = [seen.get(name, "") for name in node.input]
            outputs = [_named(seen, name) if name else "" for name in node.output]
            found.append((key, self.versions.get(key[0]), attributes, inputs, outputs))
        return found

    def _attribute(self, attribute: onnx.AttributeProto, seen: Mapping[str, str]) -> object:
        name, given = attribute.name, attribute
        if attribute.ref_attr_name and self.attributes is not None:
            if attribute.ref_attr_name not in self.attributes:
                return None
            given = self.attributes[attribute.ref_attr_name]
        graphs = [given.g] if given.HasField("g") else given.graphs
        if graphs:
            return name, [self.graph(each, seen) for each in graphs]
        tensors = [given.t] if given.HasField("t") else given.tensors
        if tensors:
            return name, [self._array(self.run.file.array(each)) for each in tensors]
        if given.HasField("sparse_tensor"):
            return name, self._array(dense(self.run.file, given.sparse_tensor))
        plain = onnx.AttributeProto()
        plain.CopyFrom(given)
        plain.ClearField("name")
        plain.ClearField("doc_string")
        return name, plain.SerializeToString(deterministic=True)

    def _array(self, array: np.ndarray) -> object:
        held = repr(array.tolist()).encode() if array.dtype.kind in "OSU" else array.tobytes()
        return str(array.dtype), array.shape, hashlib.blake2b(held).hexdigest()


def _named(seen: dict[str, str], name: str) -> str:
    """Return what stands for a name that is made: how many there were before it."""
    seen[name] = str(len(seen))
    return seen[name]


def constants(
    run: Running, nodes: Sequence[onnx.NodeProto], initializers: Sequence[onnx.TensorProto]
) -> Iterator[tuple[str, np.ndarray]]:
    """Return the floating-point constants of a graph and of all bodies and functions in it, by name."""
    held = [(each.name, each) for each in initializers]
    for node in nodes:
        for attribute in node.attribute:
            constant = node.op_type == "Constant"
            if constant and attribute.type == onnx.AttributeProto.TENSOR:
                held.append((node.output[0], attribute.t))
            elif constant and attribute.type in {onnx.AttributeProto.FLOAT, onnx.AttributeProto.FLOATS}:
                yield node.output[0], np.array([attribute.f, *attribute.floats], np.float32)
            for graph in (attribute.g, *attribute.graphs):
                yield from constants(run, graph.node, graph.initializer)
        function = run.file.functions.get((domain_of(node.domain), node.op_type, node.overload))
        if function is not None:
            yield from constants(run, function.node, ())
    for name, tensor in held:
        array = run.file.array(tensor)
        if array.dtype.kind not in "biuOSU":
            yield name, array
