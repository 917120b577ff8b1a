"""One error in a model, of some seventy kinds.

`changed` makes the error of a seed: the same place each time, small or larger. Every kind is a function of a `Model`,
which it changes in place; it returns where, for people, and raises `NoPlaceError` where the model has none.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

TRIES = 12  # places that are tried until an error changes the file
LARGE = 1e-2  # what a small error becomes for the independent run
CONVOLUTIONS = {"Conv", "ConvTranspose"}
POOLS = {"MaxPool", "AveragePool", "LpPool"}
NORMS = {"BatchNormalization", "LayerNormalization", "InstanceNormalization", "GroupNormalization", "RMSNormalization"}
ACTIVATIONS = ("Relu", "Sigmoid", "Tanh", "Elu", "LeakyRelu", "Softplus", "Softsign", "Abs", "Neg", "HardSigmoid")
RECURRENT = {"LSTM", "GRU", "RNN"}
REDUCTIONS = {"ReduceMean": "ReduceSum", "ReduceSum": "ReduceMean", "ReduceMax": "ReduceMin", "ReduceMin": "ReduceMax",
              "ReduceL2": "ReduceL1", "ReduceL1": "ReduceL2", "GlobalAveragePool": "GlobalMaxPool",
              "GlobalMaxPool": "GlobalAveragePool"}  # fmt: skip


class NoPlaceError(Exception):
    """A model has no place for an error."""


class Model:
    """A model to be changed, and what is drawn for it.

    Args:
        proto: The model; its shapes are inferred.
        draw: What draws the place.
        large: Whether a number moves by `LARGE` instead of a little.
    """

    def __init__(self, proto: onnx.ModelProto, draw: np.random.Generator, large: bool) -> None:
        self.proto, self.draw, self.large = proto, draw, large
        self.nodes = proto.graph.node
        self.constants: dict[str, TensorProto] = {each.name: each for each in proto.graph.initializer}
        for node in self.nodes:
            for attribute in node.attribute:
                if node.op_type == "Constant" and attribute.name == "value":
                    self.constants[node.output[0]] = attribute.t

    def one(self, found: Iterable[Any]) -> Any:
        """Return one of several things.

        Raises:
            NoPlaceError: If there is none.
        """
        things = list(found)
        if not things:
            raise NoPlaceError
        return things[self.draw.integers(len(things))]

    def node(self, *operators: str) -> onnx.NodeProto:
        """Return a node with one of some operators."""
        return self.one(each for each in self.nodes if each.op_type in operators)

    def array(self, name: str) -> np.ndarray:
        """Return a constant's numbers."""
        return numpy_helper.to_array(self.constants[name]).copy()

    def put(self, name: str, array: np.ndarray) -> str:
        """Change a constant's numbers."""
        tensor = self.constants[name]
        kept = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(np.array(array, order="C"), kept))
        return name

    def named(self, suits: Callable[[TensorProto], bool], kinds: str = "f") -> str:
        """Return the name of a constant of floats (or other kinds) that suits, by its dimensions."""
        return self.one(
            name
            for name, each in self.constants.items()
            if each.data_type in DTYPES and np.dtype(DTYPES[each.data_type]).kind in kinds and suits(each)
        )

    def read_by(self, operators: Iterable[str], *slots: int) -> str:
        """Return the name of a constant of floats that an operator reads at one of some places."""
        wanted = set(operators)
        return self.one(
            node.input[slot]
            for node in self.nodes
            if node.op_type in wanted
            for slot in slots
            if slot < len(node.input)
            and node.input[slot] in self.constants
            and np.dtype(DTYPES.get(self.constants[node.input[slot]].data_type, "U")).kind == "f"
        )

    def types(self) -> dict[str, tuple[int, tuple[Any, ...]]]:
        """Return types and shapes of tensors by name, in the order in which they are made."""
        graph = onnx.shape_inference.infer_shapes(self.proto).graph
        known = {}
        for each in (*graph.input, *graph.value_info, *graph.output):
            tensor = each.type.tensor_type
            if tensor.HasField("shape"):
                known[each.name] = tensor.elem_type, tuple(d.dim_param or d.dim_value or None for d in tensor.shape.dim)
        for name, each in self.constants.items():
            known[name] = each.data_type, tuple(each.dims)
        return known


