"""Models damaged by structure: attributes, nodes, declared types and shapes, weights, versions and functions."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper
from onnx.numpy_helper import from_array

from helpers.bodies import TRUE
from helpers.sound_models import DATA

HUGE = (2**31 - 1, 2**31, 2**40, 2**62, 2**63 - 1)
LENGTHS = (0, 1, 2, 3, 7, -1, -2, -(2**31), -(2**63), *HUGE)
NUMBERS = (*LENGTHS, 4096, 10**6)
FLOATS = (0.0, -1.0, 1e-38, 1e38, 1e300, float("inf"), float("-inf"), float("nan"))
NAMES = ("", "x", "y", "\0", "a\nb", "../../up", "/", "\u202e", "class", "None", "n" * 100_000)


# --- what to take


def _blocks(proto: onnx.ModelProto) -> list[Any]:
    found: list[Any] = [proto.graph, *proto.functions]
    for block in found:  # it grows on the way
        found.extend(a.g for node in block.node for a in node.attribute if a.HasField("g"))
    return found


def _any(rng: random.Random, found: list[Any], otherwise: Callable[[], Any]) -> Any:
    return rng.choice(found) if found else otherwise()


def _block(rng: random.Random, proto: onnx.ModelProto) -> Any:
    return rng.choice(_blocks(proto))


def _node(rng: random.Random, proto: onnx.ModelProto) -> onnx.NodeProto:
    found = [node for block in _blocks(proto) for node in block.node]
    return _any(rng, found, lambda: proto.graph.node.add(op_type="Relu", input=["x"], output=["y"]))


def _attribute(rng: random.Random, proto: onnx.ModelProto) -> AttributeProto:
    found = [a for block in _blocks(proto) for node in block.node for a in node.attribute]
    return _any(rng, found, lambda: proto.graph.node.add(op_type="Cast").attribute.add(name="to", i=1, type=2))


def _tensor(rng: random.Random, proto: onnx.ModelProto) -> TensorProto:
    found = [t for block in _blocks(proto) if isinstance(block, onnx.GraphProto) for t in block.initializer]
    found += [a.t for block in _blocks(proto) for node in block.node for a in node.attribute if a.HasField("t")]
    return _any(rng, found, lambda: proto.graph.initializer.add(name="t", data_type=1, dims=[1], raw_data=bytes(4)))


def _value(rng: random.Random, proto: onnx.ModelProto) -> onnx.ValueInfoProto:
    found = [v for b in _blocks(proto) if isinstance(b, onnx.GraphProto) for v in (*b.input, *b.output, *b.value_info)]
    return _any(rng, found, lambda: proto.graph.input.add(name="v"))


def _names(rng: random.Random, proto: onnx.ModelProto) -> str:
    return rng.choice([*NAMES, *(name for node in proto.graph.node for name in (*node.input, *node.output))])


def _numbers(rng: random.Random) -> np.ndarray:
    numbers = [rng.choice(NUMBERS) for _ in range(rng.choice((1, 1, 2, 4, 8)))]
    return np.array(numbers[0] if rng.random() < 0.3 else numbers, np.int64)


# --- what to do to it


def attribute_type(rng: random.Random, proto: onnx.ModelProto) -> None:
    _attribute(rng, proto).type = rng.choice(AttributeProto.AttributeType.values())


def attribute_other(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Put a value of another type in the place of an attribute's."""
    attribute = _attribute(rng, proto)
    values = (1, 2**40, 0.5, "text", b"\xff\xfe", [1, 2], [0.5], ["a"], [b"\xff"], from_array(np.ones(2)), proto.graph)
    other = helper.make_attribute(attribute.name or "a", rng.choice(values))
    attribute.CopyFrom(other)


