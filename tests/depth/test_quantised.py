"""Copies of quantised blocks add zero, zero point by zero point, and what they are added to is rounded to itself."""

from __future__ import annotations

from dataclasses import dataclass
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

import onnx_n2n
from helpers.deepening import deepen, distance, new_weights
from helpers.graphs import Judge, model, opened
from onnx_n2n import exact
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.depth.grids import _stays
from onnx_n2n.depth.places import places

Q, DQ, QADD = "QuantizeLinear", "DequantizeLinear", "com.microsoft.QLinearAdd"
RNG = np.random.default_rng(5)


def _whole(shape: tuple[int, ...], kind: type, low: int = -100, high: int = 100) -> np.ndarray:
    least = np.iinfo(kind).min
    return RNG.integers(max(low, least), high, shape).astype(kind)


@dataclass(frozen=True)
class Form:
    """A quantised network: its body, its constants, how many blocks can be copied, and its input."""

    body: str
    constants: dict[str, Any]
    blocks: int = 1
    inputs: str = "float[2,3,6,7] x"
    outputs: str = "float[2,8,6,7] y"

    def teacher(self, opset: int = 17) -> onnx.ModelProto:
        words = set(self.body.replace("(", " ").replace(")", " ").replace(",", " ").split())
        used = {name: value for name, value in self.constants.items() if name in words}
        return model(self.body, self.inputs, self.outputs, opset=opset, **used)


def _constants(kind: type = np.uint8, weight: type = np.int8, scale: type = np.float32) -> dict[str, Any]:
    """Return scales and zero points of tensors 0 to 4, and weights with a scale for each channel."""
    zeros = [128, 7, 120, 0, 33] if np.iinfo(kind).min == 0 else [0, -121, 4, -128, 33]
    found: dict[str, Any] = {}
    for number, (zero, step) in enumerate(zip(zeros, [0.05, 0.03, 0.07, 0.06, 0.02], strict=True)):
        found |= {f"s{number}": scale(step), f"z{number}": kind(zero)}
    for name, shape in {"W": (8, 3, 1, 1), "A": (4, 8, 3, 3), "B": (8, 4, 1, 1)}.items():
        zero = np.arange(shape[0]).astype(weight) * 3
        found |= {name: _whole(shape, weight), f"{name}s": np.linspace(0.001, 0.004, shape[0], dtype=scale),
                  f"{name}z": zero if weight is np.int8 else zero + 100}  # fmt: skip
        found |= {f"{name}b": _whole((shape[0],), np.int32, -500, 500),
                  f"{name}e": np.full(shape[0], 0.001, scale)}  # fmt: skip
    return found


def _dq(name: str, to: str, number: int) -> str:
    return f"{to} = {DQ}({name}, s{number}, z{number})"


def _layer(name: str, read: str, to: str, number: int, more: str = "") -> str:
    """Read ``read`` by a convolution, and round what it gives to the steps of tensor ``number``."""
    low = name.lower()
    return (
        f"{low}w = {DQ}<axis=0>({name}, {name}s, {name}z) {low}i = {DQ}<axis=0>({name}b, {name}e) "
        f"{low}c = Conv{more}({read}, {low}w, {low}i) {to} = {Q}({low}c, s{number}, z{number})"
    )


START = f"xq = {Q}(x, s0, z0) {_dq('xq', 'xd', 0)} {_layer('W', 'xd', 'hq', 1)} {_dq('hq', 'hd', 1)}"
PAD = "<pads=[1,1,1,1]>"
BLOCK = f"{_layer('A', 'hd', 'aq', 2, PAD)} {_dq('aq', 'ad', 2)} {_layer('B', 'ad', 'bq', 4)} {_dq('bq', 'bd', 4)}"
END = f"s = Add(hd, bd) sq = {Q}(s, s3, z3) {_dq('sq', 'y', 3)}"
QLINEAR = (
    f"xq = {Q}(x, s0, z0) hq = QLinearConv(xq, s0, z0, W, Ws, Wz, s1, z1, Wb) "
    f"aq = QLinearConv{PAD}(hq, s1, z1, A, As, Az, s2, z2, Ab) bq = QLinearConv(aq, s2, z2, B, Bs, Bz, s4, z4, Bb) "
    f"sq = {QADD}(bq, s4, z4, hq, s1, z1, s3, z3) {_dq('sq', 'y', 3)}"
)
DYNAMIC = (
    "h = MatMul(x, M) q, qs, qz = DynamicQuantizeLinear(h) i = MatMulInteger(q, U, qz, uz) f = Cast<to=1>(i) "
    "k = Mul(qs, us) g = Mul(f, k) r = Relu(g) p, ps, pz = DynamicQuantizeLinear(r) j = MatMulInteger(p, V, pz, vz) "
    "e = Cast<to=1>(j) l = Mul(ps, vs) d = Mul(e, l) o = Add(d, c) y = Add(h, o)"
)
MATRICES = {"M": (3, 8), "U": _whole((8, 6), np.uint8), "uz": np.uint8(90), "us": np.float32(0.01), "c": (8,),
            "V": _whole((6, 8), np.int8), "vz": np.arange(8, dtype=np.int8), "vs": np.float32(0.02)}  # fmt: skip
