"""Convolutions and their kernels: where these are, and how one grows around its centre with all that must follow.

A kernel that gets zeros all around computes the same when its operand gets as many more places on both sides: along one
axis, a kernel of k that grows by h on both sides, with a dilation of d, needs d * h more padding at either end. So the
result keeps its length, and each of its elements sums over the same places as before, and over others times zero. That
holds for transposed convolutions too, where padding cuts off what the longer kernel adds.

This changes a model in place, which must be a private copy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis import Analysis
from onnx_n2n.constants import FLOATS
from onnx_n2n.errors import GrowthError
from onnx_n2n.functions import KEPT
from onnx_n2n.groups import layer_name, measures, title_of
from onnx_n2n.names import Names
from onnx_n2n.obligations import Use
from onnx_n2n.quantised import is_quantised, zero_point
from onnx_n2n.record import Remade
from onnx_n2n.rules import plain
from onnx_n2n.weights import Recipe, Row

Margin = tuple[int, ...]  # how far a kernel grows on either side, for each of its axes

FIRST, LAST = slice(2, None), slice(1, -1)  # the places of a tensor whose channels come first, or last
MICROSOFT = "com.microsoft"


@dataclass(frozen=True)
class Form:
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
    ("", "Conv"): Form(),
    ("", "ConvInteger"): Form(),
    ("", "ConvTranspose"): Form(transposed=True),
    ("", "QLinearConv"): Form(weight=3),
    (MICROSOFT, "FusedConv"): Form(),
    (MICROSOFT, "NhwcConv"): Form(channels_last=True, weight_last=True),
    (MICROSOFT, "NhwcFusedConv"): Form(channels_last=True),
    (MICROSOFT, "QLinearConv"): Form(weight=3),
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
    form: Form
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


def _form(node: ir.Node) -> tuple[Form | None, str]:
    """Return how a node convolves, and why its kernel cannot grow; None if it does not convolve."""
    kind = plain(node.domain), node.op_type
    return (Form(), BARRED[kind]) if kind in BARRED else (FORMS.get(kind), "")


def _layer(analysis: Analysis, node: ir.Node, form: Form, barred: str) -> Layer:
    name = _name(node, form.weight)
    try:
        source = _source(analysis, node, form.weight)
    except GrowthError as refusal:
        return Layer(node, form, name, barred=barred or refusal.reason)
    value = _read(source)
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


def _read(use: Use) -> ir.Value:
    node, slot = use
    value = node.inputs[slot]
    assert value is not None
    return value


# --- what must follow


@dataclass(frozen=True, eq=False)
class Growing:
    """How one convolution grows.

    Attributes:
        layer: The convolution.
        margin: How far its kernel grows on either side.
        pads: What it is padded by then: the starts of all axes, then their ends; None if ``auto_pad`` sees to that.
        zero: What stands for zero in its weight, as an array that broadcasts over it.
    """

    layer: Layer
    margin: Margin
    pads: tuple[int, ...] | None
    zero: np.ndarray

    @property
    def margins(self) -> tuple[int, ...]:
        """How far its weight grows on either side, for each axis."""
        found = [0] * len(self.layer.shape)
        found[self.layer.form.kernel] = self.margin
        return tuple(found)

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of its weight then."""
        return tuple(own + 2 * more for own, more in zip(self.layer.shape, self.margins, strict=True))

    @property
    def kernel(self) -> tuple[int, ...]:
        """The lengths of its kernel then."""
        return self.shape[self.layer.form.kernel]


def prepare(analysis: Analysis, layer: Layer, margin: Margin) -> Growing:
    """Work out what must follow when a kernel grows.

    Raises:
        GrowthError: If it cannot grow without a change of what the convolution computes.
    """
    if layer.barred:
        raise GrowthError(layer.barred)
    if _numbers(layer, "kernel_shape", layer.kernel) != layer.kernel:
        raise GrowthError("its kernel_shape is not that of its weight")
    return Growing(layer, margin, _pads(analysis, layer, margin), _zero(analysis, layer))


def _numbers(layer: Layer, name: str, usual: tuple[int, ...]) -> tuple[int, ...]:
    """Return an attribute with a number for each axis of the kernel; a missing or empty one is ``usual``.

    Raises:
        GrowthError: If it has another number of numbers.
    """
    found = layer.node.attributes.get(name)
    numbers = tuple(map(int, found.value)) if found is not None else ()
    if numbers and len(numbers) != len(usual):
        raise GrowthError(f"its attribute {name} does not fit its kernel")
    return numbers or usual


