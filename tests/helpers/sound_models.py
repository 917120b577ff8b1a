"""Sound models of many kinds, for tests that damage them or read them in many ways."""

from __future__ import annotations

import functools
from collections.abc import Iterator

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper

from helpers.bodies import TRIPS, TRUE, inside
from helpers.calling import MODELS
from helpers.graphs import model
from helpers.saying import everything

DATA = "weights.bin"  # the external data of the models that have some


@functools.cache
def sound() -> dict[str, dict[str, bytes]]:
    """Return sound models of many kinds, as files; all of them can grow, or be deepened, or be exported."""
    found = {name: {"m.onnx": proto.SerializeToString()} for name, proto in _protos()}
    for name in ("inception_bn", "unet"):
        found[name] = {"m.onnx": (MODELS / f"{name}.onnx").read_bytes()}
    outside = onnx.ModelProto.FromString(found["dense"]["m.onnx"])
    data = bytearray()
    for tensor in outside.graph.initializer:
        tensor.data_location = TensorProto.EXTERNAL
        raw = tensor.raw_data
        tensor.ClearField("raw_data")
        for key, value in (("location", DATA), ("offset", str(len(data))), ("length", str(len(raw)))):
            tensor.external_data.add(key=key, value=value)
        data += raw
    found["external"] = {"m.onnx": outside.SerializeToString(), DATA: bytes(data)}
    return found


