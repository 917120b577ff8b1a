"""Errors in attributes of nodes."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import onnx
from onnx import helper

from exact_mistakes.model import LARGE, POOLS, RECURRENT, REDUCTIONS, Function, Kinds, Model, NoPlaceError, label

KINDS = Kinds()


def attribute(node: onnx.NodeProto, name: str) -> onnx.AttributeProto | None:
    """Return an attribute of a node."""
    return next((each for each in node.attribute if each.name == name), None)


def setting(model: Model, operators: Iterable[str], name: str) -> tuple[onnx.NodeProto, onnx.AttributeProto]:
    """Return a node with an attribute that is written."""
    found = [(node, attribute(node, name)) for node in model.nodes if not operators or node.op_type in operators]
    return model.one((node, each) for node, each in found if each is not None)


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


@KINDS.kind("convolution in groups")
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


@KINDS.kind("a mode")
def word(model: Model) -> str:
    """Exchange a word for another one."""
    node, each = model.one(
        (node, each) for node in model.nodes for each in node.attribute if each.s.decode() in WORDS.get(each.name, ())
    )
    each.s = WORDS[each.name][each.s.decode()].encode()
    return label(node, each.name)


@KINDS.kind("the direction of a recurrent operator")
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