def _pads(analysis: Analysis, layer: Layer, margin: Margin) -> tuple[int, ...] | None:
    """Return the padding that goes with a larger kernel, None if ``auto_pad`` goes on to find it.

    What ``auto_pad`` finds grows with the kernel, half of that on either side: unless it was less than nothing.

    Raises:
        GrowthError: If it may be, or runtimes differ in what it is.
    """
    count = len(margin)
    ones, zeros = (1,) * count, (0,) * count
    strides, dilations = _numbers(layer, "strides", ones), _numbers(layer, "dilations", ones)
    spans = tuple(d * (own - 1) + 1 for own, d in zip(layer.kernel, dilations, strict=True))
    grows = [place for place in range(count) if margin[place]]
    mode = layer.node.attributes.get_string("auto_pad", "NOTSET")
    if layer.form.transposed and (cut := _cut(analysis, layer, spans, strides, str(mode))) is not None:
        if any(cut[place] < 0 for place in grows):
            raise GrowthError("its result is longer than what its kernel covers, and runtimes differ there")
        return None
    pads = _numbers(layer, "pads", zeros + zeros) if mode == "NOTSET" else zeros + zeros
    if mode in {"SAME_UPPER", "SAME_LOWER"}:
        if all(spans[place] >= strides[place] for place in grows):
            return None
        missing = _missing(_lengths(analysis, layer), spans, strides)
        if all(missing[place] >= 0 for place in grows):
            return None
        if min(missing) < -1:
            raise GrowthError("its kernel is so much shorter than its stride that runtimes differ in where it starts")
        pads = _halves(missing, upper=mode == "SAME_UPPER")
    if not layer.form.transposed and any(_blind(analysis, layer, place, pads, strides, dilations) for place in grows):
        raise GrowthError("its kernel covers its whole input along an axis, so that more of it would see padding only")
    more = tuple(d * each for d, each in zip(dilations, margin, strict=True))
    return tuple(each + extra for each, extra in zip(pads, more + more, strict=True))


def _blind(
    analysis: Analysis,
    layer: Layer,
    place: int,
    pads: Sequence[int],
    strides: Sequence[int],
    dilations: Sequence[int],
) -> bool:
    """Say whether what a kernel gets along an axis would never see more than padding; not where that is not known."""
    try:
        length = _lengths(analysis, layer)[place]
    except GrowthError:
        return False
    kernel, stride, dilation = layer.kernel[place], strides[place], dilations[place]
    start, end = pads[place], pads[place + len(layer.kernel)]
    steps = (length + start + end - dilation * (kernel - 1) - 1) // stride
    # The place before the kernel sees most in the last step, the one behind it in the first.
    return steps * stride - start - dilation < 0 and dilation * kernel - start >= length


