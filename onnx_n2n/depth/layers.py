"""Layers to insert: one that is the identity behind an activation, and one or two beside it whose last is zero.

Source of the first: T. Chen, I. Goodfellow, J. Shlens, *Net2Net*, ICLR 2016, section 2.3 (Net2DeeperNet).
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.depth.moves import again, back
from onnx_n2n.depth.neighbours import Neighbour
from onnx_n2n.depth.splice import Splice
from onnx_n2n.graph.passthrough import stored
from onnx_n2n.record.division import Type
from onnx_n2n.record.forms import plus, root, student
from onnx_n2n.record.forms import setting as named
from onnx_n2n.record.mixture import MOST, mixture
from onnx_n2n.record.settings import setting_of
from onnx_n2n.rules.ranges import Keeps
from onnx_n2n.rules.registry import range_of
from onnx_n2n.rules.traits import idempotent

EPSILON = 1e-5  # the standard value of BatchNormalization's attribute


@dataclass(frozen=True, eq=False)
class Moments:
    """What a tensor does on real inputs.

    Attributes:
        mean: float64[C], the mean of each channel.
        variance: float64[C], its variance.
        drift: How far a BatchNormalization that undoes itself is from the identity in one batch, see ``Added.drift``.
        real: Whether the inputs were real, and not drawn.
    """

    mean: np.ndarray
    variance: np.ndarray
    drift: float
    real: bool = True


@dataclass(frozen=True, eq=False)
class PlaceSettings:
    """What all layers at one place share.

    Attributes:
        analysis: The model, analysed.
        near: The layer that they take after.
        dtype: The type of the numbers.
        seed: Seed of what is drawn.
    """

    analysis: Analysis
    near: Neighbour
    dtype: ir.DataType
    seed: int


def identity(
    splice: Splice, setting: PlaceSettings, value: ir.Value, kernel: tuple[int, ...], moments: Moments | None
) -> ir.Value:
    """Add a layer that gives ``value`` back, with the norm and the activation of its neighbour."""
    near = setting.near
    out = _layer(splice, setting, value, kernel, _centred(near, kernel), "", moments)
    return _activated(splice, near, out)


def residual(splice: Splice, setting: PlaceSettings, value: ir.Value, kernel: tuple[int, ...]) -> ir.Value:
    """Add ``value + last(activation(first(value)))``, where the last layer is zero and the first one is random.

    What comes before a weight of zero must be finite. So each channel of the first layer is a mixture of two places
    that it reads, which is no larger than the larger of them. Training finds the other weights of the row.
    """
    near = setting.near
    shape = _centred(near, kernel).shape
    rng = np.random.default_rng([setting.seed, zlib.crc32(str(value.name).encode())])
    first = _layer(splice, setting, value, kernel, _mixing(setting, shape, rng), "first")
    last = _layer(splice, setting, _activated(splice, near, first), kernel, np.zeros(shape), "last")
    return splice.node(near.maker, "Add", [value, last], word="sum")


def _mixing(setting: PlaceSettings, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Return a weight of which every channel mixes two places, [C, C / groups, *kernel] or [C, C]."""
    near = setting.near
    channels = shape[0] if near.convolves else shape[1]
    places = int(np.prod(shape[1:])) if near.convolves else shape[0]
    drawn = mixture(places, channels, rng, MOST / _amplified(setting))
    rows = np.zeros((channels, places))
    np.add.at(rows, (np.arange(channels)[:, None], drawn.sources), drawn.weights)
    return rows.reshape(shape) if near.convolves else rows.T


def _amplified(setting: PlaceSettings) -> float:
    """Return how many times as large as its operand, at least 1, the neighbour's activation may be."""
    node = setting.near.activation
    slope = node.inputs[1] if node.op_type == "PRelu" else None
    array = setting.analysis.constants.array(slope) if slope is not None else None
    if array is not None:
        return max(1.0, float(np.abs(array).max(initial=0)))
    said = range_of(node)
    return max(1.0, said.times) if isinstance(said, Keeps) else 1.0


