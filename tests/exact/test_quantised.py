"""Numbers in steps: what rounding and calculating with them gives, and what about them is never equal."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper, parser

from helpers.exactly import (
    as_expected,
    as_runtime,
    calculated,
    cases,
    elements,
    never_equal,
    one_node,
    over_doubles,
)
from helpers.graphs import model as graph_of
from onnx_n2n.exact import check
from onnx_n2n.exact.tensor import Tensor

MICROSOFT = "com.microsoft"
OPERATORS = """
    QuantizeLinear DequantizeLinear DynamicQuantizeLinear QLinearConv QLinearMatMul MatMulInteger ConvInteger
""".split()  # noqa: SIM905
F, U8, I8 = np.float32, np.uint8, np.int8


@pytest.mark.parametrize("operator", OPERATORS)
def test_node_tests_of_onnx_come_out_as_expected(operator: str) -> None:
    found = cases(operator)
    assert found
    for case in found:
        # One number of one test lies halfway between two steps, but for rounding.
        assert as_expected(case, atol=1.0 if case.name == "test_dynamicquantizelinear" else 1e-6) == "", case.name


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


def steps(*shape: int, kind: Any = U8, seed: int = 0) -> np.ndarray:
    low, high = np.iinfo(kind).min, np.iinfo(kind).max
    return np.random.default_rng([seed, *shape]).integers(low, high, shape, endpoint=True).astype(kind)


def nearly_as_runtime(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> None:
    """Assert that results in steps are those of ONNX Runtime, or next to them where rounding to single decides."""
    for found, expected in zip(over_doubles(model, feeds), calculated(model, feeds), strict=True):
        assert isinstance(found, Tensor)
        assert found.shape == expected.shape
        away = np.abs(np.asarray(elements(found), np.float64) - expected.astype(np.float64))
        assert away.max() <= 1
        assert (away > 1e-3).mean() <= 0.02


S, Z = F(0.02), U8(120)  # a scale and a zero point
OTHER = F(0.013), U8(7)
MADE: dict[str, Any] = {
    "QuantizeLinear": ([drawn(2, 3, 4), F(0.03), U8(9)], {}),
    "DequantizeLinear": ([steps(2, 3, 4), F(0.03), U8(9)], {}),
    "QLinearAdd": ([steps(2, 3, 4), S, Z, steps(3, 1), *OTHER, F(0.04), U8(3)], {}),
    "QLinearMul": ([steps(2, 3, 4), S, Z, steps(3, 1), *OTHER, F(0.04), U8(3)], {}),
    "QLinearAveragePool": (
        [steps(2, 3, 7, 6), S, Z, *OTHER], {"kernel_shape": [3, 3], "strides": [2, 1], "pads": [1, 1, 1, 1]},
    ),
    "QLinearAveragePool with padding": (
        [steps(2, 3, 7, 6), S, Z, *OTHER], {"kernel_shape": [3, 2], "pads": [1, 0, 1, 1], "count_include_pad": 1},
    ),
    "QLinearAveragePool with channels last": (
        [steps(2, 7, 6, 3), S, Z, *OTHER], {"kernel_shape": [3, 3], "channels_last": 1},
    ),
    "QLinearGlobalAveragePool": ([steps(2, 3, 7, 6), S, Z, *OTHER], {"channels_last": 0}),
    "QLinearGlobalAveragePool with channels last": ([steps(2, 7, 6, 3), S, Z, *OTHER], {"channels_last": 1}),
    "QLinearConcat": ([F(0.05), U8(30), steps(2, 3, 4), S, Z, steps(2, 2, 4), *OTHER], {"axis": 1}),
    "QLinearLeakyRelu": ([steps(2, 3, 4), S, Z, *OTHER], {"alpha": 0.2}),
    "QLinearSigmoid": ([steps(2, 3, 4), S, Z, F(1 / 256), U8(0)], {}),
    "QLinearSoftmax": ([steps(2, 3, 4), S, Z, F(1 / 256), U8(0)], {"axis": -1}),
    "QLinearConv": (
        # Small weights: ONNX Runtime may cut sums of two products off at 16 bits.
        [steps(2, 4, 6, 5), S, Z, steps(6, 2, 3, 3, kind=I8) // 4, np.linspace(0.01, 0.02, 6, dtype=F), np.zeros(6, I8),
         F(0.4), U8(100), np.arange(6, dtype=np.int32)], {"group": 2, "pads": [1, 1, 1, 1]},
    ),
    "MatMulIntegerToFloat": (
        [steps(2, 3, 4), steps(4, 5), S, np.linspace(0.01, 0.02, 5, dtype=F), Z, U8(7), drawn(5)], {},
    ),
    "DynamicQuantizeMatMul": ([drawn(3, 4), steps(4, 5), F(0.01), U8(7), drawn(5)], {}),
    "QGemm": (
        [steps(3, 4), S, Z, steps(5, 4), F(0.01), U8(7), np.arange(5, dtype=np.int32), F(0.05), U8(80)],
        {"transB": 1, "alpha": 0.5},
    ),
    "QGemm without rounding": (
        [steps(3, 4), S, Z, steps(4, 5), F(0.01), U8(7), np.arange(5, dtype=np.int32)], {},
    ),
    "FusedConv": ([drawn(2, 4, 6, 5), drawn(6, 4, 3, 3), drawn(6)], {"activation": "Relu", "pads": [1, 1, 1, 1]}),
    "FusedConv with another image": (
        [drawn(2, 4, 6, 5), drawn(6, 4, 3, 3), drawn(6), drawn(2, 6, 4, 3)], {"activation": "Relu"},
    ),
    "FusedConv with Clip": (
        [drawn(2, 4, 6, 5), drawn(6, 4, 3, 3)], {"activation": "Clip", "activation_params": [-1.0, 1.5]},
    ),
    "NhwcMaxPool": ([steps(2, 7, 6, 3)], {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 0]}),
}  # fmt: skip


@pytest.mark.parametrize("what", MADE)
def test_runtime_s_own_operators_are_what_it_computes(what: str) -> None:
    inputs, attributes = MADE[what]
    made, feeds = one_node(what.split()[0], inputs, opset=1, domain=MICROSOFT, given=given_of(what), **attributes)
    if what == "QLinearSoftmax":
        made.graph.node[0].attribute.append(helper.make_attribute("opset", 13))
    nearly_as_runtime(made, feeds)


def given_of(what: str) -> set[int]:
    return {2, 5} if what == "QLinearConcat" else {0}


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("zeros", ["none", "packed", "plain"])
def test_matrices_of_few_bits_are_multiplied_as_by_onnx_runtime(bits: int, zeros: str) -> None:
    if (bits, zeros) == (8, "plain"):
        pytest.skip("ONNX Runtime has no kernel")
    k, n, block = 40, 5, 16
    blocks = 3
    zero = {"none": None, "packed": steps(n, -(-blocks * bits // 8)), "plain": np.round(drawn(n, blocks) * 2 + 3)}[
        zeros
    ]
    inputs = [drawn(3, k), steps(n, blocks, block * bits // 8), np.abs(drawn(n, blocks)), zero]
    model, feeds = one_node(
        "MatMulNBits", inputs, opset=1, domain=MICROSOFT, K=k, N=n, bits=bits, block_size=block
    )  # fmt: skip
    as_runtime(model, feeds, rtol=1e-3, atol=1e-2)


@settings(max_examples=25, deadline=None)
@given(st.data())
def test_rounding_along_axes_and_in_blocks_is_what_onnx_runtime_computes(data: st.DataObject) -> None:
    shape, axis = (4, 6, 8), data.draw(st.integers(-3, 2))
    kind = data.draw(st.sampled_from([U8, I8, np.uint16, np.int16]))
    attributes: dict[str, Any] = {"axis": axis}
    many: tuple[int, ...] = (shape[axis],)
    if data.draw(st.booleans()):
        attributes["block_size"] = 2
        many = tuple(length // 2 if place == axis % 3 else length for place, length in enumerate(shape))
    scale, zero = np.abs(drawn(*many)) + F(0.01), steps(*many, kind=kind)
    model, feeds = one_node("QuantizeLinear", [drawn(*shape), scale, zero], opset=21, **attributes)
    nearly_as_runtime(model, feeds)
    as_runtime(*one_node("DequantizeLinear", [steps(*shape, kind=kind), scale, zero], opset=21, **attributes))


# What is never equal


def model(text: str, opset: int = 21, **weights: np.ndarray) -> onnx.ModelProto:
    """Return a model from ONNX's text and its constants."""
    imports = f'"": {opset}, "com.microsoft": 1'
    made = parser.parse_model(f"<ir_version: 10, opset_import: [{imports}]> g {text}")
    made.graph.initializer.extend(numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items())
    return made