def _missing(lengths: Sequence[int], spans: Sequence[int], strides: Sequence[int]) -> tuple[int, ...]:
    """Return how many places are missing for ceil(n / stride) to come out: fewer than none if some are left over."""
    return tuple(
        (-(-length // stride) - 1) * stride + span - length
        for length, span, stride in zip(lengths, spans, strides, strict=True)
    )


def _halves(missing: Sequence[int], *, upper: bool) -> tuple[int, ...]:
    """Return the padding that makes up for what is missing; the odd place is at the end if ``upper``."""
    less, more = [max(n, 0) // 2 for n in missing], [(max(n, 0) + 1) // 2 for n in missing]
    return (*less, *more) if upper else (*more, *less)


def _cut(
    analysis: Analysis, layer: Layer, spans: Sequence[int], strides: Sequence[int], mode: str
) -> tuple[int, ...] | None:
    """Return how much is cut off the result of a transposed convolution that states its length, None if none does.

    Raises:
        GrowthError: If that is not known.
    """
    count = len(spans)
    added = _numbers(layer, "output_padding", (0,) * count)
    stated = _numbers(layer, "output_shape", (-1,) * count)
    if all(length >= 0 for length in stated):
        lengths = _lengths(analysis, layer)
        whole = (stride * (length - 1) for length, stride in zip(lengths, strides, strict=True))
        return tuple(n + a + s - out for n, a, s, out in zip(whole, added, spans, stated, strict=True))
    if mode in {"SAME_UPPER", "SAME_LOWER"}:  # n * stride places come out, of stride * (n - 1) + span; added ones apart
        return tuple(span - stride for span, stride in zip(spans, strides, strict=True))
    return None


def _lengths(analysis: Analysis, layer: Layer) -> tuple[int, ...]:
    """Return the lengths of what a convolution moves over.

    Raises:
        GrowthError: If they are not known.
    """
    value = layer.node.inputs[0]
    inferred = analysis.shapes.get(value) if value is not None else None
    last = layer.form.channels_last or layer.node.attributes.get_int("channels_last", 0) == 1
    places = LAST if last else FIRST
    found = inferred.lengths[places] if inferred is not None and inferred.lengths is not None else ()
    known = tuple(length for length in found if length is not None)
    if len(known) != len(layer.kernel):
        raise GrowthError("its padding depends on the lengths of its input, which are not known")
    return known


def _zero(analysis: Analysis, layer: Layer) -> np.ndarray:
    """Return what stands for zero in a weight, as an array that broadcasts over it whatever the kernel.

    Raises:
        GrowthError: If no number does, or another one for each place of the kernel.
    """
    assert layer.source is not None
    node, _ = layer.source
    tensor = analysis.constants[_read(layer.source)]
    if tensor.dtype in FLOATS:
        return np.zeros(())
    zero = zero_point(analysis.constants, *layer.source)
    if zero is None:
        raise GrowthError("its weight is quantised, and it is not known what stands for zero")
    rank = len(tensor.shape)
    places = range(rank)[layer.form.kernel]
    if node is not layer.node:
        scale = node.inputs[1]
        known = scale is not None and scale in analysis.constants
        shape = tuple(analysis.constants[scale].shape.numpy()) if scale is not None and known else None
        along = node.attributes.get_int("axis", 1) % rank
        if shape is None or len(shape) > 1 or (shape not in {(), (1,)} and along in places):
            raise GrowthError("its weight is quantised by blocks, or by scales that are computed")
    return zero


# --- growing


def grow(analysis: Analysis, wanted: Sequence[Growing]) -> tuple[dict[Growing, str], dict[Growing, str]]:
    """Let kernels grow, in place.

    Returns:
        The names of the weights that are larger now, and why some could not be.
    """
    refused = {growing: reason for growing in wanted if (reason := _shared(growing, wanted))}
    chosen = [(growing, *_use(growing)) for growing in wanted if growing not in refused]
    growing_uses = {(node, slot) for _, node, slot in chosen}
    names, larger = Names(analysis.model), dict[Growing, ir.Value]()
    made: dict[tuple[ir.Value, Margin], ir.Value] = {}
    for growing, node, slot in chosen:
        value = _read((node, slot))
        key = value, growing.margin
        if key not in made:
            # One weight may serve several convolutions, which want different things, or be read by something else.
            others = (use for use in value.uses() if (use.node, use.idx) not in growing_uses)
            kept = value.is_graph_output() or not all(_measures_channels(analysis, growing, use.node) for use in others)
            free = not kept and all(other is not value for other, _ in made)
            made[key] = _larger(analysis, growing, value, None if free else names)
        larger[growing] = made[key]
    for growing, node, slot in chosen:
        node.replace_input_with(slot, larger[growing])
        _follow(growing)
    return {growing: str(value.name) for growing, value in larger.items()}, refused


def _measures_channels(analysis: Analysis, growing: Growing, node: ir.Node) -> bool:
    """Say whether a node reads no more of a weight than the lengths of its channels, as for a bias of zeros."""
    if node.op_type != "Shape" or not measures(node):
        return False
    rank = len(growing.layer.shape)
    places = range(rank)
    channels = {place for place in places if place not in places[growing.layer.form.kernel]}
    start, end = node.attributes.get_int("start", 0), node.attributes.get_int("end", rank)
    if channels.issuperset(places[start:end]):
        return True
    picks = [use.node for use in node.outputs[0].uses()]
    if node.outputs[0].is_graph_output() or any(pick.op_type != "Gather" or plain(pick.domain) for pick in picks):
        return False
    picked = [analysis.constants.small(_read((pick, 1))) for pick in picks]
    return all(found is not None and channels.issuperset(places[start:end][n] for n in found.flat) for found in picked)


def _use(growing: Growing) -> Use:
    assert growing.layer.source is not None
    return growing.layer.source


def _shared(growing: Growing, wanted: Sequence[Growing]) -> str:
    """Say why a weight that is dequantised cannot grow: all that read it must want the same. Others get their own."""
    node, _ = _use(growing)
    if node is growing.layer.node:
        return ""
    agreed = {
        (each.layer.node, each.layer.form.weight)
        for each in wanted
        if _use(each)[0] is node and each.margin == growing.margin
    }
    result = node.outputs[0]
    alone = not result.is_graph_output() and all((use.node, use.idx) in agreed for use in result.uses())
    return "" if alone else "its quantised weight is read by others too"


def _larger(analysis: Analysis, growing: Growing, value: ir.Value, names: Names | None) -> ir.Value:
    """Return a weight with zeros around its kernel: the value itself, or a new one if ``names`` are given."""
    teacher, zero, shape = analysis.constants[value], growing.zero, growing.shape
    inner = tuple(slice(more, more + own) for own, more in zip(growing.layer.shape, growing.margins, strict=True))

    def make() -> ir.TensorProtocol:
        array = teacher.numpy()
        larger = np.empty(shape, array.dtype)
        larger[...] = zero.astype(array.dtype)
        larger[inner] = array
        return ir.Tensor(larger, dtype=teacher.dtype)

    name = str(value.name) if names is None else names.value(str(value.name))
    tensor = ir.LazyTensor(make, dtype=teacher.dtype, shape=ir.Shape(shape), name=name, doc_string=teacher.doc_string)
    tensor.metadata_props.update(teacher.metadata_props)
    if names is not None:
        return names.register(tensor)
    producer = value.producer()
    if producer is None:
        value.const_value = tensor
    else:
        producer.attributes.clear()
        producer.attributes["value"] = ir.AttrTensor("value", tensor)
    if value.shape is not None:
        value.shape = ir.Shape(shape)
    return value


def _follow(growing: Growing) -> None:
    """Write what goes with a larger kernel into the attributes of its node, and into the shape before it."""
    layer, attributes = growing.layer, growing.layer.node.attributes
    if "kernel_shape" in attributes:
        attributes["kernel_shape"] = ir.AttrInt64s("kernel_shape", growing.kernel)
    if growing.pads is not None:
        attributes.pop("auto_pad", None)
        attributes["pads"] = ir.AttrInt64s("pads", growing.pads)
    maker, _ = _use(growing)
    if maker is not layer.node and maker.outputs[0].shape is not None:
        maker.outputs[0].shape = ir.Shape(growing.shape)


def trace(analysis: Analysis, grown: Mapping[Growing, str]) -> dict[str, tuple[np.ndarray | None, ...]]:
    """Return where the places of the student's tensors come from: all are as they were, but for larger weights."""
    found: dict[str, tuple[np.ndarray | None, ...]] = {
        str(value.name): (None,) * len(axes) for value, axes in analysis.axes.items()
    }
    for growing, name in grown.items():
        index = tuple(
            np.concatenate([np.full(more, -1), np.arange(own), np.full(more, -1)]) if more else None
            for own, more in zip(growing.layer.shape, growing.margins, strict=True)
        )
        read = growing.layer.node.inputs[growing.layer.form.weight]
        assert read is not None
        found |= {larger: index for larger in (name, str(read.name)) if larger in found}
    return found


def remade(grown: Mapping[Growing, str]) -> tuple[Remade, ...]:
    """Return how larger weights are made of the teacher's, for the growth record.

    Left out are those in which something else than 0 stands for zero: they are no weights that training changes.
    """
    found: dict[tuple[str, str], Remade] = {}
    for growing, name in grown.items():
        layer = growing.layer
        if np.any(growing.zero):
            continue
        # Place n of an axis is the row that is appended to it, of zeros.
        pairs = list(zip(layer.shape, growing.margins, strict=True))
        index = tuple(np.pad(np.arange(own), more, constant_values=own) if more else None for own, more in pairs)
        rows = tuple(Row(np.zeros(own)) if more else None for own, more in pairs)
        found[layer.weight, name] = Remade(
            layer.weight, name, layer.shape, Recipe(index, rows=rows), (None,) * len(layer.shape)
        )
    return tuple(found.values())
