"""Laws of fresh channels: they are finite wherever the teacher is, and a group that cannot show it gets copies."""

from __future__ import annotations

import functools
import itertools
import math
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from helpers.enlarging import UNPROVEN
from helpers.graphs import STABLE, grow, model, opened
from helpers.probes import CASES
from helpers.ranges import exposing, finite, session
from onnx_n2n.analysis.walk import analyze
from onnx_n2n.axes.algebra import Factor, Product, Reason, Sum
from onnx_n2n.passes import Deepen
from onnx_n2n.rules import Keeps, declare, ranged, registry
from onnx_n2n.width.growth import Copies, Fresh, Growth
from onnx_n2n.width.plan import ways
from onnx_n2n.width.reach import formulas
from onnx_n2n.width.reach.magnitudes import Magnitudes
from onnx_n2n.width.reach.search import Fits, Reaches
from onnx_n2n.width.reach.walk import _channels

SCALES = (1.0, 30.0, 60.0, 100.0, 1e4, 1e10, 1e18, 1e30, 3e37, 3e38)
HALF = (1.0, 6.0, 60.0, 1e3, 1e4, 6e4)


def feed(value: Any, scale: float, steps: int, rng: np.random.Generator) -> np.ndarray:
    shape = [dim if isinstance(dim, int) else steps for dim in value.shape]
    kinds = {"tensor(float16)": np.float16, "tensor(float)": np.float32, "tensor(double)": np.float64}
    if value.type not in kinds:
        whole = {"tensor(bool)": bool, "tensor(int32)": np.int32}.get(value.type, np.int64)
        return rng.integers(0, 2, shape).astype(whole)
    most = float(np.finfo(kinds[value.type]).max)
    return np.clip(rng.standard_normal(shape) * scale, -most, most).astype(kinds[value.type])


def check(
    teacher: onnx.ModelProto, student: onnx.ModelProto, scales: tuple[float, ...] = SCALES, steps: int = 2
) -> int:
    """Make sure that a student is finite wherever all tensors of its teacher are; return on how many inputs."""
    first, second = session(exposing(teacher)), session(student)
    rng, seen = np.random.default_rng(0), 0
    for scale in scales:
        feeds = {value.name: feed(value, scale, steps, rng) for value in first.get_inputs()}
        if finite(first.run(None, feeds)):
            seen += 1
            assert finite(second.run(None, feeds)), scale
    return seen


ALL = [(name, case) for name, cases in CASES.items() for case in cases if not case.reference]


@pytest.mark.parametrize("part", range(20))
def test_no_rule_lets_fresh_channels_leave_the_range(part: int) -> None:
    """Behind every operator there is a rule for, with inputs up to the largest number."""
    for _, probe in ALL[part::20]:
        for factor in (1.5, 3.0):
            student, growth = grow(probe.teacher, factor=factor, init="zero")
            if all(type(channels) is Fresh for channels in growth.channels.values()):  # a mean sums more when it grows
                check(probe.teacher, student)


@pytest.mark.parametrize("part", range(4))
def test_ranges_behind_every_operator_can_be_worked_out(part: int) -> None:
    for _, probe in ALL[part::4]:
        analysis = probe.analysis()
        assert ways(analysis).keys() == {group.factor for group in analysis.groups}


WHOLE = {
    "Abs": "Abs(n)", "Add": "Add(n, n)", "Cast": "Cast<to=7>(n)", "Clip": "Clip(n, zero)", "Div": "Div(n, n)",
    "Concat": "Concat<axis=0>(n, n)", "Einsum": 'Einsum<equation="ij,kj->ik">(n, n)', "Gemm": "Gemm<transB=1>(n, n)",
    "MatMul": "MatMul(n, t)", "Max": "Max(n, n)", "Mul": "Mul(n, n)", "Neg": "Neg(n)", "PRelu": "PRelu(n, n)",
    "Pad": "Pad(n, pads)", "Pow": "Pow(n, n)", "ReduceL1": "ReduceL1<keepdims=0>(n)",
    "ReduceMax": "ReduceMax<keepdims=0>(n)", "ReduceMean": "ReduceMean<keepdims=0>(n)",
    "ReduceSum": "ReduceSum(n, axes)", "Sum": "Sum(n, n)", "Where": "Where(b, n, n)",
}  # fmt: skip


