"""One error in a model, of some seventy kinds.

`changed` makes the error of a seed: the same place each time, small or larger. Every kind is a function of a `Model`,
which it changes in place; it returns where, for people, and raises `NoPlaceError` where the model has none.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from exact_mistakes import attributes, operators, weights, wiring
from exact_mistakes.model import Model, NoPlaceError

TRIES = 12  # places that are tried until an error changes the file
KINDS = weights.KINDS | attributes.KINDS | operators.KINDS | wiring.KINDS


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