DTYPES = {TensorProto.FLOAT: "f4", TensorProto.DOUBLE: "f8", TensorProto.FLOAT16: "f2", TensorProto.INT64: "i8",
          TensorProto.INT32: "i4", TensorProto.INT8: "i1", TensorProto.UINT8: "u1", TensorProto.BOOL: "?"}  # fmt: skip
KINDS: dict[str, Callable[[Model], str]] = {}
Function = Callable[[Model], str]


def kind(name: str) -> Callable[[Function], Function]:
    """Declare a kind of errors."""

    def declared(function: Function) -> Function:
        KINDS[name] = function
        return function

    return declared


def changed(model: onnx.ModelProto, of: str, seed: int, *, large: bool) -> tuple[onnx.ModelProto, str] | None:
    """Return a model with one error, and where it is; None where there is no place for it."""
    before = model.SerializeToString(deterministic=True)
    for number in range(TRIES):
        proto = onnx.ModelProto.FromString(before)
        small = onnx.ModelProto.FromString(before)
        try:
            where = KINDS[of](Model(small, np.random.default_rng([seed, number]), False))
        except NoPlaceError:
            return None
        if alike(small, model):
            continue
        if not large:
            return small, where
        KINDS[of](Model(proto, np.random.default_rng([seed, number]), True))
        return proto, where
    return None


def alike(one: onnx.ModelProto, two: onnx.ModelProto) -> bool:
    """Return whether two models are the same, however their constants are stored."""

    def plain(model: onnx.ModelProto) -> tuple[bytes, list[tuple[str, bytes]]]:
        rest = onnx.ModelProto.FromString(model.SerializeToString())
        found = list(Model(rest, np.random.default_rng(0), False).constants.items())
        values = [(name, numpy_helper.to_array(each).tobytes() + repr(each.dims).encode()) for name, each in found]
        for _, each in found:
            each.CopyFrom(TensorProto(name=each.name, data_type=each.data_type))
        return rest.SerializeToString(deterministic=True), values

    return plain(one) == plain(two)


# --- one number of a constant


def moved(to: Callable[[Any], Any], suits: Callable[[TensorProto], bool] = lambda each: len(each.dims) > 1) -> Function:
    """Return a kind that changes one element of a constant that is not 0."""

    def move(model: Model) -> str:
        return element(model, model.named(suits), to)

    return move


def element(model: Model, name: str, to: Callable[[Any], Any]) -> str:
    """Change one element of a constant: as ``to`` says, or by `LARGE` of it or of 1."""
    array = model.array(name)
    places = np.flatnonzero(array)
    place = model.one(places if len(places) else range(array.size))
    number = array.reshape(-1)[place]
    with np.errstate(over="ignore"):
        array.reshape(-1)[place] = number + LARGE * max(1, abs(number)) if model.large else to(number)
    return f"{model.put(name, array)}[{place}]"


def next_up(number: Any) -> Any:
    """Return the next number that the type holds."""
    return np.nextafter(number, np.array(np.inf, number.dtype))


def next_down(number: Any) -> Any:
    """Return the number before it that the type holds."""
    return np.nextafter(number, np.array(-np.inf, number.dtype))


KINDS |= {
    "a weight one unit in the last place up": moved(next_up),
    "a weight one unit in the last place down": moved(next_down),
    "a weight 1e-3 off": moved(lambda number: number * 1.001),
    "a weight 1e-6 off": moved(lambda number: number * (1 + 1e-6)),
    "a weight's sign": moved(lambda number: -number),
    "a weight times 2": moved(lambda number: number * 2),
    "a weight times 2^31": moved(lambda number: number * 2.0**31),
    "a weight times 2^-20": moved(lambda number: number * 2.0**-20),
    "a weight 0": moved(lambda number: number * 0),
    "a bias moved by 1e-4": moved(lambda number: number + 1e-4, lambda each: len(each.dims) == 1 and each.dims[0] > 1),
    "a scalar 1e-3 off": moved(lambda number: number * 1.001, lambda each: int(np.prod(each.dims)) == 1),
    "a scalar one unit off": moved(next_up, lambda each: int(np.prod(each.dims)) == 1),
}


