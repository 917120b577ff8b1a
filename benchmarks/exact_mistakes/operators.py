"""Errors in which operators there are: another one, one less, one more."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import onnx
from onnx import TensorProto, helper

from exact_mistakes.model import (
    ACTIVATIONS,
    CONVOLUTIONS,
    NORMS,
    REDUCTIONS,
    Function,
    Kinds,
    Model,
    NoPlaceError,
    label,
)

KINDS = Kinds()


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


@KINDS.kind("the largest of a window to its mean")
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


@KINDS.kind("an activation skipped")
def activation_skipped(model: Model) -> str:
    """Leave out an activation."""
    return skipped(model.node(*ACTIVATIONS, "Clip", "HardSwish", "PRelu", "Gelu", "Erf"))


@KINDS.kind("a norm or Softmax skipped")
def norm_skipped(model: Model) -> str:
    """Leave out a normalization."""
    return skipped(model.node(*NORMS - {"LayerNormalization"}, "Softmax", "LpNormalization"))


@KINDS.kind("a residual left out")
def residual(model: Model) -> str:
    """Leave out one side of a sum of two tensors of the same shape."""
    node = model.one(
        each for each in model.nodes if each.op_type in {"Add", "Mul"} and not set(each.input) & model.constants.keys()
    )
    return skipped(node, model.one(shapes_of(model, node)))


@KINDS.kind("a bias left out")
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


@KINDS.kind("an activation twice, as another one")
def doubled(model: Model) -> str:
    """Put another activation behind one."""
    return behind(model, model.node(*ACTIVATIONS, "Clip"), lambda old, new: [helper.make_node(
        model.one(("Tanh", "Sigmoid", "Softplus", "Softsign", "Elu")), [old], [new])])  # fmt: skip


@KINDS.kind("a Cast to half and back")
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


@KINDS.kind("a tensor rounded to whole numbers")
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