@pytest.mark.parametrize("name", WHOLE)
def test_whole_numbers_such_as_the_sum_of_a_mask_have_ranges_too(name: str) -> None:
    """They were no operands that count, and so sums of them had none."""
    constants = {"zero": np.array(0, np.int32), "axes": np.array([1]), "pads": np.array([0, 1, 0, 1])}
    used = {key: array for key, array in constants.items() if key in WHOLE[name]}
    body = f"t = Transpose(n) b = Greater(n, n) w = {WHOLE[name]} h = MatMul(x, W) a = Relu(h) y = MatMul(a, V)"
    teacher = model(body, "float[4,3] x, int32[2,4] n", "y, w", W=(3, 8), V=(8, 2), **used)
    _, growth = grow(teacher, factor=1.5, init="zero")
    assert [isinstance(channels, Fresh) for channels in growth.channels.values()] == [True]


UNARY = ["Relu", "Sigmoid", "Tanh", "Exp", "Sinh", "Cosh", "Abs", "Neg", "Softplus", "Elu", "Selu", "LeakyRelu", "Erf",
         "HardSigmoid", "Softsign", "Floor", "Identity", "LeakyRelu<alpha=3.0>"]  # fmt: skip
BINARY = ["Add", "Sub", "Mul", "Max", "Min"]


# Of x, what is never negative: p; and what is defined for that only: y.
POSITIVE = ["{q} = Mul({x}, {x}) {p} = Add({q}, one)", "{q} = Exp({x}) {p} = Add({q}, one)", "{p} = Clip({x}, one)",
            "{q} = Neg({x}) {q}e = Exp({q}) {p} = Add({q}e, one)", "{p} = ReduceL2<axes=[1], keepdims=1>({x})",
            "{q} = ReduceL2<axes=[0], keepdims=1>({x}) {p} = Max({q}, one)"]  # fmt: skip
PARTIAL = ["{y} = Div({x}, {p})", "{y} = Mul({p}, {x})", "{y}s = Sqrt({p}) {y} = Sub({x}, {y}s)",
           "{y}s = Log({p}) {y} = Add({x}, {y}s)", "{y}s = Reciprocal({p}) {y} = Mul({x}, {y}s)",
           "{y}s = Pow({p}, power) {y} = Add({x}, {y}s)", "{y}s = Div(one, {p}) {y} = Add({y}s, {x})"]  # fmt: skip

# Attention is masked by the largest number there is, or nearly.
MASKS = ["{y}c = Clip({x}, low, high) {y} = Add({y}c, mask)", "{y}c = Tanh({x}) {y} = Where(masked, {y}c, most)",
         "{y} = Add(mask, {x})", "{y}c = Tanh({x}) {y}m = Add({y}c, mask) {y} = Softmax({y}m)",
         "{y}c = Tanh({x}) {y}m = Where(masked, most, {y}c) {y} = Add({y}m, {y}c)"]  # fmt: skip


@st.composite
def nets(draw: st.DrawFn) -> tuple[onnx.ModelProto, bool]:
    """Draw a net of rows: layers, functions, sums and products of what is there, in either precision."""
    half = draw(st.booleans())
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    width, body, there, weights = 6, [], [], {}
    kind = np.float16 if half else np.float32

    def weight(name: str, *shape: int) -> str:
        size = draw(st.sampled_from([0.02, 0.5, 4.0]))
        weights[name] = (rng.standard_normal(shape) * size).astype(kind)
        return name

    last, rows = "x", 6
    for number in range(draw(st.integers(2, 7))):
        now = f"t{number}"
        choices = ["layer", "layer", "unary", "unary", "binary", "bias", "gain", "norm", "mean", "mask"]
        choice = draw(st.sampled_from([*choices, "positive", "positive"]))
        if choice == "layer" or not there:
            body.append(f"{now} = MatMul({last}, {weight(f'w{number}', rows, width)})")
            there = there if rows == width else []
            rows = width
        elif choice == "unary":
            body.append(f"{now} = {draw(st.sampled_from(UNARY))}({last})")
        elif choice == "binary":
            body.append(f"{now} = {draw(st.sampled_from(BINARY))}({last}, {draw(st.sampled_from(there))})")
        elif choice in {"bias", "gain"}:
            body.append(f"{now} = {'Add' if choice == 'bias' else 'Mul'}({last}, {weight(f'w{number}', width)})")
        elif choice == "norm":
            body.append(f"{now} = Clip({last}, low, high)")
            weights |= {"low": np.array(-3, kind), "high": np.array(6, kind)}
        elif choice == "mask":
            body.append(draw(st.sampled_from(MASKS)).format(x=last, y=now))
            masked = rng.random((4, 1)) < 0.5
            sign = draw(st.sampled_from([-1, 1]))
            weights |= {"masked": masked, "most": np.array(sign * np.finfo(kind).max)}
            weights |= {"mask": np.where(masked, weights["most"], kind(0)), "low": np.array(-3, kind)}
            weights["high"] = np.array(6, kind)
        elif choice == "positive":
            base, use = draw(st.sampled_from(POSITIVE)), draw(st.sampled_from(PARTIAL))
            body.append(f"{base} {use}".format(x=last, p=f"{now}p", q=f"{now}q", y=now))
            weights |= {"one": np.array(1, kind), "power": np.array(2.5, kind)}
        else:
            body.append(f"{now} = ReduceMean<axes=[0], keepdims=1>({last}) {now}e = Add({now}, {last})")
            now += "e"
        there.append(now)
        last = now
    body.append(f"y = MatMul({last}, {weight('out', width, 3)})")
    name = "float16" if half else "float"
    return model(" ".join(body), f"{name}[4,6] x", "y", opset=13, **weights), half