@kind("a zero that leaks 1e-7")
def leak(model: Model) -> str:
    """Make a weight that is 0 very small."""
    name = model.one(
        n for n, t in model.constants.items() if len(t.dims) > 1 and t.data_type == 1 and (model.array(n) == 0).any()
    )
    array = model.array(name)
    place = model.one(np.flatnonzero(array == 0))
    array.reshape(-1)[place] = LARGE if model.large else 1e-7
    return f"{model.put(name, array)}[{place}]"


def of_operator(operators: Iterable[str], slots: tuple[int, ...], to: Callable[[Any], Any]) -> Function:
    """Return a kind that changes one element of a constant that some operators read."""
    return lambda model: element(model, model.read_by(operators, *slots), to)


KINDS |= {
    "a norm's gain 1e-3 off": of_operator(NORMS, (1,), lambda number: number * 1.001),
    "a norm's offset 1e-3 off": of_operator(NORMS, (2,), lambda number: number * 1.001),
    "a mean 1e-3 off": of_operator({"BatchNormalization"}, (3,), lambda number: number * 1.001),
    "a variance one unit off": of_operator({"BatchNormalization"}, (4,), next_up),
    "a table's element 1e-3 off": of_operator({"Gather"}, (0,), lambda number: number * 1.001),
    "a recurrent weight 1e-3 off": of_operator(RECURRENT, (1, 2, 3), lambda number: number * 1.001),
    "a divisor or factor 1e-5 off": of_operator({"Div", "Mul", "Pow"}, (0, 1), lambda number: number * 1.00001),
    "a scale of quantisation one unit off": of_operator(
        {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "QLinearMatMul"}, (1, 4, 6), next_up
    ),
}

# --- several numbers of a constant


def exchanged(axis: int, suits: Callable[[TensorProto], bool]) -> Function:
    """Return a kind that exchanges two slices of a constant along an axis."""

    def exchange(model: Model) -> str:
        return swap(model, model.named(suits), axis)

    return exchange


def swap(model: Model, name: str, axis: int) -> str:
    """Exchange two slices of a constant along an axis."""
    array = model.array(name)
    if array.ndim <= axis or array.shape[axis] < 2:
        raise NoPlaceError
    one, two = model.draw.choice(array.shape[axis], 2, replace=False)
    array = np.moveaxis(array, axis, 0)
    array[[one, two]] = array[[two, one]]
    return f"{model.put(name, np.moveaxis(array, 0, axis))}, {one} and {two} of axis {axis}"


KINDS |= {
    "two rows exchanged": exchanged(0, lambda each: len(each.dims) > 1 and each.dims[0] > 1),
    "two columns exchanged": exchanged(1, lambda each: len(each.dims) > 1 and each.dims[1] > 1),
    "two elements of a bias exchanged": exchanged(0, lambda each: len(each.dims) == 1 and each.dims[0] > 1),
    "two places of a kernel exchanged": exchanged(2, lambda each: len(each.dims) > 2 and each.dims[2] > 1),
    "the variances of two channels exchanged": lambda model: swap(model, model.read_by(NORMS, 4), 0),
    "two rows of a table exchanged": lambda model: swap(model, model.read_by({"Gather"}, 0), 0),
}


@kind("a square weight transposed")
def transposed(model: Model) -> str:
    """Transpose a square matrix."""
    name = model.named(lambda each: len(each.dims) == 2 and each.dims[0] == each.dims[1] > 1)
    return model.put(name, model.array(name).T)


@kind("a kernel transposed")
def kernel_transposed(model: Model) -> str:
    """Transpose a square kernel in its two last axes."""
    name = model.named(lambda each: len(each.dims) == 4 and each.dims[2] == each.dims[3] > 1)
    return model.put(name, model.array(name).swapaxes(2, 3))


@kind("the share of one copy times 1.5")
def share(model: Model) -> str:
    """Multiply what reads one channel."""
    name = model.named(lambda each: len(each.dims) > 1)
    array = model.array(name)
    axis, place = model.draw.integers(2), 0
    place = model.draw.integers(array.shape[axis])
    np.moveaxis(array, axis, 0)[place] *= array.dtype.type(1.5)
    return f"{model.put(name, array)}, {place} of axis {axis}"


