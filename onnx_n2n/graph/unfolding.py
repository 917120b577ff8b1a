"""How large a model becomes when its functions are written out, without writing them out.

Thirty functions that each call the next one twice are two kilobytes of file, and a billion nodes for whoever writes
them out, as ONNX Runtime does. So they are counted first: each function once, those that it calls before it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

import onnx_ir as ir
from onnx_ir.passes.common import InlinePass

from onnx_n2n.errors import ModelError, told

LIMIT = 50_000  # nodes of functions, written out; ONNX Runtime opens 16,384 in 2 s and 65,536 in 27 s
DEPTH = 100  # of functions that call functions, as ONNX itself allows

Identifier = ir.OperatorIdentifier


class Unfolding:
    """The calls among functions; sizes are worked out once.

    Args:
        functions: The functions of a model.
    """

    def __init__(self, functions: Mapping[Identifier, ir.Function]) -> None:
        self._functions = functions
        self._calls: dict[Identifier, Counter[Identifier]] = {}
        self._nodes: dict[Identifier, float] = {}
        self._depth: dict[Identifier, float] = {}

    def nodes(self, graph: ir.Graph) -> float:
        """Return how many nodes the functions called in a graph are, written out; infinite if one calls itself."""
        return sum(times * self._nodes[callee] for callee, times in self._measured(graph).items())

    def depth(self, graph: ir.Graph) -> float:
        """Return how many functions deep the calls in a graph go."""
        return max((self._depth[callee] for callee in self._measured(graph)), default=0)

    def reached(self, graph: ir.Graph) -> list[Identifier]:
        """Return the functions that a graph calls, and those that these call, each behind all that it calls."""
        return list(self._callees_first(self._called(graph)))

    def calls(self, identifier: Identifier) -> Counter[Identifier]:
        """Return how often a function calls which others."""
        if identifier not in self._calls:
            self._calls[identifier] = self._called(self._functions[identifier].graph)
        return self._calls[identifier]

    def _called(self, graph: ir.Graph) -> Counter[Identifier]:
        found = Counter(node.op_identifier() for node in graph.all_nodes()) if self._functions else Counter()
        return Counter({callee: times for callee, times in found.items() if callee in self._functions})

    def _measured(self, graph: ir.Graph) -> Counter[Identifier]:
        """Return the calls in a graph, all of whose functions are counted then."""
        calls = self._called(graph)
        for each in self._callees_first(callee for callee in calls if callee not in self._nodes):
            if each not in self._nodes:
                inner = self.calls(each)
                plain = sum(1 for _ in self._functions[each].graph.all_nodes()) - inner.total()
                # One that is not counted yet is being counted: it calls itself, perhaps through others.
                self._nodes[each] = plain + sum(n * self._nodes.get(callee, math.inf) for callee, n in inner.items())
                self._depth[each] = 1 + max((self._depth.get(callee, math.inf) for callee in inner), default=0)
        return calls

    def _callees_first(self, roots: Iterable[Identifier]) -> Iterator[Identifier]:
        seen: set[Identifier] = set()
        pending = [(root, False) for root in roots]
        while pending:
            each, ready = pending.pop()
            if ready:
                yield each
            elif each not in seen:
                seen.add(each)
                pending += [(each, True), *((callee, False) for callee in self.calls(each))]


def bounded(model: ir.Model) -> None:
    """Make sure that the functions of a model can be written out, as whatever runs it must.

    Raises:
        ModelError: That would be too many nodes, or a function calls itself.
    """
    unfolding = Unfolding(model.functions)
    nodes, depth = unfolding.nodes(model.graph), unfolding.depth(model.graph)
    if nodes > LIMIT or depth > DEPTH:
        raise ModelError(_excess(nodes, depth), hint="export the model with fewer calls inside of functions")


def _excess(nodes: float, depth: float) -> str:
    if math.inf in (nodes, depth):
        return "a function of the model calls itself, directly or through others"
    if nodes <= LIMIT:
        return f"the model's functions call each other {depth:,} deep, and ONNX allows {DEPTH}"
    count = f"{nodes:,}" if nodes < 10**18 else "more than 10^18"
    return f"the model's functions unfold to {count} nodes, and at most {LIMIT:,} can be written out"


@told("the functions of the model cannot be written out")
def write_out(model: ir.Model) -> None:
    """Replace all calls of a private copy by what the functions do.

    Functions may be of other versions than the model, so each node says the version of its operator from then on.

    Raises:
        ModelError: That would be too many nodes, a function calls itself, or a call does not fit its function.
    """
    bounded(model)
    for function in model.functions.values():
        for node in function.all_nodes():
            if node.op_identifier() not in model.functions:
                node.version = node.version or function.opset_imports.get(node.domain)
        for domain, version in function.opset_imports.items():
            model.opset_imports.setdefault(domain, version)
    for function in model.functions.values():  # the IR's own pass refuses other versions
        function.opset_imports.clear()
        function.opset_imports.update(model.opset_imports)
    unfolding = Unfolding(model.functions)
    for each in unfolding.reached(model.graph):  # what is called first: so few names clash, each of which takes time
        function = model.functions[each]
        called = [model.functions[callee] for callee in unfolding.calls(each)]
        if called:
            InlinePass()(ir.Model(function.graph, ir_version=model.ir_version, functions=called))
    if model.functions:
        InlinePass()(model)
