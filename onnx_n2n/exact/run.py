"""Running a model over numbers of any kind: node by node, each by its operator's rule."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import compress
from typing import Any

import numpy as np
import onnx
from onnx import helper

from onnx_n2n.exact import registry
from onnx_n2n.exact.by_length import decisions, emptied
from onnx_n2n.exact.defined import doubtful, function_of
from onnx_n2n.exact.files import File, dense, domain_of, let_go, opsets
from onnx_n2n.exact.lengths import Lengths, Trail
from onnx_n2n.exact.numeric import Numbers
from onnx_n2n.exact.reads import Ids, Reads
from onnx_n2n.exact.reference import known_results
from onnx_n2n.exact.scope import DEEPEST, Scope, names_read
from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import STRING, Tensor, Value
from onnx_n2n.exact.undecided import Emptied, Undecided
from onnx_n2n.exact.unrounded import Exact
from onnx_n2n.exact.world import World

Reading = tuple[onnx.NodeProto, tuple[str, ...]]  # a node with the names that it and its bodies read
FEW = 16  # numbers of which each is divided by on its own


class Run:
    """One run of one model.

    Args:
        world: What numbers are; two models that are compared share it.
        file: The model.
        exact: Numbers before rounding.
    """

    def __init__(
        self, world: World[Any], file: File, exact: Exact | None = None, lengths: Lengths | None = None
    ) -> None:  # fmt: skip
        self.world, self.file, self.exact = world, file, Exact() if exact is None else exact
        self.reads = Reads()
        self.trail, self.lengths = Trail(), Lengths() if lengths is None else lengths
        self.decided: dict[Any, str] = {}  # what is decided by lengths, and at which node
        self.functions = file.functions
        self._waiting: list[list[Ids]] = []  # for each node that runs, inside of each other, what it has read
        self._leaves: dict[tuple[int, str, bytes], Tensor] = {}
        self._defined: dict[bytes, onnx.FunctionProto] = {}
        self._doubts: dict[tuple[str, str, str], str] = {}  # why it is not known what a function means
        # Leaves are found by the identity of a message; while it is held, no other one can have the same.
        self._held: list[object] = []

    def outputs(self, inputs: Mapping[str, Value]) -> dict[str, Value]:
        """Return what the model's outputs are.

        Raises:
            Undecided: If something in it cannot be decided.
        """
        scope = Scope(dict(inputs), opsets(self.file.proto.opset_import))
        graph = self.file.proto.graph
        return dict(zip((each.name for each in graph.output), self.graph(graph, scope), strict=True))

    def graph(self, graph: onnx.GraphProto, scope: Scope) -> list[Value]:
        """Return what a graph's outputs are, where the scope has its inputs already."""
        outputs = [each.name for each in graph.output]
        live = _live(graph.node, outputs)
        used = {name for _, names in live for name in names} | set(outputs)
        for tensor in graph.initializer:
            if tensor.name in used:
                scope.values[tensor.name] = self._leaf(graph, tensor.name, tensor)
        for sparse in graph.sparse_initializer:
            if sparse.values.name in used:
                scope.values[sparse.values.name] = self.constant(sparse.values.name, dense(self.file, sparse))
        return self.nodes(live, outputs, scope)

    def nodes(self, nodes: Sequence[Reading], outputs: Sequence[str], scope: Scope) -> list[Value]:
        """Return what names are after nodes have run, each given with the names that it reads."""
        last = Counter(name for _, names in nodes for name in names)
        last.update(outputs)
        for node, names in nodes:
            for name, value in zip(node.output, self.node(node, scope), strict=False):
                if name:
                    scope.values[name] = value
            for name in names:
                read = scope.values.get(name)
                let_go(read.known if isinstance(read, Tensor) else None)
                last[name] -= 1
                if not last[name] and name in getattr(scope.values, "maps", [scope.values])[0]:
                    del scope.values[name]
        return [_looked_up(scope, name) for name in outputs]

    def node(self, node: onnx.NodeProto, scope: Scope) -> list[Value]:
        """Return what a node's outputs are; if all are empty, no number that it has read has a part in them."""
        self._waiting.append([])
        try:
            values = self._node(node, scope)
        except Undecided as why:
            raise why.at(node.name or next(iter(node.output), ""), node.op_type) from None
        except (ValueError, IndexError, TypeError, KeyError, ZeroDivisionError) as error:
            reason = f"its inputs do not fit: {str(error) or type(error).__name__}"
            raise Undecided(reason, node.name or next(iter(node.output), ""), node.op_type) from error
        finally:
            read = self._waiting.pop()
        if any(not isinstance(each, Tensor) or 0 not in each.shape for each in values if each is not None):
            for ids in read:
                self.reads.mark(ids)
        return values

    def _node(self, node: onnx.NodeProto, scope: Scope) -> list[Value]:
        domain = domain_of(node.domain)
        inputs = [_looked_up(scope, name) if name else None for name in node.input]
        key = domain, node.op_type, node.overload
        if (function := self.functions.get(key)) is not None:
            if key not in self._doubts:
                self._doubts[key] = doubtful(function, opsets(self.file.proto.opset_import))
            if why := self._doubts[key]:
                raise Undecided(why)
            return self._call(function, node, inputs, scope)
        version = scope.versions.get(domain)
        if version is None:
            raise Undecided(f"the model does not say which version of {domain or 'ai.onnx'} it means")
        site = Site(self, scope, node, inputs, version, scope.attributes)
        try:
            found = registry.find(domain, node.op_type, version)
        except Undecided:
            function = function_of(site)
            if function is None:
                raise
            function = self._defined.setdefault(function.SerializeToString(deterministic=True), function)
            return self._call(function, node, inputs, replace(scope, written=False))
        for each in decisions(site):
            self.decided.setdefault(each, site.place)
        known = known_results(site)
        if known is not None and all(each.certain for each in known):
            return list(known)
        self.world.node, self.world.place = site.visit[:2], site.place
        given = found(site)
        results = list(given) if isinstance(given, tuple | list) else [given]
        if left := site.left():
            raise Undecided(f"the rule does not know {left}")
        if len(results) < sum(map(bool, node.output)):
            raise Undecided("the rule has fewer results than the node has outputs")
        if all(
            each is None or (isinstance(each, Tensor) and (each.fixed or each.known is not None)) for each in inputs
        ):
            results = [each.but(fixed=True) if isinstance(each, Tensor) else each for each in results]
        if known is not None:
            results = [
                each.but(known=also.known, sized=also.sized, rough=also.rough)
                if isinstance(each, Tensor) and each.known is None
                else each
                for each, also in zip(results, known, strict=False)
            ]
        if emptied(site, results):
            self.trail.emptied.add(site.visit)
            if site.visit in self.lengths.emptied:
                reason = "nothing is left at these lengths, and something may be at others"
                raise Emptied(reason, site.place, site.operator)
        return [self._settled(each) for each in results]

    def _settled(self, value: Value) -> Value:
        """Return a tensor as its type holds it, and as certain if its numbers are just what is known of it."""
        if not isinstance(value, Tensor) or value.numbers is None:
            return value
        if value.real:
            held = self.world.held(value.numbers, value.type)
            return value if held is value.numbers else value.but(numbers=held)
        if value.known is None or value.rough:
            return value
        same = self.world.stand_for(value.numbers, value.known)
        return Tensor(value.type, value.known, ids=value.ids) if same.all() else value

    def decide_by(self, tensor: Tensor, what: tuple[Any, ...], place: str) -> None:
        """Note that something is decided by elements that depend on the lengths that were drawn.

        A length is noted over what it is now: times the width of a layer that is wider in the student, it is the same.

        Args:
            tensor: The elements.
            what: What each of them decides, beginning with an operator.
            place: The node.
        """
        assert tensor.known is not None
        if self.world.exact and (tensor.numbers is not None or not tensor.rough):
            numbers, known = self.numbers(tensor), tensor.known
            free = ~self.world.stand_for(numbers, known)
            numbers *= self._one_over(np.where(known == 0, 1, known))
            for at, each in compress(enumerate(self.world.marks(numbers)), free.reshape(-1)):
                self.decided.setdefault((*what, at, each), place)

    def _one_over(self, known: np.ndarray) -> Numbers:
        """Return one over known numbers: few whole ones each by itself, which is quicker."""
        if not 0 < known.size <= FEW or known.dtype.kind not in "bui":
            found: Numbers = self.world.reciprocal(self.world.enter(known))
            return found
        first, *others = (self.world.fraction(1, int(each)).reshape((1,)) for each in known.flat)
        together: Numbers = first.joined(others, 0).reshape(known.shape)
        return together

    def _call(
        self, function: onnx.FunctionProto, node: onnx.NodeProto, inputs: Sequence[Value], scope: Scope
    ) -> list[Value]:
        if scope.depth >= DEEPEST:
            raise Undecided(f"functions call each other more than {DEEPEST} deep")
        names = set(function.attribute) | {each.name for each in function.attribute_proto}
        attributes = {each.name: each for each in function.attribute_proto}
        for each in node.attribute:
            if each.name not in names:
                raise Undecided(f"the function {function.name!r} has no attribute {each.name!r}")
            if not each.ref_attr_name:
                attributes[each.name] = each
            elif each.ref_attr_name in scope.attributes:
                attributes[each.name] = scope.attributes[each.ref_attr_name]
        values: dict[str, Value] = dict.fromkeys(function.input)
        if len(inputs) > len(function.input):
            raise Undecided(f"the function {function.name!r} has {len(function.input)} inputs")
        values.update(zip(function.input, inputs, strict=False))
        inner = Scope(values, opsets(function.opset_import), attributes, scope.depth + 1, scope.written)
        outputs = list(function.output)[: len(node.output)]
        return self.nodes(_live(function.node, outputs), outputs, inner)

    # Constants

    def constant(self, name: str, array: np.ndarray, *, written: bool = True) -> Tensor:
        """Return a constant, none of whose elements has been read: one of the file, or one that a rule has made."""
        type_ = STRING if array.dtype.kind in "OSU" else helper.np_dtype_to_tensor_dtype(array.dtype)
        exact = self.exact.constants.get(name) if written else None
        if exact is not None and exact.shape == array.shape:
            return Tensor(type_, None, exact, ids=self.reads.add(name, array.size), fixed=True)
        return Tensor(type_, array, ids=self.reads.add(name, array.size))

    def _leaf(self, graph: onnx.GraphProto, name: str, tensor: onnx.TensorProto) -> Tensor:
        key = id(graph), name, b""
        if key not in self._leaves:
            self._held.append(graph)
            self._leaves[key] = self.constant(name, self.file.array(tensor))
        return self._leaves[key]

    def leaf_of(self, node: onnx.NodeProto, name: str, array: np.ndarray, *, written: bool = True) -> Tensor:
        """Return the constant that a node holds, the same one each time that the node holds the same.

        In a function it may hold what the function was called with.
        """
        held = repr(array.tolist()).encode() if array.dtype.kind in "OSU" else array.tobytes()
        key = id(node), name, hashlib.blake2b(f"{array.dtype} {array.shape} ".encode() + held).digest()
        if key not in self._leaves:
            self._held.append(node)
            self._leaves[key] = self.constant(name, array, written=written)
        return self._leaves[key]

    def read(self, tensor: Tensor) -> None:
        """Note that all elements of a tensor are read, real numbers by a node that runs only if it makes any."""
        if tensor.ids is not None and tensor.real and self._waiting:
            self._waiting[-1].append(tensor.ids)
        elif tensor.ids is not None:
            self.reads.mark(tensor.ids)

    def reach(self, what: str, reached: np.ndarray) -> None:
        """Note which parts of something that has no constants the run has met: the places of a window of pooling.

        What it has not met counts as unread, so that two windows do not come out equal on an image that is smaller
        than both.

        Args:
            what: What has parts, for the reason of a verdict.
            reached: Which of its parts, bool of any shape.
        """
        if not reached.all():
            ids = self.reads.add(what, reached.size)
            self.reads.mark(np.asarray(ids)[reached.reshape(-1)])
            self.trail.missed(ids)

    def numbers(self, tensor: Tensor) -> Numbers:
        """Return what a tensor is calculated with."""
        if tensor.numbers is not None:
            return tensor.numbers
        assert tensor.known is not None
        if tensor.rough:
            raise Undecided("a number that has been rounded is calculated with")
        if tensor.type == STRING:
            entered: Numbers = self.world.texts(tensor.known)
        elif tensor.sized:
            entered = self.world.places(tensor.known)
        else:
            entered = self.world.enter(tensor.known)
        return entered

    def exact_setting(self, node: onnx.NodeProto, name: str) -> Numbers | None:
        """Return what an attribute was before it was rounded, where that is known."""
        names = (f"{each}.{name}" for each in (node.name, *node.output) if each)
        found: Numbers | None = next((self.exact.settings[each] for each in names if each in self.exact.settings), None)
        return found


def _looked_up(scope: Scope, name: str) -> Value:
    if name not in scope.values:
        raise Undecided(f"nothing makes {name!r}")
    return scope.values[name]


def _live(nodes: Sequence[onnx.NodeProto], outputs: Iterable[str]) -> list[Reading]:
    """Return those nodes that have a part in some names, in their order, each with the names that it reads."""
    wanted, found = set(outputs), list[Reading]()
    for node in reversed(nodes):
        if not wanted.isdisjoint(filter(None, node.output)):
            names = tuple(names_read(node))
            found.append((node, names))
            wanted.update(names)
    return found[::-1]