ROUND = """(float[N, 6] x) => (float[N, 5] y) {
    q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) w = DequantizeLinear<axis = 1>(W, t, u)
    y = MatMul(d, w) }"""
PARTS: dict[str, np.ndarray] = {
    "s": np.asarray(F(0.1)), "z": np.asarray(U8(128)), "W": steps(6, 5, kind=I8),
    "t": np.linspace(0.01, 0.02, 5, dtype=F), "u": steps(5, kind=I8),
}  # fmt: skip


@given(st.sampled_from(sorted(PARTS)), st.integers(0, 29))
@settings(max_examples=10, deadline=None)
def test_no_scale_zero_point_or_weight_may_change(name: str, place: int) -> None:
    other = {each: array.copy() for each, array in PARTS.items()}
    flat = other[name].reshape(-1)
    place %= flat.size
    flat[place] = np.nextafter(flat[place], F(1)) if flat.dtype == F else flat[place] ^ 1
    never_equal(model(ROUND, **PARTS), model(ROUND, **other))


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ("y = QuantizeLinear(x, s, z)", "y = QuantizeLinear(x, s)"),
        ("q = QuantizeLinear<output_dtype = 3>(x, s) y = Cast<to = 1>(q)", "y = Identity(x)"),
        ("q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)", "y = Identity(x)"),
        ("q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)", "y = DequantizeLinear(r, s, z) r = Identity(x)"),
    ],
)
def test_rounding_is_never_nothing(one: str, two: str) -> None:
    made = [model(f"(float[N, 6] x) => (float[N, 6] y) {{ {each} }}", s=F(0.1), z=U8(3)) for each in (one, two)]
    assert check(*made).state != "equal"


