"""BatchNormalizations that only a layer's own weights stand before: both are mixed as the one linear map that they are.

With ``y_k = a_k x_k + d_k`` of each old channel, a fresh channel must hold ``y = c1 y_i + c2 y_j``. Let b be that of i
and j with the larger ``|a|``. The layer gets the row ``c1 a_i/a_b w_i + c2 a_j/a_b w_j``. The norm has the scale and
the variance of b, its mean mixed like the row, and its bias mixed by c1 and c2. So neither ``x`` nor ``y`` is larger
than the largest of the old channels.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import onnx_ir as ir

from onnx_n2n.analysis.walk import Analysis
from onnx_n2n.axes.algebra import Factor, holds, resolve
from onnx_n2n.graph.operators import measures, operator_of
from onnx_n2n.graph.subgraphs import nodes_of
from onnx_n2n.graph.uses import Use
from onnx_n2n.record.mixture import Mixture
from onnx_n2n.width.reach.reading import affine

MAKERS = {("", "Conv"): 0, ("", "ConvTranspose"): 1, ("", "Gemm"): 1, ("", "MatMul"): 1}
SPREADS = {("", name) for name in ("Expand", "Identity", "Cast", "CastLike", "Reshape", "Unsqueeze")}
SCALE, BIAS, MEAN, VARIANCE = 1, 2, 3, 4


@dataclass(frozen=True, eq=False)
class Fold:
    """How a constant of a layer and its norm is mixed.

    Attributes:
        way: ``scaled`` by what the norm multiplies channels by; ``base``: a copy of the channel that is scaled most;
            ``mixed`` as everywhere.
        times: float64[n], what the norm multiplies channels by.
        axis: The axis of the channels.
    """

    way: Literal["scaled", "base", "mixed"]
    times: np.ndarray
    axis: int

    def mixture(self, plain: Mixture) -> Mixture | None:
        """Return the mixture of this constant, where it has one."""
        if self.way == "mixed":
            return plain
        if self.way == "base":
            return None
        times = self.times[plain.sources]
        most = np.take_along_axis(times, np.abs(times).argmax(axis=1)[:, None], axis=1)
        ratio = np.divide(times, most, out=np.ones_like(times), where=most != 0)
        return Mixture(plain.sources, plain.weights * ratio)

    def usual(self, fresh: int) -> np.ndarray:
        """Return int64[f]: the places that ``fresh`` ones are like whose rows are drawn, from the middle half by times.

        A channel that is always the same has next to no variance, and behind it a row of another size would be huge.
        """
        order = np.abs(self.times).argsort(kind="stable")
        middle: np.ndarray = order[len(order) // 4 : len(order) - len(order) // 4]
        return middle[np.arange(fresh) % len(middle)]

    def base(self, plain: Mixture) -> np.ndarray:
        """Return int64[f]: of the places that each fresh one is made of, the one that the norm scales most."""
        most = np.abs(self.times[plain.sources]).argmax(axis=1)[:, None]
        return np.take_along_axis(plain.sources, most, axis=1)[:, 0]


def folds(analysis: Analysis) -> dict[Use, Fold]:
    """Return how the constants of all layers are mixed that a norm in evaluation follows alone."""
    found: dict[Use, Fold] = {}
    for node in nodes_of(analysis.model.graph):
        if operator_of(node) == ("", "BatchNormalization"):
            found.update(_fold(analysis, node))
    return found


def _fold(analysis: Analysis, norm: ir.Node) -> dict[Use, Fold]:
    given = norm.inputs[0]
    layer = given.producer() if given is not None else None
    if given is None or layer is None or len(given.uses()) != 1 or given.is_graph_output():
        return {}
    if operator_of(layer) not in MAKERS or len(layer.inputs) < 2:
        return {}
    parts = affine(analysis, norm)
    added = layer.inputs[2] if len(layer.inputs) > 2 else None
    uses = [(layer, 1), *[(layer, 2)] * (added is not None and not zero(analysis, added))]
    uses += [(norm, slot) for slot in (SCALE, BIAS, MEAN, VARIANCE)]
    if parts is None or not all(_own(analysis, use) for use in uses):
        return {}
    made = [_channels(analysis, use) for use in uses]
    factors = {factor for _, factor in made}
    if len(factors) != 1:
        return {}
    (factor,) = factors
    inputs = analysis.axes_of_use(layer, 0) or ()
    if factor is None or any(holds(axis, factor) for axis in inputs):
        return {}
    ways: list[Literal["scaled", "base", "mixed"]] = ["scaled"] * len(uses[:-4])
    ways += ["base", "mixed", "scaled", "base"]
    return {use: Fold(way, parts[0], axis) for use, way, (axis, _) in zip(uses, ways, made, strict=True)}


def zero(analysis: Analysis, value: ir.Value) -> bool:
    """Say whether a tensor is zero throughout, as some exporters make the bias of a layer that has none."""
    end: ir.Value | None = value
    while end is not None:
        array, producer = analysis.constants.small(end), end.producer()
        if array is not None or producer is None:
            return array is not None and not array.any()
        if operator_of(producer) == ("", "ConstantOfShape"):
            filled = producer.attributes.get("value")
            return filled is None or not filled.value.numpy().any()
        end = producer.inputs[0] if operator_of(producer) in SPREADS else None
    return False


def _own(analysis: Analysis, use: Use) -> bool:
    """Say whether an operand is a constant that nothing else reads, or that gets a copy for every use."""
    value = use[0].inputs[use[1]]
    if value is None or value not in analysis.constants or not analysis.constants.scalable(value):
        return False
    readers = [each.node for each in value.uses() if not measures(each.node)]
    return analysis.constants.vector_like(value) or (len(readers) == 1 and not value.is_graph_output())


def _channels(analysis: Analysis, use: Use) -> tuple[int, Factor | None]:
    """Return the axis along which a constant makes channels, and their factor if that is all of the axis."""
    node, slot = use
    axes = [resolve(axis) for axis in analysis.axes_of_use(node, slot) or ()]
    place = len(axes) - 1
    if slot == 1 and operator_of(node) in MAKERS:
        turned = node.attributes.get("transB")
        place = 0 if turned is not None and turned.value else MAKERS[operator_of(node)]
    axis = axes[place] if 0 <= place < len(axes) else None
    return place, axis if isinstance(axis, Factor) and axes.count(axis) == 1 else None