def attribute_value(rng: random.Random, proto: onnx.ModelProto) -> None:
    attribute = _attribute(rng, proto)
    kind = attribute.type
    if kind == AttributeProto.INT:
        attribute.i = rng.choice(NUMBERS)
    elif kind == AttributeProto.FLOAT:
        attribute.f = rng.choice(FLOATS[:4] + FLOATS[5:])
    elif kind == AttributeProto.STRING:
        attribute.s = rng.choice((b"", b"\xff\xfe", b"nonsense", b"z" * 100_000, b"...i,->j", b"i->" + b"a" * 100))
    elif kind == AttributeProto.INTS and rng.random() < 0.3:
        del attribute.ints[rng.randrange(len(attribute.ints) + 1) :]
    elif kind == AttributeProto.INTS:
        attribute.ints.extend([1] * (not attribute.ints))
        attribute.ints[rng.randrange(len(attribute.ints))] = rng.choice(NUMBERS)
    elif kind == AttributeProto.TENSOR:
        attribute.t.CopyFrom(from_array(_numbers(rng), "t"))


def attribute_gone(rng: random.Random, proto: onnx.ModelProto) -> None:
    node = _node(rng, proto)
    del node.attribute[:1]


def attribute_twice(rng: random.Random, proto: onnx.ModelProto) -> None:
    node = _node(rng, proto)
    node.attribute.extend(list(node.attribute)[:1] or [helper.make_attribute("axis", 1)])


def attribute_new(rng: random.Random, proto: onnx.ModelProto) -> None:
    names = (
        "axis", "axes", "perm", "group", "pads", "strides", "dilations", "kernel_shape", "to", "mode", "auto_pad",
        "alpha", "epsilon", "hidden_size", "direction", "num_outputs", "keepdims", "value", "output_shape",
    )  # fmt: skip
    values = (rng.choice(NUMBERS), [rng.choice(NUMBERS)] * rng.choice((1, 2, 4)), 0.5, "SAME_UPPER", b"\xff")
    _node(rng, proto).attribute.append(helper.make_attribute(rng.choice(names), rng.choice(values)))


def attribute_reference(rng: random.Random, proto: onnx.ModelProto) -> None:
    attribute = _attribute(rng, proto)
    kind, name = attribute.type, attribute.name
    attribute.CopyFrom(AttributeProto(name=name, type=kind, ref_attr_name=rng.choice(("slope", "nobody", name))))


def node_gone(rng: random.Random, proto: onnx.ModelProto) -> None:
    nodes = _block(rng, proto).node
    if nodes:
        del nodes[rng.randrange(len(nodes))]