def _protos() -> Iterator[tuple[str, onnx.ModelProto]]:
    yield "everything", everything()
    yield "dense", model(
        "a = MatMul(x, u) b = Relu(a) c = MatMul(b, w) d = Add(x, c) "
        "e = LayerNormalization<axis=-1>(d, g, o) f = Gemm(e, v) h = Relu(f) y = Gemm(h, z)",
        "float[N,8] x", "y", u=(8, 16), w=(16, 8), g=(8,), o=(8,), v=(8, 6), z=(6, 4),
    )  # fmt: skip
    yield "images", model(
        "a = Conv<pads=[1,1,1,1]>(x, w) b = BatchNormalization(a, s, t, m, n) c = Relu(b) d = Conv<group=2>(c, u) "
        "e = Sigmoid(d) k = Mul(c, e) p = MaxPool<kernel_shape=[2,2], strides=[2,2]>(k) q = GlobalAveragePool(p) "
        "f = Flatten(q) y = Gemm<transB=1>(f, z)",
        "float[N,3,8,8] x", "y", w=(4, 3, 3, 3), s=(4,), t=(4,), m=np.zeros(4, np.float32),
        n=np.ones(4, np.float32), u=(4, 2, 1, 1),
        z=(5, 4),
    )  # fmt: skip
    yield "attention", model(
        "q = MatMul(x, wq) k = MatMul(x, wk) v = MatMul(x, wv) s = Shape(x) zero = Constant<value_int=0>() "
        "b = Gather(s, zero) axes = Constant<value_ints=[0]>() bs = Unsqueeze(b, axes) to = Concat<axis=0>(bs, rest) "
        "q1 = Reshape(q, to) k1 = Reshape(k, to) v1 = Reshape(v, to) q2 = Transpose<perm=[0,2,1,3]>(q1) "
        "k2 = Transpose<perm=[0,2,3,1]>(k1) v2 = Transpose<perm=[0,2,1,3]>(v1) a = MatMul(q2, k2) p = Softmax(a) "
        "o = MatMul(p, v2) o1 = Transpose<perm=[0,2,1,3]>(o) o2 = Reshape(o1, back) y = MatMul(o2, wo)",
        "float[N,3,8] x", "y", wq=(8, 8), wk=(8, 8), wv=(8, 8), wo=(8, 8), rest=np.array([3, 2, 4]),
        back=np.array([0, 3, 8]),
    )  # fmt: skip
    yield "sizes", model(
        "a = MatMul(x, w) r = Range(zero, n, one) s = Shape(a) f = ConstantOfShape(s) g = Expand(e, s) "
        "t = Tile(e, times) i = Cast<to=1>(r) b = Add(a, i) c = Sub(b, f) d = Mul(c, g) p = Pad(d, pads) "
        "k = Slice(p, starts, ends) l, l2 = Split<axis=1>(k) m = Clip(l, low, high) j = Mul(m, l2) "
        'q = ReduceMean<axes=[1]>(j) z = Einsum<equation="ij,jk->ik">(a, v) h = Add(z, q) y = Mul(h, t)',
        "float[N,5] x", "y", w=(5, 6), zero=np.array(0), n=np.array(6), one=np.array(1),
        e=np.ones((1, 1), np.float32),
        times=np.array([1, 4]), pads=np.array([0, 1, 0, 1]), starts=np.array([0, 1]), ends=np.array([9, 7]),
        low=np.array(-1.0, np.float32), high=np.array(1.0, np.float32), v=(6, 4),
    )  # fmt: skip
    yield "whole", model(
        "a = QuantizeLinear(x, s, o) b = DequantizeLinear(a, s, o) wf = DequantizeLinear(w, s, o) "
        "c = MatMul(b, wf) d = Relu(c) e, f, g = DynamicQuantizeLinear(d) h = MatMulInteger(e, u, g) "
        "i = Cast<to=1>(h) y = Mul(i, f)",
        "float[N,4] x", "y", s=np.array(0.05, np.float32), o=np.array(0, np.int8),
        w=np.random.default_rng(0).integers(-9, 9, (4, 6)).astype(np.int8),
        u=np.random.default_rng(1).integers(-9, 9, (6, 3)).astype(np.int8),
    )  # fmt: skip
    yield "recurrent", model(
        "h, l, c = LSTM<hidden_size=4>(x, w, r, b) s = Squeeze(h, one) g, k = GRU<hidden_size=5>(s, w2, r2) "
        "t = Squeeze(g, one) y = MatMul(t, v)",
        "float[6,N,3] x", "y", w=(1, 16, 3), r=(1, 16, 4), b=(1, 32), w2=(1, 15, 4), r2=(1, 15, 5), v=(5, 2),
        one=np.array([1]),
    )  # fmt: skip
    yield "loops", inside(
        model(
            "h = MatMul(x, w) i = Loop(trips, go, h) <body = body (int64 n, bool c0, float[N,6] a) => "
            "(bool c1, float[N,6] b) {c1 = Identity(c0) m = MatMul(a, u) b = Relu(m)}> "
            "j = If(go) <then_branch = yes () => (float[N,6] t) {t = MatMul(i, p)}, "
            "else_branch = no () => (float[N,6] e) {e = Relu(i)}> y = MatMul(j, v)",
            "float[N,5] x", "y", w=(5, 6), v=(6, 3), trips=TRIPS, go=TRUE,
        ),
        u=(6, 6), p=(6, 6),
    )  # fmt: skip
    yield "functions", _functions()


def _functions() -> onnx.ModelProto:
    proto = model("a = MatMul(x, w) b = local.Outer(a, v) y = MatMul(b, z)", "float[N,4] x", "float[N,2] y",
                  w=(4, 6), v=(6, 6), z=(6, 2))  # fmt: skip
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("local", 1)]
    scaled = helper.make_node("LeakyRelu", ["a"], ["b"])
    scaled.attribute.add(name="alpha", type=AttributeProto.FLOAT, ref_attr_name="slope")
    inner = helper.make_function("local", "Inner", ["a"], ["b"], [scaled], imports, ["slope"])
    call = helper.make_node("Inner", ["h"], ["b"], domain="local", slope=0.1)
    nodes = [helper.make_node("MatMul", ["a", "v"], ["h"]), call]
    proto.functions.extend([inner, helper.make_function("local", "Outer", ["a", "v"], ["b"], nodes, imports)])
    return proto
