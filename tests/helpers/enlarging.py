"""Enlarging small models, and checking that a student could not be otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from helpers.graphs import TOLERANCE, WRONG, Judge, model
from onnx_n2n.passes import Enlarge
from onnx_n2n.passes.report import Result
from onnx_n2n.verification.options import Proof

IMAGE = "float[2,3,8,9] x"
OUT = "float[N,M,P,Q] y"  # where ONNX cannot say more
W, V = (4, 3, 3, 3), (2, 4, 1, 1)
UNPROVEN = Proof(wanted=False)


def enlarge(teacher: onnx.ModelProto, *, proof: Proof = UNPROVEN, **options: Any) -> Result[onnx.ModelProto]:
    result = Enlarge(**options)(teacher, proof=proof)
    if result.modified:
        onnx.checker.check_model(result.model, full_check=True)
    return result


def weights(proto: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in proto.graph.initializer}


def shapes(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    return {name: array.shape for name, array in weights(proto).items()}


def reasons(result: Result[Any]) -> dict[str, str]:
    return {kept.name: kept.reason for kept in result.change.kept}


def attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def with_weight(proto: onnx.ModelProto, name: str, array: np.ndarray) -> onnx.ModelProto:
    changed = onnx.ModelProto.FromString(proto.SerializeToString())
    for tensor in changed.graph.initializer:
        if tensor.name == name:
            tensor.CopyFrom(numpy_helper.from_array(array, name))
    return changed


def ring(larger: np.ndarray, smaller: np.ndarray) -> tuple[slice, ...]:
    """The middle of a larger weight, where the smaller one is."""
    return tuple(slice((n - k) // 2, (n - k) // 2 + k) for n, k in zip(larger.shape, smaller.shape, strict=True))


def check(teacher: onnx.ModelProto, student: onnx.ModelProto, name: str = "W", *, judge: Judge | None = None) -> None:
    """The student is right, its weight is the teacher's with zeros around it, and neither could be otherwise."""
    judge = judge or Judge(teacher)
    assert judge.meaningful
    assert judge.error(student) < TOLERANCE
    old, new = weights(teacher)[name], weights(student)[name]
    middle = ring(new, old)
    assert new.size > old.size
    assert np.array_equal(new[middle], old)
    assert np.count_nonzero(new) == np.count_nonzero(old)
    axis = next(axis for axis in range(old.ndim) if new.shape[axis] > old.shape[axis])
    assert judge.error(with_weight(student, name, np.roll(new, 1, axis))) > WRONG  # the centre has moved
    trained = np.full_like(new, 0.5)
    trained[middle] = old
    assert judge.error(with_weight(student, name, trained)) > WRONG  # what is new is read


def layer(
    operator: str,
    attributes: dict[str, Any],
    kernel: Sequence[int],
    lengths: Sequence[object],
    *,
    opset: int = 17,
    output: str = "y",
) -> onnx.ModelProto:
    """``y = operator(x, W, b)``, from 4 channels to 6."""
    group = attributes.get("group", 1)
    said = ", ".join(f'{k}="{v}"' if isinstance(v, str) else f"{k}={v}" for k, v in attributes.items())
    shape = (4, 6 // group, *kernel) if operator == "ConvTranspose" else (6, 4 // group, *kernel)
    places = ",".join(map(str, lengths))
    body = f"y = {operator}<{said}>(x, W, b)" if said else f"y = {operator}(x, W, b)"
    return model(body, f"float[2,4,{places}] x", output, opset=opset, W=shape, b=(6,))


def convolution(result: Result[onnx.ModelProto]) -> dict[str, Any]:
    return attributes(next(node for node in result.model.graph.node if "Conv" in node.op_type))


def three(**weights: Any) -> onnx.ModelProto:
    body = "h = Conv<pads=[1,1,1,1]>(x, first) r = Relu(h) a = Conv(r, second) s = Relu(a) y = Conv(s, third)"
    return model(body, IMAGE, "y", first=W, second=(4, 4, 1, 1), third=(2, 4, 5, 3))
