"""Operators that work along one axis."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import Case, case, rows

CASES: dict[str, list[Case]] = {}

CASES["CumSum"] = [
    case("z = CumSum(h, i)", 12, i=2),
    case("z = CumSum<exclusive=1, reverse=1>(h, i)", 12, i=[-1]),
    case("z = CumSum(h, i)", i=1),
]
CASES["CumProd"] = [case("z = CumProd(h, i)", 12, opset=26, i=-1), case("z = CumProd(h, i)", opset=26, i=1)]
CASES["Det"] = [case("a = MatMul(h, v) z = Det(a)", 12, v=(6, 4)), rows("z = Det(h)", close=(), W=(3, 5))]
CASES["Trilu"] = [
    case("z = Trilu(h)", 12),
    case("z = Trilu<upper=0>(h, k)", 12, k=-1),
    rows("z = Trilu(h)"),
]
CASES |= {
    operator: [
        case(f"z = {operator}<axis=2>(h)", 12),
        case(f"z = {operator}<axis=-1, keepdims=0, select_last_index=1>(h)", 12),
        case(f"z = {operator}(h)", 12, opset=7),
        case(f"z = {operator}<axis=1>(h)", close=()),
    ]
    for operator in ["ArgMax", "ArgMin"]
}
CASES["TopK"] = [
    case("z, i = TopK<axis=2, k=3>(h)", 12, ends="z i", opset=7),
    case("z, i = TopK(h, k)", 12, opset=10, k=[3]),
    case("z, i = TopK<axis=2, largest=0>(h, k)", 12, ends="z i", opset=24, k=[2]),
    case("z, i = TopK<axis=1>(h, k)", k=[5]),
]
SOME = np.array([True, False, True, True])
CASES["Compress"] = [
    case("z = Compress<axis=2>(h, some)", 12, some=SOME),
    case("z = Compress(h, some)", close=(), some=SOME),
    case("z = Compress<axis=1>(h, some)", some=SOME),
]
CASES["Unique"] = [
    case("z = Unique<axis=2>(h)", 12),
    case("u, first, back, count = Unique<axis=-1, sorted=0>(h) z = Gather<axis=-1>(u, back)", 12),
    case("z = Unique<axis=1>(h)"),
    case("z = Unique(h)", close=()),
]
CASES["ReverseSequence"] = [
    case("a = Transpose<perm=[0,2,1,3]>(h) z = ReverseSequence<batch_axis=0, time_axis=1>(a, n)", 12, close=2,
         n=[3, 2]),
    case("m = ReduceMax<axes=[0,3], keepdims=0>(h) p = ArgMax<axis=1, keepdims=0>(m) n = Add(p, one) "
         "a = Transpose<perm=[2,1,0,3]>(h) z = ReverseSequence(a, n)", 12, one=1),
    case("a = Transpose<perm=[2,1,0,3]>(h) z = ReverseSequence(a, n)", n=[1, 2, 3, 4] * 3),
    case("z = ReverseSequence<batch_axis=0, time_axis=1>(h, n)", n=[7, 12]),
]