@pytest.mark.parametrize("kind", [TensorProto.FLOAT8E4M3FN, TensorProto.INT8, TensorProto.UINT16])
def test_types_to_round_to_differ(kind: int) -> None:
    text = """(float[N, 6] x) => (float[N, 6] y) {{
        q = QuantizeLinear<output_dtype = {}>(x, s) y = DequantizeLinear(q, s) }}"""
    made = [model(text.format(each), s=F(0.1)) for each in (kind, TensorProto.UINT8)]
    never_equal(*made)


def test_rounding_in_one_step_is_rounding_in_three() -> None:
    """What ONNX Runtime's optimiser does to a quantised convolution."""
    apart = """(float[N, 3, H, W] x) => (uint8[N, C, P, Q] y) {
        q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) w = DequantizeLinear(K, t, u)
        c = Conv<pads = [1, 1, 1, 1]>(d, w) y = QuantizeLinear(c, r, v) }"""
    fused = """(float[N, 3, H, W] x) => (uint8[N, C, P, Q] y) {
        q = QuantizeLinear(x, s, z) y = QLinearConv<pads = [1, 1, 1, 1]>(q, s, z, K, t, u, r, v) }"""
    parts = {
        "s": F(0.1),
        "z": U8(100),
        "K": steps(4, 3, 3, 3, kind=I8),
        "t": F(0.02),
        "u": I8(3),
        "r": F(2),
        "v": U8(9),
    }
    verdict = check(model(apart, **parts), model(fused, **parts))
    assert verdict.state == "equal", verdict
    for name in parts:
        other = dict(parts, **{name: np.asarray(parts[name] + np.asarray(1, np.asarray(parts[name]).dtype))})
        assert check(model(apart, **parts), model(fused, **other)).state != "equal"


