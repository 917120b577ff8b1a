"""Functions and bodies around any nodes that have been drawn, and loops that carry a state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

from helpers.wild.sheet import Sheet, Skip, Value, evaluate, fit, operators, read_by, typed


def renamed(nodes: Sequence[onnx.NodeProto], names: Mapping[str, str]) -> list[onnx.NodeProto]:
    """Return copies of nodes in which tensors have other names, in their bodies too."""
    found = []
    for node in nodes:
        copy = onnx.NodeProto()
        copy.CopyFrom(node)
        for field in (copy.input, copy.output):
            field[:] = [names.get(name, name) for name in field]
        for attribute in copy.attribute:
            if attribute.HasField("g"):
                graph = attribute.g
                inner = renamed(graph.node, names)
                del graph.node[:]
                graph.node.extend(inner)
                for value in (*graph.input, *graph.output, *graph.initializer):
                    value.name = names.get(value.name, value.name)
        found.append(copy)
    return found


def wrap(s: Sheet, outputs: Sequence[str]) -> None:
    """Put some nodes that follow each other into a function, a branch or a loop.

    Raises:
        Skip: If that does not run.
    """
    if not s.nodes:
        raise Skip
    first = int(s.rng.integers(len(s.nodes)))
    last = min(len(s.nodes), first + s.one_of([1, 2, 3, 5, 8]))
    nodes, later = s.nodes[first:last], s.nodes[last:]
    made = [name for node in nodes for name in node.output if name]
    needed = {*read_by(later), *outputs}
    wanted = [name for name in made if name in needed]
    others = [name for name in made if name not in wanted]
    if not wanted or any(name not in s.values for name in wanted):
        raise Skip
    read = list(dict.fromkeys(read_by(nodes)))
    if any(name not in s.values for name in read):
        raise Skip
    kind = s.one_of(["function", "function", "if", "loop"])
    around = {"function": _function, "if": _branch, "loop": _loop}[kind](s, nodes, read, wanted)
    outer = list(dict.fromkeys(read_by(around)))
    found = evaluate(around, [s.values[name] for name in outer], s, wanted)
    if any(not fit(array) for pair in found for array in pair):
        raise Skip
    s.nodes[first:last] = around
    for name in others:
        s.values.pop(name, None)


def _function(s: Sheet, nodes: list[onnx.NodeProto], read: list[str], wanted: list[str]) -> list[onnx.NodeProto]:
    """A call, or two calls of one function of which the second gets other weights."""
    if "SimplifiedLayerNormalization" in operators(nodes):
        raise Skip  # ONNX Runtime crashes where a function calls what ONNX does not define
    kept = {name for name in read if name in s.weights and s.chance(30)}  # become constants of the function
    given = [name for name in read if name not in kept]
    inside = {name: s.name("i") for name in {*read, *(n for node in nodes for n in node.output if n)}}
    constants = [helper.make_node("Constant", [], [inside[name]], value=numpy_helper.from_array(s.weights[name]))
                 for name in kept]  # fmt: skip
    body = [*constants, *renamed(nodes, inside)]
    function = helper.make_function(
        "f", s.name("F"), [inside[name] for name in given], [inside[name] for name in wanted], body, s.imports
    )
    s.functions.append(function)
    call = helper.make_node(function.name, given, wanted, domain="f")
    if not s.chance(40) or not s.values[wanted[0]].floating:
        return [call]
    again = [_other(s, name) if s.chance(70) else name for name in given]
    first, second = [s.name("c") for _ in wanted], [s.name("c") for _ in wanted]
    ends = [helper.make_node("Add" if s.values[name].floating else "Max", [a, b], [name])
            for name, a, b in zip(wanted, first, second, strict=True)]  # fmt: skip
    if any(s.values[name].arrays[0].dtype == np.bool_ for name in wanted):
        return [call]
    return [helper.make_node(function.name, given, first, domain="f"),
            helper.make_node(function.name, again, second, domain="f"), *ends]  # fmt: skip


def _other(s: Sheet, name: str) -> str:
    """Return another weight of the same shape for one of floating-point numbers, and anything else as it is."""
    if name not in s.weights or s.weights[name].dtype != np.float32:
        return name
    return s.constant(s.rng.permutation(s.weights[name].ravel()).reshape(s.weights[name].shape))


def _branch(s: Sheet, nodes: list[onnx.NodeProto], read: list[str], wanted: list[str]) -> list[onnx.NodeProto]:
    """An If on data whose other branch has other weights."""
    source = s.one_of([v for v in s.inputs.values() if v.floating])
    total, condition = s.name("t"), s.name("t")
    head = [helper.make_node("ReduceMax", [source.name], [total], keepdims=0),
            helper.make_node("Greater", [total, s.scalar(1.7)], [condition])]  # fmt: skip
    made = [n for node in nodes for n in node.output if n]
    graphs = []
    for other in (False, True):
        names = {name: s.name("b") for name in made}
        if other:
            names |= {name: _other(s, name) for name in read if s.chance(60)}
        own = []
        if s.chance(40):
            own = [names.get(name, name) for name in read if name in s.weights]
        inner = renamed(nodes, names)
        local = {name: s.name("l") for name in own}
        tensors = [numpy_helper.from_array(s.weights[name], local[name]) for name in local]
        graphs.append(helper.make_graph(renamed(inner, local), s.name("branch"), [],
                                        [typed(s.values[n], names[n]) for n in wanted], tensors))  # fmt: skip
    return [*head, helper.make_node("If", [condition], wanted, then_branch=graphs[0], else_branch=graphs[1])]


def _loop(s: Sheet, nodes: list[onnx.NodeProto], read: list[str], wanted: list[str]) -> list[onnx.NodeProto]:
    """A loop of some trips that collects what the nodes make, of which one trip is picked."""
    names = {n: s.name("b") for node in nodes for n in node.output if n}
    trip, go, still = s.name("t"), s.name("t"), s.name("t")
    inner = [*renamed(nodes, names), helper.make_node("Identity", [go], [still])]
    ends = [helper.make_tensor_value_info(still, onnx.TensorProto.BOOL, []),
            *(typed(s.values[n], names[n]) for n in wanted)]  # fmt: skip
    starts = [helper.make_tensor_value_info(trip, onnx.TensorProto.INT64, []),
              helper.make_tensor_value_info(go, onnx.TensorProto.BOOL, [])]  # fmt: skip
    body = helper.make_graph(inner, s.name("body"), starts, ends)
    stacked = [s.name("c") for _ in wanted]
    trips = s.constant(np.int64(s.one_of([1, 2])))
    loop = helper.make_node("Loop", [trips, ""], stacked, body=body)
    at = s.constant(np.int64(s.one_of([0, -1])))
    return [loop, *(helper.make_node("Gather", [a, at], [n], axis=0) for a, n in zip(stacked, wanted, strict=True))]


def carried(s: Sheet) -> None:
    """A loop or scan with a state that is a weight or computed, and a layer on what it carries."""
    value = s.pick(lambda v: v.rank >= 2 and v.shape[-1] is not None)
    n, width = s.length(), value.shape[-1]
    assert width
    state = s.operand((*value.shape[:-1], n), 50) if value.fixed and s.chance(30) else s.add(
        "MatMul", value.name, s.weight(width, n))  # fmt: skip
    weight = s.weight(n, n)
    more = s.operand((n,), 90)
    old, mixed, summed, new = (s.name("b") for _ in range(4))
    steps = [helper.make_node("MatMul", [old, weight], [mixed]), helper.make_node("Add", [mixed, more], [summed]),
             helper.make_node("Tanh", [summed], [new])]  # fmt: skip
    shape = s.values[state].shape
    kind = helper.make_tensor_value_info
    if s.chance():
        trip, go, still, out = (s.name("t") for _ in range(4))
        steps += [helper.make_node("Identity", [go], [still]), helper.make_node("Identity", [new], [out])]
        body = helper.make_graph(
            steps, s.name("body"), [kind(trip, 7, []), kind(go, 9, []), kind(old, 1, shape)],
            [kind(still, 9, []), kind(new, 1, shape), kind(out, 1, shape)],
        )  # fmt: skip
        node = helper.make_node("Loop", [s.constant(np.int64(2)), "", state], [s.name(), s.name()], body=body)
    else:
        steps.append(helper.make_node("Identity", [new], [out := s.name("b")]))
        axis = s.one_of([0, -1])
        source = s.pick(lambda v: v.rank >= 2)
        piece, scaled = s.name("b"), s.name("b")
        if source.shape[axis] is None and source.shape[:-1] != shape:
            raise Skip
        steps.append(helper.make_node("Mul", [piece, piece], [scaled]))
        rest = [m for i, m in enumerate(source.shape) if i != axis % source.rank]
        body = helper.make_graph(
            steps, s.name("body"), [kind(old, 1, shape), kind(piece, 1, rest)],
            [kind(new, 1, shape), kind(out, 1, shape), kind(scaled, 1, rest)],
        )  # fmt: skip
        node = helper.make_node("Scan", [state, source.name], [s.name(), s.name(), s.name()], body=body,
                                num_scan_inputs=1, scan_input_axes=[axis])  # fmt: skip
    s.emit([node], node.output)


def embedded(s: Sheet, value: Value) -> None:
    """Look up rows of a table by what data says."""
    if value.arrays[0].dtype != np.int64:
        raise Skip
    s.add("Gather", s.weight(6, s.length()), value.name, axis=0)
