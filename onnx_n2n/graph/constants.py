"""Which tensors of a model are constant, and the values of those that steer other nodes."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Sequence
from functools import cached_property

import numpy as np
import onnx
import onnx_ir as ir

from onnx_n2n.graph.operators import measures, operator_of, plain
from onnx_n2n.graph.quantised import NARROW, only_quantised
from onnx_n2n.graph.subgraphs import bodies_of
from onnx_n2n.graph.uses import reads

SMALL = 4096  # elements up to which a constant is read during analysis, and folded
FLOATS = frozenset({ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.BFLOAT16, ir.DataType.DOUBLE})


class Constants:
    """The constant tensors of a model, also inside bodies: initializers and Constant nodes, wherever they are used."""

    def __init__(self, model: ir.Model) -> None:
        self._tensors: dict[ir.Value, ir.TensorProtocol] = {}
        self._borrowed: dict[ir.Value, ir.TensorProtocol] = {}
        self._folded: dict[ir.Value, np.ndarray | None] = {}
        self._graph = model.graph
        self._opset = model.opset_imports.get("") or model.opset_imports.get("ai.onnx") or 1
        for graph in model.graphs():
            self._tensors.update(constants_of(graph))

    def borrow(self, body: ir.Graph, node: ir.Node) -> None:
        """Take in the constants of a private copy of a function's body, and those that ``node`` passes to it.

        They can be looked up, but are not among the model's own.
        """
        for graph in (body, *body.subgraphs()):
            self._borrowed.update(constants_of(graph))
        for inner, outer in zip(body.inputs, node.inputs, strict=False):
            if outer is not None and outer in self:
                self._borrowed[inner] = self[outer]
            elif outer is not None:
                self._folded[inner] = self.small(outer)

    def borrowed(self, value: ir.Value) -> bool:
        """Say whether a constant is that of a function."""
        return value in self._borrowed

    def identity(self, value: ir.Value) -> Hashable:
        """Return what is equal for two tensors only if they are equal constants, or both are none."""
        if value not in self:
            return None if (folded := self.small(value)) is None else (folded.dtype, folded.shape, folded.tobytes())
        tensor, array = self[value], self.small(value)
        return tensor.dtype, tuple(tensor.shape.numpy()), tensor if array is None else array.tobytes()

    def __contains__(self, value: ir.Value | None) -> bool:
        return value in self._tensors or value in self._borrowed

    def __getitem__(self, value: ir.Value) -> ir.TensorProtocol:
        return self._tensors[value] if value in self._tensors else self._borrowed[value]

    def __iter__(self) -> Iterator[ir.Value]:
        return iter(self._tensors)

    def growable(self, value: ir.Value) -> bool:
        """Say whether a constant holds floating-point or quantised numbers; others are tables, indices and masks."""
        dtype = self[value].dtype
        if dtype in FLOATS or dtype in NARROW:
            return True
        return dtype == ir.DataType.INT32 and only_quantised([(use.node, use.idx) for use in value.uses()])

    def scalable(self, value: ir.Value) -> bool:
        """Say whether a constant holds numbers that can be multiplied by shares, and get values of their own."""
        return self[value].dtype in FLOATS

    def vector_like(self, value: ir.Value) -> bool:
        """Say whether at most one axis of a constant is longer than 1: a bias or scale, not a matrix."""
        lengths = self[value].shape.dims
        return len(lengths) - lengths.count(1) <= 1

    def small(self, value: ir.Value) -> np.ndarray | None:
        """Return a constant of few elements, also when nodes compute it from constants only."""
        if value in self:
            tensor = self[value]
            wanted = tensor.size <= SMALL and tensor.dtype != ir.DataType.STRING
            return tensor.numpy() if wanted else None
        path = {} if value in self._folded else {value: None}
        while path:  # not by recursion: a chain of nodes may be thousands long
            current = next(reversed(path))
            known = (self, self._folded, path)
            operand = next((each for each in _operands(current) if not any(each in facts for facts in known)), None)
            if operand is not None:
                path[operand] = None
            else:
                del path[current]
                self._folded[current] = self._fold(current)
        return self._folded[value]

    def array(self, value: ir.Value) -> np.ndarray | None:
        """Return a constant of any size."""
        return self[value].numpy() if value in self else self.small(value)

    def computed(self, value: ir.Value | None) -> bool:
        """Say whether a tensor of the model is no constant itself, but nodes make it of nothing else."""
        return value in self._computed

    @cached_property
    def _computed(self) -> frozenset[ir.Value]:
        found: set[ir.Value] = set()

        def visit(graph: ir.Graph) -> None:
            for node in graph:
                for body in bodies_of(node):
                    visit(body)
                if all(value in self or value in found for value in reads(node)):
                    found.update(value for value in node.outputs if value not in self)

        visit(self._graph)
        return frozenset(found)

    def _fold(self, value: ir.Value) -> np.ndarray | None:
        """Return what a value is, once it is known what its operands are."""
        feeds: dict[str, np.ndarray] = {}
        for operand in _operands(value):
            array = self.small(operand) if operand in self else self._folded.get(operand)  # None if it needs itself
            if array is None:
                return None
            feeds[str(operand.name)] = array
        node = value.producer()
        return evaluate(node, feeds, node.version or self._opset) if feeds and node is not None else None


def _operands(value: ir.Value) -> list[ir.Value]:
    """Return what a value is folded from; nothing if it is not made by an operator of shape arithmetic.

    The lengths of a constant are no constants themselves, since it may grow.
    """
    node = value.producer()
    if node is None or plain(node.domain) or node.op_type not in FOLDED or len(node.outputs) != 1 or measures(node):
        return []
    return [operand for operand in node.inputs if operand is not None]


def constants_of(graph: ir.Graph) -> Iterator[tuple[ir.Value, ir.TensorProtocol]]:
    """Yield the initializers and the constants of a graph, with their tensors."""
    for value in graph.initializers.values():
        if value.const_value is not None:
            yield value, value.const_value
    for node in graph:
        if operator_of(node) == ("", "Constant"):
            tensor = constant_tensor(node)
            if tensor is not None:
                yield node.outputs[0], tensor


# Operators of shape arithmetic. One that is not here is merely not known before run time.
FOLDED = frozenset(
    {
        "Abs", "Add", "And", "Cast", "Ceil", "Concat", "ConstantOfShape", "Div", "Equal", "Expand", "Flatten", "Floor",
        "Gather", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul", "Neg",
        "Not", "Or", "Pow", "Range", "Reciprocal", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Reshape",
        "Round", "Shape", "Sign", "Size", "Slice", "Sqrt", "Squeeze", "Sub", "Tile", "Transpose", "Unsqueeze", "Where",
    }
)  # fmt: skip
BROADCAST = frozenset(
    {
        "Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual", "Max", "Min", "Mod", "Mul",
        "Or", "Pow", "Sub", "Where",
    }
)  # fmt: skip


def evaluate(node: ir.Node, feeds: dict[str, np.ndarray], version: int) -> np.ndarray | None:
    """Return what a node without data makes of small constants, if that is small and the reference can run it."""
    try:
        arrays = [feeds[str(value.name)] for value in node.inputs if value is not None]
        if elements(node, arrays) > SMALL or (node.op_type == "Pow" and np.any(2 * arrays[1] % 1)):
            return None  # roots, but for the square one, are rounded as run time pleases
        if node.op_type in ARRANGED and len(arrays) == 2:
            found = ARRANGED[node.op_type](node, *arrays)
        else:
            found = _referred(node, feeds, version)
    except Exception:  # a node that the reference cannot run is simply not known
        return None
    return found if found.size <= SMALL and found.dtype.kind not in "OSU" else None


def _referred(node: ir.Node, feeds: dict[str, np.ndarray], version: int) -> np.ndarray:
    """Return what the reference makes of a node, or raise whatever it raises."""
    from onnx.reference import ReferenceEvaluator  # takes a tenth of a second to load and to begin

    proto = ir.serde.serialize_node(node)
    graph = onnx.helper.make_graph(
        [proto],
        "fold",
        [onnx.helper.make_value_info(name, onnx.TypeProto()) for name in feeds],
        [onnx.helper.make_value_info(proto.output[0], onnx.TypeProto())],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", version)])
    with np.errstate(all="ignore"):  # a division by zero is the model's own affair
        return np.asarray(ReferenceEvaluator(model).run(None, feeds)[0])  # type: ignore[index]


def _reshaped(node: ir.Node, data: np.ndarray, shape: np.ndarray) -> np.ndarray:
    copied = not node.attributes.get_int("allowzero", 0)
    lengths = enumerate(shape.ravel().tolist())
    return data.reshape([data.shape[place] if copied and not length else length for place, length in lengths])


def _unsqueezed(_node: ir.Node, data: np.ndarray, axes: np.ndarray) -> np.ndarray:
    return np.expand_dims(data, tuple(axes.ravel().tolist()))


# Exporters write one of these before most shapes. They are done here, so that few models need the reference.
ARRANGED = {"Reshape": _reshaped, "Unsqueeze": _unsqueezed}


def elements(node: ir.Node, arrays: Sequence[np.ndarray]) -> int:
    """Return how many elements a node of shape arithmetic makes of its operands, without making them.

    Raises:
        ValueError: The operands do not fit.
        ArithmeticError: The operands do not fit.
        IndexError: The operands do not fit.
    """
    match node.op_type:
        case "Range":
            start, limit, delta = (float(array.item()) for array in arrays)
            return max(0, math.ceil((limit - start) / delta))
        case "ConstantOfShape":
            return math.prod(_lengths(arrays[0]))
        case "Expand":
            return math.prod(np.broadcast_shapes(arrays[0].shape, tuple(_lengths(arrays[1]))))
        case "Tile":
            return arrays[0].size * math.prod(_lengths(arrays[1]))
        case "Concat":
            return sum(array.size for array in arrays)
        case "Gather":
            data, indices = arrays
            return int(data.size // max(data.shape[node.attributes.get_int("axis", 0)], 1) * indices.size)
        case operator if operator in BROADCAST:
            return math.prod(np.broadcast_shapes(*(array.shape for array in arrays)))
    return max(array.size for array in arrays)


def _lengths(array: np.ndarray) -> list[int]:
    """Return what a tensor says as lengths.

    Raises:
        ValueError: One is negative.
    """
    lengths = [int(number) for number in array.ravel().tolist()]
    if min(lengths, default=0) < 0:
        raise ValueError("a length is negative")
    return lengths


def constant_tensor(node: ir.Node) -> ir.TensorProtocol | None:
    """Return the tensor of a Constant node in any of the forms ONNX knows, or None for strings and sparse tensors."""
    for name, attribute in node.attributes.items():
        if attribute.is_ref():
            return None
        if name == "value":
            found: ir.TensorProtocol = attribute.value
            return found
        if name in {"value_float", "value_floats"}:
            return ir.Tensor(np.asarray(attribute.value, np.float32))
        if name in {"value_int", "value_ints"}:
            return ir.Tensor(np.asarray(attribute.value, np.int64))
    return None


def hold(value: ir.Value, tensor: ir.TensorProtocol) -> None:
    """Let a constant be another tensor, in its initializer or its Constant node; a declared shape follows."""
    producer = value.producer()
    if producer is None:
        value.const_value = tensor
    else:
        producer.attributes.clear()
        producer.attributes["value"] = ir.AttrTensor("value", tensor)
    if value.shape is not None and list(value.shape) != list(tensor.shape):
        value.shape = ir.Shape(tensor.shape.numpy())


def uniform(array: np.ndarray) -> bool:
    """Say whether an array holds one number throughout, as zeros that are nobody's parameter."""
    return array.size < 2 or bool(np.all(array == array.flat[0]))


def parameters(model: ir.Model) -> int:
    """Return how many floating-point and quantised numbers the weights of a model are made of, in all its graphs."""
    found = 0
    for graph in model.graphs():
        tensors = [value.const_value for value in graph.initializers.values()]
        tensors += [constant_tensor(node) for node in graph if node.op_type == "Constant"]
        found += sum(int(t.size) for t in tensors if t is not None and t.dtype in FLOATS | NARROW)
    return found
