"""Operators that pick or set places by indices."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import Case, case

CASES: dict[str, list[Case]] = {}

BEST = "t, i = TopK<axis=2>(h, two)"  # places along an axis, for each channel
TWO = {"two": [2]}
FIRST = np.zeros((2, 12, 3, 6), np.int64)

CASES["GatherElements"] = [
    case(f"{BEST} z = GatherElements<axis=2>(h, i)", 12, **TWO),
    case(f"{BEST} j = Slice(i, s, e, a) z = GatherElements<axis=-2>(h, j)", s=[0], e=[5], a=[1], **TWO),
    case("z = GatherElements<axis=2>(h, i)", i=FIRST),
    case("z = GatherElements<axis=1>(h, i)", i=FIRST[:, :5]),
]
CASES["Scatter"] = [
    case(f"{BEST} u = Neg(t) z = Scatter<axis=2>(h, i, u)", 12, opset=10, **TWO),
    case(f"{BEST} z = Scatter<axis=2>(h, i, u)", 12, opset=10, u=(2, 12, 2, 6), **TWO),
    case("z = Scatter<axis=2>(h, i, u)", opset=10, i=FIRST[:, :, :1], u=(2, 12, 1, 6)),
]
CASES["ScatterElements"] = [
    case(f"{BEST} u = Neg(t) z = ScatterElements<axis=2>(h, i, u)", 12, opset=13, **TWO),
    case(f'{BEST} z = ScatterElements<axis=2, reduction="add">(h, i, u)', 12, opset=18, u=(2, 12, 2, 6), **TWO),
    case(f"{BEST} j = Slice(i, s, e, a) z = ScatterElements<axis=-2>(h, j, u)", s=[0], e=[5], a=[1], u=(2, 5, 2, 6),
         **TWO),
    case("z = ScatterElements<axis=1>(h, i, u)", i=FIRST[:, :1], u=(2, 1, 3, 6)),
]
CASES["GatherND"] = [
    case("z = GatherND(h, i)", 12, i=[[0], [1], [1]]),
    case("z = GatherND(h, i)", close=(), i=[[0, 3], [1, 7]]),
    case("a = Transpose<perm=[0,2,1,3]>(h) z = GatherND<batch_dims=1>(a, i)", 12, close=2, i=[[[0], [1]], [[3], [1]]]),
    case("p = ArgMax<axis=2>(h) m = ReduceMax<axes=[0,3], keepdims=0>(p) i = Unsqueeze(m, axes) "
         "a = Transpose<perm=[1,2,0,3]>(h) z = GatherND<batch_dims=1>(a, i)", 12, close=0, axes=[2]),
]
SET = "a = Transpose<perm=[2,1,0,3]>(h)"  # channels behind what is indexed, as exporters write x[:, :, [0, 2]] = u
CASES["ScatterND"] = [
    case("z = ScatterND(h, i, u)", 12, i=[[1]], u=(1, 12, 4, 6)),
    case(f"{SET} s = Gather(a, j) u = Neg(s) b = ScatterND(a, i, u) z = Transpose<perm=[2,1,0,3]>(b)", 12,
         i=[[0], [2]], j=[3, 1]),
    case(f'{SET} z = ScatterND<reduction="add">(a, i, u)', 12, opset=18, i=[[3], [3]], u=(2, 12, 2, 6)),
    case("z = ScatterND(h, i, u)", i=[[0, 3], [1, 7]], u=(2, 4, 6)),
]
CASES["OneHot"] = [
    case("p = ArgMax<axis=2>(h) z = OneHot(p, n, v)", 12, n=4, v=[-1.0, 2.0]),
    case("i = Cast<to=7>(h) z = OneHot<axis=1>(i, n, v)", 12, close=2, n=[4], v=[0.0, 1.0]),
    case("p = ArgMax<axis=3>(h) s = Shape(h) n = Gather(s, i) z = OneHot(p, n, v)", 12, i=[3], v=[0, 1]),
    case("p = ArgMax<axis=3>(h) s = Shape(h) n = Gather(s, i) z = OneHot(p, n, v)", i=[1], v=[0, 1]),
]
CACHE = "a = Transpose<perm=[2,0,3,1]>(h) k = Transpose<perm=[2,0,3,1]>(r)"
CASES["TensorScatter"] = [
    case(f"r = Conv(y, W) {CACHE} z = TensorScatter(k, a, i)", 12, close=-1, opset=24,
         x="float[2,3,4,6] x, float[2,3,4,9] y", i=[0, 3, 1, 2]),
]
