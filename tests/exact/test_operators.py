"""Operators of onnx's own domain over doubles, beside the node tests of onnx, ONNX Runtime and NumPy."""

from __future__ import annotations

import re

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from helpers.exactly import as_expected, as_runtime, calculated, cases, one_node, over_doubles
from onnx_n2n.exact import check

OPERATORS = """
    Abs Acos Acosh Add And ArgMax ArgMin Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast
    CastLike Ceil Celu CenterCropPad Clip Compress Concat Cos Cosh CumProd CumSum DepthToSpace Div Dropout Einsum Elu
    Equal Erf Exp Expand EyeLike Flatten Floor Gather GatherElements GatherND Gelu Gemm Greater GreaterOrEqual
    HardSigmoid HardSwish Hardmax Identity IsInf IsNaN LeakyRelu Less LessOrEqual Log MatMul MatMulInteger Max Mean Min
    Mish Mod Mul Neg OneHot Or PRelu Pad Pow Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax
    ReduceMean ReduceMin ReduceProd ReduceSum ReduceSumSquare Relu Reshape ReverseSequence Round Scatter ScatterElements
    ScatterND Selu Shape Shrink Sigmoid Sign Sin Sinh Size Slice Softplus Softsign SpaceToDepth Split Sqrt Squeeze Sub
    Sum SwiGLU Swish Tan Tanh ThresholdedRelu Tile TopK Transpose Trilu Unsqueeze Where Xor
""".split()  # noqa: SIM905
# Node tests that are undecided, by part of their names.
UNDECIDED = {
    "training_dropout": "what is dropped is random",
    "reduce_max_empty_set": "the largest of no numbers",
    "reduce_min_empty_set": "the smallest of no numbers",
}
# Types of which a cast gives what it likes for numbers that they do not have; the expected ones come of ml_dtypes.
SMALL = re.compile(r"_to_U?INT[24](_expanded)?$", re.IGNORECASE)
# Results of fewer bits than the tolerance has.
COARSE = ("BFLOAT16", "bfloat16")