@STABLE
@given(nets(), st.sampled_from([1.5, 3.0]))
def test_students_are_finite_wherever_their_teachers_are(drawn: tuple[onnx.ModelProto, bool], factor: float) -> None:
    teacher, half = drawn
    student, growth = grow(teacher, factor=factor, init="zero")
    assume(growth.channels)
    check(teacher, student, HALF if half else SCALES)


@pytest.mark.parametrize("operator", ["RNN", "GRU", "LSTM"])
@pytest.mark.parametrize("names", ["", "Relu", "Affine", "Elu", "LeakyRelu", "Softplus"])
def test_long_sequences_stay_finite(operator: str, names: str) -> None:
    """A fresh state reads no fresh one: no number of steps makes it larger."""
    gates = {"RNN": 1, "GRU": 3, "LSTM": 4}[operator]
    rng = np.random.default_rng(0)
    recurrent = np.concatenate([0.3 * np.linalg.qr(rng.standard_normal((6, 6)))[0] for _ in range(gates)])
    activations = ["Sigmoid"] * (gates > 1) + [names or "Tanh"] * (1 + (operator == "LSTM"))
    shown = ", ".join(f'"{name}"' for name in activations)
    body = f"h, s = {operator}<hidden_size=6, activations=[{shown}]>(x, W, R, B) q = Squeeze(s, first) y = MatMul(q, V)"
    teacher = model(
        body, "float[T,2,3] x", "y", opset=13, W=(1, gates * 6, 3), R=recurrent[None].astype(np.float32),
        B=(1, 2 * gates * 6), V=(6, 3), first=np.array([0]),
    )  # fmt: skip
    for factor in (1.5, 4.0):
        student, growth = grow(teacher, factor=factor, init="zero")
        assert growth.grown
        assert check(teacher, student, (1.0, 100.0), 2000)


def fits(body: str, inputs: str = "float[4,3] x", **constants: Any) -> Fits | Reason:
    proto = model(body, inputs, "y", **constants)
    analysis = analyze(opened(proto))
    (group,) = (group for group in analysis.weighty if group.size == 8)
    return Reaches(analysis).of(group.factor)