def _centred(near: Neighbour, kernel: tuple[int, ...]) -> np.ndarray:
    """Return the weight of a layer that is the identity: [C, C / groups, *kernel], or [C, C]."""
    if not near.convolves:
        return np.eye(near.channels)
    kernel = near.whole(kernel)
    inner = near.channels // near.groups
    weight = np.zeros((near.channels, inner, *kernel))
    places = np.arange(near.channels)
    centre: tuple[Any, ...] = (places, places % inner, *(length // 2 for length in kernel))
    weight[centre] = 1
    return weight


def _layer(
    splice: Splice,
    setting: PlaceSettings,
    value: ir.Value,
    kernel: tuple[int, ...],
    weight: np.ndarray,
    word: str,
    moments: Moments | None = None,
) -> ir.Value:
    """Add a layer like the neighbour, where the axes are as they are there, with a norm where there are moments."""
    near, shape = setting.near, value.shape
    value = back(splice, near.moves, value, word)
    if near.convolves:
        out = _convolution(splice, setting, value, kernel, weight, word)
    else:
        out = _product(splice, setting, value, weight, word)
    out = again(splice, near.moves[: near.settled], out, word)
    if moments is not None and near.norm is not None:
        out = _undone_norm(splice, setting, out, moments)
    out = again(splice, near.moves[near.settled :], out, word)
    if near.moves:
        out.shape = shape
    return out


def _convolution(
    splice: Splice, setting: PlaceSettings, value: ir.Value, kernel: tuple[int, ...], weight: np.ndarray, word: str
) -> ir.Value:
    """Add a convolution that keeps lengths, with a bias of zeros if the neighbour has one."""
    near, kernel = setting.near, setting.near.whole(kernel)
    like, bias = near.maker.inputs[near.weight], near.maker.inputs[2] if len(near.maker.inputs) > 2 else None
    operands = [value, splice.parameter(like, f"{word}_weight" if word else "weight", weight, setting.dtype)]
    if bias is not None and _given(setting, bias):
        operands.append(splice.parameter(bias, "bias", np.zeros(near.channels), setting.dtype))
    attributes = [
        ir.AttrInt64s("kernel_shape", kernel),
        ir.AttrInt64s("pads", [length // 2 for length in kernel] * 2),
        ir.AttrInt64("group", near.channels // weight.shape[1]),
    ]
    return splice.node(near.maker, "Conv", operands, attributes, made=value, word=word)


def _given(setting: PlaceSettings, value: ir.Value) -> bool:
    """Say whether a bias is a constant, or made of nothing else: torch.export writes out zeros for one there is not."""
    constants = setting.analysis.constants
    return stored(value)[0] in constants or constants.computed(value)


def _product(splice: Splice, setting: PlaceSettings, value: ir.Value, weight: np.ndarray, word: str) -> ir.Value:
    """Add a Gemm or MatMul, with a bias of zeros if the neighbour has one."""
    near, mark, zeros = setting.near, f"{word}_weight" if word else "weight", np.zeros(setting.near.channels)
    like, bias = near.maker.inputs[near.weight], near.maker.inputs[2] if len(near.maker.inputs) > 2 else None
    if near.product == "Gemm":
        found = near.maker.attributes.get("transB")
        transposed = found is not None and bool(found.value)
        matrix = splice.parameter(like, mark, weight.T if transposed else weight, setting.dtype)
        operands = [value, matrix]
        if near.biased:
            operands.append(splice.parameter(bias, "bias", zeros, setting.dtype))
        attributes = [ir.AttrInt64("transB", int(transposed))]
        return splice.node(near.maker, "Gemm", operands, attributes, made=value, word=word)
    out = splice.node(near.maker, "MatMul", [value, _turned(splice, setting, weight, mark)], made=value, word=word)
    if near.biased:
        bias = splice.parameter(_added(setting), "bias", zeros, setting.dtype)
        out = splice.node(near.maker, "Add", [out, bias], made=value, word="bias")
    return out


def _added(setting: PlaceSettings) -> ir.Value | None:
    """Return the bias of a neighbour that is a MatMul: the vector of its channels that is added right behind it."""
    uses = list(setting.near.maker.outputs[0].uses())
    if len(uses) != 1 or uses[0].node.op_type != "Add":
        return None
    added = uses[0].node.inputs[1 - uses[0].idx]
    found, _ = stored(added)
    constants, channels = setting.analysis.constants, setting.near.channels
    if found is None or found not in constants or tuple(constants[found].shape.numpy()) != (channels,):
        return None
    return added


def _turned(splice: Splice, setting: PlaceSettings, weight: np.ndarray, mark: str) -> ir.Value:
    """Add a matrix [C, C] for a MatMul, stored transposed if the neighbour's is."""
    near = setting.near
    like = near.maker.inputs[near.weight]
    transposes = [node for node in stored(like)[1] if node.op_type == "Transpose"]
    found = splice.parameter(like, mark, weight.T if len(transposes) % 2 else weight, setting.dtype)
    if len(transposes) % 2:
        found = splice.node(transposes[0], "Transpose", [found], [ir.AttrInt64s("perm", (1, 0))])
        found.shape = ir.Shape(weight.shape)
    return found


def _undone_norm(splice: Splice, setting: PlaceSettings, value: ir.Value, moments: Moments) -> ir.Value:
    """Add a BatchNormalization that gives back what it is given: scale = sqrt(variance + epsilon), bias = mean.

    Moments of inputs that were drawn are rounded so that the root is exact; for real ones the record has its form.
    They are stored in the type in which they are used, even if others are stored in a smaller one.
    """
    norm = setting.near.norm
    assert norm is not None
    found = norm.attributes.get("epsilon")
    epsilon = float(found.value) if found is not None else EPSILON
    types = [(like.dtype if like is not None else None) or setting.dtype for like in norm.inputs[1:]]
    variance, scale = moments.variance, np.sqrt(moments.variance + epsilon)
    if not moments.real:
        new, variance, scale = exact_root(moments.variance, epsilon, *(Type.of(each.numpy()) for each in types[::3]))
    mean = moments.mean
    for each in types[1:3]:
        mean = mean.astype(each.numpy()).astype(np.float64)  # so that bias and mean are the same
    weights = [
        splice.weight(like, f"norm_{word}", array, dtype)
        for like, dtype, (word, array) in zip(
            norm.inputs[1:],
            types,
            {"scale": scale, "bias": mean, "mean": mean, "variance": variance}.items(),
            strict=True,
        )
    ]
    attributes = [attribute for attribute in norm.attributes.values() if attribute.name != "training_mode"]
    if not moments.real:
        attributes = [each for each in attributes if each.name != "epsilon"] + [ir.AttrFloat32("epsilon", new)]
    out = splice.node(norm, "BatchNormalization", [value, *weights], attributes, made=value)
    if moments.real:
        sums = plus(student(str(weights[3].name)), named(setting_of(norm, "epsilon")))
        splice.forms[str(weights[0].name)] = root(sums)
    else:
        node = splice.nodes[-1]
        splice.settings[setting_of(node, "epsilon")] = (float(np.float32(epsilon)), new)
    return out


def exact_root(
    variance: np.ndarray, epsilon: float, scales: Type, variances: Type
) -> tuple[float, np.ndarray, np.ndarray]:
    """Return an epsilon, variances close to some, and the roots of their sums, which are exact.

    The roots are whole numbers of about half as many bits as a variance has, times powers of two. So their squares are
    exact, also less epsilon, which is a power of two: of the variances' last bits none is smaller.

    Args:
        variance: float64[C].
        epsilon: About what epsilon is.
        scales: The type of the roots.
        variances: The type of the variances.
    """
    bits = min(scales.bits, variances.bits // 2)
    largest = float(variance.max(initial=0)) + epsilon
    last = np.ceil(np.log2(largest)) + 1 - variances.bits  # the last bit of the largest variance
    least = np.log2(variances.tiny) + 1 - variances.bits
    power = float(np.exp2(max(np.rint(np.log2(epsilon)), last, least)))
    wanted = np.sqrt(variance + power)
    last_root = max(np.ceil(least / 2), np.log2(scales.tiny) + 1 - scales.bits)
    unit = np.exp2(np.maximum(np.floor(np.log2(wanted)) + 1 - bits, last_root))
    found = np.rint(wanted / unit) * unit
    found = np.where(found**2 < power, found + unit, found)
    rest: np.ndarray = found**2 - power
    return power, rest, found


def _activated(splice: Splice, near: Neighbour, value: ir.Value) -> ir.Value:
    """Add the neighbour's activation once more."""
    node = near.activation
    return splice.node(node, node.op_type, [value, *node.inputs[1:]], list(node.attributes.values()))


def repeats(near: Neighbour) -> bool:
    """Say whether the neighbour's activation may be applied again behind an identity."""
    return idempotent(near.activation)