def test_copied_channels_are_rounded_in_the_same_way() -> None:
    text = """(float[N, 6] x) => (float[N, 5] y) {
        a = MatMul(x, W) q, s, z = DynamicQuantizeLinear(a) p = MatMulInteger(q, V, z) c = Cast<to = 1>(p)
        y = Mul(c, s) }"""
    text = text.replace("c = Cast<to = 1>(p)", "c = DequantizeLinear(p, one)")
    one, two = drawn(6, 8), steps(8, 5, kind=I8) // 2 * 2
    teacher = model(text, W=one, V=two, one=F(1))
    wider = {"W": np.concatenate([one, one], 1), "V": np.concatenate([two // 2, two // 2])}
    verdict = check(teacher, model(text, **wider, one=F(1)))
    assert verdict.state == "equal", verdict
    wider["V"][0, 0] += 1
    assert check(teacher, model(text, **wider, one=F(1))).state != "equal"


@given(st.integers(0, 4), st.integers(0, 2), st.integers(0, 7), st.integers(0, 7))
@settings(max_examples=8, deadline=None)
def test_no_bit_of_a_packed_matrix_may_change(row: int, block: int, byte: int, bit: int) -> None:
    text = """(float[N, 48] x) => (float[N, 5] y) {
        y = com.microsoft.MatMulNBits<K = 48, N = 5, bits = 4, block_size = 16>(x, B, s) }"""
    packed, scales = steps(5, 3, 8), np.abs(drawn(5, 3))
    other = packed.copy()
    other[row, block, byte] ^= 1 << bit
    assert check(model(text, B=packed, s=scales), model(text, B=other, s=scales)).state != "equal"


TWICE = (
    "q = QuantizeLinear(x, s, z) d = DequantizeLinear(q, s, z) "
    "p = QuantizeLinear(d, {0}, {1}) y = DequantizeLinear(p, {0}, {1})"
)


@pytest.mark.parametrize(
    ("scale", "zero", "equal"), [("s", "z", True), ("t", "z", False), ("s", "w", False), ("s", "i", False)]
)
def test_what_was_rounded_once_stays_where_scale_zero_point_and_type_are_the_same(
    scale: str, zero: str, equal: bool
) -> None:
    numbers = {"s": np.float32(0.1), "z": np.uint8(3), "t": np.float32(0.15), "w": np.uint8(200), "i": np.int8(3)}
    once = graph_of("q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)", "float[2,40] x", "y",
                 **{key: numbers[key] for key in "sz"})  # fmt: skip
    used = {key: value for key, value in numbers.items() if key in {"s", "z", scale, zero}}
    twice = graph_of(TWICE.format(scale, zero), "float[2,40] x", "y", **used)
    assert (check(once, twice).state == "equal") == equal


def test_zero_is_rounded_to_its_zero_point() -> None:
    zero = graph_of("o = Mul(x, no) q = QuantizeLinear(o, s, z) y = DequantizeLinear(q, s, z)", "float[2,3] x", "y",
                 no=np.float32(0), s=np.float32(0.1), z=np.uint8(7))  # fmt: skip
    plain = graph_of("y = Mul(x, no)", "float[2,3] x", "y", no=np.float32(0))
    other = graph_of("y = Add(x, no)", "float[2,3] x", "y", no=np.float32(0))
    assert check(plain, zero).state == "equal"
    assert check(other, zero).state != "equal"
