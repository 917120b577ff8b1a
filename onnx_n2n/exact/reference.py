"""Small results that no input has a part in, by ONNX's reference implementation: how long and where things are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import onnx
from onnx import helper
from onnx.reference import ReferenceEvaluator

from onnx_n2n.exact.site import Site
from onnx_n2n.exact.tensor import STRING, WHOLE, Tensor
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
# Runtimes differ in what these give where a type is too small for it.
OVERFLOWING = {"Pow", "ReduceProd", "ReduceSum"}


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
    if site.operator.startswith("Cast") and STRING in {*(each.type for each in given), site.attribute("to")}:
        return None  # runtimes differ in how they write numbers
    known = [each.known if isinstance(each, Tensor) else None for each in site.inputs]
    try:
        arrays = run(site.node, site.version, known, site.constants())
        if site.operator in OVERFLOWING and arrays[0].dtype.kind in "iu" and arrays[0].dtype != np.int64:
            wider = run(site.node, site.version, [np.asarray(known[0], np.int64), *known[1:]], site.constants())
            if not np.array_equal(arrays[0], wider[0]):
                return None
        if site.operator in {"Cast", "CastLike"} and not _had(arrays[0], given[0]):
            return None
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


def _had(cast: np.ndarray, tensor: Tensor) -> bool:
    """Return whether a type of whole numbers has all that were cast to it; what a cast makes of others is open."""
    type_ = helper.np_dtype_to_tensor_dtype(cast.dtype)
    if type_ not in WHOLE or (tensor.whole and cast.dtype.kind in "iu"):  # all runtimes wrap whole numbers around
        return True
    assert tensor.known is not None
    return np.array_equal(cast.astype(np.float64), np.trunc(tensor.known.astype(np.float64)))


def run(
    node: onnx.NodeProto, version: int, arrays: Sequence[np.ndarray | None], attributes: Sequence[onnx.AttributeProto]
) -> list[np.ndarray]:
    """Return what the reference implementation of one node gives for arrays; nothing for outputs without a name.

    Raises:
        Undecided: If it refuses them.
    """
    given = tuple(array is not None for array in arrays)
    written = tuple(each.SerializeToString(deterministic=True) for each in attributes)
    evaluator = _evaluator(node.op_type, version, given, tuple(map(bool, node.output)), written)
    feeds = {f"in{place}": array for place, array in enumerate(arrays) if array is not None}
    try:
        with np.errstate(all="ignore"):
            found = iter(evaluator.run(None, feeds))
    except Exception as error:
        raise Undecided(f"its inputs do not fit: {error}") from error
    return [np.asarray(next(found)) if name else np.zeros(0) for name in node.output]


@lru_cache(maxsize=512)
def _evaluator(
    operator: str, version: int, inputs: tuple[bool, ...], outputs: tuple[bool, ...], attributes: tuple[bytes, ...]
) -> ReferenceEvaluator:
    """Return the reference implementation of a node: which of its inputs and outputs are given, and how it is set.

    Raises:
        Undecided: If there is none.
    """
    reads = [f"in{place}" if given else "" for place, given in enumerate(inputs)]
    makes = [f"out{place}" if given else "" for place, given in enumerate(outputs)]
    settings = [onnx.AttributeProto.FromString(each) for each in attributes]
    node = onnx.NodeProto(op_type=operator, input=reads, output=makes, attribute=settings)
    taken, made = ([helper.make_value_info(name, onnx.TypeProto()) for name in side if name] for side in (reads, makes))
    graph = helper.make_graph([node], "one", taken, made)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", version)], ir_version=10)
    try:
        return ReferenceEvaluator(model)
    except Exception as error:
        raise Undecided(f"its inputs do not fit: {error}") from error
