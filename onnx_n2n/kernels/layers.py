"""Convolutions and their kernels: where these are, and why some can never grow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from onnx_n2n.analysis.functions import KEPT
from onnx_n2n.analysis.groups import layer_name, title_of
from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.errors import GrowthError, OptionError
from onnx_n2n.graph.operators import plain
from onnx_n2n.graph.quantised import is_quantised
from onnx_n2n.graph.uses import Use, operand
from onnx_n2n.options import whole
from onnx_n2n.words import brief

MOST = 2**31 - 1  # the length of a kernel along one axis

FIRST, LAST = slice(2, None), slice(1, -1)  # the places of a tensor whose channels come first, or last
MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class ConvForm:
    """How an operator convolves.

    Attributes:
        weight: The slot of its weight.
        channels_last: Whether its operand has its channels last.
        weight_last: Whether its weight has.
        transposed: Whether it is a transposed convolution.
    """

    weight: int = 1
    channels_last: bool = False
    weight_last: bool = False
    transposed: bool = False

    @property
    def kernel(self) -> slice:
        """Which axes of the weight are the kernel."""
        return LAST if self.weight_last else FIRST


FORMS = {
    ("", "Conv"): ConvForm(),
    ("", "ConvInteger"): ConvForm(),
    ("", "ConvTranspose"): ConvForm(transposed=True),
    ("", "QLinearConv"): ConvForm(weight=3),
    (MICROSOFT, "FusedConv"): ConvForm(),
    (MICROSOFT, "NhwcConv"): ConvForm(channels_last=True, weight_last=True),
    (MICROSOFT, "NhwcFusedConv"): ConvForm(channels_last=True),
    (MICROSOFT, "QLinearConv"): ConvForm(weight=3),
}
BARRED = {
    ("", "CausalConvWithState"): "what it keeps from one call to the next is as long as its kernel",
    ("", "DeformConv"): "the offsets that it is given are for every place of its kernel",
    (MICROSOFT, "ConvTransposeWithDynamicPads"): "its padding is computed",
    ("com.microsoft.nchwc", "Conv"): "its weight is laid out for one processor",
}


@dataclass(frozen=True, eq=False)
class Layer:
    """A convolution.

    Attributes:
        node: Its node.
        form: How its operator convolves.
        weight: The name of its weight.
        shape: The shape of its weight; empty where that is not known.
        source: Where its constant weight is read: by itself, or by the DequantizeLinear before it.
        barred: Why its kernel cannot grow; empty if it can.
    """

    node: ir.Node
    form: ConvForm
    weight: str
    shape: tuple[int, ...] = ()
    source: Use | None = None
    barred: str = ""

    @property
    def kernel(self) -> tuple[int, ...]:
        """The lengths of its kernel; none where that is not known."""
        return self.shape[self.form.kernel]

    @property
    def title(self) -> str:
        """How a person knows it."""
        return title_of(self.weight, layer_name(self.node))

    @property
    def names(self) -> tuple[str, ...]:
        """What it may be called: its title, its node, its weight, and its kernel."""
        return self.title, layer_name(self.node), self.weight, written(self.kernel)


def written(kernel: Sequence[int]) -> str:
    """Return a kernel as people write it, ``3x3``."""
    return "x".join(map(str, kernel))


def lengths(text: str) -> tuple[int, ...]:
    """Read a kernel as people write it: one length, or one for each axis.

    Raises:
        OptionError: It is none.
    """
    found = tuple(whole(part) or 0 for part in text.split("x"))
    if not all(0 < length <= MOST for length in found):
        raise OptionError(f"a kernel is of the form 5x5, not {brief(repr(text))}")
    return found


def layers_of(analysis: Analysis) -> Iterator[Layer]:
    """Yield all convolutions of a model in graph order, those in bodies too, and then those in functions."""
    for node in analysis.model.graph.all_nodes():
        form, barred = _form(node)
        if form is not None:
            yield _layer(analysis, node, form, barred)
    for function in analysis.model.functions.values():
        for node in function.graph.all_nodes():
            form, _ = _form(node)
            if form is not None:
                yield Layer(node, form, _name(node, form.weight), barred=KEPT)


def _form(node: ir.Node) -> tuple[ConvForm | None, str]:
    """Return how a node convolves, and why its kernel cannot grow; None if it does not convolve."""
    kind = plain(node.domain), node.op_type
    return (ConvForm(), BARRED[kind]) if kind in BARRED else (FORMS.get(kind), "")


def _layer(analysis: Analysis, node: ir.Node, form: ConvForm, barred: str) -> Layer:
    name = _name(node, form.weight)
    try:
        source = _source(analysis, node, form.weight)
    except GrowthError as refusal:
        return Layer(node, form, name, barred=barred or refusal.reason)
    value = operand(*source)
    shape = tuple(map(int, analysis.constants[value].shape.numpy()))
    return Layer(node, form, str(value.name), shape, source, barred)


def _name(node: ir.Node, slot: int) -> str:
    value = node.inputs[slot] if slot < len(node.inputs) else None
    return str(value.name) if value is not None else ""


def _source(analysis: Analysis, node: ir.Node, slot: int) -> Use:
    """Return where the constant weight of a convolution is read.

    Raises:
        GrowthError: If it is not constant.
    """
    value = node.inputs[slot] if slot < len(node.inputs) else None
    if value is None:
        raise GrowthError("it has no weight")
    if value in analysis.constants:
        return node, slot
    maker = value.producer()
    if maker is None:
        raise GrowthError("its weight is given from outside")
    stored = maker.inputs[0] if maker.op_type == "DequantizeLinear" and is_quantised(maker, 0) else None
    if stored is not None and stored in analysis.constants:
        return maker, 0
    raise GrowthError(f"its weight is computed, by {maker.op_type} {layer_name(maker)!r}")
