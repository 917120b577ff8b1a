"""Every rule is probed: small graphs around each operator grow, and ONNX Runtime says whether they compute the same.

In each graph a first layer makes 12 channels ``h`` from a pinned input ``x``, the operator under test turns them into
``z``, and a last layer sums what came of the channels back into a pinned output.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import pytest
from graphs import TOLERANCE, WRONG, Judge, apply, grow, model, opened
from onnx import helper

from onnx_n2n import rules
from onnx_n2n.analysis import Analysis, analyze
from onnx_n2n.axes import Limit, leaves
from onnx_n2n.errors import GrowthError
from onnx_n2n.groups import Group
from onnx_n2n.growth import Channels, Growth, shares
from onnx_n2n.plan import Request, plan

STREAMS = {  # the input, the first layer with its weight, and the axis of its channels
    "image": ("float[2,3,4,6] x", "h = Conv(x, W)", (12, 3, 1, 1), 1),
    "rows": ("float[2,5,3] x", "h = MatMul(x, W)", (3, 12), -1),
    "flat": ("float[4,3] x", "h = MatMul(x, W)", (3, 12), -1),
}
OUT = 3  # channels of the pinned output


@dataclass(frozen=True)
class Case:
    """A graph around one operator, and the sizes of the groups that must be found in it.

    Attributes:
        body: What lies between ``h`` and the tensors named in ``ends``.
        groups: Sizes of all groups, sorted.
        stream: Where ``h`` comes from.
        close: The axes of each end that a last layer sums over; none when the operator has summed itself.
        together: Whether the groups only grow together, by one factor.
    """

    body: str
    groups: tuple[int, ...]
    stream: str
    close: tuple[int, ...]
    ends: tuple[str, ...]
    x: str
    opset: int
    together: bool
    constants: dict[str, Any] = field(repr=False)

    @functools.cached_property
    def teacher(self) -> onnx.ModelProto:
        _, first, shape, _ = STREAMS[self.stream]
        body, constants = f"{first} {self.body}", {"W": shape, **self.constants}
        bare = model(body, self.x, ", ".join(self.ends), opset=self.opset, **constants)
        outputs = []
        for name, example in zip(self.ends, Judge(bare).expected[0], strict=True):
            body, name = f"{body} {name}_f = Cast<to=1>({name})", f"{name}_f"
            for axis in self.close:
                swap = list(range(example.ndim))
                swap[axis], swap[-1] = swap[-1], swap[axis]
                constants[f"{name}_V"] = (example.shape[axis], OUT)
                body += f" {name}_t = Transpose<perm={swap}>({name}) {name}_u = MatMul({name}_t, {name}_V)"
                body, name = f"{body} {name}_y = Transpose<perm={swap}>({name}_u)", f"{name}_y"
            outputs.append(name)
        return model(body, self.x, ", ".join(outputs), opset=self.opset, **constants)

    def analysis(self) -> Analysis:
        return analyze(opened(self.teacher))

    @functools.cached_property
    def judge(self) -> Judge:
        return Judge(self.teacher)


def case(
    body: str,
    *groups: int,
    stream: str = "image",
    close: tuple[int, ...] | int | None = None,
    ends: str = "z",
    x: str = "",
    opset: int = 17,
    together: bool = False,
    **constants: Any,
) -> Case:
    close = STREAMS[stream][3] if close is None else close
    close = close if isinstance(close, tuple) else (close,)
    x = x or STREAMS[stream][0]
    return Case(body, tuple(sorted(groups)), stream, close, tuple(ends.split()), x, opset, together, constants)


flat, rows = functools.partial(case, stream="flat"), functools.partial(case, stream="rows")
FAR = 2**31 - 1
K = "k = Conv(x, w)"  # a second producer beside h
TWIN = {"w": (12, 3, 1, 1)}

CASES: dict[str, list[Case]] = {}

# --- elementwise

CASES |= {
    operator: [case(f"z = {operator}(h)", 12, opset=opset)]
    for opset, operators in {
        7: "Abs Atan Ceil Cos Elu Exp Floor HardSigmoid Identity LeakyRelu Neg Relu Selu Sigmoid Sin Softplus Softsign "
        "Tanh",
        10: "Asinh Cosh Erf Shrink Sign Sinh ThresholdedRelu",
        12: "Celu Round",
        14: "HardSwish",
        20: "Gelu Mish",
        24: "Swish",
    }.items()
    for operator in operators.split()
}
CASES |= {operator: [case(f"a = Exp(h) z = {operator}(a)", 12)] for operator in ["Log", "Reciprocal", "Sqrt"]}
CASES |= {operator: [case(f"a = Tanh(h) z = {operator}(a)", 12)] for operator in ["Acos", "Asin", "Atanh", "Tan"]}
CASES["Affine"] = [case("z = Affine<alpha=2.0, beta=1.0>(h)", 12, opset=7)]
CASES["ParametricSoftplus"] = [case("z = ParametricSoftplus<alpha=2.0, beta=1.0>(h)", 12, opset=7)]
CASES["ScaledTanh"] = [case("z = ScaledTanh<alpha=2.0, beta=1.0>(h)", 12, opset=7)]
CASES["IsNaN"] = [case("a = Log(h) z = IsNaN(a)", 12)]
CASES["IsInf"] = [case("a = Relu(h) b = Log(a) z = IsInf(b)", 12)]
CASES["Acosh"] = [case("a = Exp(h) b = Add(a, one) z = Acosh(b)", 12, one=1.0)]
CASES["Cast"] = [case("z = Cast<to=6>(h)", 12), case("a = Cast<to=10>(h) z = Cast<to=1>(a)", 12)]
CASES["CastLike"] = [case("z = CastLike(h, like)", 12, like=[1])]
CASES["Not"] = [case("a = Greater(h, zero) z = Not(a)", 12, zero=0.0)]
CASES["BitwiseNot"] = [case("a = Cast<to=6>(h) z = BitwiseNot(a)", 12, opset=18)]
CASES["Clip"] = [
    case("z = Clip<min=-0.5, max=0.5>(h)", 12, opset=9),
    case("z = Clip(h, low)", 12, low=0.0),
    case("z = Clip(h, , high)", 12, high=0.5),
]
CASES["Dropout"] = [
    case("z = Dropout<ratio=0.5>(h)", 12, opset=10),
    case("z, mask = Dropout(h, ratio, training)", 12, ratio=0.5, training=np.array(False)),
]
CASES |= {
    operator: [
        case(f"{K} z = {operator}(h, k)", 12, **TWIN),
        case(f"z = {operator}(h, b)", 12, b=(12, 1, 1)),
        case(f"z = {operator}(b, h)", 12, b=(1, 12, 1, 1), opset=7),
    ]
    for operator in ["Add", "Sub", "Mul", "Greater", "Less"]
}
CASES["Add"] += [
    rows("z = Add(h, b)", 12, b=(12,)),
    case("z = Add(h, b)", 12, b=0.5),
    case("z = Add(h, b)", 12, b=(4, 6)),
    case("z = Add(h, b)", 12, b=(12, 4, 6)),
    case("a = Relu(h) b = Add(a, h) c = Sigmoid(b) z = Add(b, c)", 12),
]
CASES["Add"] += [case("z = Add(h, y)", x="float[2,3,4,6] x, float[M,1,1] y", W=(2, 3, 1, 1))]  # M might be 1
CASES["Mul"] += [case("a = GlobalAveragePool(h) b = Conv(a, w) c = Sigmoid(b) z = Mul(c, h)", 12, w=(12, 12, 1, 1))]
CASES["Div"] = [case(f"{K} e = Exp(k) z = Div(h, e)", 12, **TWIN), case("e = Exp(h) z = Div(b, e)", 12, b=(12, 1, 1))]
CASES["Pow"] = [case(f"{K} e = Exp(h) z = Pow(e, k)", 12, **TWIN), case("z = Pow(h, two)", 12, two=2.0)]
CASES["Mod"] = [case(f"{K} e = Exp(k) z = Mod<fmod=1>(h, e)", 12, **TWIN)]
CASES |= {operator: [case(f"{K} z = {operator}(h, k)", 12, **TWIN)] for operator in ["GreaterOrEqual", "LessOrEqual"]}
CASES["Equal"] = [case(f"{K} a = Round(h) b = Round(k) z = Equal(a, b)", 12, **TWIN)]
CASES |= {
    operator: [case(f"{K} a = Greater(h, zero) b = Greater(k, zero) z = {operator}(a, b)", 12, zero=0.0, **TWIN)]
    for operator in ["And", "Or", "Xor"]
}
CASES |= {
    operator: [case(f"{K} a = Cast<to=6>(h) b = Cast<to=6>(k) z = {operator}(a, b)", 12, opset=18, **TWIN)]
    for operator in ["BitwiseAnd", "BitwiseOr", "BitwiseXor"]
}
CASES["BitShift"] = [
    case('a = Exp(h) b = Cast<to=12>(a) z = BitShift<direction="LEFT">(b, two)', 12, two=np.array(2, np.uint32))
]
CASES["PRelu"] = [
    case("z = PRelu(h, s)", 12, s=(12, 1, 1)),
    case("z = PRelu(h, s)", 12, s=(1,)),
    rows("z = PRelu(h, s)", 12, s=(12,), opset=7),
]
CASES |= {
    operator: [
        case(f"{K} z = {operator}(h, k)", 12, **TWIN),
        case(f"{K} z = {operator}(h, b, k)", 12, b=(12, 1, 1), opset=8, **TWIN),
        case(f"{K} z = {operator}(h, k)", 12, opset=7, **TWIN),
        case(f"z = {operator}(h)", 12),
    ]
    for operator in ["Max", "Min", "Mean", "Sum"]
}
CASES["Where"] = [
    case(f"{K} c = Greater(h, k) z = Where(c, h, k)", 12, **TWIN),
    case("c = Greater(h, b) z = Where(c, b, h)", 12, b=(12, 1, 1)),
    case("z = Where(c, h, zero)", 12, c=np.array([[True], [False], [True], [True]]), zero=0.0),
]

# --- contraction

CASES["Conv"] = [
    case("z = Conv(h, w)", 8, 12, w=(8, 12, 1, 1)),
    case("z = Conv<pads=[1,1,1,1], strides=[2,2]>(h, w, b)", 8, 12, w=(8, 12, 3, 3), b=(8,), opset=7),
    case('z = Conv<auto_pad="SAME_UPPER">(h, w)', 8, 12, w=(8, 12, 3, 3)),
    case("z = Conv<group=2>(h, w, b)", 2, 4, 6, w=(8, 6, 1, 1), b=(8,)),
    case("z = Conv<group=12>(h, w, b)", 12, w=(12, 1, 3, 3), b=(12,)),
    case("z = Conv<group=12>(h, w)", 2, 12, w=(24, 1, 1, 1)),
    case("a = Conv<group=2>(h, w) b = Relu(a) z = Conv<group=4>(b, v)", 2, 2, 3, 4, 6, w=(12, 6, 1, 1),
         v=(16, 3, 1, 1)),
    case("a = Conv(h, w) b = Conv(a, w) z = Relu(b)", 12, w=(12, 12, 1, 1)),
    case("k = Conv(h, w) l = Relu(h) m = Conv(l, w) z = Add(k, m)", 8, 12, w=(8, 12, 1, 1)),
    case("a = Transpose<perm=[0,2,1]>(h) z = Conv(a, w)", 8, 12, stream="rows", close=1, w=(8, 12, 3)),
    case("a = Unsqueeze(h, axes) z = Conv(a, w)", 8, 12, w=(8, 12, 1, 1, 1), axes=[4]),
    case("v = Identity(w) z = Conv(h, v)", 8, 12, w=(8, 12, 1, 1)),
    case("v = Transpose<perm=[1,0,2,3]>(w) z = Conv(h, v)", 8, 12, w=(12, 8, 1, 1)),
    case("v = Transpose<perm=[3,2,0,1]>(w) z = Conv(h, v)", 8, 12, w=(1, 1, 12, 8)),
    case("k = Conv(h, w, b) l = Relu(k) z = Conv(l, v, b)", 8, 8, 12, w=(8, 12, 1, 1), v=(8, 8, 1, 1), b=(8,)),
    case("c = Conv(h, w) d = Conv(h, w) e = Mul(c, d) z = Relu(e)", 8, 12, w=(8, 12, 1, 1)),
]
CASES["FusedConv"] = [
    case('z = com.microsoft.FusedConv<activation="Relu">(h, w, b)', 8, 12, w=(8, 12, 3, 3), b=(8,)),
    case('z = com.microsoft.FusedConv<activation="Relu", group=2>(h, w, b)', 2, 4, 6, w=(8, 6, 1, 1), b=(8,)),
    case('s = Conv(x, w) z = com.microsoft.FusedConv<activation="Relu">(h, v, b, s)', 8, 12, w=(8, 3, 1, 1),
         v=(8, 12, 1, 1), b=(8,)),
]
CASES["ConvTranspose"] = [
    case("z = ConvTranspose(h, w)", 8, 12, w=(12, 8, 1, 1)),
    case("z = ConvTranspose<strides=[2,2]>(h, w, b)", 8, 12, w=(12, 8, 2, 2), b=(8,), opset=7),
    case("z = ConvTranspose<group=2>(h, w, b)", 2, 4, 6, w=(12, 4, 1, 1), b=(8,)),
    case("z = ConvTranspose<group=12>(h, w)", 12, w=(12, 1, 2, 2)),
]
CASES["Gemm"] = [
    flat(
        f"{'a = Transpose(h)' if a else 'a = Identity(h)'} z = Gemm<transA={a}, transB={b}, alpha=0.5>(a, w, c)",
        8, 12, w=(8, 12) if b else (12, 8), c=c, opset=opset,
    )
    for (a, b), c, opset in [((0, 0), (8,), 7), ((0, 1), (1, 8), 9), ((1, 0), (4, 1), 11), ((1, 1), (4, 8), 13)]
]
CASES["Gemm"] += [
    flat("z = Gemm(h, w)", 8, 12, w=(12, 8), opset=11),
    flat("z = Gemm(h, w, c)", 8, 12, w=(12, 8), c=0.5),
    flat("z = Gemm<transB=1>(w, h)", 8, 12, close=0, w=(8, 12)),
    flat("z = Gemm(h, w, c)", 8, 12, w=(12, 8), c=(1,)),
    flat("k = MatMul(x, v) z = Gemm<transA=1>(h, k)", 8, 12, close=(0, 1), v=(3, 8)),
    flat("k = MatMul(x, v) z = Gemm<transB=1>(h, k)", 12, close=(), v=(3, 12)),
]
CASES["MatMul"] = [
    rows("z = MatMul(h, w)", 8, 12, w=(12, 8)),
    rows("z = MatMul(h, w)", 8, 12, w=(1, 12, 8)),
    rows("t = Transpose<perm=[0,2,1]>(h) z = MatMul(w, t)", 8, 12, close=1, w=(8, 12)),
    rows("v = Transpose(w) z = MatMul(h, v)", 8, 12, w=(8, 12)),
    rows("v = Cast<to=1>(w) z = MatMul(h, v)", 8, 12, w=np.linspace(-1, 1, 96).reshape(12, 8) ** 3),
    rows("i = Cast<to=6>(w) v = Cast<to=1>(i) z = MatMul(h, v)", 8, 12, w=np.arange(96.0).reshape(12, 8) - 48),
    rows("k = MatMul(x, w) t = Transpose<perm=[0,2,1]>(k) z = MatMul(h, t)", 12, close=(), w=(3, 12)),
    rows("t = Transpose<perm=[0,2,1]>(h) z = MatMul(t, h)", 12, close=(1, 2)),
    rows("z = MatMul(v, h)", 12, close=1, v=(5,)),
    rows("t = Transpose<perm=[0,2,1]>(h) z = MatMul(v, t)", 12, close=(), v=(12,)),
    rows("z = MatMul(h, v)", 12, close=(), v=(12,)),
    rows("a = ReduceMax<axes=[0,1], keepdims=0>(h) z = MatMul(a, v)", 12, close=(), v=(12,)),
    rows("a = ReduceMax<axes=[0,1], keepdims=0>(h) z = MatMul(v, a)", 12, close=(), v=(12,)),
    rows("a = MatMul(h, w) b = Relu(a) z = MatMul(b, w)", 12, w=(12, 12)),
    rows("u = Transpose(w) a = MatMul(h, w) b = Relu(a) z = MatMul(b, u)", 8, 12, w=(12, 8)),
]
CASES["MatMul"] += [  # weights that other nodes make out of weights
    rows("v = Reshape(w, to) z = MatMul(h, v)", 8, 12, w=(96,), to=[12, 8]),
    rows("v = Concat<axis=0>(w, u) z = MatMul(h, v)", 5, 7, 8, w=(5, 8), u=(7, 8)),
    rows("v = Concat<axis=1>(w, u) z = MatMul(h, v)", 5, 8, 12, w=(12, 5), u=(12, 8)),
    rows("v, u = Split<axis=1>(w) a = MatMul(h, v) b = MatMul(h, u) z = Mul(a, b)", 4, 12, w=(12, 8)),
    rows("v, u = Split<axis=0>(w) a, b = Split<axis=2>(h) c = MatMul(a, v) d = MatMul(b, u) z = Mul(c, d)", 6, 6, 8,
         w=(12, 8)),
    rows("v = Slice(w, s, e) z = MatMul(h, v)", 8, 12, w=(14, 8), s=[1], e=[13]),
    rows("v = Gather(w, i) z = MatMul(h, v)", 2, 8, 12, w=(14, 8), i=list(range(2, 14))),
    rows("v = Mul(w, s) z = MatMul(h, v)", 8, 12, w=(12, 8), s=(8,)),
    rows("v = Mul(w, s) z = MatMul(h, v)", 8, 12, w=(12, 8), s=(12, 1)),
    rows("d = MatMul(a, b) v = Add(w, d) z = MatMul(h, v)", 2, 8, 12, w=(12, 8), a=(12, 2), b=(2, 8)),
    rows("e = Gather(w, i) a = Add(h, e) t = Transpose(w) z = MatMul(a, t)", 12, close=(), w=(7, 12),
         i=[3, 1, 1, 6, 0]),
]
CASES["Einsum"] = [
    rows('z = Einsum<equation="bli,io->blo">(h, w)', 8, 12, w=(12, 8)),
    rows('k = MatMul(x, w) z = Einsum<equation="bli, bmi -> blm">(h, k)', 12, close=(), w=(3, 12)),
    rows('z = Einsum<equation="bli->bl">(h)', 12, close=()),
    rows('z = Einsum<equation="bli->ilb">(h)', 12, close=0),
    rows('k = MatMul(x, v) z = Einsum<equation="bli,ij,blj->bl">(h, w, k)', 8, 12, close=(), w=(12, 8), v=(3, 8)),
    rows('k = MatMul(x, v) g = Einsum<equation="bli,blj->bij">(h, k) z = Einsum<equation="bij,bij->b">(g, g)', 8, 12,
         close=(), v=(3, 8)),
]

# --- normalisation

BN = {"s": (12,), "b": (12,), "m": (12,), "v": np.linspace(0.5, 2, 12, dtype=np.float32)}
GN4, GN12 = ({"s": np.linspace(0.5, 2, n, dtype=np.float32), "b": (n,)} for n in (4, 12))
CASES["BatchNormalization"] = [
    case("z = BatchNormalization(h, s, b, m, v)", 12, opset=opset, **BN) for opset in (7, 9, 14, 15)
] + [flat("z = BatchNormalization(h, s, b, m, v)", 12, **BN)]
CASES["InstanceNormalization"] = [
    case("z = InstanceNormalization(h, s, b)", 12, **GN12),
    case("g = Reshape(h, to) n = InstanceNormalization(g, s, b) z = Reshape(n, back)", 3, 4, to=[0, 4, -1],
         back=[2, 12, 4, 6], **GN4),
    case("g = Reshape(h, to) n = InstanceNormalization(g, s, b) p = Shape(h) z = Reshape(n, p)", 3, 4, to=[0, 4, -1],
         x="float[N,3,H,W] x", **GN4),
    case("g = Reshape(h, to) n = InstanceNormalization(g, s, b) p = Shape(h) z = Reshape(n, p)", 4, to=[2, 4, 18, 4],
         **GN4),  # 3 * (4 * 6) does not line up with 18 * 4
]
CASES["GroupNormalization"] = [
    case("z = GroupNormalization<num_groups=4>(h, s, b)", 3, 4, opset=18, **GN4),
    case("z = GroupNormalization<num_groups=4>(h, s, b)", 3, 4, opset=21, **GN12),
    case("z = GroupNormalization<num_groups=1>(h, s, b)", 12, opset=21, **GN12),
    case("z = GroupNormalization<num_groups=12>(h, s, b)", 12, opset=21, **GN12),
]
CASES |= {
    operator: [
        case(f"z = {operator}<axis=1>(h)", opset=13),
        case(f"z = {operator}<axis=-1>(h)", 12, opset=13),
        case(f"z = {operator}(h)", opset=11),
        case(f"z = {operator}<axis=2>(h)", 12, opset=11),
    ]
    for operator in ["Softmax", "LogSoftmax", "Hardmax"]
}

# --- reduction

FREE = ["ReduceMax", "ReduceMin", "ReduceMean", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare"]
PRODUCTS = ["ReduceProd", "ReduceLogSumExp"]  # these pin what they reduce
for operator in [*FREE, *PRODUCTS, "ReduceLogSum"]:
    pre, t = ("t = Exp(h)", "t") if operator in {"ReduceLogSum", "ReduceProd"} else ("", "h")
    reduced = [] if operator in PRODUCTS else [12]
    old = 12 if operator == "ReduceSum" else 17
    CASES[operator] = [
        case(f"{pre} z = {operator}<axes=[1]>({t})", *reduced, close=(), opset=old),
        case(f"{pre} z = {operator}<axes=[-3, -1], keepdims=0>({t})", *reduced, close=(), opset=old),
        case(f"{pre} z = {operator}({t}, axes)", *reduced, close=(), opset=18, axes=[1]),
        case(f"{pre} z = {operator}<keepdims=0>({t}, axes)", 12, close=1, opset=18, axes=[2, -1]),
        flat(f"{pre} z = {operator}<keepdims=0>({t})", *reduced, close=(), opset=18),
        case(f"{pre} z = {operator}<noop_with_empty_axes=1>({t})", 12, opset=18),
    ]
CASES["ReduceSum"] += [
    rows("a = Transpose<perm=[0,2,1]>(h) b = MatMul(a, h) z = ReduceSum(b, axes)", 12, close=(), axes=[1, 2]),
    rows("k = MatMul(x, v) a = Transpose<perm=[0,2,1]>(h) b = MatMul(a, k) z = ReduceSum(b, axes)", 8, 12, close=(),
         axes=[1, 2], v=(3, 8)),
    case("a = Cast<to=6>(h) b = ReduceSum(a, axes) z = Cast<to=1>(b)", close=(), axes=[1]),
]
CASES["ReduceL1"] += [
    flat("n = ReduceL1<axes=[1], keepdims=0>(w) z = Add(h, n)", 7, 12, w=(12, 7)),  # noise does not cancel in |w|
]
CASES["ReduceMean"] += [
    case(f"{K} a = Concat<axis=1>(h, k) z = ReduceMean<axes=[1]>(a)", 8, 12, close=(), together=True, w=(8, 3, 1, 1)),
    case("a = Mul(h, h) z = ReduceMean<axes=[1,2,3]>(a)", 12, close=()),
]
CASES["ReduceL2"] += [case("n = ReduceL2<axes=[1]>(h) z = Div(h, n)", 12)]
CASES |= {
    operator: [
        case(f"z = {operator}(h)", 12, opset=7),
        case(f"a = Transpose<perm=[0,2,1,3]>(h) z = {operator}(a)", *grows, close=()),
    ]
    for operator, grows in {"GlobalAveragePool": [12], "GlobalMaxPool": [12], "GlobalLpPool": []}.items()
}

# New channels of ``k`` may be fresh, unless what comes after is not defined for every number, or takes a maximum.
POSITIVE = np.random.default_rng(0).uniform(0.1, 1, (8, 12, 1, 1)).astype(np.float32)
for operator, arguments, close in [("Log", "k", 1), ("Sqrt", "k", 1), ("Pow", "k, half", 1), ("ReduceMin", "k", ()),
                                   ("ReduceMax", "k", ()), ("ReduceL1", "k", ())]:
    attributes = "<axes=[1]>" if close == () else ""
    body = f"r = Exp(h) k = Conv(r, w) z = {operator}{attributes}({arguments})"
    CASES[operator] += [case(body, 8, 12, close=close, w=POSITIVE, half=0.5)]

# --- windows

CASES |= {
    operator: [
        case(f"z = {operator}<kernel_shape=[2,2], strides=[2,2]>(h)", 12, opset=7),
        rows(f"a = Transpose<perm=[0,2,1]>(h) z = {operator}<kernel_shape=[2], pads=[1,1]>(a)", 12, close=1),
        rows(f"z = {operator}<kernel_shape=[2]>(h)", close=-1),
    ]
    for operator in ["AveragePool", "LpPool", "MaxPool"]
}
CASES["MaxPool"] += [case("z, at = MaxPool<kernel_shape=[2,2]>(h)", ends="z at", opset=12)]
CASES["LRN"] = [
    case("z = LRN<size=3, alpha=0.5>(h)"),
    case("a = Transpose<perm=[0,2,1,3]>(h) z = LRN<size=3, alpha=0.5>(a)", 12, close=2),
]
CASES["Crop"] = [case("z = Crop<border=[1,1,1,1]>(h)", 12, opset=7)]
CASES["ImageScaler"] = [
    case(f"z = ImageScaler<scale=2.0, bias={[n / 4 for n in range(12)]}>(h)", opset=7),
    case("a = Transpose<perm=[0,2,1,3]>(h) z = ImageScaler<scale=2.0, bias=[0.5,0.0,1.0,2.0]>(a)", 12, close=2,
         opset=7),
]
GRID = np.random.default_rng(0).uniform(-1, 1, (2, 2, 3, 2)).astype(np.float32)
CASES["GridSample"] = [case("z = GridSample(h, grid)", 12, grid=GRID)]
CASES["Upsample"] = [
    case('z = Upsample<mode="nearest", scales=[1.,1.,2.,2.]>(h)', 12, opset=7),
    case('z = Upsample<mode="nearest">(h, s)', 12, opset=9, s=[1.0, 1.0, 2.0, 2.0]),
]
CASES["Resize"] = [
    case("z = Resize(h, s)", 12, opset=10, s=[1.0, 1.0, 2.0, 2.0]),
    case("z = Resize(h, roi, s)", 12, opset=11, roi=np.zeros(0, np.float32), s=[1.0, 1.0, 2.0, 2.0]),
    case('z = Resize<mode="linear">(h, , s)', 12, opset=13, s=[1.0, 1.0, 1.5, 2.0]),
    case("z = Resize(h, , , sizes)", 12, opset=13, sizes=[2, 12, 7, 9]),
    case("z = Resize<axes=[2,3]>(h, , s)", 12, opset=18, s=[2.0, 2.0]),
    case("z = Resize<axes=[1,-1]>(h, , , sizes)", 12, opset=19, sizes=[12, 9]),
    case("z = Resize(h, , , sizes)", opset=13, sizes=[2, 24, 4, 6]),
    case("z = Resize(h, , s)", opset=13, s=[1.0, 2.0, 1.0, 1.0]),
    case(
        "p = Shape(h) c = Slice(p, lo, hi) q = Concat<axis=0>(c, hw) z = Resize(h, , , q)", 12,
        opset=13, lo=[0], hi=[2], hw=[8, 12],
    ),
]

# --- control flow; tests/test_control_flow.py has more

TRUE = np.array(True)
CASES["If"] = [
    case("z = If<then_branch=t () => (float[2,12,4,6] p) {p = Relu(h)}, "
         "else_branch=e () => (float[2,12,4,6] q) {q = Conv(h, w)}>(on)", 12, w=(12, 12, 1, 1), on=TRUE),
]  # fmt: skip
CASES["Loop"] = [
    case("z = Loop<body=b (int64 i, bool c, float[2,12,4,6] s) => (bool d, float[2,12,4,6] t) "
         "{d = Identity(c) k = Conv(s, w) t = Tanh(k)}>(n, on, h)", 12, w=(12, 12, 1, 1), n=2, on=TRUE),
]  # fmt: skip
CASES["Scan"] = [
    case("e, z = Scan<num_scan_inputs=1, body=b (float[12,4,6] s, float[12,4,6] a) => (float[12,4,6] t, "
         "float[12,4,6] o) {t = Add(s, a) o = Tanh(t)}>(start, h)", 12, start=np.zeros((12, 4, 6), np.float32)),
]  # fmt: skip

# --- arranging axes

CASES["SpaceToDepth"] = [case("z = SpaceToDepth<blocksize=2>(h)", 12, opset=13)]
CASES["DepthToSpace"] = [
    case("z = DepthToSpace<blocksize=2>(h)", 3, opset=7),
    case('z = DepthToSpace<blocksize=2, mode="DCR">(h)', 3, opset=11),
    case('z = DepthToSpace<blocksize=2, mode="CRD">(h)', 3, opset=13),
]
CASES["Transpose"] = [
    case("z = Transpose(h)", 12, close=2),
    case("z = Transpose<perm=[0,2,3,1]>(h)", 12, close=3),
    case("a = Transpose<perm=[1,2,0,3]>(h) z = Transpose<perm=[3,0,1,2]>(a)", 12),
]
CASES["Flatten"] = [
    case("a = Flatten(h) z = MatMul(a, v)", 12, 8, v=(12 * 24, 8)),
    case("a = Flatten(h) z = MatMul(a, v)", 12, 8, v=(48, 8), x="float[N,3,H,W] x"),
    case("z = Flatten<axis=2>(h)", 12, close=0),
    case("a = Flatten<axis=-3>(h) z = Gemm(a, v)", 12, 8, v=(12 * 24, 8), opset=11),
    case("a = Flatten<axis=0>(h) z = MatMul(a, v)", 12, close=(), v=(2 * 12 * 24, 3)),
    case("z = Flatten<axis=4>(h)", 12, close=0),
]
CASES["Squeeze"] = [
    case("a = GlobalMaxPool(h) z = Squeeze<axes=[2,-1]>(a)", 12, opset=12),
    case("a = GlobalMaxPool(h) z = Squeeze(a, axes)", 12, axes=[-2, 3]),
    case("a = GlobalMaxPool(h) z = Squeeze(a)", 12),
]
CASES["Unsqueeze"] = [
    case("z = Unsqueeze<axes=[1,5]>(h)", 12, close=2, opset=12),
    case("z = Unsqueeze(h, axes)", 12, close=2, axes=[1, -1]),
]
CASES["Expand"] = [
    case("a = GlobalMaxPool(h) z = Expand(a, to)", 12, to=[2, 12, 4, 6]),
    case("a = GlobalMaxPool(h) z = Expand(a, to)", 12, to=[1, 1, 4, 6]),
    case("a = GlobalMaxPool(h) p = Shape(h) z = Expand(a, p)", 12),
    case("a = ReduceMean<axes=[1]>(h) b = Expand(a, to) z = Add(b, h)", 12, to=[12, 1, 1]),
    case("a = ReduceMean<axes=[1]>(h) p = Shape(h) b = Expand(a, p) z = Mul(b, h)", 12),
    case("a = GlobalMaxPool(h) z = Expand(a, to)", 12, x="float[N,3,4,6] x", to=[2, 12, 1, 1]),
]
CASES["Tile"] = [
    case("a = GlobalMaxPool(h) z = Tile(a, r)", 12, r=[1, 1, 4, 6]),
    case("a = Tile(h, r) z = Conv(a, v)", 12, 8, r=[1, 2, 1, 1], v=(8, 24, 1, 1)),
    case("a = ReduceMean<axes=[1]>(h) b = Tile(a, r) z = Add(b, h)", 12, r=[1, 12, 1, 1]),
]
CASES["Reshape"] = [
    case("z = Reshape(h, to)", 12, to=[0, 0, -1]),
    case("z = Reshape(h, to)", 12, to=[2, 12, 24]),
    case("a = Reshape(h, to) z = Gemm(a, v, b)", 12, 8, to=[2, -1], v=(288, 8), b=(8,), opset=7),
    case("a = Reshape(h, to) z = Gemm(a, v)", 12, 8, to=[-1, 288], v=(288, 8)),
    case("z = Reshape(h, to)", 3, 4, close=(1, 2), to=[0, 4, 3, 24]),
    case("a = Reshape(h, to) b = Transpose<perm=[0,2,1,3,4]>(a) z = Reshape(b, back)", 3, 4, to=[2, 4, 3, 4, 6],
         back=[2, 12, 4, 6]),
    case("a = Reshape(h, to) b = Transpose<perm=[0,2,1,3,4]>(a) z = Reshape(b, back)", 3, 4, to=[0, 4, -1, 4, 6],
         back=[0, -1, 4, 6]),
    case("z = Reshape(h, to)", close=1, to=[2, 8, 36]),  # cuts across channels and places
    case("z = Reshape(h, to)", 6, to=[2, 6, 48]),
    case("z = Reshape<allowzero=1>(h, to)", 12, to=[2, 12, 24]),
    case("a = Transpose<perm=[0,2,3,1]>(h) z = Reshape(a, to)", 12, close=1, to=[-1, 12]),
    rows("z = Reshape(h, to)", 12, x="float[N,5,3] x", close=-1, to=[10, 12]),
    rows("z = Reshape(h, to)", 3, 4, x="float[N,5,3] x", close=(2, 3), to=[0, 0, 4, 3]),
    rows("z = Reshape(h, to)", 3, 4, x="float[N,M,3] x", close=(2, 3), to=[0, 0, 4, -1]),
    rows("a = Reshape(h, to) b = Transpose<perm=[0,2,1,3]>(a) c = Transpose<perm=[0,1,3,2]>(b) d = MatMul(b, c) "
         "e = Softmax(d) f = MatMul(e, b) g = Transpose<perm=[0,2,1,3]>(f) z = Reshape(g, back)", 3, 4,
         to=[2, 5, 4, 3], back=[2, 5, 12]),
    # the target is computed
    case("p = Shape(h) n = Gather(p, i) c = Gather(p, j) u = Unsqueeze(n, o) v = Unsqueeze(c, o) "
         "q = Concat<axis=0>(u, v, m) z = Reshape(h, q)", 12, i=0, j=1, o=[0], m=[-1]),
    case("p = Shape(h) n = Gather(p, i) q = Concat<axis=0>(n, c, m) z = Reshape(h, q)", 12, i=[0], c=[12], m=[24]),
    case("p = Shape(h) n = Slice(p, i, j) q = Concat<axis=0>(n, c, m) z = Reshape(h, q)", 3, 4, close=(1, 2), i=[0],
         j=[1], c=[4, 3], m=[24]),
    case("p = Shape(h) f = Cast<to=1>(p) d = Div(f, four) g = Floor(d) c = Cast<to=7>(g) e = Gather(c, i) "
         "q = Concat<axis=0>(two, cut, e, m) z = Reshape(h, q)", 3, close=(1, 2), four=4.0, i=[1], two=[2], cut=[4],
         m=[24]),
    case("p = Shape(h) c = Gather(p, i) s = Gather(p, j) t = Gather(p, l) d = Mul(c, s) e = Mul(d, t) "
         "q = Concat<axis=0>(two, e) a = Reshape(h, q) z = MatMul(a, v)", 12, 8, i=[1], j=[2], l=[3], two=[2],
         v=(288, 8)),
    case("p = Size(h) d = Div(p, two) u = Unsqueeze(d, o) q = Concat<axis=0>(n, u) a = Reshape(h, q) "
         "z = MatMul(a, v)", 12, 8, two=2, n=[2], o=[0], v=(288, 8)),
    case("p = Shape(h) c = Slice(p, i, j) d = ReduceProd<keepdims=1>(c) q = Concat<axis=0>(n, d) a = Reshape(h, q) "
         "z = MatMul(a, v)", 12, 8, i=[1], j=[4], n=[2], v=(288, 8)),
    case(f"{K} p = Shape(k) c = Gather(p, i) d = Mul(c, four) q = Concat<axis=0>(n, d, m) z = Reshape(h, q)", 3,
         ends="z k", w=(3, 3, 1, 1), i=[1], four=[4], n=[2], m=[-1]),  # the 4 is written, and stays
    case("p = Shape(h) e = Equal(p, m) q = Where(e, ones, p) z = Reshape(h, q)", 12, m=[-1], ones=[1, 1, 1, 1]),
    case("p = Shape(h) c = Gather(p, i) d = Add(c, zero) q = Concat<axis=0>(n, d, m) z = Reshape(h, q)", 12, i=[1],
         zero=[0], n=[2], m=[-1]),
]
CASES["Reshape"] += [
    case("p = Shape(y) m = Gather(p, i) d = Sub(m, i) u = Mul(d, c) q = Concat<axis=0>(n, u, n) z = Reshape(h, q)",
         x="float[2,3,2,1] x, float[N] y", i=[0], c=[6], n=[2]),  # nobody knows that 6 * N is 12
    # one constant for two uses, a Constant node, a folded target, lengths known only at run time
    case(f"{K} a = Reshape(h, to) z = Reshape(k, to)", 12, 12, ends="a z", to=[2, 12, 24], **TWIN),
    case("to = Constant<value=int64[3] {2, 12, 24}>() z = Reshape(h, to)", 12),
    case("to = Constant<value_ints=[2, 12, 24]>() a = Reshape(h, to) b = Relu(h) c = Reshape(b, to) z = Mul(a, c)", 12),
    case("q = Concat<axis=0>(i, j) z = Reshape(h, q)", 12, i=[2], j=[12, -1]),
    case("a = GlobalAveragePool(h) z = Reshape(a, to)", 12, to=[0, -1], x="float[N,3,H,W] x"),
    case("a = GlobalAveragePool(h) p = Shape(a) n = Gather(p, i) u = Unsqueeze(n, o) q = Concat<axis=0>(u, m) "
         "z = Reshape(a, q)", 12, i=0, o=[0], m=[-1], x="float[N,3,H,W] x"),
    case("p = Shape(h) n = Gather(p, i) q = Concat<axis=0>(n, c, m) a = Reshape(h, q) b = Transpose<perm=[0,2,1,3]>(a) "
         "z = Reshape(b, p)", 3, 4, i=[0], c=[4, 3], m=[-1], x="float[N,3,H,W] x"),
]
CASES["ConstantOfShape"] = [
    case("p = Shape(h) a = ConstantOfShape<value=float[1] {0.5}>(p) z = Add(a, h)", 12),
    case("a = ConstantOfShape<value=float[1] {0.5}>(p) z = Add(a, h)", 12, p=[12, 4, 6]),
    case("k = ConstantOfShape<value=float[1] {0.1}>(p) z = Conv(h, k)", 8, 12, p=[8, 12, 1, 1]),
    case("p = Shape(h) a = ConstantOfShape<value=int64[1] {1}>(p) b = Cast<to=1>(a) z = Add(b, h)", opset=17),
]
CASES["Shape"] = [
    case("p = Shape(h) z = Reshape(h, p)", 12),
    case("p = Shape<start=1, end=-1>(h) q = Concat<axis=0>(n, p, m) z = Reshape(h, q)", 12, n=[2], m=[-1]),
    case("p = Shape(h) f = Cast<to=1>(p) g = ReduceMax<keepdims=0>(f) z = Mul(h, g)"),
]
CASES["Shape"] += [
    case("g = Conv(h, w) p = Shape(w) c = Gather(p, i) q = Concat<axis=0>(n, c, m) z = Reshape(g, q)", 8, 12,
         w=(8, 12, 1, 1), i=[0], n=[2], m=[-1]),
    case("g = Conv(h, w, b) p = Shape(b) q = Concat<axis=0>(n, p, m) z = Reshape(g, q)", 8, 12, w=(8, 12, 1, 1), b=(8,),
         n=[2], m=[-1]),
]
CASES["Size"] = [
    case("p = Size(h) u = Unsqueeze(p, o) a = Reshape(h, u) z = MatMul(a, v)", 12, close=(), o=[0], v=(576,)),
    case("p = Size(h) f = Cast<to=1>(p) z = Div(h, f)"),
]

# --- sums

CASES["Concat"] = [
    case(f"{K} z = Concat<axis=1>(h, k)", 8, 12, w=(8, 3, 1, 1)),
    case(f"{K} z = Concat<axis=-3>(h, k, h)", 8, 12, w=(8, 3, 1, 1)),
    case(f"{K} z = Concat<axis=2>(h, k)", 12, **TWIN),
    case(f"{K} a = Concat<axis=1>(h, k) b = Flatten(a) z = MatMul(b, v)", 8, 8, 12, w=(8, 3, 1, 1), v=(480, 8)),
    case(f"{K} a = Concat<axis=1>(h, k) b = Concat<axis=1>(k, h) c = Relu(b) z = Add(a, c)", 12, **TWIN),
    case(f"{K} a = Concat<axis=1>(h, x) z = Concat<axis=1>(a, k)", 8, 12, w=(8, 3, 1, 1)),
    rows("q = MatMul(x, w) k = MatMul(x, v) a = Concat<axis=2>(h, q, k) z = Reshape(a, to)", 3, 4, 4, 4,
         close=(2, 3), to=[2, 5, 12, 3], w=(3, 12), v=(3, 12)),
]
CASES["Split"] = [
    case("a, z = Split<axis=1>(h)", 6, 6, ends="a z", opset=11),
    case("a, b, z = Split<axis=1, split=[2,3,7]>(h)", 2, 3, 7, ends="a b z", opset=7),
    case("a, z = Split<axis=-3>(h, s)", 4, 8, ends="a z", opset=13, s=[4, 8]),
    case("a, z = Split<axis=1>(h)", 6, 6, ends="a z", opset=13),
    case("a, b, z = Split<axis=1, num_outputs=3>(h)", 4, 4, 4, ends="a b z", opset=18),
    case("a, b, z = Split<axis=1, num_outputs=3>(h)", 3, 4, 4, ends="a b z", opset=18, W=(11, 3, 1, 1)),
    case("a, b = Split<axis=1>(h) c = Sigmoid(b) z = Mul(a, c)", 6, opset=13),
    case("a, z = Split<axis=2>(h)", 12, opset=13),
    case("a = Reshape(h, to) b, z = Split<axis=1>(a)", close=1, ends="b z", to=[2, 36, 8], opset=13),
]
CASES["Split"] += [
    case(f"a, z = Split<axis=1{more}>(h)", 2, 2, ends="a z", opset=opset, W=(4, 3, 1, 1))
    for opset, more in [(11, ""), (13, ""), (18, ", num_outputs=2")]  # to 3 and 2: near enough for 18 only
]
CASES["SequenceAt"] = CASES["SplitToSequence"] = [
    case("s = SplitToSequence<axis=1>(h, n) a = SequenceAt(s, i) z = SequenceAt(s, j)", 4, 8, ends="a z", n=[4, 8], i=0,
         j=-1),
    case("s = SplitToSequence<axis=1>(h, n) a = SequenceAt(s, i) z = SequenceAt(s, j)", 4, ends="a z", n=4, i=2, j=0),
]
CASES["Slice"] = [
    case("z = Slice<axes=[1], starts=[2], ends=[9]>(h)", 7, 2, 3, opset=9),
    case("z = Slice<starts=[0,2], ends=[2,-1]>(h)", 2, 9, opset=7),
    case("z = Slice(h, s, e, a)", 4, 8, s=[4], e=[12], a=[1], opset=10),
    case("z = Slice(h, s, e, a)", 4, 8, s=[4], e=[FAR], a=[-3]),
    case("z = Slice(h, s, e, a)", 4, 8, s=[-8], e=[2**63 - 1], a=[1]),
    case("z = Slice(h, s, e, a)", 3, 9, s=[0], e=[-3], a=[1]),
    case("z = Slice(h, s, e, a)", 12, s=[-100], e=[100], a=[1]),
    case("z = Slice(h, s, e, a, t)", s=[0], e=[12], a=[1], t=[2]),
    case("z = Slice(h, s, e, a, t)", s=[-1], e=[-100], a=[1], t=[-1]),
    case("z = Slice(h, s, e, a, t)", 12, s=[-1], e=[-100], a=[3], t=[-1]),
    case("p = Shape(h) c = Gather(p, i) z = Slice(h, s, c, a)", 4, 8, i=[1], s=[4], a=[1]),
    case("p = Shape(h) c = Gather(p, i) d = Div(c, two) z = Slice(h, s, d, a)", 6, i=[1], s=[0], two=[2], a=[1]),
    case("l = Slice(h, s, e, a) r = Slice(h, e, f, a) t = Sigmoid(l) z = Mul(r, t)", 6, s=[0], e=[6], f=[FAR], a=[1]),
    case("l = Slice(h, s, e, a) r = Slice(h, g, f, a) z = Add(l, r)", s=[0], e=[11], g=[1], f=[12], a=[1]),
]
CASES["Pad"] = [
    case("z = Pad<pads=[0,0,1,1,0,0,1,1]>(h)", 12, opset=7),
    case("z = Pad(h, p)", 12, p=[0, 2, 0, 0, 0, 3, 0, 0]),
    case("z = Pad(h, p, v)", 12, p=[0, 0, 1, 1, 0, 4, 0, 0], v=0.5),
    case("z = Pad(h, p, , a)", 12, opset=18, p=[1, 2], a=[1]),
    case('z = Pad<mode="reflect">(h, p)', 12, p=[0, 0, 1, 1, 0, 0, 1, 1]),
    case('z = Pad<mode="reflect">(h, p)', p=[0, 1, 0, 0, 0, 1, 0, 0]),
    case("z = Pad(h, p)", p=[0, -2, 0, 0, 0, 0, 0, 0]),
]
CASES["Gather"] = [
    case("z = Gather<axis=1>(h, i)", 6, 6, i=[*range(6, 12), *range(6)]),
    case("z = Gather<axis=1>(h, i)", 4, 8, i=list(range(4, 12))),
    case("z = Gather<axis=1>(h, i)", 3, 4, i=np.arange(12).reshape(3, 4).T.ravel()),
    case("z = Gather<axis=1>(h, i)", 12, i=[*range(12), *range(12)]),
    case("z = Gather<axis=1>(h, i)", i=[3, 1, 7, 5]),
    case("z = Gather<axis=1>(h, i)", close=(), i=5),
    case("z = Gather<axis=-2>(h, i)", 12, i=[2, 0]),
    case("z = Gather<axis=1>(h, i)", 4, 8, i=np.array(range(-8, 0), np.int32)),
    rows("e = Gather(w, i) z = Add(h, e)", 12, w=(7, 12), i=[3, 1, 1, 6, 0]),
]

NAMED = {f"{operator}-{number}": probe for operator, probes in CASES.items() for number, probe in enumerate(probes)}
every_case = pytest.mark.parametrize("probe", NAMED.values(), ids=NAMED)


def groups_in(analysis: Analysis) -> list[Group]:
    return [group for group in analysis.groups if group.members]


def sizes_for(groups: list[Group], times: float) -> dict[str, int]:
    """Return sizes that the limits allow: whole multiples where every channel must occur equally often."""
    whole = any(group.limit is Limit.UNIFORM for group in groups)
    return {group.name: round(group.size * (np.ceil(times) if whole else times)) for group in groups}


def grow_named(
    teacher: onnx.ModelProto, sizes: dict[str, int], init: str = "net2net"
) -> tuple[onnx.ModelProto, Growth]:
    return grow(teacher, groups=sizes, exclude=("*",), init=init)


def forced(analysis: Analysis, wanted: int, channels: Channels) -> onnx.ModelProto:
    """Grow every factor of size ``wanted`` in ``h`` and ``z`` by ``channels``, whatever its limits say."""
    axes = [axis for value, axes in analysis.axes.items() if value.name in {"h", "z"} for axis in axes]
    factors = {factor for axis in axes for factor in leaves(axis) if factor.size == wanted}
    assert factors
    return apply(analysis, Growth(dict.fromkeys(factors, channels), (), ()))


@every_case
def test_groups_are_found(probe: Case) -> None:
    assert probe.judge.meaningful
    assert tuple(sorted(group.size for group in groups_in(probe.analysis()))) == probe.groups


@every_case
@pytest.mark.parametrize("init", ["net2net", "zero"])
def test_student_computes_what_its_teacher_computes(probe: Case, init: str) -> None:
    groups = groups_in(probe.analysis())
    choices = [groups] if probe.together or len(groups) == 1 else [groups, *([group] for group in groups)]
    for chosen in choices if groups else []:
        for times in (1.5, 2.0, np.random.default_rng(len(probe.body)).uniform(1.1, 3)):
            sizes = sizes_for(chosen, times)
            student, growth = grow_named(probe.teacher, sizes, init)
            assert {grown.name: grown.after for grown in growth.grown} == {
                group.name: sizes[group.name] for group in chosen if sizes[group.name] > group.size
            }
            assert probe.judge.error(student) < TOLERANCE, sizes


@every_case
def test_shares_matter_exactly_where_an_axis_that_grew_is_summed_over(probe: Case) -> None:
    """The comparison could have failed; only maxima and means need no shares."""
    analysis = probe.analysis()
    growth = plan(analysis, Request(groups=sizes_for(groups_in(analysis), 2), exclude=("*",)))
    parts = [part for found in analysis.ledger.contractions for summand in found.summands for part in summand.parts]
    needed = any(summed and growth.touches(axis) for axis, summed in parts)
    analysis.ledger.contractions.clear()
    assert (probe.judge.error(apply(analysis, growth)) > WRONG) == needed


@pytest.mark.parametrize(
    "body",
    [
        "a = MatMul(h, w) b = Relu(a) z = MatMul(b, w)",
        "u = Transpose(w) a = MatMul(h, w) b = Relu(a) z = MatMul(b, u)",
        "e = Gather(w, i) a = Add(h, e) u = Transpose(w) z = MatMul(a, u)",
        "p = Shape(w) z = MatMul(h, w)",
    ],
)
def test_a_matrix_with_several_uses_stays_one_matrix(body: str) -> None:
    teacher = rows(body, w=(12, 12), i=[3, 1, 1, 6, 0]).teacher
    student, growth = grow(teacher)
    assert growth.grown
    matrices = [tensor.name for tensor in student.graph.initializer if len(tensor.dims) == 2]
    assert matrices == [tensor.name for tensor in teacher.graph.initializer if len(tensor.dims) == 2]


def test_in_double_precision_only_rounding_differs() -> None:
    rng = np.random.default_rng(0)
    weights = {name: rng.standard_normal(shape) for name, shape in [("v", (3, 8)), ("w", (8, 8)), ("u", (8, 3))]}
    body = (
        "h = MatMul(x, v) k = MatMul(h, w) t = Transpose<perm=[0,2,1]>(k) a = MatMul(h, t) b = Softmax(a) "
        "c = MatMul(b, h) l = ReduceL2<axes=[2]>(c) d = Div(c, l) s = ReduceSum(d, axes) e = Mul(d, s) y = MatMul(e, u)"
    )
    teacher = model(body, "double[2,5,3] x", "y", axes=np.array([2]), **weights)
    for init in ("net2net", "zero"):
        student, growth = grow_named(teacher, {"v": 13}, init)
        assert [(group.before, group.after) for group in growth.grown] == [(8, 13)]
        assert Judge(teacher).error(student) < 1e-12


def test_a_rounded_length_is_what_rounding_makes_of_it() -> None:
    """The target says 2 x 12 x ceil(0.6 * 6) x -1; only 12 may change when the channels grow."""
    body = (
        "h = Conv(x, W) p = Shape(h) f = Cast<to=1>(p) g = Gather(f, i) d = Mul(g, s) e = Ceil(d) r = Cast<to=7>(e) "
        "q = Concat<axis=0>(n, c, r, m) z = Reshape(h, q) y = Conv(z, V)"
    )
    shapes = {"W": (12, 3, 1, 1), "V": (3, 12, 1, 1)}
    teacher = model(body, "float[2,3,4,6] x", "y", i=[3], s=0.6, n=[2], c=[12], m=[-1], **shapes)
    teacher.graph.value_info.append(helper.make_tensor_value_info("z", onnx.TensorProto.FLOAT, [2, 12, 4, 6]))
    assert Judge(teacher).error(grow_named(teacher, {"W": 18})[0]) < TOLERANCE


def channels_of(index: list[int]) -> Channels:
    return Channels(np.array(index), shares(np.array(index), max(index) + 1))


UNEVEN12 = channels_of([*range(12), 0, 1, 2, 3, 0, 1])
UNEVEN3 = channels_of([0, 1, 2, 0])
FORCED = {  # the case, and which factors are forced to grow how
    "GroupNormalization-0": (3, UNEVEN3),
    "GroupNormalization-2": (12, UNEVEN12),
    "InstanceNormalization-1": (3, UNEVEN3),
    "ReduceMean-0": (12, UNEVEN12),
    "GlobalAveragePool-1": (12, UNEVEN12),
    "GlobalLpPool-1": (12, UNEVEN12),
    **{f"{operator}-0": (12, UNEVEN12) for operator in ["Softmax", "LogSoftmax", "Hardmax", "LRN", *PRODUCTS]},
}


@pytest.mark.parametrize("name", FORCED)
def test_growth_that_is_refused_would_be_wrong(name: str) -> None:
    probe, (size, channels) = NAMED[name], FORCED[name]
    group = next((group.name for group in groups_in(probe.analysis()) if group.size == size), "W")
    with pytest.raises(GrowthError):
        grow_named(probe.teacher, {group: len(channels.index)})
    assert probe.judge.error(forced(probe.analysis(), size, channels)) > WRONG


@pytest.mark.parametrize(("factor", "after"), [(1.9, 12), (2.6, 24), (3.0, 36)])
def test_under_a_mean_channels_grow_by_whole_multiples(factor: float, after: int) -> None:
    student, _ = grow(NAMED["ReduceMean-0"].teacher, factor=factor)
    assert student.graph.initializer[0].dims[0] == after


def test_parts_of_a_mean_grow_only_together() -> None:
    teacher = next(probe for probe in CASES["ReduceMean"] if probe.together).teacher
    first, second = groups_in(analyze(opened(teacher)))
    for sizes in ({first.name: 24}, {second.name: 16}, {first.name: 24, second.name: 24}):
        with pytest.raises(GrowthError):
            grow_named(teacher, sizes)


@pytest.mark.parametrize(
    "body",
    [
        "z, a, b = BatchNormalization<training_mode=1>(h, s, s, s, s)",
        "z = Dropout(h, half, yes)",
        "z = RandomNormalLike(h)",
        "z = Bernoulli(h)",
    ],
)
def test_what_looks_at_the_batch_or_throws_dice_is_pinned(body: str) -> None:
    constants = {"W": (12, 3, 1, 1), "V": (3, 12, 1, 1), "s": (12,), "half": 0.5, "yes": np.array(True)}
    teacher = model(f"h = Conv(x, W) {body} y = Conv(z, V)", "float[2,3,4,6] x", "y", **constants)
    assert not groups_in(analyze(opened(teacher)))


def test_every_rule_is_probed_by_a_case_in_which_what_it_handles_grows() -> None:
    known, probed = set(rules.known()), set()
    assert {operator for _, operator, _ in known} == CASES.keys()
    for probe in NAMED.values():
        analysis = probe.analysis()
        free = {group.factor for group in groups_in(analysis)}
        for node in list(analysis.model.graph)[1:]:
            tensors = [analysis.axes_of_use(node, slot) for slot in range(len(node.inputs))]
            tensors += [analysis.axes.get(output) for output in node.outputs]
            if not free.isdisjoint(factor for axes in tensors for axis in axes or () for factor in leaves(axis)):
                opset = analysis.model.opset_imports[rules.plain(node.domain)]
                operator = (rules.plain(node.domain), node.op_type)
                probed.add(max(rule for rule in known if rule[:2] == operator and rule[2] <= opset))
    assert not known - probed


def test_every_rule_for_small_integer_tensors_is_probed() -> None:
    inside = {node.op_type for probe in NAMED.values() for node in probe.teacher.graph.node}
    operators = {schema.name for schema in onnx.defs.get_all_schemas() if rules.content_rule_for("", schema.name)}
    assert not operators - inside
