"""Operators that read lengths, or make tensors of nothing else."""

from __future__ import annotations

import numpy as np

from helpers.probes.case import Case, case, flat

CASES: dict[str, list[Case]] = {}

BESIDE, FIVE = "a = Relu(h) k = MatMul(a, o)", {"o": (12, 5)}
PINNED = {"EyeLike", "NonZero", "Range", "Constant"}
CASES["EyeLike"] = [
    flat(f"{BESIDE} e = EyeLike(k) z = Add(k, e)", 12, **FIVE),
    flat("e = EyeLike<k=1>(h) z = Add(h, e)"),
]
CASES["NonZero"] = [
    flat(f"{BESIDE} p = Softplus(k) n = NonZero(p) i = Transpose(n) z = GatherND(k, i)", 12, close=(), **FIVE),
]
LENGTH = "s = Shape(h) n = Gather(s, i) r = Range(zero, n, one) f = Cast<to=1>(r)"
CASES["Range"] = [
    case(f"{LENGTH} z = Mul(h, f)", 12, i=3, zero=0, one=1),
    case(f"{LENGTH} z = Mul(h, f)", 12, x="float[2,3,H,W] x", i=3, zero=0, one=1),
    case(f"{LENGTH} a = Transpose<perm=[0,2,3,1]>(h) z = Mul(a, f)", close=3, i=1, zero=0, one=1),
    case("r = Range(zero, n, one) z = Mul(h, r)", 12, zero=0.0, n=6.0, one=1.0),
]
CASES["Constant"] = [
    case('w = Constant<value_strings=["a", "b", "c", "d", "e", "f"]>() e = Equal(w, v) f = Cast<to=1>(e) z = Mul(h, f)',
         12, opset=19, v=np.array(list("abcABC"), object)),
]