FORMS = {
    "bytes": Form(f"{START} {BLOCK} {END}", _constants()),
    "signed bytes": Form(f"{START} {BLOCK} {END}", _constants(np.int8)),
    "weights without a sign": Form(f"{START} {BLOCK} {END}", _constants(np.uint8, np.uint8)),
    "taken back for each reader": Form(f"{START} {BLOCK.replace('Conv<pads=[1,1,1,1]>(hd', 'Conv<pads=[1,1,1,1]>(h2')} "
                                       f"{END}".replace(" aw =", f" {_dq('hq', 'h2', 1)} aw ="), _constants()),
    "moved while whole": Form(f"{START} {BLOCK.replace(_dq('bq', 'bd', 4), '')} bt = Transpose<perm=[0,1,3,2]>(bq) "
                              f"bu = Transpose<perm=[0,1,3,2]>(bt) {_dq('bu', 'bd', 4)} {END}", _constants()),
    "whole numbers added": Form(QLINEAR, _constants()),
    "signed whole numbers added": Form(QLINEAR, _constants(np.int8)),
    "weights alone": Form(f"xd = Identity(x) wd = {DQ}<axis=0>(W, Ws, Wz) hd = Conv(xd, wd) "
                          f"ad = {DQ}<axis=0>(A, As, Az) a = Conv{PAD}(hd, ad) t = Tanh(a) "
                          f"bw = {DQ}<axis=0>(B, Bs, Bz) b = Conv(t, bw) y = Add(b, hd)", _constants()),
    "by range": Form(DYNAMIC, MATRICES, inputs="float[2,5,3] x", outputs="float[2,5,8] y"),
}  # fmt: skip


def bitwise(teacher: onnx.ModelProto, student: onnx.ModelProto, judge: Judge) -> bool:
    """Say whether two models give the same bits, optimised by ONNX Runtime and not."""
    levels = ort.GraphOptimizationLevel
    for level in (levels.ORT_DISABLE_ALL, levels.ORT_ENABLE_ALL):
        options = ort.SessionOptions()
        options.graph_optimization_level, options.intra_op_num_threads = level, 1
        sessions = [ort.InferenceSession(each.SerializeToString(), options) for each in (teacher, student)]
        for feed in judge.feeds:
            one, other = ((session.run(None, feed)[0]) for session in sessions)
            if not np.array_equal(one, other):
                return False
    return True


@pytest.mark.parametrize("name", FORMS)
def test_a_copy_of_a_quantised_block_adds_exactly_zero(name: str) -> None:
    form = FORMS[name]
    teacher = form.teacher()
    judge = Judge(teacher)
    assert judge.meaningful
    assert len(places(analyze(opened(teacher))).found) >= form.blocks
    result = onnx_n2n.deepen(teacher, kind="block", verify=False)
    assert len(result.change.added) == form.blocks
    onnx.checker.check_model(result.model, full_check=True)
    assert bitwise(teacher, result.model, judge)
    assert exact.check(teacher, result.model).state == "equal"


@pytest.mark.parametrize("name", FORMS)
def test_what_is_copied_can_learn(name: str) -> None:
    teacher = FORMS[name].teacher()
    student, judge = deepen(teacher, kind="block"), Judge(teacher)
    new = new_weights(teacher, student)
    rest = [each for each in new if _at_rest(student, each)]
    last = [each for each in rest if distance(student, _moved(student, [each]), judge) > 1e-4]
    assert last
    stepped = _moved(student, last)
    for each in new:
        assert distance(stepped, _moved(stepped, [each]), judge) > 1e-5, each


