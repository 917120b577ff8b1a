"""Normalised streams grow by any factor: the student computes the same, and its new channels can learn.

Every body makes 6 channels of a stream out of a pinned input ``x`` and reads them in ``y``. The second half
of this file holds what may not grow so: forced against its reason, each would go wrong.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from helpers.deepening import stored_in
from helpers.graphs import TOLERANCE, Judge, grow, model, opened, run
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.axes.algebra import Factor
from onnx_n2n.errors import NotApplicable
from onnx_n2n.rules.obligations import Mean
from onnx_n2n.width.growth import Quieted
from onnx_n2n.width.quiet.search import quieten

D = 6
FACTORS = (1.1, 1.3, 1.5, 1.7, 1.9, 2.2, 2.4, 2.7)
WEIGHTS: dict[str, Any] = {
    "W": (3, D), "W2": (3, D), "V": (D, 3), "A": (D, 8), "B": (8, D), "S": (D, D), "b": (D,), "c": (D,), "g": (D,),
    "g2": (D,), "d": (D,), "e": (D,), "two": 2.0, "half": 0.5, "one": 1.0, "eps": 0.03, "E": (7, D), "P": (1, 5, D),
    "i": np.array([[1, 4, 2, 2, 6], [0, 3, 5, 1, 1]]), "cls": (1, 1, D), "last": np.array([-1]),
}  # fmt: skip


def teacher_of(
    body: str, *, opset: int = 17, x: str = "float[2,5,3] x", outputs: str = "y", **more: Any
) -> onnx.ModelProto:
    names = set(body.replace("(", " ").replace(")", " ").replace(",", " ").split())
    constants = {name: value for name, value in (WEIGHTS | more).items() if name in names}
    return model(body, x, outputs, opset=opset, **constants)


def stream(teacher: onnx.ModelProto) -> tuple[Any, Factor]:
    """Return the analysis, and the factor of the stream."""
    analysis = analyze(opened(teacher))
    (group,) = (group for group in analysis.groups if group.size == D and group.limit is not None)
    return analysis, group.factor


def moved(teacher: onnx.ModelProto, student: onnx.ModelProto, amount: float = 1.0) -> float:
    """Return how far the student's output moves when all that it writes to new channels changes."""
    changed = onnx.ModelProto.FromString(student.SerializeToString())
    lengths = {tensor.name: tuple(tensor.dims) for tensor in teacher.graph.initializer}
    rng = np.random.default_rng(1)
    for tensor in changed.graph.initializer:
        before = lengths.get(tensor.name)
        if tensor.name in {"W", "E"} and before is not None and D in before:
            array = numpy_helper.to_array(tensor).copy()
            new = np.moveaxis(array, before.index(D), 0)[D:]
            new += (amount * rng.standard_normal(new.shape)).astype(array.dtype)
            tensor.CopyFrom(numpy_helper.from_array(array, tensor.name))
    feed = Judge(teacher).feeds[0]
    return float(np.abs(run(student, feed)[0] - run(changed, feed)[0]).max())


LN = "LayerNormalization"
BODY = "n = LayerNormalization(h, g, b) a = MatMul(n, A) r = Relu(a) m = MatMul(r, B) k = Add(h, m)"
HEAD = "o = LayerNormalization(k, g2, c) y = MatMul(o, V)"
RMS = "q = Pow(%s, two) m_%s = ReduceMean<axes=[-1]>(q)"


def written_rms(x: str, out: str, gain: str = "g", form: str = "div") -> str:
    """RMSNorm in the forms that exporters write."""
    square = f"{out}q = Mul({x}, {x})" if form == "times" else f"{out}q = Pow({x}, two)"
    mean = f"{square} {out}m = ReduceMean<axes=[-1]>({out}q) {out}e = Add({out}m, eps)"
    return {
        "div": f"{mean} {out}s = Sqrt({out}e) {out}d = Div({x}, {out}s) {out} = Mul({out}d, {gain})",
        "times": f"{mean} {out}s = Sqrt({out}e) {out}d = Div({x}, {out}s) {out} = Mul({gain}, {out}d)",
        "reciprocal": f"{mean} {out}s = Sqrt({out}e) {out}i = Reciprocal({out}s) {out}d = Mul({x}, {out}i) "
        f"{out} = Mul({gain}, {out}d)",
        "one over": f"{mean} {out}s = Sqrt({out}e) {out}i = Div(one, {out}s) {out}d = Mul({x}, {out}i) "
        f"{out} = Mul({gain}, {out}d)",
        "power": f"{mean} {out}s = Pow({out}e, half) {out}d = Div({x}, {out}s) {out} = Mul({gain}, {out}d)",
        "no gain": f"{mean} {out}s = Sqrt({out}e) {out} = Div({x}, {out}s)",
    }[form]


