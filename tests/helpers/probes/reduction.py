"""Operators that reduce axes."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import Case, K, case, flat, rows

CASES: dict[str, list[Case]] = {}

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
    CASES.setdefault(operator, []).append(case(body, 8, 12, close=close, w=POSITIVE, half=0.5))
