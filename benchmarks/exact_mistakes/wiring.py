"""Errors in what nodes read, and in which order."""

from __future__ import annotations

from exact_mistakes.model import CONVOLUTIONS, NORMS, Function, Kinds, Model, NoPlaceError, label
from exact_mistakes.operators import shapes_of, skipped
from exact_mistakes.weights import swap

KINDS = Kinds()


@KINDS.kind("an input exchanged for another tensor of its shape")
def wired(model: Model) -> str:
    """Let a node read a tensor that was made before it, of the same type and shape."""
    known, made, found = model.types(), [each.name for each in model.proto.graph.input], []
    for node in model.nodes:
        for slot, name in enumerate(node.input):
            if name in known and name not in model.constants:
                found += [(node, slot, other) for other in made if other != name and known.get(other) == known[name]]
        made += node.output
    node, slot, other = model.one(found)
    where = label(node, f"reads {other} instead of {node.input[slot]}")
    node.input[slot] = other
    return where


@KINDS.kind("a norm's or layer's weight of another layer")
def layers(model: Model) -> str:
    """Let a node read the constant of another one, of the same shape."""
    node = model.one(
        each for each in model.nodes if each.op_type in {*NORMS, *CONVOLUTIONS, "Gemm", "MatMul", "Add", "Mul"}
    )
    slot = model.one(slot for slot, name in enumerate(node.input) if name in model.constants)
    mine = model.constants[node.input[slot]]
    other = model.one(
        name
        for name, each in model.constants.items()
        if each.dims == mine.dims
        and each.data_type == mine.data_type
        and name in {i.name for i in model.proto.graph.initializer}
    )
    where = label(node, f"reads {other} instead of {node.input[slot]}")
    node.input[slot] = other
    return where


def operands(*operators: str) -> Function:
    """Return a kind that exchanges the first two inputs of a node."""

    def exchange(model: Model) -> str:
        node = model.node(*operators)
        if len(node.input) < 2:
            raise NoPlaceError
        node.input[0], node.input[1] = node.input[1], node.input[0]
        return label(node)

    return exchange


KINDS |= {
    "the sides of Sub or Div exchanged": operands("Sub", "Div", "Pow"),
    "the sides of MatMul exchanged": operands("MatMul"),
    "the order of Concat": operands("Concat"),
    "the sides of a comparison exchanged": operands("Less", "Greater", "LessOrEqual", "GreaterOrEqual"),
}


@KINDS.kind("the sides of Where exchanged")
def where_exchanged(model: Model) -> str:
    """Exchange what is taken where a condition is true and where it is not."""
    node = model.node("Where")
    node.input[1], node.input[2] = node.input[2], node.input[1]
    return label(node)


@KINDS.kind("the order of a Split")
def split(model: Model) -> str:
    """Exchange two results of a node."""
    node = model.one(each for each in model.nodes if len(each.output) > 1 and each.op_type in {"Split", "TopK", "LSTM"})
    node.output[0], node.output[1] = node.output[1], node.output[0]
    return label(node)


@KINDS.kind("outputs of the graph exchanged")
def outputs(model: Model) -> str:
    """Give two outputs of the same type and rank each other's names."""
    graph = model.proto.graph
    pairs = [
        (one, two)
        for place, one in enumerate(graph.output)
        for two in graph.output[:place]
        if one.type.tensor_type.elem_type == two.type.tensor_type.elem_type
        and len(one.type.tensor_type.shape.dim) == len(two.type.tensor_type.shape.dim)
    ]
    one, two = model.one(pairs)
    names = {one.name: two.name, two.name: one.name}
    for node in graph.node:
        node.output[:] = [names.get(each, each) for each in node.output]
        node.input[:] = [names.get(each, each) for each in node.input]
    return f"{one.name} and {two.name}"


@KINDS.kind("an output taken one node earlier")
def earlier(model: Model) -> str:
    """Let an output be what the node before it gives, of the same shape."""
    ends = {each.name for each in model.proto.graph.output}
    node = model.one(each for each in model.nodes if set(each.output) & ends and shapes_of(model, each))
    return skipped(node, model.one(shapes_of(model, node)))


@KINDS.kind("the bound of a Slice")
def bound(model: Model) -> str:
    """Move the start, the end or the step of a Slice by one."""
    node = model.node("Slice")
    found = [name for name in node.input[1:3] if name in model.constants]
    if found:
        name = model.one(found)
        array = model.array(name)
        place = model.draw.integers(array.size)
        array.reshape(-1)[place] += -1 if array.reshape(-1)[place] > 1 << 30 else model.one((-1, 1))
        return label(node, f"{model.put(name, array)}[{place}]")
    each = model.one(each for each in node.attribute if each.name in {"starts", "ends"})
    place = model.draw.integers(len(each.ints))
    each.ints[place] += -1 if each.ints[place] > 1 << 30 else model.one((-1, 1))
    return label(node, each.name)


@KINDS.kind("two lengths of a Reshape exchanged")
def reshape(model: Model) -> str:
    """Exchange two lengths of the shape that a Reshape makes."""
    node = model.one(each for each in model.nodes if each.op_type == "Reshape" and each.input[1] in model.constants)
    return f"{label(node)} {swap(model, node.input[1], 0)}"