@pytest.mark.parametrize("operator", OPERATORS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_node_tests_of_onnx(operator: str) -> None:
    found = cases(operator)
    assert found
    for case in found:
        if SMALL.search(case.name):
            continue
        coarse = any(each in case.name for each in COARSE)
        reason = as_expected(case, rtol=1e-2 if coarse else 1e-3, atol=1e-3 if coarse else 1e-6)
        assert bool(reason) == any(each in case.name for each in UNDECIDED), (case.name, reason)


generator = np.random.default_rng(0)
X = generator.normal(size=(3, 4, 6)).astype("f4") * 2
POSITIVE = np.abs(X) + np.float32(0.1)
WHOLE = generator.integers(-9, 9, (3, 4, 6))
ROWS = np.array([[2, 0, 1], [1, 1, 2]])
HALVES = X.astype(np.float16)

# What onnx's node tests leave out: attributes, older versions, and places that are numbers: operator, inputs, version,
# attributes. Inputs in a list are all given to the model; of a tuple only the first.
ONES = [
    *(("LeakyRelu", (X,), v, {"alpha": a}) for v in (7, 16) for a in (0.3, -0.5, 1.5)),
    ("PRelu", (X, generator.normal(size=(4, 1)).astype("f4")), 9, {}),
    ("PRelu", [X, generator.normal(size=(6,)).astype("f4")], 16, {}),
    ("PRelu", (X, np.float32([0.25])), 7, {}),
    *((name, (X,), v, {"alpha": a}) for name in ("Elu", "ThresholdedRelu") for v in (10, 22) for a in (0.7, -1.5)),
    ("Celu", (X,), 12, {"alpha": 1.7}),
    ("Selu", (X,), 7, {"alpha": 1.3, "gamma": 2.5}),
    ("HardSigmoid", (X,), 7, {"alpha": 0.4, "beta": 0.1}),
    ("HardSwish", (X,), 14, {}),
    ("Shrink", (X,), 9, {"lambd": 1.1, "bias": 0.4}),
    ("Gelu", (X,), 20, {"approximate": "tanh"}),
    ("Swish", (X,), 24, {"alpha": 0.6}),
    ("Mish", (X,), 18, {}),
    ("Softsign", (X,), 7, {}),
    ("Clip", (X,), 7, {"min": -0.5}),
    ("Clip", (X,), 7, {"max": 0.5}),
    ("Clip", (X,), 10, {"min": -0.5, "max": 0.75}),
    ("Clip", (X, None, np.float32(0.3)), 11, {}),
    ("Clip", (X, np.float32(0.3), np.float32(0.1)), 12, {}),
    ("Clip", (WHOLE, np.int64(-2), np.int64(3)), 12, {}),
    *(("Pow", (POSITIVE, np.float32(e)), 13, {}) for e in (0, 1, 2, 3, 5, -1, -2, 0.5, -0.5, 1.5, 17)),
    ("Pow", (POSITIVE, np.array([1, 2, 3, 0.5, 2, -1], "f4")), 15, {}),
    ("Pow", (X, np.int64(3)), 12, {}),
    ("Pow", (WHOLE, np.int64(3)), 12, {}),
    ("Div", (WHOLE, np.int64(-4)), 14, {}),
    ("Div", [WHOLE, np.int64(5)], 7, {}),
    *(("Mod", (WHOLE, np.int64(y)), 13, {"fmod": f}) for y in (-4, 5) for f in (0, 1)),
    ("Mod", (X, np.float32(-1.5)), 13, {"fmod": 1}),
    ("BitShift", (WHOLE.astype("u4"), np.uint32(3)), 11, {"direction": "RIGHT"}),
    ("BitShift", (WHOLE.astype("u4"), np.uint32(3)), 11, {"direction": "LEFT"}),
    ("Mean", [X, POSITIVE, X[:1]], 8, {}),
    ("Sum", [X, POSITIVE, X[:1]], 13, {}),
    ("Max", [X, X[:1], POSITIVE], 8, {}),
    ("Min", [X, X[:1]], 13, {}),
    ("Equal", (WHOLE, np.int64(3)), 11, {}),
    ("Equal", (X > 0, X > 1), 13, {}),
    *((name, (X, X[::-1].copy()), 9, {}) for name in ("Less", "Greater")),
    *((name, (X, X.copy()), 16, {}) for name in ("LessOrEqual", "GreaterOrEqual")),
    *((name, [X > 0, X > 1], 7, {}) for name in ("And", "Or", "Xor")),
    ("Not", (X > 0,), 7, {}),
    *(
        (name, (X,), v, {"axes": axes, "keepdims": k})
        for name in ("ReduceSum", "ReduceMax", "ReduceMean", "ReduceL1", "ReduceL2", "ReduceProd", "ReduceSumSquare")
        for v, axes, k in ((7, [1], 0), (11, [-1, 0], 1))
    ),
    ("ReduceLogSum", (POSITIVE, np.array([0, -1])), 18, {"keepdims": 0}),
    ("ReduceLogSumExp", (X, np.array([1])), 18, {}),
    ("ReduceMin", (X, np.array([1])), 18, {"keepdims": 0}),
    ("ReduceMax", (X,), 18, {"noop_with_empty_axes": 1}),
    ("ReduceSum", (X,), 13, {}),
    ("ReduceMean", (WHOLE.astype("i4"), np.array([1])), 18, {}),
    *((name, (X,), v, {"axis": -1}) for name in ("ArgMax", "ArgMin") for v in (11, 13)),
    ("ArgMax", (WHOLE,), 13, {"axis": 1, "keepdims": 0, "select_last_index": 1}),
    ("TopK", (X,), 7, {"k": 2, "axis": 1}),
    ("TopK", (X, np.array([3])), 10, {}),
    ("TopK", (X, np.array([3])), 11, {"largest": 0, "axis": 1}),
    ("Hardmax", (X,), 7, {"axis": 1}),
    ("Hardmax", (X,), 12, {}),
    ("Hardmax", (X,), 13, {"axis": 1}),
    ("CumSum", (X, np.int64(1)), 11, {"exclusive": 1, "reverse": 1}),
    ("CumSum", (X, np.int64(-1)), 14, {"reverse": 1}),
    ("MatMul", (X[0, 0], X[0, 1]), 13, {}),
    ("MatMul", (X[0, 0], X[0].T.copy()), 13, {}),
    ("MatMul", [X, X[0, 0]], 13, {}),
    ("MatMul", [X, X.transpose(0, 2, 1).copy()], 9, {}),
    ("Gemm", (X[0], X[1], X[0, :, :4]), 7, {"transA": 0, "transB": 1, "alpha": 0.5, "beta": 2.0}),
    ("Gemm", (X[0], X[1]), 11, {"transA": 1}),
    ("Gemm", (X[0], X[1].T.copy(), np.float32(3)), 13, {"alpha": -1.5}),
    ("MatMulInteger", (WHOLE[0].astype("i1"), WHOLE[1].T.astype("i1"), np.int8(2), np.int8(-1)), 10, {}),
    ("Dropout", (X,), 7, {"ratio": 0.3}),
    ("Dropout", (X,), 10, {}),
    ("Dropout", (X, np.float32(0.3)), 13, {"seed": 3}),
    ("Dropout", (X, np.float32(0.3), np.bool_(False)), 12, {}),
    ("Squeeze", (X[:1],), 7, {"axes": [0]}),
    ("Unsqueeze", (X,), 11, {"axes": [0, -1]}),
    ("Flatten", (X,), 9, {"axis": 2}),
    ("Reshape", (X, np.array([0, -1])), 7, {}),
    ("Reshape", (X[:0], np.array([4, 0])), 14, {"allowzero": 1}),
    ("Expand", (X[:1], np.array([2, 5, 1, 1])), 8, {}),
    ("Tile", (X, np.array([1, 2, 3])), 7, {}),
    ("Slice", (X,), 9, {"starts": [1, -3], "ends": [3, 100], "axes": [0, 2]}),
    ("Slice", (X, np.array([-1]), np.array([-100]), np.array([2]), np.array([-2])), 10, {}),
    ("Pad", (X,), 7, {"pads": [0, 1, 2, 0, 0, 1], "value": 1.5}),
    ("Pad", (X,), 9, {"pads": [0, 1, 2, 0, 0, 1], "mode": "reflect"}),
    ("Pad", (X,), 10, {"pads": [0, -1, 2, 0, 0, -1], "value": -0.5}),
    ("Pad", (X, np.array([0, 1, -2, 0, 0, 1]), np.float32(2.5)), 11, {}),
    ("Pad", [X, np.array([0, 1, 2, 0, 0, 1])], 13, {"mode": "edge"}),
    ("Pad", (X, np.array([1, 2]), np.float32(7), np.array([-1])), 18, {}),
    ("Pad", (X, np.array([1, 2]), None, np.array([-1])), 19, {"mode": "wrap"}),
    ("Pad", (X, np.array([-1, 2, -1, 0, -1, 2])), 13, {"mode": "edge"}),
    ("Pad", (X, np.array([-1, 2, -1, 0, 1, 0])), 13, {"mode": "reflect"}),
    ("Pad", (X, np.array([1, -1, 0, 0, 1, -1])), 13, {"mode": "reflect"}),
    ("Gather", [X, ROWS], 13, {"axis": 0}),
    ("Gather", [X, np.int64(-1)], 11, {"axis": 2}),
    ("Gather", (X, np.array([-1, 0])), 7, {"axis": 1}),
    ("GatherElements", [X[:, :, 0], np.array([[0, -1, 2], [3, 1, 1]])], 11, {"axis": 1}),
    ("GatherElements", [X[0], np.array([[0, -1, 2]])], 13, {}),
    ("GatherElements", (X, np.array([[[-1], [1]]])), 13, {"axis": -3}),
    ("GatherND", [X, ROWS[..., :2]], 13, {}),
    ("GatherND", [X, np.array([[[1], [0]], [[3], [2]], [[-1], [1]]])], 12, {"batch_dims": 1}),
    ("OneHot", [np.array([[0, 3], [-1, 7]]), np.int64(4), np.array([0.5, 2], "f4")], 11, {"axis": 1}),
    ("OneHot", [np.array([0.0, 3], "f4"), np.int64(4), np.array([0, 1])], 9, {}),
    ("ScatterND", (X, np.array([[0], [0], [2]]), X[:3]), 16, {"reduction": "add"}),
    ("ScatterND", (X, np.array([[0, 1], [0, -1]]), X[0, :2]), 16, {"reduction": "mul"}),
    ("ScatterND", (X, np.array([[0, 1], [0, -1]]), X[0, :2]), 11, {}),
    *(
        ("ScatterElements", (X[0], np.array([[1, 1, 0], [3, -1, 1]]), X[1, :2, :3]), 18, {"reduction": r})
        for r in ("add", "mul", "max", "min")
    ),
    ("ScatterElements", (X[0], np.array([[1, 0, 5]]), X[1, :1, :3]), 11, {"axis": 1}),
    ("Scatter", (X[0], np.array([[1, 0, 2]]), X[1, :1, :3]), 9, {}),
    ("Compress", (X, np.array([True, False, True])), 9, {"axis": 1}),
    ("Trilu", (X, np.int64(-1)), 14, {"upper": 0}),
    ("CenterCropPad", (X, np.array([5, 3])), 18, {"axes": [0, 2]}),
    ("ReverseSequence", (X, np.array([1, 2, 3, 2])), 10, {"time_axis": 0, "batch_axis": 1}),
    ("DepthToSpace", (X.reshape(1, 4, 3, 6),), 11, {"blocksize": 2, "mode": "CRD"}),
    ("SpaceToDepth", (X.reshape(1, 3, 4, 6),), 7, {"blocksize": 2}),
    ("Shape", (X,), 15, {"start": 1, "end": -1}),
    ("Size", (X,), 7, {}),
    ("EyeLike", (X[0],), 9, {"k": 1, "dtype": 7}),
    *(
        ("Cast", (array,), 13, {"to": to})
        for array in (X, HALVES, WHOLE, WHOLE.astype("i4"), np.abs(WHOLE).astype("u1"), X > 0)
        for to in (1, 9, 10, 11, 6, 7, 3)
    ),
    ("CastLike", (X, np.int64(0)), 15, {}),
]


@pytest.mark.parametrize("one", ONES, ids=lambda one: f"{one[0]}-{one[2]}")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_as_onnx_runtime(one: tuple) -> None:
    operator, inputs, opset, attributes = one
    given = [0] if isinstance(inputs, tuple) else [p for p, each in enumerate(inputs) if p == 0 or operator != "OneHot"]
    if operator == "Pad":
        given = [0]
    outputs = 2 if operator == "TopK" or (operator == "Dropout" and opset > 10) else 1
    model, feeds = one_node(operator, inputs, outputs, opset=opset, given=given, **attributes)
    as_runtime(model, feeds, rtol=1e-3 if attributes.get("to") == onnx.TensorProto.FLOAT16 else 1e-4)


def test_each_is_equal_to_itself() -> None:
    for operator, inputs, opset, attributes in ONES:
        given = range(len(inputs)) if isinstance(inputs, list) and operator not in {"Pad", "OneHot"} else [0]
        outputs = 2 if operator == "TopK" else 1
        model, _ = one_node(operator, inputs, outputs, opset=opset, given=given, **attributes)
        verdict = check(model, model)
        assert verdict.state == "equal", (operator, verdict)


@pytest.mark.parametrize(
    ("equation", "shapes"),
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("bhid,bhjd->bhij", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("bij,bjk", [(2, 3, 4), (2, 4, 5)]),
        ("ij->ji", [(2, 3)]),
        ("ii->i", [(4, 4)]),
        ("ii", [(4, 4)]),
        ("ijij->j", [(2, 3, 2, 3)]),
        ("i,j,k->kji", [(2,), (3,), (4,)]),
        ("ij,ij,ij->i", [(2, 3), (2, 3), (2, 3)]),
        ("...ij,...jk->...ik", [(2, 1, 3, 4), (5, 4, 2)]),
        ("...i->...", [(2, 3, 4)]),
        ("ab,bc,cd->da", [(2, 3), (3, 4), (4, 5)]),
        ("ij,kl->", [(2, 3), (3, 2)]),
        ("bi,bj->ib j", [(2, 3), (2, 4)]),
    ],
)
def test_equations(equation: str, shapes: list[tuple[int, ...]]) -> None:
    arrays = [generator.normal(size=shape).astype("f4") for shape in shapes]
    model, feeds = one_node("Einsum", arrays, opset=12, given=range(len(arrays)), equation=equation)
    (found,) = over_doubles(model, feeds)
    np.testing.assert_allclose(found.numbers.values, np.einsum(equation, *arrays), 1e-4, 1e-5)  # type: ignore[union-attr]


@settings(deadline=None, max_examples=25)
@given(
    st.sampled_from("Add Sub Mul Div Mod Max Min Pow Less Equal GreaterOrEqual BitShift CumSum Neg Abs Sign".split()),  # noqa: SIM905
    st.lists(st.integers(-100, 100), min_size=3, max_size=3),
    st.lists(st.integers(1, 7), min_size=3, max_size=3),
    st.booleans(),
)
def test_what_is_known_is_what_onnx_runtime_gives(operator: str, x: list[int], y: list[int], fmod: bool) -> None:
    kind = np.uint32 if operator == "BitShift" else np.int64
    second = {"Neg": [], "Abs": [], "Sign": [], "CumSum": [np.int64(0)]}.get(operator, [np.array(y, kind)])
    extra = {"Mod": {"fmod": int(fmod)}, "BitShift": {"direction": "LEFT" if fmod else "RIGHT"}}.get(operator, {})
    model, _ = one_node(
        operator, [np.abs(x).astype(kind) if kind == np.uint32 else np.array(x), *second], given=[], opset=18, **extra
    )
    (found,) = over_doubles(model, {})
    assert found.certain  # type: ignore[union-attr]
    np.testing.assert_array_equal(found.known, calculated(model, {})[0])  # type: ignore[union-attr]
