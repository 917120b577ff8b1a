"""Truths: pairs of models that compute the same, which the check has to call equal, or at least not different."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import helper

from helpers.lying import Pair, normal, pair

W, V, B = normal(8, 8), normal(8, 5), normal(8, seed=3)
ORDER = np.array([3, 0, 2, 1, 7, 5, 6, 4])
ROWS = "(float[N, 8] x) => (float[N, 5] y)"
SAME = "(float[N, 8] x) => (float[N, 8] y)"
TEXT = "(float[N, L, 8] x) => (float[N, L, 8] y)"
TWO = "(float[N, 8] x, float[N, 8] z) => (float[N, 8] y)"
IMAGE = "(float[N, 3, H, W] x) => (float[N, 4, A, B] y)"
NET = "a = MatMul(x, W) b = Relu(a) y = MatMul(b, V)"
ZERO, HALF, TWICE = np.float32(0), np.float32(0.5), np.float32(2)
IDS = "(int64[N, L] i) => (float[N, L, 8] y)"
K = normal(4, 3, 3, 3)


def turned(model: onnx.ModelProto) -> None:
    """Store the nodes' results under other names."""
    names = {name: f"n{place}" for place, node in enumerate(model.graph.node) for name in node.output if name != "y"}
    for node in model.graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def as_constants(model: onnx.ModelProto) -> None:
    """Store initializers as nodes."""
    for tensor in model.graph.initializer:
        model.graph.node.insert(0, helper.make_node("Constant", [], [tensor.name], value=tensor))
    del model.graph.initializer[:]


def as_numbers(model: onnx.ModelProto) -> None:
    """Store initializers as lists of numbers, not as bytes."""
    for tensor in model.graph.initializer:
        array = onnx.numpy_helper.to_array(tensor)
        tensor.CopyFrom(helper.make_tensor(tensor.name, tensor.data_type, array.shape, array.ravel().tolist()))


def as_inputs(model: onnx.ModelProto) -> None:
    """List the initializers as inputs too, as models of IR version 3 do."""
    model.graph.input.extend(
        helper.make_tensor_value_info(each.name, each.data_type, each.dims) for each in model.graph.initializer
    )


def split_gain(name: str, edit: Callable[[onnx.ModelProto], None]) -> Pair:
    return pair(name, ROWS, NET, W=W, V=V, edit=edit)