@kind("two constants of the same shape exchanged")
def constants_exchanged(model: Model) -> str:
    """Exchange the numbers of two tensors."""
    one = model.named(lambda each: int(np.prod(each.dims)) > 1)
    shape = model.constants[one].dims
    two = model.named(lambda each: each.dims == shape and each is not model.constants[one])
    first, second = model.array(one), model.array(two)
    model.put(one, second.astype(first.dtype))
    model.put(two, first.astype(second.dtype))
    return f"{one} and {two}"


@kind("a whole number off by one")
def index(model: Model) -> str:
    """Move an index, a length or an axis that is a constant."""
    name = model.named(lambda each: int(np.prod(each.dims)) > 0, "i")
    array = model.array(name)
    place = model.draw.integers(array.size)
    array.reshape(-1)[place] += model.one((-1, 1))
    return f"{model.put(name, array)}[{place}]"


@kind("a mask constant")
def mask(model: Model) -> str:
    """Change a place of a mask: a boolean, an infinity or a very large number."""
    found = []
    for name, each in model.constants.items():
        if each.data_type in (TensorProto.BOOL, TensorProto.FLOAT) and 0 < np.prod(each.dims, dtype=int) < 1 << 18:
            array = model.array(name)
            if array.dtype == bool or (np.abs(array) > 1e4).any():
                found.append(name)
    name = model.one(found)
    array = model.array(name)
    place = model.draw.integers(array.size)
    number = array.reshape(-1)[place]
    array.reshape(-1)[place] = not number if array.dtype == bool else (0 if abs(number) > 1e4 else -np.inf)
    return f"{model.put(name, array)}[{place}]"


# --- attributes


def attribute(node: onnx.NodeProto, name: str) -> onnx.AttributeProto | None:
    """Return an attribute of a node."""
    return next((each for each in node.attribute if each.name == name), None)


def setting(model: Model, operators: Iterable[str], name: str) -> tuple[onnx.NodeProto, onnx.AttributeProto]:
    """Return a node with an attribute that is written."""
    found = [(node, attribute(node, name)) for node in model.nodes if not operators or node.op_type in operators]
    return model.one((node, each) for node, each in found if each is not None)


def label(node: onnx.NodeProto, what: str = "") -> str:
    """Return a node's name for people."""
    return f"{node.op_type} {node.name or node.output[0]} {what}".strip()


def numbers(name: str, to: Callable[[list[int], Model], list[int]], *operators: str) -> Function:
    """Return a kind that changes an attribute of whole numbers."""

    def change(model: Model) -> str:
        node, each = setting(model, operators, name)
        values = to(list(each.ints), model)
        each.ints[:] = values
        return label(node, f"{name}={values}")

    return change


def one_of(values: list[int], model: Model, to: Callable[[int], int]) -> list[int]:
    """Change one of several whole numbers."""
    place = model.draw.integers(len(values))
    values[place] = to(values[place])
    return values


def pads_moved(pads: list[int], model: Model) -> list[int]:
    """Move one place of padding from one side to the other."""
    half = len(pads) // 2
    place = model.draw.integers(half)
    if pads[place]:
        return [each - (at == place) + (at == place + half) for at, each in enumerate(pads)]
    if pads[place + half]:
        return [each + (at == place) - (at == place + half) for at, each in enumerate(pads)]
    return pads


def exchanged_axes(perm: list[int], model: Model) -> list[int]:
    """Exchange two axes of a permutation."""
    if len(perm) < 2:
        return perm
    one, two = model.draw.choice(len(perm), 2, replace=False)
    perm[one], perm[two] = perm[two], perm[one]
    return perm


KINDS |= {
    "pads moved": numbers("pads", pads_moved),
    "a stride": numbers("strides", lambda found, model: one_of(found, model, lambda each: 3 - min(each, 2))),
    "a dilation": numbers("dilations", lambda found, model: one_of(found, model, lambda each: each + 1)),
    "a window one longer": numbers("kernel_shape", lambda f, model: one_of(f, model, lambda each: each + 1), *POOLS),
    "two axes of a permutation": numbers("perm", exchanged_axes),
}


