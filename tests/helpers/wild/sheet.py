"""A graph that is drawn node by node: every node runs at once, and one that does not run is not drawn.

So no step has to know what is valid. A step tries something; the two runs of each node, with different free lengths,
say which shape came out, and which of its axes are free.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
from onnx import helper, numpy_helper

FREE = (3, 5)  # lengths of the first free axis in the two runs
OTHER = (4, 2)  # and of a second one
LARGEST = 4096  # elements of a tensor
BOUND = 300.0  # of what a tensor holds
DOMAIN = "com.microsoft"
ML = "ai.onnx.ml"
Dim = int | None


class Skip(Exception):  # noqa: N818 - it is no error: a step that does not work out is not drawn
    """What a step tried is not valid here."""


@dataclass(frozen=True)
class Value:
    """A tensor, as it is in both runs; ``given`` if it depends on no input."""

    name: str
    arrays: tuple[np.ndarray, np.ndarray]
    given: bool

    @property
    def shape(self) -> tuple[Dim, ...]:
        """Its lengths; None where they are free."""
        one, other = (array.shape for array in self.arrays)
        return tuple(a if a == b else None for a, b in zip(one, other, strict=True))

    @property
    def rank(self) -> int:
        return self.arrays[0].ndim

    @property
    def floating(self) -> bool:
        return self.arrays[0].dtype == np.float32

    @property
    def fixed(self) -> bool:
        return None not in self.shape


class Sheet:
    """What has been drawn so far."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.opset = self.one_of([13, 17, 18, 20, 21, 21, 23, 23])
        palettes = [(4,), (4,), (3, 4), (2, 4), (2, 3, 4, 6), (2, 3, 5)]
        self.palette = self.one_of(palettes)
        self.nodes: list[onnx.NodeProto] = []
        self.values: dict[str, Value] = {}
        self.weights: dict[str, np.ndarray] = {}
        self.inputs: dict[str, Value] = {}
        self.functions: list[onnx.FunctionProto] = []
        self._count = 0

    # --- chance

    def chance(self, percent: int = 50) -> bool:
        return bool(self.rng.integers(100) < percent)

    def one_of(self, choices: Sequence[Any]) -> Any:
        return choices[int(self.rng.integers(len(choices)))]

    def length(self) -> int:
        return int(self.one_of(self.palette))

    def divisor(self, number: int) -> int:
        return int(self.one_of([n for n in range(1, number + 1) if number % n == 0]))

    def name(self, stem: str = "v") -> str:
        self._count += 1
        return f"{stem}{self._count}"

    # --- tensors

    def pick(self, suits: Callable[[Value], bool] = lambda _: True, weights: int = 15) -> Value:
        """Choose a tensor of floats, mostly a late one that depends on an input; now and then put a layer behind it.

        The layer, over any axis, makes channels that can grow of what could not.

        Raises:
            Skip: If none suits.
        """
        given = self.chance(weights)
        found = [v for v in self.values.values() if v.floating and v.rank and v.given == given and suits(v)]
        if not found:
            raise Skip
        value: Value = found[-1 - min(int(self.rng.geometric(0.45)) - 1, len(found) - 1)]
        places = [i for i, n in enumerate(value.shape) if n]
        if given or not places or not self.chance(35):
            return value
        return self.values[self.layer(value, self.one_of(places))]

    def layer(self, value: Value, position: int, width: int | None = None) -> str:
        """Return what a layer over one axis makes of a tensor: of the same shape, if no other width is asked for."""
        length = value.shape[position]
        assert length
        order = [*(i for i in range(value.rank) if i != position), position]
        turned = position != value.rank - 1
        name = self.add("Transpose", value.name, perm=order) if turned else value.name
        name = self.add("MatMul", name, self.weight(length, width or length))
        return self.add("Transpose", name, perm=[order.index(i) for i in range(value.rank)]) if turned else name

    def weight(self, *shape: int, plain: bool = False) -> str:
        """Return a weight of this shape: a new one, one that has another role already, or one that is computed."""
        if 0 in shape or np.prod(shape) > LARGEST:
            raise Skip
        if not plain and self.chance(20):
            found = [v for v in self.values.values() if v.given and v.floating and v.shape == shape]
            if found:
                return self.one_of(found).name
        if not plain and len(shape) > 1 and self.chance(12):
            order = [int(i) for i in self.rng.permutation(len(shape))]
            before = self.weight(*(shape[order.index(i)] for i in range(len(shape))))
            return self.add("Transpose", before, perm=order)
        if not plain and self.chance(8):
            return self.derived(shape)
        spread = 1 / max(1.0, float(np.prod(shape[:-1] or (1,))) ** 0.3)
        array = (self.rng.standard_normal(shape) * spread).astype(np.float32)
        array += np.where(array < 0, -0.1, 0.1).astype(np.float32)
        return self.constant(array)

    def derived(self, shape: tuple[int, ...]) -> str:
        """Return a weight of this shape that nodes make of other weights."""
        kind = self.one_of(["flat", "sum", "scaled", "concat", "expand", "gather", "unsqueezed"])
        if kind == "flat":
            return self.add("Reshape", self.weight(int(np.prod(shape))), self.numbers(*shape))
        if kind == "sum":
            return self.add("Add", self.weight(*shape), self.weight(*self.narrowed(shape)))
        if kind == "scaled":
            return self.add("Tanh", self.weight(*shape))
        if not shape:
            raise Skip
        axis = int(self.rng.integers(len(shape)))
        if kind == "concat" and shape[axis] > 1:
            cut = int(self.rng.integers(1, shape[axis]))
            parts = [(*shape[:axis], n, *shape[axis + 1 :]) for n in (cut, shape[axis] - cut)]
            return self.add("Concat", *(self.weight(*part) for part in parts), axis=axis)
        if kind == "gather":
            wide = (*shape[:axis], shape[axis] + 2, *shape[axis + 1 :])
            picks = self.rng.integers(-shape[axis] - 2, shape[axis] + 2, shape[axis])
            return self.add("Gather", self.weight(*wide), self.constant(picks.astype(np.int64)), axis=axis)
        if kind == "expand":
            thin = (*shape[:axis], 1, *shape[axis + 1 :])
            return self.add("Expand", self.weight(*thin), self.numbers(*shape))
        less = (*shape[:axis], *shape[axis + 1 :])
        if shape[axis] != 1:
            raise Skip
        return self.add("Unsqueeze", self.weight(*less), self.constant(np.array([axis])))

    def narrowed(self, shape: Sequence[Dim]) -> tuple[int, ...]:
        """Return a shape that broadcasts to another: without leading axes, with ones; of any rank from 0 on."""
        ones = [1 if n is None or self.chance(25) else n for n in shape]
        return tuple(ones[int(self.rng.integers(len(ones) + 1)) :])

    def operand(self, shape: Sequence[Dim], weights: int = 50) -> str:
        """Return a tensor of exactly this shape: a weight, or one that is computed."""
        if None not in shape and self.chance(weights):
            return self.weight(*shape)  # type: ignore[arg-type]
        return self.pick(lambda v: v.shape == tuple(shape)).name

    def constant(self, array: np.ndarray | np.generic) -> str:
        name = self.name("w")
        self.weights[name] = np.asarray(array)
        self.values[name] = Value(name, (self.weights[name],) * 2, True)
        return name

    def scalar(self, value: float) -> str:
        return self.constant(np.array(value, np.float32))

    # --- numbers that steer operators

    def numbers(self, *numbers: int | tuple[Value, int], computed: int = 30) -> str:
        """Return a vector of whole numbers; some are lengths of axes, read at run time. A pair is such an axis."""
        if not any(isinstance(number, tuple) for number in numbers) and not self.chance(computed):
            return self.constant(np.array(numbers, np.int64))
        parts = []
        for number in numbers:
            if isinstance(number, tuple):
                parts.append(self.measure(*number))
                continue
            places = [(v, i) for v in self.values.values() for i, n in enumerate(v.shape) if n == number]
            if places and self.chance(70):
                parts.append(self.measure(*self.one_of(places[-8:])))
            elif self.chance(15):
                parts.append(self.arithmetic(number))
            else:
                parts.append(self.constant(np.array([number], np.int64)))
        return self.add("Concat", *parts, axis=0) if len(parts) > 1 or self.chance(20) else parts[0]

    def measure(self, value: Value, position: int) -> str:
        """Return the length of one axis as a vector of one."""
        if self.opset >= 15 and self.chance(30):
            end = {} if position + 1 == value.rank and self.chance() else {"end": position + 1}
            return self.add("Shape", value.name, start=self.one_of([position, position - value.rank]), **end)
        whole = self.add("Shape", value.name)
        at = self.one_of([position, position - value.rank])
        if self.chance(30):
            end = at + 1 if at != -1 else 2**62
            return self.add("Slice", whole, *(self.constant(np.array([n], np.int64)) for n in (at, end)))
        if self.chance(30):
            single = self.add("Gather", whole, self.constant(np.int64(at)), axis=0)
            return self.add("Unsqueeze", single, self.constant(np.array([0])))
        return self.add("Gather", whole, self.constant(np.array([at], np.int64)), axis=0)

    def arithmetic(self, number: int) -> str:
        """Return a number computed of a length and a constant, or of two lengths."""
        places = [(v, i, n) for v in self.values.values() for i, n in enumerate(v.shape) if n]
        if not places:
            raise Skip
        value, position, n = self.one_of(places[-10:])
        one = self.measure(value, position)
        if number and n % number == 0 and self.chance():
            return self.add("Div", one, self.constant(np.array([n // number], np.int64)))
        if number % n == 0 and self.chance():
            return self.add("Mul", one, self.constant(np.array([number // n], np.int64)))
        operator, other = self.one_of([("Add", number - n), ("Sub", n - number)])
        return self.add(operator, one, self.numbers(other, computed=20))

    # --- nodes

    def add(self, operator: str, *inputs: str, **attributes: Any) -> str:
        """Draw a node and return its output.

        Raises:
            Skip: If it does not run, or makes something that is not fit for use.
        """
        return self.several(1, operator, *inputs, **attributes)[0]

    def several(self, count: int, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> list[str]:
        """Draw a node with ``count`` outputs, and return their names."""
        outputs = [self.name() for _ in range(count)]
        self.emit([helper.make_node(operator, inputs, outputs, domain=domain, **attributes)], outputs)
        return outputs

    def emit(self, nodes: list[onnx.NodeProto], outputs: Sequence[str]) -> None:
        """Draw several nodes, of whose outputs the following ones use these only."""
        read = list(dict.fromkeys(read_by(nodes)))
        if any(name not in self.values for name in read):
            raise Skip
        found = evaluate(nodes, [self.values[name] for name in read], self, outputs)
        given = all(self.values[name].given for name in read)
        for name, arrays in zip(outputs, found, strict=True):
            if any(not fit(array) for array in arrays) or arrays[0].ndim != arrays[1].ndim:
                raise Skip
            if not given and arrays[0].shape == arrays[1].shape and arrays[0].dtype == np.float32:
                given_now = bool(np.array_equal(*arrays))
            else:
                given_now = given
            self.values[name] = Value(name, arrays, given_now)
        self.nodes += nodes

    @property
    def imports(self) -> list[onnx.OperatorSetIdProto]:
        found = {"": self.opset, DOMAIN: 1, "f": 1}
        if any(node.domain == ML for node in self.nodes):
            found[ML] = 3
        return [helper.make_opsetid(domain, version) for domain, version in found.items()]

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Take back what a step has drawn when it does not work out."""
        nodes, values, weights = list(self.nodes), dict(self.values), dict(self.weights)
        functions = list(self.functions)
        try:
            yield
        except Skip:
            self.nodes, self.values, self.weights, self.functions = nodes, values, weights, functions


def fit(array: Any) -> bool:
    """Say whether a tensor can be used: no sequence, not too large, and all of its numbers finite and moderate."""
    if not isinstance(array, np.ndarray) or array.size > LARGEST or not array.size:
        return False
    return bool(np.all(np.isfinite(array)) and np.abs(array).max() < BOUND) if array.dtype == np.float32 else True


def read_by(nodes: Sequence[onnx.NodeProto]) -> list[str]:
    """Return the names that nodes read and do not make themselves, those that their bodies capture included."""
    made = {name for node in nodes for name in node.output}
    found = []
    for node in nodes:
        found += [name for name in node.input if name and name not in made]
        for graph in (a.g for a in node.attribute if a.HasField("g")):
            own = {value.name for value in graph.input} | {tensor.name for tensor in graph.initializer}
            inside = [*read_by(graph.node), *(v.name for v in graph.output)]
            own |= {name for inner in graph.node for name in inner.output}
            found += [name for name in inside if name not in own and name not in made]
    return found


def operators(nodes: Sequence[onnx.NodeProto]) -> set[str]:
    """Return the names of the operators of nodes, and of those in their bodies."""
    bodies = [a.g.node for node in nodes for a in node.attribute if a.HasField("g")]
    return {node.op_type for node in nodes}.union(*map(operators, bodies))


def session(model: onnx.ModelProto, *, optimised: bool = False) -> ort.InferenceSession:
    """Open a model in ONNX Runtime."""
    options = _options(optimised)
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


@functools.cache
def _options(optimised: bool) -> ort.SessionOptions:
    options = ort.SessionOptions()
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    return options


def evaluate(
    nodes: Sequence[onnx.NodeProto],
    read: Sequence[Value],
    sheet: Sheet,
    outputs: Sequence[str],
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Run a few nodes on both variants of what they read."""
    weights = sheet.weights
    live = [value for value in read if value.name not in weights]
    infos = [typed(value) for value in live]
    tensors = [numpy_helper.from_array(weights[value.name], value.name) for value in read if value.name in weights]
    ends = [onnx.ValueInfoProto(name=name) for name in outputs]
    graph = helper.make_graph(nodes, "step", infos, ends, tensors)
    model = helper.make_model(graph, opset_imports=sheet.imports, ir_version=10, functions=sheet.functions)
    try:
        opened = session(model)
        runs = [opened.run(list(outputs), {value.name: value.arrays[k] for value in live}) for k in range(2)]
    except Exception as error:
        raise Skip from error
    return list(zip(*runs, strict=True))


def typed(value: Value, name: str | None = None) -> onnx.ValueInfoProto:
    """Return the type of a tensor, with the lengths that are fixed."""
    kind = helper.np_dtype_to_tensor_dtype(value.arrays[0].dtype)
    return helper.make_tensor_value_info(name or value.name, kind, value.shape)