EQUAL = [
    pair("zeros up to a multiple of three", "(float[N, L, 8] x) => (float[N, M, 8] y)",
         "b = Shape<end=1>(x) s = Shape<start=1, end=2>(x) m = Mod(s, k) n = Sub(k, m) r = Mod(n, k) "
         "w = Concat<axis=0>(b, r, e) z = ConstantOfShape(w) a = Concat<axis=1>(x, z) y = Relu(a)", k=np.array([3]),
         e=np.array([8])),
    pair("itself", ROWS, NET, W=W, V=V), split_gain("other names", turned), split_gain("constants as nodes",
         as_constants), split_gain("constants as numbers", as_numbers),
    pair("nodes in another order", TWO, "a = Relu(x) b = Abs(z) y = Add(a, b)", "b = Abs(z) a = Relu(x) y = Add(a, b)"),
    pair("identity between", ROWS, NET, "a0 = MatMul(x, W) a = Identity(a0) b = Relu(a) y = MatMul(b, V)", W=W, V=V),
    pair("node that nothing reads", ROWS, NET, NET + " u = Exp(a)", W=W, V=V),
    pair("order of a sum", TWO, "y = Add(x, z)", "y = Add(z, x)"), pair("order of a product", TWO, "y = Mul(x, z)",
         "y = Mul(z, x)"),
    pair("order of a maximum", TWO, "y = Max(x, z)", "y = Max(z, x)"), pair("maximum of equal ones", TWO,
         "y = Max(x, z)", "y = Max(x, z, x)"),
    pair("difference as a sum", TWO, "y = Sub(x, z)", "n = Neg(z) y = Add(x, n)"), pair("twice by a sum", SAME,
         "y = Mul(x, k)", "y = Add(x, x)", k=TWICE),
    pair("square by a power", SAME, "y = Mul(x, x)", "y = Pow(x, k)", k=TWICE), pair("sum of three", TWO,
         "y = Sum(x, z, x)", "a = Add(x, x) y = Add(a, z)"),
    pair("Gemm as a product and a sum", SAME, "y = Gemm(x, W, B)", "a = MatMul(x, W) y = Add(a, B)", W=W, B=B),
    pair("Gemm with a transposed matrix", SAME, "y = Gemm(x, W, B)", "y = Gemm<transB=1>(x, T, B)", W=W, B=B,
         T=W.T.copy()),
    pair("Gemm with its defaults", SAME, "y = Gemm(x, W, B)", "y = Gemm<alpha=1.0, beta=1.0, transA=0, transB=0>(x, "
         "W, B)", W=W, B=B),
    pair("permutation carried through", ROWS, NET, W=W, V=V, changed={"W": W[:, ORDER], "V": V[ORDER]}),
    pair("copies with halves", ROWS, NET, W=W, V=V, changed={"W": np.concatenate([W, W], 1),
         "V": np.concatenate([V / 2, V / 2])}),
    pair("zero channels", ROWS, NET, W=W, V=V, changed={"W": np.concatenate([W, normal(8, 4)], 1),
         "V": np.concatenate([V, np.zeros((4, 5), "f4")])}),
    pair("multiple and its inverse", ROWS, "a = MatMul(x, W) y = MatMul(a, V)", W=W, V=V, changed={"W": W * 4,
         "V": V / 4}),
    pair("two Relus", ROWS, NET, "a = MatMul(x, W) c = Relu(a) b = Relu(c) y = MatMul(b, V)", W=W, V=V),
    pair("defaults of LeakyRelu", SAME, "y = LeakyRelu(x)", "y = LeakyRelu<alpha=0.01>(x)"), pair("defaults of Elu",
         SAME, "y = Elu(x)", "y = Elu<alpha=1.0>(x)"),
    pair("defaults of Softmax", SAME, "y = Softmax(x)", "y = Softmax<axis=-1>(x)"), pair("axis from the other side",
         TEXT, "y = Softmax<axis=1>(x)", "y = Softmax<axis=-2>(x)"),
    pair("defaults of Conv", IMAGE, "y = Conv(x, K)", "y = Conv<group=1, strides=[1, 1], dilations=[1, 1], pads=[0, "
         "0, 0, 0], kernel_shape=[3, 3], auto_pad=\"NOTSET\">(x, K)", K=K),
    pair("same padding written out", IMAGE, "y = Conv<auto_pad=\"SAME_UPPER\">(x, K)",
         "y = Conv<pads=[1, 1, 1, 1]>(x, K)", K=K),
    pair("padding in a node of its own", IMAGE, "y = Conv<pads=[1, 1, 1, 1]>(x, K)", "p = Pad(x, w) y = Conv(p, K)",
         K=K, w=np.array([0, 0, 1, 1, 0, 0, 1, 1])),
    pair("kernel enlarged by zeros", IMAGE, "y = Conv<pads=[1, 1, 1, 1]>(x, K)", "y = Conv<pads=[2, 2, 2, 2]>(x, L)",
         K=K, L=np.pad(K, ((0, 0), (0, 0), (1, 1), (1, 1)))),
    pair("kernel by dilation", IMAGE, "y = Conv<pads=[2, 2, 2, 2], dilations=[2, 2]>(x, K)",
         "y = Conv<pads=[2, 2, 2, 2]>(x, L)", K=K, L=np.kron(K, np.array([[1, 0], [0, 0]], "f4"))[:, :, :5, :5]),
    pair("convolution of one place as a product", IMAGE, "y = Conv(x, K)", "t = Transpose<perm=[0, 2, 3, 1]>(x) m = "
         "MatMul(t, L) y = Transpose<perm=[0, 3, 1, 2]>(m)", K=K[:, :, :1, :1], L=K[:, :, 0, 0].T.copy()),
    pair("groups as one", "(float[N, 4, H, W] x) => (float[N, 4, A, B] y)", "y = Conv<group=2>(x, K)",
         "y = Conv(x, L)", K=normal(4, 2, 3, 3),
         L=np.concatenate([np.pad(normal(4, 2, 3, 3)[:2], ((0, 0), (0, 2), (0, 0), (0, 0))), np.pad(normal(4, 2, 3,
         3)[2:], ((0, 0), (2, 0), (0, 0), (0, 0)))])),
    pair("two transpositions", TEXT, "y = Identity(x)", "t = Transpose<perm=[0, 2, 1]>(x) y = Transpose<perm=[0, 2, "
         "1]>(t)"),
    pair("reshape there and back", TEXT, "y = Relu(x)", "s = Shape(x) f = Reshape(x, r) g = Relu(f) y = Reshape(g, s)",
         r=np.array([-1, 8])),
    pair("reshape to lengths, one of them open", TEXT, "y = Relu(x)", "s = Shape<end=2>(x) k = Concat<axis=0>(s, o) f "
         "= Reshape(x, k) y = Relu(f)", o=np.array([-1])),
    pair("reshape to a product of lengths", TEXT, "y = Relu(x)", "s = Shape(x) p = ReduceProd(s, z) f = Reshape(x, p) "
         "g = Relu(f) y = Reshape(g, s)", z=np.array([0])),
    pair("Expand as PyTorch writes it", "(float[N, L, 8] x, float[1, L, 8] z) => (float[N, L, 8] y)", "y = Add(x, z)",
         "s = Shape(x) m = Equal(s, k) w = Where(m, o, s) e = Expand(z, w) y = Add(x, e)", k=np.array([-1, -1, -1]),
         o=np.array([1, 1, 1])),
    pair("split and put together", SAME, "y = Relu(x)", "a, b = Split<axis=1, num_outputs=2>(x) c = Relu(a) d = "
         "Relu(b) y = Concat<axis=1>(c, d)"),
    pair("mean as a sum's share", SAME, "m = ReduceMean(x, ax) y = Sub(x, m)",
         "s = ReduceSum(x, ax) n = Div(s, eight) y = Sub(x, n)", ax=np.array([1]), eight=np.float32(8)),
    pair("global mean", "(float[N, 3, H, W] x) => (float[N, 3, 1, 1] y)", "y = GlobalAveragePool(x)",
         "y = ReduceMean(x, ax)", ax=np.array([2, 3])),
    pair("norm in its steps", SAME, "y = LayerNormalization(x, g, b)", "m = ReduceMean(x, ax) d = Sub(x, m) q = "
         "Mul(d, d) v = ReduceMean(q, ax) e = Add(v, eps) r = Sqrt(e) n = Div(d, r) s = Mul(n, g) y = Add(s, b)",
         g=normal(8), b=B, ax=np.array([-1]), eps=np.float32(1e-5)),
    pair("batch norm with a variance that has an exact root", "(float[N, 4, H, W] x) => (float[N, 4, H, W] y)",
         "y = BatchNormalization<epsilon=0.0>(x, g, b, m, v)", "s = Sub(x, m3) d = Mul(s, g3) y = Add(d, b3)",
         g=normal(4), b=normal(4), m=normal(4, seed=1), v=np.full(4, 4, "f4"), m3=normal(4, seed=1)[:, None, None],
         g3=normal(4)[:, None, None] / 2, b3=normal(4)[:, None, None]),
    pair("function and its body", SAME, "y = my.F(x)", "a = Relu(x) y = Neg(a)", imports={"my": 1},
         functions='<domain: "my", opset_import: ["": 18]> F (a) => (b) { c = Relu(a) b = Neg(c) }'),
    pair("function's attribute and its default", SAME, "y = my.F(x)", "y = my.F<k = 0.1>(x)", imports={"my": 1},
         functions='<domain: "my", opset_import: ["": 18]> F <k: float = 0.1> (a) => (b) { b = LeakyRelu<alpha: float '
         '= @k>(a) }'),
    pair("branch that is known", SAME, "y = If(c) <then_branch = t () => (float[N, 8] p) { p = Relu(x) }, else_branch "
         "= e () => (float[N, 8] q) { q = Abs(x) }>", "y = Relu(x)", c=np.bool_(True)),
    pair("branch as a choice", "(float[N, 8] x, bool c) => (float[N, 8] y)",
         "y = If(c) <then_branch = t () => (float[N, 8] p) { p = Relu(x) }, else_branch = e () => (float[N, 8] q) { q "
         "= Abs(x) }>", "a = Relu(x) b = Abs(x) y = Where(c, a, b)"),
    pair("condition and its opposite", "(float[N, 8] x, bool c) => (float[N, 8] y)", "a = Relu(x) y = Where(c, a, x)",
         "d = Not(c) a = Relu(x) y = Where(d, x, a)"),
    pair("branches that are the same", "(float[N, 8] x, bool c) => (float[N, 8] y)", "y = Where(c, x, x)",
         "y = Identity(x)"),
    pair("loop and its trips", SAME, "y = Loop(k, t, x) <body = b (int64 i, bool c, float[N, 8] s) => (bool d, "
         "float[N, 8] o) { d = Identity(c) r = Relu(s) o = Mul(r, h) }>",
         "a = Relu(x) b = Mul(a, h) c = Relu(b) y = Mul(c, h)", k=np.int64(2), t=np.bool_(True), h=np.float32(-0.5)),
    pair("cast to a wider type and back", SAME, "y = Relu(x)", "d = Cast<to=11>(x) e = Cast<to=1>(d) y = Relu(e)"),
    pair("weights stored as doubles", SAME, "y = MatMul(x, W)", "w = Cast<to=1>(D) y = MatMul(x, w)", W=W,
         D=W.astype("f8")), pair("weights of half precision that fit", SAME, "y = MatMul(x, W)",
         "w = Cast<to=1>(D) y = MatMul(x, w)", W=W.astype("f2").astype("f4"), D=W.astype("f2")),
    pair("embedding by its rows", IDS, "y = Gather(E, i)", "e = Gather(E, i) y = Identity(e)", E=normal(100, 8)),
    pair("embedding and a matrix behind it", IDS, "e = Gather(E, i) y = MatMul(e, W)", "y = Gather(P, i)",
         E=np.round(normal(100, 8) * 8), W=np.round(W * 8), P=np.round(normal(100, 8) * 8) @ np.round(W * 8)),
    pair("rows of an embedding with zeros", IDS, "y = Gather(E, i)", "e = Gather(F, i) y = Slice(e, o, k, two)",
         E=normal(100, 8), F=np.pad(normal(100, 8), ((0, 0), (0, 3))), o=np.array([0]), k=np.array([8]),
         two=np.array([2])),
    pair("dropout with a mask that nobody reads", SAME, "y = Relu(x)", "a, m = Dropout(x) y = Relu(a)", opset=10),
    pair("dropout in use", SAME, "y = Identity(x)", "y = Dropout(x)"), pair("dropout in use, said so", SAME,
         "y = Identity(x)", "y = Dropout(x, r, t)", r=np.float32(0.5), t=np.bool_(False)),
    pair("shape that is calculated", TEXT, "s = Shape(x) y = Reshape(x, s)", "y = Identity(x)"),
         pair("squeezed and unsqueezed", SAME, "y = Relu(x)", "u = Unsqueeze(x, k) r = Relu(u) y = Squeeze(r, k)",
         k=np.array([1])),
    pair("versions that mean the same", SAME, "y = Relu(x)", opset=13, student_opset=18),
         pair("softmax of version 12 over the last axis", TEXT, "y = Softmax<axis=2>(x)", opset=12, student_opset=13),
    pair("constant that is calculated", SAME, "y = Mul(x, k)", "k2 = Add(h, h) k3 = Mul(k2, k) y = Mul(x, k3)",
         k=TWICE, h=HALF),
    pair("minus infinity as a mask", TEXT, "t = Transpose<perm=[0, 2, 1]>(x) a = MatMul(x, t) p = Softmax(a) y = "
         "MatMul(p, x)",
         "t = Transpose<perm=[0, 2, 1]>(x) a = MatMul(x, t) z = Mul(a, zero) b = Add(a, z) p = Softmax(b) y = "
         "MatMul(p, x)", zero=ZERO),
    pair("product of three, otherwise grouped", TEXT, "t = Transpose<perm=[0, 2, 1]>(x) a = MatMul(x, t) y = "
         "MatMul(a, x)", "t = Transpose<perm=[0, 2, 1]>(x) a = MatMul(t, x) y = MatMul(x, a)"),
    pair("Einsum as a product", TEXT, "y = MatMul(x, W)", "y = Einsum<equation = \"nij,jk->nik\">(x, W)", W=W),
    # infinities that are not taken from each other, or by both models alike
    pair("softmax by hand of what is masked", SAME, "c = Greater(x, z) w = Where(c, x, far) m = ReduceMax(w, ax) "
         "s = Sub(w, m) e = Exp(s) t = ReduceSum(e, ax) y = Div(e, t)", "c = Greater(x, z) d = Not(c) w = Where(d, "
         "far, x) m = ReduceMax(w, ax) s = Sub(w, m) e = Exp(s) t = ReduceSum(e, ax) y = Div(e, t)", z=np.float32(-9),
         far=np.float32(-np.inf), ax=np.array([1])),
    pair("two masks in another order", SAME, "c = Greater(x, z) w = Where(c, z, far) a = Add(w, m) s = Add(x, a) y = "
         "Softmax(s)", "c = Greater(x, z) w = Where(c, z, far) a = Add(m, w) s = Add(a, x) y = Softmax(s)", z=ZERO,
         far=np.float32(-np.inf), m=np.float32([0, 0, -np.inf, 0, 0, 0, 0, 0])),
    pair("what is infinite in a mask", SAME, "c = Greater(x, z) w = Where(c, z, far) e = Equal(w, far) y = Where(e, x, "
         "z)", "c = Greater(x, z) w = Where(c, z, far) e = Equal(far, w) d = Not(e) y = Where(d, z, x)", z=ZERO,
         far=np.float32(-np.inf)),
    pair("sum of whole numbers in another order", "(int32[N, 8] x) => (int32[N, 1] y)", "y = ReduceSum(x, ax)",
         "a, b = Split<axis=1, num_outputs=2>(x) c = Concat<axis=1>(b, a) y = ReduceSum(c, ax)", ax=np.array([1])),
    pair("texts compared in another order", "(string[N] x) => (bool[N] y)", "y = Equal(x, t)", "y = Equal(t, x)",
         opset=19, t=np.array(["a"], object), feeds={"x": np.array(["a", "b"], object)}),
    pair("a branch that no run takes, with other names", TEXT, *(
        f"s = Shape<start=1, end=2>(x) l = Squeeze(s) c = Greater(l, f) d = Shape(x) y = If(c) <then_branch = t () => "
        f"(float[N, L, 8] p) {{ {e} = Reshape(x, k) {a} = Sin({e}) {b} = If(c) <then_branch = m () => (float[A, B, C, "
        f"8] g) {{ g = Identity({a}) }}, else_branch = n () => (float[A, B, C, 8] h) {{ h = Neg({a}) }}> p = "
        f"Reshape({b}, d) }}, else_branch = u () => (float[N, L, 8] o) {{ o = Relu(x) }}>"
        for e, a, b in (("e1", "e2", "e3"), ("q3", "q1", "q2"))), f=np.int64(50), k=np.array([0, 60, -1, 8])),
]  # fmt: skip
NOT_DIFFERENT = [
    pair("whole numbers of 64 bits that wrap around", "(int64[N, 8] x) => (int64[N, 8] y)",
         "a = Add(x, k) y = Add(a, k)", "y = Add(x, m)", k=np.int64(2**62), m=np.int64(-(2**63))),
    pair("numbers of 64 bits without a sign that wrap around", "(uint64[N, 8] x) => (uint64[N, 8] y)",
         "a = Add(x, k) y = Add(a, k)", "y = Identity(x)", k=np.uint64(2**63)),
    pair("mean over a length as a sum's share", "(float[N, L, 8] x) => (float[N, 1, 8] y)", "y = ReduceMean(x, ax)",
         "t = ReduceSum(x, ax) s = Shape<start=1, end=2>(x) f = Cast<to=1>(s) y = Div(t, f)", ax=np.array([1])),
    pair("Clip at zero and Relu", SAME, "y = Clip(x, zero)", "y = Relu(x)", zero=ZERO), pair("Max with zero and Relu",
         SAME, "y = Max(x, zero)", "y = Relu(x)", zero=ZERO),
    pair("Sigmoid in its steps", SAME, "y = Sigmoid(x)", "n = Neg(x) e = Exp(n) d = Add(e, one) y = Reciprocal(d)",
         one=np.float32(1)), pair("Swish in its steps", SAME, "s = Sigmoid(x) y = Mul(x, s)",
         "n = Neg(x) e = Exp(n) d = Add(e, one) y = Div(x, d)", one=np.float32(1)),
    pair("Softmax of a shifted row", SAME, "y = Softmax(x)", "a = Add(x, k) y = Softmax(a)", k=np.float32(3)),
         pair("maximum of doubled ones", TWO, "m = Max(x, z) y = Mul(m, k)",
         "a = Mul(x, k) b = Mul(z, k) y = Max(a, b)", k=TWICE),
    pair("LeakyRelu of slope nothing", SAME, "y = Relu(x)", "y = LeakyRelu<alpha=0.0>(x)"), pair("PRelu of one slope",
         SAME, "y = LeakyRelu<alpha=0.25>(x)", "y = PRelu(x, s)", s=np.float32([0.25])),
    pair("absolute value by Relu", SAME, "y = Abs(x)", "a = Relu(x) n = Neg(x) b = Relu(n) y = Add(a, b)"),
         pair("difference of Relus", SAME, "y = Identity(x)", "a = Relu(x) n = Neg(x) b = Relu(n) y = Sub(a, b)"),
    pair("exponential of a sum", TWO, "a = Add(x, z) y = Exp(a)", "a = Exp(x) b = Exp(z) y = Mul(a, b)"),
         pair("less and greater", TWO, "c = Less(x, z) y = Where(c, x, z)", "c = Greater(z, x) y = Where(c, x, z)"),
    pair("minimum by Where", TWO, "c = Less(x, z) y = Where(c, x, z)", "y = Min(x, z)"), pair("constant inputs listed",
         ROWS, NET, W=W, V=V, edit=as_inputs),
    pair("hyperbolic tangent by Sigmoid", SAME, "y = Tanh(x)", "a = Mul(x, k) s = Sigmoid(a) b = Mul(s, k) y = Sub(b, "
         "one)", k=TWICE, one=np.float32(1)),
    pair("norm of a multiple", SAME, "y = LayerNormalization<epsilon=0.0>(x, g)",
         "a = Mul(x, k) y = LayerNormalization<epsilon=0.0>(a, g)", g=normal(8), k=TWICE),
    pair("pooling of pooled ones", "(float[N, 3, 8, 8] x) => (float[N, 3, 2, 2] y)",
         "y = MaxPool<kernel_shape=[4, 4], strides=[4, 4]>(x)", "a = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(x) "
         "y = MaxPool<kernel_shape=[2, 2], strides=[2, 2]>(a)"),
    pair("infinities that are found in another way", SAME, "c = Greater(x, z) w = Where(c, z, far) e = IsInf(w) y = "
         "Where(e, x, z)", "c = Greater(x, z) w = Where(c, z, far) e = Equal(w, far) y = Where(e, x, z)", z=ZERO,
         far=np.float32(-np.inf)),
    pair("wrapped whole numbers", "(int32[N, 8] x) => (int32[N, 8] y)", "a = Mul(x, k) y = Mul(a, k)", "y = Sub(x, x)",
         k=np.int32(65536), feeds={"x": np.full((2, 8), 5, "i4")}),
    pair("quantised with another zero point", SAME, "q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z)",
         s=np.float32(0.125), z=np.uint8(0), changed={"z": np.int8(-128)}),
    pair("decision of a square", SAME, "c = Less(x, x) y = Where(c, z, x)", "y = Identity(x)", z=ZERO),
         pair("mask of a large number", SAME, "a = Add(x, m) y = Softmax(a)", m=np.float32([0, 0, -1e9, 0, 0, 0, 0,
         0]), changed={"m": np.float32([0, 0, -np.inf, 0, 0, 0, 0, 0])}),
    pair("places and the largest", "(float[N, 8] x) => (float[N, 1] y)", "y = ReduceMax(x, ax)",
         "i = ArgMax<axis=1>(x) y = GatherElements<axis=1>(x, i)", ax=np.array([1])),
    pair("sum and running sum", "(float[N, 8] x) => (float[N, 1] y)", "y = ReduceSum(x, ax)",
         "c = CumSum(x, one) y = Slice(c, b, e, ax)", ax=np.array([1]), one=np.int64(1), b=np.array([7]),
         e=np.array([8])),
]  # fmt: skip