WEIGHTS = {"W": (3, 8), "V": (8, 2)}
BOUNDS = {  # what is made of h, which lies between -1 and 1, and what its bound must be
    "PRelu(h, quarter)": 1.0, "Mul(h, quarter)": 0.25, "Pow(h, two)": 1.0, "Div(h, quarter)": 4.0, "Exp(h)": math.e,
    "Sum(h, h, quarter)": 2.25, "Clip(h, , quarter)": 1.0, "ReduceSum<keepdims=1>(h, last)": 8.0,
}  # fmt: skip
WITHIN = {
    "a function that keeps": "h = MatMul(x, W) a = Relu(h) y = MatMul(a, V)",
    "one that is bounded, raised": "h = MatMul(x, W) a = Tanh(h) b = Exp(a) y = MatMul(b, V)",
    "a mask of the largest number": "n = LayerNormalization(x, g, c) h = MatMul(n, W) a = Add(most, h) "
    "y = MatMul(a, V)",
    "two masks": "h = MatMul(x, W) s = Tanh(h) t = Add(s, one) a = Add(t, mask) b = Softmax<axis=0>(a) "
    "d = Add(b, mask) y = MatMul(d, V)",
    "the largest number instead": "h = MatMul(x, W) s = Tanh(h) a = Where(masked, most, s) b = Where(masked, s, a) "
    "y = MatMul(b, V)",
    "gates": "h = MatMul(x, W) a = Sigmoid(h) b = Mul(h, a) y = MatMul(b, V)",
    "a product behind norms": "n = LayerNormalization(x, g, c) h = MatMul(n, W) k = MatMul(n, U) a = Mul(h, k) "
    "y = MatMul(a, V)",
    "an exponential, of positive mixtures": "h = MatMul(x, W) a = Exp(h) y = MatMul(a, V)",
    "a swish in single nodes": "h = MatMul(x, W) n = Neg(h) e = Exp(n) d = Add(e, one) a = Div(h, d) y = MatMul(a, V)",
    "the root of squares": "h = MatMul(x, W) s = Mul(h, h) e = Add(s, one) a = Sqrt(e) y = MatMul(a, V)",
    "a logarithm of what is above 1": "h = MatMul(x, W) s = Abs(h) e = Add(s, one) a = Log(e) y = MatMul(a, V)",
    "what one number divides for all channels": "h = MatMul(x, W) a = ReduceL2<axes=[-1], keepdims=1>(x) b = Div(h, a) "
    "y = MatMul(b, V)",
    "a power between two means": "h = MatMul(x, W) z = Clip(h, one) p = Pow(z, odd) "
    "m = ReduceMean<axes=[0], keepdims=1>(p) r = Sqrt(m) y = MatMul(r, V)",
    "a norm in single nodes": "s = Mul(x, x) m = ReduceMean<axes=[-1], keepdims=1>(s) e = Add(m, tiny) r = Sqrt(e) "
    "n = Div(x, r) h = MatMul(n, W) k = MatMul(n, U) a = Mul(h, k) y = MatMul(a, V)",
}
OUTSIDE = {
    "an exponential of what is no mixture": ("Exp", "h = MatMul(x, W) r = Relu(h) a = Exp(r) y = MatMul(a, V)"),
    "a quotient by what may be small": ("Div", "h = MatMul(x, W) r = Abs(h) e = Add(r, tiny) a = Div(r, e) "
                                        "y = MatMul(a, V)"),
    "a product": ("Mul", "h = MatMul(x, W) k = MatMul(x, U) a = Mul(h, k) y = MatMul(a, V)"),
    "any number added": ("Add", "h = MatMul(x, W) r = Relu(h) s = ReduceSum<keepdims=1>(x, last) a = Add(r, s) "
                         "y = MatMul(a, V)"),
    "any number and a mask": ("Add", "h = MatMul(x, W) r = Relu(h) a = Add(r, mask) y = MatMul(a, V)"),
    "two masks at once": ("Add", "h = MatMul(x, W) s = Tanh(h) a = Add(s, mask) b = Add(a, mask) y = MatMul(b, V)"),
    "a mask and more than rounding takes away": ("Add", "h = MatMul(x, W) s = Tanh(h) t = Mul(s, large) "
                                                 "a = Add(t, mask) y = MatMul(a, V)"),
    "a mask and large mixtures": ("Add", "n = LayerNormalization(x, g, c) k = Mul(n, huge) h = MatMul(k, W) "
                                  "a = Add(h, mask) y = MatMul(a, V)"),
    "infinity": ("Add", "h = MatMul(x, W) s = Tanh(h) a = Add(s, inf) y = MatMul(a, V)"),
    "an operator that says nothing": ("CumProd", "h = MatMul(x, W) a = CumProd(h, first) y = MatMul(a, V)"),
}  # fmt: skip
LARGEST = np.finfo(np.float32).max
NUMBERS = {"mask": np.array([[0], [-LARGEST], [0], [0]], np.float32), "most": -LARGEST, "large": np.float32(2**103),
           "huge": np.float32(1e38),
           "inf": np.float32(-np.inf), "masked": np.array([[True], [False], [False], [False]]), "tiny": 1e-6,
           "one": 1.0, "odd": 2.5, "last": np.array([1]), "first": np.array(0)}
MORE = {"U": (3, 8), "g": (3,), "c": (3,), **NUMBERS}


@pytest.mark.parametrize("name", WITHIN)
def test_what_can_be_shown_to_fit_gets_fresh_channels(name: str) -> None:
    found = fits(WITHIN[name], **WEIGHTS, **MORE)
    assert isinstance(found, Fits), found