def number(name: str, to: Callable[[float], float], *operators: str) -> Function:
    """Return a kind that changes an attribute that is a float."""

    def change(model: Model) -> str:
        node, each = setting(model, operators, name)
        each.f = each.f + LARGE * max(1, abs(each.f)) if model.large else to(each.f)
        return label(node, name)

    return change


def whole(name: str, to: Callable[[int], int], default: int, operators: Iterable[str]) -> Function:
    """Return a kind that changes an attribute that is a whole number, or writes it."""

    def change(model: Model) -> str:
        node = model.node(*operators)
        each = attribute(node, name)
        value = to(default if each is None else each.i)
        if each is None:
            node.attribute.append(helper.make_attribute(name, value))
        else:
            each.i = value
        return label(node, f"{name}={value}")

    return change


AXES = ("Softmax", "LogSoftmax", "Concat", "Gather", "LayerNormalization", "Split", "Flatten", "CumSum", "ArgMax",
        "GatherElements", "TopK", "RMSNormalization", "DequantizeLinear", "OneHot")  # fmt: skip
SUMS = tuple(each for each in REDUCTIONS if each.startswith("Reduce"))
KINDS |= {
    "an epsilon times 2": number("epsilon", lambda value: value * 2),
    "an epsilon one unit off": number("epsilon", lambda value: float(np.nextafter(np.float32(value), np.float32(1)))),
    "an alpha or beta 1e-3 off": lambda model: number(model.one(("alpha", "beta")), lambda value: value * 1.001)(model),
    "an axis": whole("axis", lambda value: value - 1 if value else 1, -1, [each for each in AXES if each != "Softmax"]),
    "the axis of a Softmax": whole("axis", lambda value: value - 1 if value else 1, -1, ["Softmax", "LogSoftmax"]),
    "keepdims": whole("keepdims", lambda value: 1 - value, 1, SUMS),
    "a matrix of Gemm transposed": whole("transB", lambda value: 1 - value, 0, ["Gemm"]),
    "padding counted": whole("count_include_pad", lambda value: 1 - value, 0, ["AveragePool"]),
    "lengths rounded up": whole("ceil_mode", lambda value: 1 - value, 0, POOLS),
}