def _at_rest(student: onnx.ModelProto, name: str) -> bool:
    """Say whether a weight is zero: at the zero point of its reader."""
    reader, slot = next((n, list(n.input).index(name)) for n in student.graph.node if name in n.input)
    arrays = {t.name: numpy_helper.to_array(t) for t in student.graph.initializer}
    places_of = {DQ: {0: 2}, "QLinearConv": {3: 5}, "MatMulInteger": {1: 3}}
    place = places_of.get(reader.op_type, {}).get(slot)
    zero = arrays[reader.input[place]] if place is not None and place < len(reader.input) else np.zeros(1)
    along = -1 if reader.op_type == "MatMulInteger" else 0
    full = [1] * arrays[name].ndim
    full[along] = zero.size
    return bool((arrays[name] == zero.reshape(full)).all())


def _moved(student: onnx.ModelProto, names: list[str]) -> onnx.ModelProto:
    """Add noise to some weights, of as many steps as there are numbers of their type."""
    moved, rng = onnx.ModelProto.FromString(student.SerializeToString()), np.random.default_rng(3)
    for tensor in moved.graph.initializer:
        if tensor.name in names:
            array = numpy_helper.to_array(tensor)
            if array.dtype.kind in "iu":
                size = 2000 if array.dtype == np.int32 else 60
                ends = np.iinfo(array.dtype)
                array = np.clip(array + rng.integers(-size, size, array.shape), ends.min, ends.max).astype(array.dtype)
            else:
                scaled = array * rng.uniform(0.3, 3, array.shape)
                array = np.where(array == 0, rng.standard_normal(array.shape), scaled).astype(array.dtype)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    return moved


REFUSED: dict[str, tuple[str, dict[str, Any], str]] = {
    "another zero point": (f"{START} {BLOCK.replace(_dq('bq', 'bd', 4), _dq('bq', 'bd', 4).replace('z4', 'z0'))} {END}",
                           {}, "is not taken back to 0"),
    "a step that is too long": (f"{START} {BLOCK} {END}", {"s4": np.float32(60)}, "more than 1,024 times"),
    "a step that is no normal number": (f"{START} {BLOCK} {END}", {"s1": np.float32(1e-40)}, "another number"),
    "a Relu of whole numbers": (f"{START} {BLOCK.replace(_dq('bq', 'bd', 4), '')} bm = MaxPool<kernel_shape=[1,1]>(bq) "
                                f"{_dq('bm', 'bd', 4)} {END}", {}, "MaxPool"),
    "other steps for the sum": (QLINEAR.replace("(hq, s1, z1, A", "(hq, s2, z1, A"), {}, "as the sum does"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_could_be_rounded_to_something_else_is_not_copied(name: str) -> None:
    body, other, reason = REFUSED[name]
    teacher = Form(body, _constants() | other).teacher()
    found = places(analyze(opened(teacher)))
    assert not [place for place in found.found if place.kind == "block"]
    assert any(reason in barred.reason for barred in found.barred), found.barred


def _type(kind: type) -> ir.DataType:
    return ir.DataType(helper.np_dtype_to_tensor_dtype(np.dtype(kind)))


KINDS = [np.uint8, np.int8, np.uint16, np.int16]
SCALES = [np.float32, np.float16, ml_dtypes.bfloat16]


@given(
    kind=st.sampled_from(KINDS),
    scale=st.sampled_from(SCALES),
    step=st.floats(1e-30, 1e30),
    place=st.floats(0, 1),
)
def test_numbers_that_stay_are_rounded_to_themselves(kind: type, scale: Any, step: float, place: float) -> None:
    """In the arithmetic of ONNX Runtime: taken back in the scale's type, and divided in single precision."""
    ends = np.iinfo(kind)
    zero = np.array([round(ends.min + place * (int(ends.max) - int(ends.min)))]).astype(kind)
    with np.errstate(all="ignore"):
        length = np.array([step]).astype(np.float32).astype(scale)
        numbers = np.arange(ends.min, ends.max + 1)
        back = ((numbers - int(zero[0])).astype(np.float32) * length.astype(np.float32)).astype(scale)
        over = (back.astype(np.float32) / length.astype(np.float32)).astype(scale).astype(np.float64)
        again = np.clip(np.rint(over) + int(zero[0]), ends.min, ends.max)
    if _stays(_type(kind), length, zero):
        assert np.array_equal(again, numbers)


def test_half_precision_is_exact_for_bytes_and_not_for_more() -> None:
    one = np.array([0.1], np.float16)
    assert _stays(_type(np.uint8), one, np.array([0], np.uint8))
    assert not _stays(_type(np.uint16), one, np.array([0], np.uint16))
    assert not _stays(_type(np.uint8), one.astype(ml_dtypes.bfloat16), np.array([0], np.uint8))