def node_skipped(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Let what reads a node read the node's own input instead."""
    node = _node(rng, proto)
    old, new = (node.output[0] if node.output else ""), (node.input[0] if node.input else "")
    for other in (other for block in _blocks(proto) for other in block.node):
        for slot, name in enumerate(other.input):
            if name == old:
                other.input[slot] = new


def node_twice(rng: random.Random, proto: onnx.ModelProto) -> None:
    block = _block(rng, proto)
    node = onnx.NodeProto()
    node.CopyFrom(_node(rng, proto))
    if rng.random() < 0.7:
        node.output[:] = [f"{name} again" for name in node.output]
    block.node.append(node)


def nodes_shuffled(rng: random.Random, proto: onnx.ModelProto) -> None:
    block = _block(rng, proto)
    nodes = [onnx.NodeProto.FromString(node.SerializeToString()) for node in block.node]
    rng.shuffle(nodes)
    del block.node[:]
    block.node.extend(nodes)


def operator(rng: random.Random, proto: onnx.ModelProto) -> None:
    schemas = onnx.defs.get_all_schemas()
    own = [node.op_type for block in _blocks(proto) for node in block.node]
    _node(rng, proto).op_type = rng.choice([rng.choice(schemas).name, rng.choice(own or [""]), rng.choice(NAMES)])


def domain(rng: random.Random, proto: onnx.ModelProto) -> None:
    _node(rng, proto).domain = rng.choice(("ai.onnx", "ai.onnx.ml", "com.microsoft", "local", "nobody", *NAMES))


def wire(rng: random.Random, proto: onnx.ModelProto) -> None:
    node = _node(rng, proto)
    ends = rng.choice((node.input, node.output))
    if ends:
        ends[rng.randrange(len(ends))] = _names(rng, proto)


def wires(rng: random.Random, proto: onnx.ModelProto) -> None:
    node = _node(rng, proto)
    ends = rng.choice((node.input, node.output))
    if rng.random() < 0.5:
        del ends[rng.randrange(len(ends) + 1) :]
    else:
        ends.extend(_names(rng, proto) for _ in range(rng.choice((1, 1, 3, 1000))))


def renamed(rng: random.Random, proto: onnx.ModelProto) -> None:
    one = rng.choice((_node(rng, proto), _tensor(rng, proto), _value(rng, proto), _block(rng, proto)))
    one.name = _names(rng, proto)


def declared(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Change a declared type or shape."""
    kind = _value(rng, proto).type
    tensor = kind.tensor_type
    what = rng.randrange(6)
    if what == 0:
        tensor.elem_type = rng.choice([*TensorProto.DataType.values(), 99, -1])
    elif what == 1:
        kind.Clear()
    elif what == 2:
        tensor.ClearField("shape")
    elif what == 3:
        tensor.shape.dim.add(dim_value=rng.choice(LENGTHS))
    elif what == 4:
        kind.sequence_type.elem_type.tensor_type.elem_type = 1
    else:
        dim = _any(rng, list(tensor.shape.dim), tensor.shape.dim.add)
        if rng.random() < 0.7:
            dim.dim_value = rng.choice(LENGTHS)
        else:
            dim.dim_param = rng.choice(("", "N", "1+", "2**99", "N-N", "((((", "a b", "9**9**9**9", *NAMES))


def interface(rng: random.Random, proto: onnx.ModelProto) -> None:
    block = _block(rng, proto)
    ends = rng.choice((block.input, block.output))
    what = rng.randrange(3)
    if what == 0 or not ends:
        del ends[:1]
    elif what == 1:
        ends.extend([ends[0]])
    else:
        del ends[:]


def weight_shape(rng: random.Random, proto: onnx.ModelProto) -> None:
    tensor = _tensor(rng, proto)
    if rng.random() < 0.5 and tensor.dims:
        tensor.dims[rng.randrange(len(tensor.dims))] = rng.choice(LENGTHS)
    else:
        tensor.dims[:] = rng.choice(([], [0], [0, 2**62], [2**32, 2**32], [-1, -1], [1] * 100, list(tensor.dims)[::-1]))


def weight_type(rng: random.Random, proto: onnx.ModelProto) -> None:
    _tensor(rng, proto).data_type = rng.choice([*TensorProto.DataType.values(), 99, -1])


def weight_data(rng: random.Random, proto: onnx.ModelProto) -> None:
    tensor = _tensor(rng, proto)
    what = rng.randrange(4)
    if what == 0:
        tensor.raw_data = tensor.raw_data[:-1]
    elif what == 1:
        tensor.raw_data = b"\xff" * len(tensor.raw_data)  # NaN, or -1
    elif what == 2:
        tensor.float_data.extend([1.0, float("nan")])
    else:
        tensor.ClearField("raw_data")


def weight_other(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Let a weight hold absurd whole numbers: sizes, counts, axes, places."""
    tensor = _tensor(rng, proto)
    name = tensor.name
    tensor.CopyFrom(from_array(_numbers(rng), name))


def counts(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Change one number of a tensor of whole numbers; all of them say sizes, counts, axes or places."""
    whole = [t for t in proto.graph.initializer if t.data_type == TensorProto.INT64 and t.raw_data]
    if whole:
        tensor = rng.choice(whole)
        array = np.frombuffer(tensor.raw_data, np.int64).copy()
        array[rng.randrange(len(array))] = rng.choice(NUMBERS)
        tensor.raw_data = array.tobytes()


def weight_gone(rng: random.Random, proto: onnx.ModelProto) -> None:
    if proto.graph.initializer:
        del proto.graph.initializer[rng.randrange(len(proto.graph.initializer))]


def weight_twice(rng: random.Random, proto: onnx.ModelProto) -> None:
    proto.graph.initializer.add().CopyFrom(_tensor(rng, proto))


def outside(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Say that a weight is in a file, or say something odd about one that is."""
    tensor = _tensor(rng, proto)
    tensor.data_location = TensorProto.EXTERNAL
    said = {entry.key: entry.value for entry in tensor.external_data} or {"location": DATA}
    said[rng.choice(("location", "offset", "length", "checksum", ""))] = rng.choice(
        ("", "../" + DATA, "/etc/hostname", ".", "m.onnx", DATA, "-1", "-4096", str(2**70), "x", "1.5", "\0", "1e9")
    )
    del tensor.external_data[:]
    for key, value in said.items():
        tensor.external_data.add(key=key, value=value)


def sparse(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Make a weight sparse, with places that may not be there."""
    dense = _tensor(rng, proto)
    holder = proto.graph.sparse_initializer.add()
    holder.values.CopyFrom(from_array(np.ones(2, np.float32), dense.name))
    holder.indices.CopyFrom(from_array(np.array([rng.choice(NUMBERS), 1]), "at"))
    holder.dims.extend(rng.choice((list(dense.dims), [2**20, 2**20], [-1], [], [2**62, 4])))
    kept = [t for t in proto.graph.initializer if t.name != dense.name]
    copies = [TensorProto.FromString(t.SerializeToString()) for t in kept]
    del proto.graph.initializer[:]
    proto.graph.initializer.extend(copies)


def versions(rng: random.Random, proto: onnx.ModelProto) -> None:
    what = rng.randrange(4)
    if what == 0:
        proto.ir_version = rng.choice((0, 1, 3, 4, *NUMBERS))
    elif what == 1:
        del proto.opset_import[:]
    elif what == 2 and proto.opset_import:
        rng.choice(proto.opset_import).version = rng.choice((1, 5, 6, 9, 13, 20, 25, 99, *NUMBERS))
    else:
        domain = rng.choice(("", "ai.onnx", "local", *NAMES))
        proto.opset_import.add(domain=domain, version=rng.choice((1, 13, *NUMBERS)))


def recursion(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Let a function call itself, or two each other."""
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    names = ["Self"] if rng.random() < 0.5 else ["One", "Other"]
    for name, callee in zip(names, names[::-1], strict=True):
        node = helper.make_node(callee, ["a"], ["b"], domain="local")
        proto.functions.append(helper.make_function("local", name, ["a"], ["b"], [node], imports))
    proto.opset_import.add(domain="local", version=1)
    node = _node(rng, proto)
    node.op_type, node.domain = names[0], "local"


def nested(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Put branches into branches, nearly as deep as protobuf reads."""

    def branch(node: onnx.NodeProto) -> onnx.GraphProto:
        return helper.make_graph([node], "branch", [], [onnx.ValueInfoProto(name=node.output[0])])

    node = helper.make_node("Relu", ["x"], ["deep"])
    for level in range(rng.choice((3, 20, 29, 30, 31))):
        other = branch(helper.make_node("Relu", ["x"], [f"other {level}"]))
        node = helper.make_node("If", ["go"], [f"deep {level}"], then_branch=branch(node), else_branch=other)
    proto.graph.node.append(node)
    proto.graph.initializer.append(from_array(TRUE, "go"))


def chain(rng: random.Random, proto: onnx.ModelProto) -> None:
    """Compute a constant by thousands of nodes, one behind the other."""
    proto.graph.initializer.append(from_array(np.array([1, 4]), "link 0"))
    length = rng.choice((300, 3000))
    kind = rng.choice(("Identity", "Neg", "Relu"))
    for number in range(length):
        proto.graph.node.add(op_type=kind, input=[f"link {number}"], output=[f"link {number + 1}"])
    node = _node(rng, proto)
    if node.input:
        node.input[-1] = f"link {length}"


def metadata(rng: random.Random, proto: onnx.ModelProto) -> None:
    odd = '[{"pass": "a", "seed": [], "parent": 3, "version": {}}]'
    text = rng.choice(('[{"pass": 1}]', "[", "{}", "null", "[[]]", odd))
    proto.metadata_props.add(key="onnx_n2n.lineage", value=text)


STRUCTURE = [
    attribute_type, attribute_other, attribute_value, attribute_value, attribute_gone, attribute_twice, attribute_new,
    attribute_reference, node_gone, node_skipped, node_twice, nodes_shuffled, operator, operator, domain, wire, wire,
    wires, renamed, declared, declared, interface, weight_shape, weight_type, weight_data, weight_other, counts, counts,
    weight_gone, weight_twice, outside, sparse, versions, recursion, nested, chain, metadata,
]  # fmt: skip
