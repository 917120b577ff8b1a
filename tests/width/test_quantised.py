"""Quantised models grow too: one copy has all of a whole number, and a student is its teacher to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator
from onnxruntime import quantization as q

from helpers.graphs import STABLE, WRONG, Judge, apply, grow, model, opened
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.record.recipe import Recipe, Summed
from onnx_n2n.width.growth import added, copies
from onnx_n2n.width.plan import plan
from onnx_n2n.width.request import Request

RNG = np.random.default_rng(5)
NET = (
    "a = Conv<pads=[1,1,1,1]>(x, w1, b1) r = Relu(a) c = Conv<pads=[1,1,1,1]>(r, w2, b2) d = Add(c, r) s = Relu(d) "
    "g = GlobalAveragePool(s) f = Flatten(g) y = Gemm<transB=1>(f, w3, b3)"
)
WEIGHTS = {"w1": (12, 3, 3, 3), "b1": (12,), "w2": (12, 12, 3, 3), "b2": (12,), "w3": (5, 12), "b3": (5,)}
MLP = "a = MatMul(x, w1) b = Add(a, b1) r = Relu(b) c = MatMul(r, w2) d = Add(c, b2) s = Relu(d) y = MatMul(s, w3)"
LAYERS = {"w1": (6, 16), "b1": (16,), "w2": (16, 12), "b2": (12,), "w3": (12, 4)}
FACTORS = [1.5, 2.0, 2.7, 3.0, 4.0]


class Samples(q.CalibrationDataReader):
    """A few inputs by which ranges are calibrated."""

    def __init__(self) -> None:
        rng = np.random.default_rng(1)
        self.feeds = iter([{"x": rng.standard_normal((2, 3, 8, 8)).astype(np.float32)} for _ in range(4)])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self.feeds, None)


def static(folder: Path, layout: q.QuantFormat, **options: Any) -> onnx.ModelProto:
    onnx.save(model(NET, "float[2,3,8,8] x", "float[2,5] y", **WEIGHTS), folder / "float.onnx")
    types = {"activation_type": q.QuantType.QUInt8, "weight_type": q.QuantType.QInt8}
    q.quantize_static(folder / "float.onnx", folder / "whole.onnx", Samples(), quant_format=layout, **types | options)
    return onnx.load(folder / "whole.onnx")


def dynamic(folder: Path, **options: Any) -> onnx.ModelProto:
    onnx.save(model(MLP, "float[N,6] x", "float[N,4] y", **LAYERS), folder / "float.onnx")
    q.quantize_dynamic(folder / "float.onnx", folder / "whole.onnx", **options)
    return onnx.load(folder / "whole.onnx")


def outputs(proto: onnx.ModelProto, *, optimised: bool) -> list[np.ndarray]:
    options = ort.SessionOptions()
    level = ort.GraphOptimizationLevel
    options.graph_optimization_level = level.ORT_ENABLE_ALL if optimised else level.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    session = ort.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(2)
    shapes = {value.name: [d if isinstance(d, int) else 3 for d in value.shape] for value in session.get_inputs()}
    feeds = [{n: rng.standard_normal(s).astype(np.float32) for n, s in shapes.items()} for _ in range(3)]
    return [output for feed in feeds for output in session.run(None, feed)]


def assert_same_bits(teacher: onnx.ModelProto, student: onnx.ModelProto) -> None:
    for optimised in (False, True):
        before, after = (outputs(proto, optimised=optimised) for proto in (teacher, student))
        assert any(not np.array_equal(before[0], other) for other in before[1:])
        for old, new in zip(before, after, strict=True):
            np.testing.assert_array_equal(old, new)


def lengths(proto: onnx.ModelProto) -> dict[str, tuple[int, ...]]:
    return {tensor.name: tuple(tensor.dims) for tensor in proto.graph.initializer}


# --- division


@STABLE
@given(
    whole=st.lists(st.integers(-128, 127), min_size=4, max_size=4),
    zero=st.integers(-128, 127),
    after=st.integers(5, 17),
    seed=st.integers(0, 99),
)
def test_parts_sum_to_the_whole_and_lie_between_it_and_zero(whole: list[int], zero: int, after: int, seed: int) -> None:
    channels = copies(4, after, np.random.default_rng(seed))
    teacher = np.array(whole, np.int8)
    summed = Summed(0, channels.share, channels.index)
    made = Recipe((channels.index,), (summed,), zero=np.array(zero)).make(teacher)
    assert made.dtype == np.int8
    parts, wholes = made.astype(int) - zero, teacher.astype(int) - zero
    np.testing.assert_array_equal(np.bincount(channels.index, parts, 4), wholes)
    assert np.all(np.abs(parts) <= np.abs(wholes[channels.index]))
    assert np.all(parts * wholes[channels.index] >= 0)


def test_added_channels_get_nothing() -> None:
    channels = added(4, 7)
    teacher = RNG.integers(0, 255, (5, 4)).astype(np.uint8)
    zero = RNG.integers(90, 160, (5, 1))
    made = Recipe((None, channels.index), (Summed(1, channels.share, channels.index),), zero=zero).make(teacher)
    np.testing.assert_array_equal(made[:, :4], teacher)
    np.testing.assert_array_equal(made[:, 4:], np.repeat(zero, 3, axis=1))


def test_a_large_weight_is_made_in_blocks_as_in_one() -> None:
    channels, rows = copies(300, 500, None), copies(700, 900, None)
    teacher = RNG.integers(-128, 127, (700, 300)).astype(np.int8)
    zero = RNG.integers(-9, 9, (700, 1))
    summed = (Summed(1, channels.share, channels.index),)
    made = Recipe((rows.index, channels.index), summed, zero=zero).make(teacher).astype(int)
    sums = np.stack([np.bincount(channels.index, row, 300) for row in made - zero[rows.index]])
    np.testing.assert_array_equal(sums, (teacher.astype(int) - zero)[rows.index])


# --- whole models


@pytest.mark.parametrize("layout", [q.QuantFormat.QDQ, q.QuantFormat.QOperator], ids=["QDQ", "QOperator"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_a_quantised_convolutional_net_grows_to_the_last_bit(
    tmp_path: Path, layout: q.QuantFormat, per_channel: bool
) -> None:
    # Weights of 7 bits: on processors without VNNI, products of 8 bits are added in pairs and saturate.
    teacher = static(tmp_path, layout, per_channel=per_channel, reduce_range=True)
    for factor in FACTORS:
        for init in ("net2net", "zero"):
            student, growth = grow(teacher, factor=factor, init=init)
            assert [(group.before, group.after) for group in growth.grown] == [(12, round(12 * factor))]
            assert_same_bits(teacher, student)


@pytest.mark.parametrize(
    ("activation", "weight"),
    [(q.QuantType.QInt8, q.QuantType.QInt8), (q.QuantType.QUInt16, q.QuantType.QInt8),
     (q.QuantType.QUInt8, q.QuantType.QUInt8)],
)  # fmt: skip
def test_other_types_of_numbers(tmp_path: Path, activation: q.QuantType, weight: q.QuantType) -> None:
    extra = {"UseQDQContribOps": activation == q.QuantType.QUInt16}
    teacher = static(tmp_path, q.QuantFormat.QDQ, activation_type=activation, weight_type=weight, extra_options=extra)
    student, growth = grow(teacher, factor=1.5)
    assert growth.grown
    assert_same_bits(teacher, student)


def test_what_onnx_runtime_fuses_it_fuses_still(tmp_path: Path) -> None:
    """No Mul comes between a DequantizeLinear and what it stands before."""
    teacher = static(tmp_path, q.QuantFormat.QDQ, per_channel=True)
    student, _ = grow(teacher, factor=1.5)
    assert [node.op_type for node in student.graph.node] == [node.op_type for node in teacher.graph.node]


@pytest.mark.parametrize("per_channel", [False, True])
@pytest.mark.parametrize("weight", [q.QuantType.QInt8, q.QuantType.QUInt8])
def test_a_dynamically_quantised_net_grows_to_the_last_bit(
    tmp_path: Path, per_channel: bool, weight: q.QuantType
) -> None:
    teacher = dynamic(tmp_path, per_channel=per_channel, weight_type=weight)
    assert "MatMulInteger" in {node.op_type for node in teacher.graph.node}
    for factor in FACTORS:
        student, growth = grow(teacher, factor=factor)
        assert sorted(group.before for group in growth.grown) == [12, 16]
        assert_same_bits(teacher, student)


def test_one_copy_has_all_of_a_whole_number() -> None:
    """Processors without 8-bit products saturate in pairs of them: what is divided sums to something else there."""
    body = "a, s, o = DynamicQuantizeLinear(x) b = MatMulInteger(a, v, o) c = Cast<to=1>(b) d, t, p = " \
        "DynamicQuantizeLinear(c) e = MatMulInteger(d, w, p) y = Cast<to=1>(e)"  # fmt: skip
    weights = {"v": RNG.integers(-100, 100, (6, 8)), "w": RNG.integers(-100, 100, (8, 3))}
    teacher = model(body, "float[2,6] x", "y", **{name: w.astype(np.int8) for name, w in weights.items()})
    student, growth = grow(teacher, factor=2, init="net2net")
    assert [group.after for group in growth.grown] == [16]
    assert_same_bits(teacher, student)
    grown = numpy_helper.to_array(next(t for t in student.graph.initializer if t.name == "w")).astype(int)
    np.testing.assert_array_equal(grown, np.vstack([weights["w"], np.zeros((8, 3), int)]))


def test_a_matrix_with_two_uses_by_whole_numbers_gets_a_copy_for_each() -> None:
    body = (
        "a = QuantizeLinear(x, s, o) b = MatMulInteger(a, w, o) c = Cast<to=1>(b) d = QuantizeLinear(c, t, o) "
        "e = MatMulInteger(d, w, o) f = Cast<to=1>(e) g = Relu(f) k = Cast<to=1>(g) y = MatMul(k, v)"
    )
    constants = {"s": 0.02, "t": 40.0, "o": np.uint8(110), "v": (8, 3)}
    square = RNG.integers(-100, 100, (8, 8)).astype(np.int8)
    first = "x0 = MatMul(z, u) x = Relu(x0)"
    teacher = model(f"{first} {body}", "float[2,5] z", "y", w=square, u=(5, 8), **constants)
    student, growth = grow(teacher, factor=1.5)
    assert [group.after for group in growth.grown] == [12]
    assert_same_bits(teacher, student)


# --- negative controls: the comparison could have failed


@pytest.mark.parametrize("layout", [q.QuantFormat.QDQ, q.QuantFormat.QOperator], ids=["QDQ", "QOperator"])
@pytest.mark.parametrize("factor", [1.5, 2])
def test_copies_that_all_have_the_weight_would_be_wrong(tmp_path: Path, layout: q.QuantFormat, factor: float) -> None:
    teacher = static(tmp_path, layout)
    analysis = analyze(opened(teacher))
    growth = plan(analysis, Request(factor=factor))
    analysis.ledger.contractions.clear()
    assert Judge(teacher).error(apply(analysis, growth)) > WRONG


def test_a_zero_point_that_is_forgotten_would_be_wrong(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    teacher = dynamic(tmp_path, weight_type=q.QuantType.QUInt8)
    monkeypatch.setattr("onnx_n2n.width.rewrite.zero_point", lambda *use: np.zeros((), np.int64))
    assert Judge(teacher).error(grow(teacher, factor=2)[0]) > WRONG


# --- what is pinned, and why


def reasons(body: str, inputs: str = "float[2,5] x", opset: int = 21, **constants: Any) -> str:
    analysis = analyze(opened(model(body, inputs, "y", opset=opset, **constants)))
    assert not [group for group in analysis.groups if group.members]
    return " | ".join(str(pinned.reason) for pinned in analysis.pins)


ENDS = {"u": (5, 12), "v": (12, 3)}


def test_sums_of_computed_whole_numbers_are_pinned() -> None:
    body = (
        "h = MatMul(x, u) a = QuantizeLinear(h, s, o) t = Transpose(a) b = MatMulInteger(a, t, o, o) y = Cast<to=1>(b)"
    )
    assert "it sums computed whole numbers" in reasons(body, u=(5, 12), s=0.1, o=np.uint8(100))


def test_blocks_that_do_not_fit_are_pinned() -> None:
    body = "h = MatMul(x, u) v = DequantizeLinear<axis=0, block_size=5>(w, s) y = MatMul(h, v)"
    found = reasons(body, u=(5, 12), w=RNG.integers(-9, 9, (12, 3)).astype(np.int8), s=(3, 3))
    assert "the numbers of a block share a scale" in found


def test_packed_weights_are_pinned() -> None:
    body = "h = MatMul(x, u) k = com.microsoft.MatMulBnb4<K=12, N=3, block_size=16, quant_type=1>(h, w, s) y = Relu(k)"
    assert "packed" in reasons(body, u=(5, 12), w=RNG.integers(0, 255, 18).astype(np.uint8), s=(3,))


def test_integers_that_are_no_quantised_numbers_stay_as_they_are() -> None:
    body = "h = MatMul(x, u) i = Cast<to=6>(h) k = Add(i, w) f = Cast<to=1>(k) y = MatMul(f, v)"
    found = reasons(body, w=RNG.integers(0, 9, 12).astype(np.int32), **ENDS)
    assert "holds neither floating-point nor quantised numbers" in found


@pytest.mark.parametrize(
    "writer",
    [
        "e = Gather(w, i) f = Cast<to=1>(e) h = Mul(f, s)",
        "e = Gather(w, i) h = DequantizeLinear(e, s)",
        "v = DequantizeLinear(w, s) h = MatMul(x, v)",
        "h = com.microsoft.DynamicQuantizeMatMul(x, w, s)",
    ],
)
def test_a_normalised_stream_that_quantised_weights_write_grows_by_whole_multiples(writer: str) -> None:
    body = f"{writer} k = LayerNormalization(h, g, b) r = MatMul(k, m) y = Add(r, x)"
    constants = {"w": RNG.integers(-100, 100, (5, 12)).astype(np.int8), "s": 0.01, "i": [3, 1, 4, 1, 0]}
    teacher = model(body, "float[5,5] x", "y", g=(12,), b=(12,), m=(12, 5), **constants)
    for factor, after in ((1.6, 24), (2, 24), (3, 36)):
        student, growth = grow(teacher, factor=factor)
        assert [group.after for group in growth.grown] == [after]
        assert Judge(teacher).error(student) < 1e-5


# --- other types


@pytest.mark.parametrize("kind", [ir.DataType.INT4, ir.DataType.UINT4, ir.DataType.INT16, ir.DataType.UINT16])
def test_weights_of_other_widths_sum_to_the_same(kind: ir.DataType) -> None:
    low, high = (0, 15) if kind == ir.DataType.UINT4 else (-8, 7) if kind == ir.DataType.INT4 else (0, 32767)
    body = "h = MatMul(x, u) v = DequantizeLinear(w, s, o) y = MatMul(h, v)"
    teacher = model(body, "float[2,5] x", "y", opset=21, u=(5, 12), s=RNG.uniform(0.01, 0.02, 3).astype(np.float32))
    for name, shape in (("w", (12, 3)), ("o", (3,))):
        values = RNG.integers(low, high, shape)
        teacher.graph.initializer.append(helper.make_tensor(name, kind, shape, values.ravel().tolist()))
    student, growth = grow(teacher, factor=1.5)
    assert [group.after for group in growth.grown] == [18]
    assert lengths(student)["w"] == (18, 3)
    assert not any(node.op_type == "Mul" for node in student.graph.node)
    assert Judge(teacher).error(student) < 1e-5


def test_8_bit_floats_are_copied_and_what_meets_them_is_scaled() -> None:
    body = "h = MatMul(x, u) v = DequantizeLinear(w, s) y = MatMul(h, v)"
    teacher = model(body, "float[2,5] x", "y", opset=21, u=(5, 12), s=np.float32(0.5))
    weight = RNG.standard_normal((12, 3)).astype(ml_dtypes.float8_e4m3fn)
    tensor = helper.make_tensor("w", onnx.TensorProto.FLOAT8E4M3FN, (12, 3), weight.tobytes(), raw=True)
    teacher.graph.initializer.append(tensor)
    student, growth = grow(teacher, factor=1.5)
    assert [group.after for group in growth.grown] == [18]
    feed = {"x": RNG.standard_normal((2, 5)).astype(np.float32)}
    old, new = (ReferenceEvaluator(proto).run(None, feed)[0] for proto in (teacher, student))
    np.testing.assert_allclose(old, new, rtol=1e-5, atol=1e-5)
    (grown,) = (t for t in student.graph.initializer if t.name == "w")
    rows = np.frombuffer(grown.raw_data, np.uint8).reshape(18, 3)
    assert {row.tobytes() for row in rows} == {row.tobytes() for row in weight.view(np.uint8)}


@pytest.mark.parametrize("init", ["net2net", "zero", "drawn"])
@pytest.mark.parametrize(
    ("name", "dtype", "tolerance"),
    [("float16", np.float16, 0.02), ("bfloat16", ml_dtypes.bfloat16, 0.15), ("double", np.float64, 1e-12)],
)
def test_other_precisions(name: str, dtype: type, tolerance: float, init: str) -> None:
    """The same rules hold; bfloat16 runs in the reference of onnx, for which ONNX Runtime has too few kernels."""
    body = (
        "a = MatMul(x, u) b = Add(a, c) h = Relu(b) k = MatMul(h, w) t = Transpose(k) g = MatMul(k, t) m = Mul(g, s) "
        "y = MatMul(m, e)"
    )
    rng = np.random.default_rng(3)
    shapes = {"u": (5, 12), "c": (12,), "w": (12, 8), "s": (), "e": (4, 3)}
    graph = onnx.parser.parse_graph(f"g ({name}[4,5] x) => ({name}[4,3] y) {{ {body} }}")
    for weight, shape in shapes.items():
        array = np.asarray(rng.standard_normal(shape) / 2, dtype)
        graph.initializer.append(ir.serde.serialize_tensor(ir.Tensor(array, name=weight)))
    teacher = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=10)
    student, growth = grow(teacher, factor=1.5, init=init)
    assert [group.after for group in growth.grown] == [18, 12]
    assert {t.data_type for t in student.graph.initializer} == {t.data_type for t in teacher.graph.initializer}
    feeds = [{"x": rng.standard_normal((4, 5)).astype(dtype)} for _ in range(2)]
    old, other = (np.asarray(ReferenceEvaluator(teacher).run(None, feed)[0], np.float64) for feed in feeds)
    new = np.asarray(ReferenceEvaluator(student).run(None, feeds[0])[0], np.float64)
    assert np.abs(old - new).max() < tolerance * np.abs(old - other).max()
