"""Operators that treat every element alike."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import TWIN, Case, K, case, rows

CASES: dict[str, list[Case]] = {}

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
CASES["Div"] += [
    case("z = Div(h, two)", 12, two=2.0),
    case("z = Div(h, b)", 12, b=np.linspace(-2, 1.5, 12, dtype=np.float32).reshape(12, 1, 1)),
]
CASES["Pow"] = [case(f"{K} e = Exp(h) z = Pow(e, k)", 12, **TWIN), case("z = Pow(h, two)", 12, two=2.0)]
CASES["Mod"] = [
    case(f"{K} e = Exp(k) z = Mod<fmod=1>(h, e)", 12, **TWIN),
    case("z = Mod<fmod=1>(h, half)", 12, half=-0.5),
]
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
CASES["BitCast"] = [case("z = BitCast<to=6>(h)", 12, opset=26)]
CASES["SwiGLU"] = [case(f"{K} z = SwiGLU<alpha=1.5>(h, k)", 12, opset=28, reference=True, **TWIN)]
