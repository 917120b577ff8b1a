"""Small results that no input has a part in, by ONNX's reference implementation: how long and where things are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import Tensor
from onnx_n2n.exact.undecided import Undecided

LARGEST = 1 << 16  # elements; larger things do not say how long something is
# Operators on whole numbers, decisions and small floating-point numbers. Rules of what moves say it themselves.
CALCULATED = frozenset(
    """
    Abs Add And BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast CastLike Ceil Clip CumSum Div Equal Exp Floor
    Greater GreaterOrEqual Less LessOrEqual Log Max Min Mod Mul Neg Not Or Pow ReduceMax ReduceMin ReduceProd ReduceSum
    Round Sign Sqrt Sub Where Xor
    """.split()  # noqa: SIM905
)


def known_results(site: Site) -> list[Tensor] | None:
    """Return what a node gives where all of its inputs are known and small, else None.

    Whole numbers and decisions are exact. Floating-point numbers are rounded, as the operator rounds them: such a
    result says how long something is, and is not calculated with.
    """
    if site.node.domain not in {"", "ai.onnx"} or site.operator not in CALCULATED:
        return None
    tensors = [each for each in site.inputs if each is not None]
    if not all(isinstance(each, Tensor) and each.known is not None and each.known.size <= LARGEST for each in tensors):
        return None
    given: list[Tensor] = tensors  # type: ignore[assignment]
    known = [each.known if isinstance(each, Tensor) else None for each in site.inputs]
    try:
        arrays = run(site.node, site.version, known, site.constants())
    except Undecided:
        return None
    sized, rough = any(each.sized for each in given), any(each.rough for each in given)
    found = []
    for array in arrays:
        type_ = helper.np_dtype_to_tensor_dtype(array.dtype)
        tensor = Tensor(type_, array, sized=sized)
        moved = sized or any(each.numbers is not None for each in given)
        found.append(tensor.but(rough=rough or tensor.real, sized=moved))
    if all(each.certain for each in found):
        for each in given:
            site.run.read(each)
    return found


def run(
    node: onnx.NodeProto, version: int, arrays: Sequence[np.ndarray | None], attributes: Sequence[onnx.AttributeProto]
) -> list[np.ndarray]:
    """Return what the reference implementation of one node gives for arrays; nothing for outputs without a name.

    Raises:
        Undecided: If it refuses them.
    """
    names = [f"in{place}" if array is not None else "" for place, array in enumerate(arrays)]
    outputs = [name and f"out{place}" for place, name in enumerate(node.output)]
    copy = onnx.NodeProto(op_type=node.op_type, input=names, output=outputs, attribute=attributes)
    inputs = [helper.make_value_info(name, onnx.TypeProto()) for name in names if name]
    graph = helper.make_graph(
        [copy], "one", inputs, [helper.make_value_info(name, onnx.TypeProto()) for name in outputs if name]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=10)
    feeds = {name: array for name, array in zip(names, arrays, strict=True) if name}
    try:
        with np.errstate(all="ignore"):
            found = iter(ReferenceEvaluator(model).run(None, feeds))
    except Exception as error:
        raise Undecided(f"its inputs do not fit: {error}") from error
    return [np.asarray(next(found)) if name else np.zeros(0) for name in outputs]
