"""Operators that join, cut and pick stretches of an axis."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import FAR, TWIN, Case, K, case, rows

CASES: dict[str, list[Case]] = {}

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
    case("a = Reshape(h, to) b, z = Split<axis=1>(a)", 6, 6, close=1, ends="b z", to=[2, 36, 8], opset=13),
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