def written_ln(x: str, out: str, gain: str = "g", bias: str = "b", form: str = "pow") -> str:
    """LayerNorm in the forms that exporters write."""
    square = f"Mul({out}c, {out}c)" if form == "times" else f"Pow({out}c, two)"
    root = f"Pow({out}e, half)" if form == "power" else f"Sqrt({out}e)"
    return (
        f"{out}a = ReduceMean<axes=[-1]>({x}) {out}c = Sub({x}, {out}a) {out}q = {square} "
        f"{out}v = ReduceMean<axes=[-1]>({out}q) {out}e = Add({out}v, eps) {out}s = {root} "
        f"{out}d = Div({out}c, {out}s) {out}w = Mul({out}d, {gain}) {out} = Add({out}w, {bias})"
    )


def block(norm: str, norm2: str) -> str:
    between = "a = MatMul(n, A) r = Relu(a) m = MatMul(r, B) k = Add(h, m)"
    return f"h = MatMul(x, W) {norm} {between} {norm2} y = MatMul(o, V)"


GROWING: dict[str, tuple[str, dict[str, Any]]] = {
    "LayerNorm": (f"h = MatMul(x, W) {BODY} {HEAD}", {}),
    "LayerNorm without bias": (
        block("n = LayerNormalization(h, g)", "o = LayerNormalization<epsilon=0.1>(k, g2)"), {}),
    "one gain, two norms": (
        block("n = LayerNormalization<epsilon=0.2>(h, g, b)", "o = LayerNormalization<epsilon=0.01>(k, g, b)"), {}),
    "RMSNorm": (block("n = RMSNormalization(h, g)", "o = RMSNormalization<epsilon=0.1>(k, g2)"), {"opset": 23}),
    "SimplifiedLayerNorm": (
        block("n = SimplifiedLayerNormalization<epsilon=0.1>(h, g)", "o = SimplifiedLayerNormalization(k, g2)"), {}),
    "no final norm": (f"h = MatMul(x, W) {BODY} y = MatMul(k, V)", {}),
    "no final RMSNorm": (
        "h = MatMul(x, W) n = RMSNormalization(h, g) a = MatMul(n, A) r = Relu(a) m = MatMul(r, B) k = Add(h, m) "
        "y = MatMul(k, V)", {"opset": 23}),
    "biases": (f"f = MatMul(x, W) h = Add(f, d) n = LayerNormalization(h, g, b) a = MatMul(n, A) r = Relu(a) "
               f"m = MatMul(r, B) l = Add(e, m) k = Add(h, l) {HEAD}", {}),
    "a Gemm with bias": (
        "h = Gemm<alpha=0.5, beta=2.0>(x, W, d) n = LayerNormalization(h, g, b) a = MatMul(n, A) r = Relu(a) "
        f"m = Gemm<transB=1, alpha=0.3>(r, Bt, e) k = Add(h, m) {HEAD}", {"x": "float[4,3] x", "Bt": (D, 8)}),
    "a Gemm with one number for bias": (
        f"h = Gemm(x, W, d) {BODY} {HEAD}", {"x": "float[4,3] x", "d": (1,)}),
    "a Conv": (
        "f = Conv<strides=[2,2]>(x, W, d) p = Reshape(f, to) h = Transpose<perm=[0,2,1]>(p) "
        f"{BODY} {HEAD}", {"x": "float[2,3,4,6] x", "W": (D, 3, 2, 2), "to": np.array([2, D, 6])}),
    "embeddings and positions": (f"f = Gather(E, i) u = MatMul(x, W) s = Add(f, u) h = Add(s, P) {BODY} {HEAD}", {}),
    "a tied embedding": (
        f"f = Gather(E, i) u = MatMul(x, W) h = Add(f, u) {BODY} o = LayerNormalization(k, g2, c) t = Transpose(E) "
        "y = MatMul(o, t)", {}),
    "a tied embedding under RMSNorm": (
        "t = Transpose(E) f = Gather(E, i) u = MatMul(x, W) h = Add(f, u) n = RMSNormalization(h, g) a = MatMul(n, A) "
        "r = Relu(a) m = MatMul(r, B) k = Add(h, m) o = RMSNormalization(k, g2) y = MatMul(o, t)", {"opset": 23}),
    "a tied embedding, no final norm": (
        f"t = Transpose(E) f = Gather(E, i) u = MatMul(x, W) h = Add(f, u) {BODY} y = MatMul(k, t)", {}),
    "a tied embedding that a Gemm reads": (
        "f = Gather(E, j) u = MatMul(x, W) h = Add(f, u) n = LayerNormalization(h, g, b) m = MatMul(n, S) "
        "k = Add(h, m) o = LayerNormalization(k, g2, c) y = Gemm<transB=1>(o, E)",
        {"x": "float[4,3] x", "j": np.array([1, 4, 2, 2])}),
    "a class token": (f"f = MatMul(x, W) t = Expand(cls, to) h = Concat<axis=1>(t, f) {BODY} {HEAD}",
                      {"to": np.array([2, 1, D])}),
    "two places side by side, as a class token and a mean of the others": (
        "f = MatMul(x, W) n = LayerNormalization(f, g, b) a = ReduceMean<axes=[1]>(n) m = ReduceSum(n, one_) "
        "s = Concat<axis=2>(a, m) y = MatMul(s, V2)", {"V2": (2 * D, 3), "one_": np.array([1])}),
    "a layer scale": (
        "h = MatMul(x, W) n = LayerNormalization(h, g, b) a = MatMul(n, A) r = Relu(a) m = MatMul(r, B) "
        f"s = Mul(m, d) k = Add(h, s) {HEAD}", {}),
    "a layer scale that divides": (
        "h = MatMul(x, W) n = LayerNormalization(h, g, b) a = MatMul(n, A) r = Relu(a) m = MatMul(r, B) "
        f"s = Div(m, d) k = Add(h, s) {HEAD}", {"d": np.linspace(0.5, 2, D, dtype=np.float32)}),
    "a layer scale under RMSNorm": (
        "h = MatMul(x, W) n = RMSNormalization(h, g) a = MatMul(n, A) r = Relu(a) m = MatMul(r, B) s = Mul(d, m) "
        "k = Add(h, s) o = RMSNormalization(k, g2) y = MatMul(o, V)", {"opset": 23}),
    "a square weight": (
        f"h = MatMul(x, W) n = LayerNormalization(h, g, b) m = MatMul(n, S) k = Add(h, m) {HEAD}", {}),
    "a square weight under RMSNorm": (
        "h = MatMul(x, W) n = RMSNormalization(h, g) m = MatMul(n, S) k = Add(h, m) o = RMSNormalization(k, g2) "
        "y = MatMul(o, V)", {"opset": 23}),
    "an activation under RMSNorm": (
        "f = MatMul(x, W) h = Tanh(f) n = RMSNormalization(h, g) m = MatMul(n, S) k = Add(h, m) "
        "o = RMSNormalization(k, g2) y = MatMul(o, V)", {"opset": 23}),
    "a gate under RMSNorm": (
        "f = MatMul(x, W) u = MatMul(x, W2) h = Mul(f, u) n = RMSNormalization(h, g) y = MatMul(n, V)", {"opset": 23}),
    "numbers added to all channels": (f"f = MatMul(x, W) h = Add(f, half) {BODY} {HEAD}", {}),
    "stochastic depth": (f"f = MatMul(x, W) h = Dropout(f) {BODY} {HEAD}", {}),
    "padded places": (f"f = MatMul(x, W) h = Pad(f, p, half) {BODY} {HEAD}", {"p": np.array([0, 1, 0, 0, 2, 0])}),
    "masked places": (f"f = MatMul(x, W) h = Where(no, f, half) {BODY} {HEAD}",
                      {"no": np.array([[True], [False], [True], [True], [False]])}),
    "a mean of places": (f"f = MatMul(x, W) h = ReduceMean<axes=[1]>(f) {BODY} {HEAD}", {}),
    "half precision inside": (
        "f = MatMul(x, W) h = Cast<to=11>(f) n = LayerNormalization(h, gd) y_ = MatMul(n, Vd) y = Cast<to=1>(y_)",
        {"gd": np.linspace(0.5, 2, D), "Vd": np.linspace(-1, 1, 3 * D).reshape(D, 3) ** 3}),
    **{f"RMSNorm written out, {form}": (block(written_rms("h", "n", "g", form), written_rms("k", "o", "g2", form)), {})
       for form in ("div", "times", "reciprocal", "one over", "power", "no gain")},
    **{f"LayerNorm written out, {form}": (block(written_ln("h", "n", "g", "b", form),
                                               written_ln("k", "o", "g2", "c", form)), {})
       for form in ("pow", "times", "power")},
    "LayerNorm written out and not": (block(written_ln("h", "n"), "o = LayerNormalization(k, g2, c)"), {}),
    "SkipLayerNorm": (
        "h = MatMul(x, W) f = MatMul(x, W2) "
        "n, , , k = com.microsoft.SkipLayerNormalization<epsilon=0.01>(h, f, g, b, d) a = MatMul(n, A) r = Relu(a) "
        "m = MatMul(r, B) o = com.microsoft.SkipLayerNormalization(k, m, g2, c) yy = MatMul(o, V) y = Cast<to=1>(yy)",
        {}),
    "SkipSimplifiedLayerNorm": (
        "h = MatMul(x, W) f = MatMul(x, W2) "
        "n, , , k = com.microsoft.SkipSimplifiedLayerNormalization<epsilon=0.01>(h, f, g, d) a = MatMul(n, A) "
        "r = Relu(a) m = MatMul(r, B) o = com.microsoft.SkipSimplifiedLayerNormalization(k, m, g2) yy = MatMul(o, V) "
        "y = Cast<to=1>(yy)", {}),
    "a convolution that moves on": (
        "f = Conv<group=1>(x, K) h = Conv(f, W) t = Transpose<perm=[0,2,3,1]>(h) n = LayerNormalization(t, g, b) "
        "y = MatMul(n, V)", {"x": "float[2,3,4,6] x", "K": (8, 3, 1, 1), "W": (D, 8, 3, 3)}),
    "captured by a branch": (
        "h = MatMul(x, W) n = LayerNormalization(h, g, b) q = ReduceMax<keepdims=0>(x) f = Less(half, q) "
        "y = If<then_branch=t () => (float[2,5,3] p) {p = MatMul(n, V)}, "
        "else_branch=s () => (float[2,5,3] z) {u = MatMul(h, V) z = Relu(u)}>(f)", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", GROWING)
def test_a_normalised_stream_grows_by_any_factor(name: str) -> None:
    body, more = GROWING[name]
    teacher = teacher_of(body, **more)
    judge = Judge(teacher)
    assert judge.meaningful
    for times in FACTORS:
        student, growth = grow(teacher, factor=times)
        found = [c for c in growth.channels.values() if isinstance(c, Quieted)]
        assert [len(c.index) for c in found] == [round(D * times)], growth.kept
        assert found[0].fresh == round(D * times) - D
        assert judge.error(student) < TOLERANCE, times
        assert moved(teacher, student) > 1e-3, "new channels are dead"


@pytest.mark.parametrize("name", [name for name in GROWING if "written out," in name])
def test_new_channels_have_a_gradient_where_weights_are_stored_in_16_bits(name: str) -> None:
    """A gain that is cast is 1 in new channels as well: with zero there and in the stream none of both could learn."""
    body, more = GROWING[name]
    teacher = stored_in(np.float16, teacher_of(body, **more))
    student, growth = grow(teacher, factor=1.5)
    assert growth.quiet
    assert Judge(teacher).error(student) < 1e-3  # a mean of rows is rounded to 16 bits
    assert moved(teacher, student, 1e-2) > 2e-3 * moved(teacher, student)  # of a square it would be 1e-4


def test_a_gain_that_is_rounded_on_its_way_is_none_of_the_channels() -> None:
    """What it scales by in fact, no sum of the stored numbers says."""
    norm, scale = "n = LayerNormalization(f, g, b) m = MatMul(n, S)", "p = Cast<to=10>(m) q = Cast<to=10>(d)"
    body = f"f = MatMul(x, W) {norm} {scale} s = Mul(p, q) t = Cast<to=1>(s) k = Add(f, t)"
    _, growth = grow(teacher_of(f"{body} o = LayerNormalization(k, g2, c) y = MatMul(o, V)"), factor=1.5)
    assert not growth.quiet


@pytest.mark.parametrize("name", GROWING)
def test_whole_factors_copy(name: str) -> None:
    body, more = GROWING[name]
    teacher = teacher_of(body, **more)
    for times in (2.0, 3.0):
        student, growth = grow(teacher, factor=times)
        assert not growth.quiet
        assert (D, round(D * times)) in {(grown.before, grown.after) for grown in growth.grown}
        assert Judge(teacher).error(student) < TOLERANCE, times


REFUSED: dict[str, tuple[str, str, dict[str, Any]]] = {  # the reason, and what is between x and y
    "a norm in the stream": (
        "normalised tensor is added",
        f"h = MatMul(x, W) n = LayerNormalization(h, g, b) m = MatMul(n, S) k = Add(n, m) {HEAD}", {}),
    "a Relu that writes": ("Relu", "f = MatMul(x, W) h = Relu(f) n = LayerNormalization(h, g, b) y = MatMul(n, V)", {}),
    "a Tanh under LayerNorm": (
        "ask for different values", "f = MatMul(x, W) h = Tanh(f) n = LayerNormalization(h, g, b) y = MatMul(n, V)",
        {}),
    "a computed gain": (
        "computed", "h = MatMul(x, W) u = Identity(g) v = Abs(u) n = LayerNormalization(h, v, b) y = MatMul(n, V)", {}),
    "several axes": (
        "normalises over this axis", "h = MatMul(x, W) n = LayerNormalization<axis=1>(h, G) y = MatMul(n, V)",
        {"G": (5, D)}),
    "the deviation is used": (
        "mean or variance", "h = MatMul(x, W) n, m, r = LayerNormalization(h, g, b) u = MatMul(n, V) y = Add(u, r)",
        {}),
    "the deviation is an output": (
        "mean or variance", "h = MatMul(x, W) n, m, r = LayerNormalization(h, g, b) y = MatMul(n, V)",
        {"outputs": "y, r"}),
    "a mean of squares is an output": (
        "output of the model",
        "h = MatMul(x, W) q = Mul(h, h) m = ReduceMean<axes=[-1]>(q) r = Pow(m, half) s = Div(h, r) y = MatMul(s, V)",
        {"outputs": "y, m"}),
    "a depthwise convolution": (
        "ask for different values",
        "f = Conv(x, W) h = Conv<group=6>(f, K) t = Transpose<perm=[0,2,3,1]>(h) n = LayerNormalization(t, g, b) "
        "y = MatMul(n, V)", {"x": "float[2,3,4,6] x", "W": (D, 3, 1, 1), "K": (D, 1, 3, 3)}),
    "one factor on both operands of an Einsum": (
        "ask for different values",
        'f = MatMul(x, W) u = MatMul(x, W2) h = Einsum<equation="nsd,nsd->nsd">(f, u) n = LayerNormalization(h, g, b) '
        "y = MatMul(n, V)", {}),
    "one factor on the first and the last of three": (
        "ask for different values",
        'f = MatMul(x, W) u = MatMul(x, W2) h = Einsum<equation="nsd,ns,nsd->nsd">(f, a, u) '
        "n = LayerNormalization(h, g, b) y = MatMul(n, V)", {"a": (2, 5)}),
    "a recurrent layer": (
        "RNN", "t = Transpose<perm=[1,0,2]>(x) h = RNN<hidden_size=6>(t, w, r) n = LayerNormalization(h, g, b) "
        "y = MatMul(n, V)", {"w": (1, D, 3), "r": (1, D, D)}),
    "a fused activation": (
        "FusedConv",
        'h = com.microsoft.FusedConv<activation="Relu">(x, W, b) t = Transpose<perm=[0,2,3,1]>(h) '
        "u = Cast<to=1>(t) n = LayerNormalization(u, g, b) y = MatMul(n, V)",
        {"x": "float[2,3,4,6] x", "W": (D, 3, 1, 1)}),
    "a mask of Dropout": (
        "mask", "f = MatMul(x, W) h, k = Dropout(f) n = LayerNormalization(h, g, b) l = Cast<to=1>(k) a = MatMul(n, V) "
        "z = MatMul(l, V) y = Add(a, z)", {}),
    "a Where by channel": (
        "by channel", "f = MatMul(x, W) q = Expand(no, to) h = Where(q, f, half) n = LayerNormalization(h, g, b) "
        "y = MatMul(n, V)", {"no": np.array([[True], [False], [True], [True], [False]]), "to": np.array([1, D])}),
    "a number added under RMSNorm": (
        "writes the same to every channel",
        "f = MatMul(x, W) h = Add(f, half) n = RMSNormalization(h, g) y = MatMul(n, V)", {"opset": 23}),
    "padding under RMSNorm": (
        "writes the same to every channel",
        "f = MatMul(x, W) h = Pad(f, p, half) n = RMSNormalization(h, g) y = MatMul(n, V)",
        {"opset": 23, "p": np.array([0, 1, 0, 0, 2, 0])}),
    "a class token of one number, under RMSNorm": (
        "writes the same to every channel",
        "f = MatMul(x, W) t = Expand(half, to) h = Concat<axis=1>(t, f) n = RMSNormalization(h, g) y = MatMul(n, V)",
        {"opset": 23, "to": np.array([2, 1, D])}),
    "whole numbers": (
        "rounds", "f = MatMul(x, W) k = Cast<to=6>(f) h = Cast<to=1>(k) n = LayerNormalization(h, g, b) "
        "y = MatMul(n, V)", {}),
    "division by the stream": (
        "divides by the stream", "f = MatMul(x, W) h = Div(one, f) n = LayerNormalization(h, g, b) y = MatMul(n, V)",
        {}),
    "the stream times itself": (
        "has these channels twice",
        "h = MatMul(x, W) n = LayerNormalization(h, g, b) t = Transpose<perm=[0,2,1]>(h) s = MatMul(t, n) "
        "k = LayerNormalization(s, g2, c) y_ = MatMul(k, V) y = ReduceMax<axes=[1]>(y_)", {}),
    "one weight for two kinds of norm": (
        "ask for different values",
        "h = MatMul(x, W) n = LayerNormalization(h, g, b) r = Relu(x) k = MatMul(r, W) m = RMSNormalization(k, g2) "
        "l = Add(n, m) y = MatMul(l, V)", {"opset": 23}),
    "the mean of a weight": (
        "reads the channels of a constant",
        "m = ReduceMean<axes=[1]>(W) c_ = Sub(W, m) h = MatMul(x, c_) n = LayerNormalization(h, g, b) "
        "y = MatMul(n, V)", {}),
    "a branch in between": (
        "If",
        "f = MatMul(x, W) q = ReduceMax<keepdims=0>(x) t = Less(half, q) h = If<then_branch=t () => "
        "(float[2,5,6] p) {p = Identity(f)}, else_branch=s () => (float[2,5,6] z) {z = Neg(f)}>(t) "
        "n = LayerNormalization(h, g, b) y = MatMul(n, V)", {}),
    "a small scale, undone": (
        "too large", "f = MatMul(x, W) h = Div(f, d) n = LayerNormalization(f, g, b) l = Add(h, e) a = MatMul(n, V) "
        "z = MatMul(l, V) y = Add(a, z)", {"d": np.array([1e6, 1e-6, 1, 1, 1, 1], np.float32)}),
    "a maximum": ("ReduceMax", "h = MatMul(x, W) n = LayerNormalization(h, g, b) a = MatMul(n, V) "
                  "m = ReduceMax<axes=[-1]>(h) y = Add(a, m)", {}),
    "a part of an axis": (
        "of which these channels are a part",
        "f = MatMul(x, W) u = MatMul(x, U) h = Concat<axis=2>(f, u) n = LayerNormalization(h, g, b) y = MatMul(n, V)",
        {"U": (3, 4), "g": (10,), "b": (10,), "V": (10, 3)}),
}  # fmt: skip


def refused(name: str) -> tuple[str, onnx.ModelProto]:
    reason, body, more = REFUSED[name]
    more = dict(more)
    outputs = more.pop("outputs", "y")
    teacher = teacher_of(body, **more)
    return reason, (teacher if outputs == "y" else teacher_of(body, outputs=outputs, **more))


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_quiet_is_refused_and_grows_by_whole_factors_only(name: str) -> None:
    reason, teacher = refused(name)
    judge = Judge(teacher)
    analysis, factor = stream(teacher)
    with pytest.raises(NotApplicable, match=reason):
        quieten(analysis, factor)
    weighed = all(isinstance(evenness.by, Mean) for evenness in analysis.ledger.evenness)  # and then copies do
    for times in (1.3, 1.6, 2.4):
        student, growth = grow(teacher, factor=times)
        assert judge.error(student) < TOLERANCE
        found = {len(channels.index) for f, channels in growth.channels.items() if f.size == D}
        assert found <= ({round(D * times)} if weighed else {2 * D})