@pytest.mark.parametrize("name", [name for name in OUTSIDE if "CumProd" not in OUTSIDE[name][0]])
def test_what_cannot_gets_copies_and_the_reason_names_the_node(name: str) -> None:
    operator, body = OUTSIDE[name]
    found = fits(body, **WEIGHTS, **MORE)
    assert isinstance(found, Reason)
    assert found.text.startswith(f"{operator}: ")
    student, growth = grow(model(body, "float[4,3] x", "y", **WEIGHTS, **MORE), factor=1.5, init="zero")
    assert [bool(grown.copies) for grown in growth.grown] == [True]
    assert not any(isinstance(channels, Fresh) for channels in growth.channels.values())
    assert student.graph.initializer


@pytest.mark.parametrize(
    ("weights", "within"),
    [("Identity(p)", True), ("Where(n, none, p)", True), ("Where(n, p, none)", True), ("Where(n, one, p)", False),
     ("Where(n, p, q)", False), ("Where(n, none, m)", False), ("Where(n, none, o)", False)],
)  # fmt: skip
def test_a_mean_of_many_numbers_keeps_where_some_of_its_weights_are_zero(weights: str, within: bool) -> None:
    """Rows of weights that are not negative sum to one at most; two that are chosen from need not."""
    body = "h = MatMul(x, W) r = Relu(h) t = Transpose<perm=[1,0]>(x) m = MatMul(x, t) p = Softmax(m) "
    body += "d = Neg(m) q = Softmax(d) n = IsNaN(p) s = ReduceSum<keepdims=1>(x, last) o = Softmax(s) "
    body += f"k0 = {weights} z = Identity(k0) l = MatMul(z, r) y = MatMul(l, V)"
    assert isinstance(fits(body, "float[N,3] x", none=0.0, **WEIGHTS, **MORE), Fits) is within


def test_a_sum_over_places_wants_positive_mixtures() -> None:
    """A mixture of what a Relu has cut off may be larger, at many places, than what it has let through."""
    for pool, positive in (("GlobalAveragePool", True), ("GlobalMaxPool", False)):
        body = f"h = Conv(x, W) a = Relu(h) p = {pool}(a) y = Conv(p, V)"
        found = fits(body, "float[2,3,30,30] x", W=(8, 3, 1, 1), V=(2, 8, 1, 1))
        assert isinstance(found, Fits)
        assert found.positive == positive


@STABLE
@given(st.integers(0, 2**16), st.booleans())
def test_a_layer_and_its_norm_are_mixed_as_one_map(seed: int, biased: bool) -> None:
    """Behind the norm a fresh channel is the mixture of the old ones there, also where their scales differ a lot."""
    rng = np.random.default_rng(seed)
    norm = {"s": rng.standard_normal(8) * 10.0 ** rng.integers(-3, 3, 8), "b": rng.standard_normal(8),
            "m": rng.standard_normal(8), "v": 10.0 ** rng.uniform(-4, 2, 8)}  # fmt: skip
    bias = ", B" if biased else ""
    teacher = model(
        f"h = Conv(x, W{bias}) n = BatchNormalization(h, s, b, m, v) r = Relu(n) y = Conv(r, V)",
        "float[2,3,4,4] x", "y", W=(8, 3, 1, 1), V=(2, 8, 1, 1), **({"B": (8,)} if biased else {}),
        **{name: array.astype(np.float32) for name, array in norm.items()},
    )  # fmt: skip
    student, growth = grow(teacher, factor=2.0, init="zero")
    (channels,) = growth.channels.values()
    assert isinstance(channels, Fresh)
    x = rng.standard_normal((2, 3, 4, 4)).astype(np.float32)
    names = [node.output[0] for node in teacher.graph.node]
    old, new = (
        dict(zip(names, session(exposing(each)).run(names, {"x": x}), strict=True)) for each in (teacher, student)
    )
    mixed = channels.mixture.rows(old["n"].astype(np.float64), 1)
    np.testing.assert_allclose(new["n"][:, 8:], mixed, atol=1e-4 * np.abs(old["n"]).max())
    assert np.abs(new["h"][:, 8:]).max() <= np.abs(old["h"]).max()


@pytest.mark.parametrize("operator", ["Softplus", "Selu", "LeakyRelu<alpha=3.0>", "Tanh"])
def test_layers_that_deepen_adds_stay_within_the_range(operator: str) -> None:
    name, _, attribute = operator.partition("<")
    body = f"h = MatMul(x, W) a = {name}{'<' + attribute if attribute else ''}(h) y = MatMul(a, V)"
    teacher = model(body, "float[9,3] x", "y", W=(3, 8), V=np.full((8, 2), 0.01, np.float32))
    student = Deepen(kind="residual")(teacher, proof=UNPROVEN).model
    assert len(student.graph.node) > len(teacher.graph.node)
    assert check(teacher, student, tuple(np.geomspace(1e36, 3e38, 40))) > 20


