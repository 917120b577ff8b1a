"""Operators that arrange axes, and shape arithmetic."""

from __future__ import annotations

from helpers.probes.case import TWIN, Case, K, case, rows

CASES: dict[str, list[Case]] = {}

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
    case("z = Reshape(h, to)", 4, close=1, to=[2, 8, 36]),  # cuts across channels and places
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
    case(f"{K} p = Shape(k) c = Gather(p, i) d = Mul(c, four) q = Concat<axis=0>(n, d, m) z = Reshape(h, q)", 3, 12,
         ends="z k", w=(3, 3, 1, 1), i=[1], four=[4], n=[2], m=[-1]),  # 4 * 3 is corrected by what 12 differs from it
    case("p = Shape(h) e = Equal(p, m) q = Where(e, ones, p) z = Reshape(h, q)", 12, m=[-1], ones=[1, 1, 1, 1]),
    case("p = Shape(h) c = Gather(p, i) d = Add(c, zero) q = Concat<axis=0>(n, d, m) z = Reshape(h, q)", 12, i=[1],
         zero=[0], n=[2], m=[-1]),
]
CASES["Reshape"] += [
    case("p = Shape(y) m = Gather(p, i) d = Max(m, i) u = Mul(d, c) q = Concat<axis=0>(n, u, n) z = Reshape(h, q)",
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