@kind("convolution in groups")
def group(model: Model) -> str:
    """Make two groups of one: each reads half of the channels."""
    nodes = [each for each in model.nodes if each.op_type == "Conv" and each.input[1] in model.constants]
    node = model.one(
        each
        for each in nodes
        if (found := attribute(each, "group")) is None or found.i == 1
        if all(length % 2 == 0 for length in model.constants[each.input[1]].dims[:2])
    )
    weight = model.array(node.input[1])
    model.put(node.input[1], weight[:, : weight.shape[1] // 2])
    kept = [each for each in node.attribute if each.name not in {"group", "kernel_shape"}]
    del node.attribute[:]
    node.attribute.extend([*kept, helper.make_attribute("group", 2)])
    return label(node)


WORDS = {
    "mode": {"nearest": "linear", "linear": "nearest", "cubic": "linear", "constant": "edge", "reflect": "edge",
             "edge": "reflect", "DCR": "CRD", "CRD": "DCR"},
    "coordinate_transformation_mode": {"asymmetric": "half_pixel", "half_pixel": "asymmetric",
                                       "align_corners": "half_pixel", "pytorch_half_pixel": "asymmetric"},
    "nearest_mode": {"floor": "ceil", "round_prefer_floor": "ceil", "ceil": "floor"},
    "direction": {"forward": "reverse", "reverse": "forward"},
    "auto_pad": {"SAME_UPPER": "SAME_LOWER", "SAME_LOWER": "SAME_UPPER", "NOTSET": "VALID", "VALID": "SAME_UPPER"},
    "approximate": {"none": "tanh", "tanh": "none"},
    "equation": {},
}  # fmt: skip


@kind("a mode")
def word(model: Model) -> str:
    """Exchange a word for another one."""
    node, each = model.one(
        (node, each) for node in model.nodes for each in node.attribute if each.s.decode() in WORDS.get(each.name, ())
    )
    each.s = WORDS[each.name][each.s.decode()].encode()
    return label(node, each.name)


@kind("the direction of a recurrent operator")
def direction(model: Model) -> str:
    """Run it from the end to the start; of two directions, exchange what one weight holds."""
    node = model.node(*RECURRENT)
    each = attribute(node, "direction")
    if each is not None and each.s == b"bidirectional":
        name = node.input[1 + model.draw.integers(2)]
        if name not in model.constants:
            raise NoPlaceError
        return model.put(name, model.array(name)[::-1])
    if each is None:
        node.attribute.append(helper.make_attribute("direction", "reverse"))
    else:
        each.s = b"forward" if each.s == b"reverse" else b"reverse"
    return label(node)


# --- operators


def replaced(old: Iterable[str], new: Callable[[Model, str], str]) -> Function:
    """Return a kind that makes one operator another one."""

    def replace(model: Model) -> str:
        node = model.node(*old)
        before, node.op_type = node.op_type, new(model, node.op_type)
        if before in ACTIVATIONS:
            del node.attribute[:]
        return label(node, f"was {before}")

    return replace


KINDS |= {
    "another activation": replaced(
        ACTIVATIONS, lambda model, was: model.one(each for each in ACTIVATIONS if each != was)
    ),
    "Add to Sub": replaced(["Add"], lambda *_: "Sub"),
    "Mul to Add": replaced(["Mul"], lambda *_: "Add"),
    "Div to Mul": replaced(["Div"], lambda *_: "Mul"),
    "Max to Min": replaced(["Max", "Min"], lambda _, was: {"Max": "Min", "Min": "Max"}[was]),
    "a reduction to another one": replaced(REDUCTIONS, lambda _, was: REDUCTIONS[was]),
    "Sqrt, Exp, Erf or Pow to another one": replaced(
        ["Sqrt", "Exp", "Erf", "Sin", "Cos"],
        lambda _, was: {"Sqrt": "Abs", "Exp": "Softplus", "Erf": "Tanh", "Sin": "Cos", "Cos": "Sin"}[was],
    ),
    "a comparison to another one": replaced(
        ["Less", "Greater", "Equal", "LessOrEqual", "GreaterOrEqual"],
        lambda _, was: {"Less": "LessOrEqual", "Greater": "GreaterOrEqual", "Equal": "LessOrEqual",
                        "LessOrEqual": "Less", "GreaterOrEqual": "Greater"}[was],
    ),
}  # fmt: skip


@kind("the largest of a window to its mean")
def pool(model: Model) -> str:
    """Make a MaxPool an AveragePool."""
    node = model.node("MaxPool")
    if len(node.output) > 1:
        raise NoPlaceError
    node.op_type = "AveragePool"
    kept = [each for each in node.attribute if each.name != "storage_order"]
    del node.attribute[:]
    node.attribute.extend(kept)
    return label(node)


def skipped(node: onnx.NodeProto, slot: int = 0) -> str:
    """Let what reads a node read its input instead."""
    where = label(node, f"input {slot}")
    source, result = node.input[slot], node.output[0]
    node.CopyFrom(helper.make_node("Identity", [source], [result], node.name))
    return where


def shapes_of(model: Model, node: onnx.NodeProto) -> list[int]:
    """Return which inputs of a node have the type and shape of its result."""
    known = model.types()
    result = known.get(node.output[0])
    return [slot for slot, each in enumerate(node.input) if result is not None and known.get(each) == result]


@kind("an activation skipped")
def activation_skipped(model: Model) -> str:
    """Leave out an activation."""
    return skipped(model.node(*ACTIVATIONS, "Clip", "HardSwish", "PRelu", "Gelu", "Erf"))


@kind("a norm or Softmax skipped")
def norm_skipped(model: Model) -> str:
    """Leave out a normalization."""
    return skipped(model.node(*NORMS - {"LayerNormalization"}, "Softmax", "LpNormalization"))


@kind("a residual left out")
def residual(model: Model) -> str:
    """Leave out one side of a sum of two tensors of the same shape."""
    node = model.one(
        each for each in model.nodes if each.op_type in {"Add", "Mul"} and not set(each.input) & model.constants.keys()
    )
    return skipped(node, model.one(shapes_of(model, node)))


@kind("a bias left out")
def bias_left_out(model: Model) -> str:
    """Leave out the bias of a convolution or a Gemm, or what an Add adds."""
    node = model.one(
        each
        for each in model.nodes
        if (each.op_type in {*CONVOLUTIONS, "Gemm"} and len(each.input) == 3)
        or (each.op_type == "Add" and sum(name in model.constants for name in each.input) == 1)
    )  # fmt: skip
    if node.op_type == "Add":
        return skipped(node, int(node.input[0] in model.constants))
    where = label(node)
    del node.input[2]
    return where


@kind("an activation twice, as another one")
def doubled(model: Model) -> str:
    """Put another activation behind one."""
    return behind(model, model.node(*ACTIVATIONS, "Clip"), lambda old, new: [helper.make_node(
        model.one(("Tanh", "Sigmoid", "Softplus", "Softsign", "Elu")), [old], [new])])  # fmt: skip


@kind("a Cast to half and back")
def cast(model: Model) -> str:
    """Round a tensor."""
    node = model.one(
        each for each in model.nodes if each.op_type in {*ACTIVATIONS, *CONVOLUTIONS, "Gemm", "MatMul", "Add"}
    )
    kind_ = model.types().get(node.output[0], (0, ()))[0]
    if kind_ != TensorProto.FLOAT:
        raise NoPlaceError
    return behind(model, node, lambda old, new: [
        helper.make_node("Cast", [old], [f"{new}.half"], to=TensorProto.FLOAT16),
        helper.make_node("Cast", [f"{new}.half"], [new], to=TensorProto.FLOAT),
    ])  # fmt: skip


@kind("a tensor rounded to whole numbers")
def rounded(model: Model) -> str:
    """Put Round, Floor or Sign behind a node."""
    node = model.one(each for each in model.nodes if each.op_type in {*ACTIVATIONS, *CONVOLUTIONS, "Gemm", "MatMul"})
    return behind(
        model, node, lambda old, new: [helper.make_node(model.one(("Round", "Floor", "Ceil", "Sign")), [old], [new])]
    )


def behind(model: Model, node: onnx.NodeProto, made: Callable[[str, str], list[onnx.NodeProto]]) -> str:
    """Put nodes behind a node."""
    place = next(place for place, each in enumerate(model.nodes) if each is node or each == node)
    name = node.output[0]
    node.output[0] = f"{name}.before"
    for further, new in enumerate(made(f"{name}.before", name)):
        model.nodes.insert(place + 1 + further, new)
    return label(node, f"then {model.nodes[place + 1].op_type}")


# --- wiring


@kind("an input exchanged for another tensor of its shape")
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


@kind("a norm's or layer's weight of another layer")
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


@kind("the sides of Where exchanged")
def where_exchanged(model: Model) -> str:
    """Exchange what is taken where a condition is true and where it is not."""
    node = model.node("Where")
    node.input[1], node.input[2] = node.input[2], node.input[1]
    return label(node)


@kind("the order of a Split")
def split(model: Model) -> str:
    """Exchange two results of a node."""
    node = model.one(each for each in model.nodes if len(each.output) > 1 and each.op_type in {"Split", "TopK", "LSTM"})
    node.output[0], node.output[1] = node.output[1], node.output[0]
    return label(node)


@kind("outputs of the graph exchanged")
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


@kind("an output taken one node earlier")
def earlier(model: Model) -> str:
    """Let an output be what the node before it gives, of the same shape."""
    ends = {each.name for each in model.proto.graph.output}
    node = model.one(each for each in model.nodes if set(each.output) & ends and shapes_of(model, each))
    return skipped(node, model.one(shapes_of(model, node)))


@kind("the bound of a Slice")
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


@kind("two lengths of a Reshape exchanged")
def reshape(model: Model) -> str:
    """Exchange two lengths of the shape that a Reshape makes."""
    node = model.one(each for each in model.nodes if each.op_type == "Reshape" and each.input[1] in model.constants)
    return f"{label(node)} {swap(model, node.input[1], 0)}"