def test_a_third_party_says_what_bounds_its_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    body, operator = "h = MatMul(x, W) a = acme.Gate(h) y = MatMul(a, V)", {"domain": "acme"}
    for name in ("_RULES", "_RANGES"):
        monkeypatch.setattr(registry, name, dict(getattr(registry, name)))
    declare("Gate", "*p -> *p", **operator)
    assert isinstance(fits(body, **WEIGHTS), Reason)
    ranged("Gate", Keeps(2.0), **operator)
    assert isinstance(fits(body, **WEIGHTS), Fits)
    with pytest.raises(ValueError, match="known already"):
        ranged("Relu", Keeps())


def test_no_bound_is_below_what_a_tensor_holds() -> None:
    """Of the teacher: of every probe, at every scale."""
    for _, probe in ALL[::3]:
        analysis = probe.analysis()
        magnitudes = Magnitudes(analysis, formulas.BOUNDS)
        values = {str(value.name): value for node in analysis.model.graph for value in node.outputs}
        runner, rng = session(exposing(probe.teacher)), np.random.default_rng(0)
        names = [output.name for output in runner.get_outputs()]
        for scale in (1.0, 1e4, 1e18, 3e37):
            feeds = {value.name: feed(value, scale, 2, rng) for value in runner.get_inputs()}
            made = runner.run(None, feeds)
            if finite(made):
                for name, array in zip(names, made, strict=True):
                    if name in values and isinstance(array, np.ndarray) and array.dtype.kind == "f":
                        most = np.abs(array.astype(np.float64)).max(initial=0)
                        assert most <= magnitudes[values[name]] * 1.001, (probe.body, name)


@pytest.mark.parametrize(("made", "bound"), BOUNDS.items())
def test_bounds_are_worked_out_from_constants(made: str, bound: float) -> None:
    numbers = {"quarter": 0.25, "two": 2.0, "last": np.array([1])}
    proto = model(f"g = MatMul(x, W) h = Tanh(g) a = {made} y = Neg(a)", "float[4,3] x", "y", W=(3, 8), **numbers)
    analysis = analyze(opened(proto))
    (value,) = analysis.model.graph.outputs
    assert Magnitudes(analysis, formulas.BOUNDS)[value] == pytest.approx(bound)


def test_channels_that_a_body_keeps_to_itself_are_followed_there() -> None:
    lost = "h = MatMul(x, W) a = Mul(h, h) e = Exp(a) p = MatMul(e, V)"
    other = "else_branch = f () => (float[4,2] q) { q = MatMul(x, U) }"
    body = f"z = If <then_branch = t () => (float[4,2] p) {{ {lost} }}, {other}> (c) y = Neg(z)"
    found = fits(body, c=np.array(True), **WEIGHTS, U=(3, 2))
    assert isinstance(found, Reason)
    assert found == fits(f"{lost} y = Neg(p)", **WEIGHTS)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_places_of_an_axis_are_those_of_its_channels(order: tuple[int, ...]) -> None:
    """As an axis says of which only this factor has shares, all of them different."""
    one, two, three = Factor(2), Factor(3), Factor(5)
    parts = [(one, two, three)[place] for place in order]
    for axis in (Product(tuple(parts)), Sum((parts[0], Product(tuple(parts[1:])), parts[0]))):
        for factor in (one, two, three):
            places, channels = _channels(axis, factor)
            numbers = np.arange(factor.size or 0)
            shares = Growth({factor: Copies(numbers, numbers + 2.0)}, (), ()).share(axis)
            assert places.tolist() == np.flatnonzero(shares >= 2).tolist()
            assert channels.tolist() == (shares[places] - 2).tolist()


@functools.cache
def groups(name: str) -> tuple[int, int]:
    analysis = analyze(ir.load(f"models/{name}.onnx"))
    reaches = Reaches(analysis)
    free = [group for group in analysis.weighty if group.limit is None]
    return len(free), sum(isinstance(reaches.of(group.factor), Fits) for group in free)


@pytest.mark.parametrize(("name", "least"), [("resnet", 1.0), ("unet", 1.0), ("inception_bn", 1.0), ("densenet", 0.9)])
def test_networks_as_they_are_grow_by_fresh_channels(name: str, least: float) -> None:
    free, fresh = groups(name)
    assert fresh >= least * free
