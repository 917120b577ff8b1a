"""Probes of attention: heads, head dimensions of query and key and those of the values, masks, caches and rotations."""

from __future__ import annotations

from typing import Any

import numpy as np

from helpers.probes.case import Case, case, rows

CASES: dict[str, list[Case]] = {}

BATCH, PLACES, PAST = 2, 5, 2  # of the stream of rows, and how many places a cache has
HEADS, INNER, OUTER = 3, 4, 5  # heads, the head dimension of query and key, and that of the values
PROJECTED = "q = MatMul(h, wq) k = MatMul(h, wk) v = MatMul(h, wv)"


def projections(
    heads: int = HEADS, shared: int = HEADS, inner: int = INNER, outer: int = OUTER
) -> dict[str, tuple[int, ...]]:
    """Return the weights of query, key and value."""
    return {"wq": (12, heads * inner), "wk": (12, shared * inner), "wv": (12, shared * outer)}


def cache(heads: int = HEADS, inner: int = INNER, outer: int = OUTER) -> dict[str, tuple[int, ...]]:
    """Return the keys and values of earlier places."""
    return {"pk": (BATCH, heads, PAST, inner), "pv": (BATCH, heads, PAST, outer)}


def allowed(*shape: int) -> np.ndarray:
    """Return a mask that forbids some places, but no place all."""
    mask = np.random.default_rng(1).uniform(size=shape) < 0.6
    mask[..., 0] = True
    return mask


# --- ONNX's own Attention

TOGETHER = {"pk_to": [BATCH, PAST + PLACES, HEADS * INNER], "pv_to": [BATCH, PAST + PLACES, HEADS * OUTER]}
APART = (
    "k_t = Transpose<perm=[0,2,1,3]>(ck) v_t = Transpose<perm=[0,2,1,3]>(cv) a = Reshape(k_t, pk_to) "
    "b = Reshape(v_t, pv_to)"
)
SPLIT = "Transpose<perm=[0,2,1,3]>"
FOUR = " ".join(f"{n}_r = Reshape({n}, {n}_to) {n}_s = {SPLIT}({n}_r)" for n in "qkv")
INTO_FOUR = {
    "q_to": [0, 0, HEADS, INNER], "k_to": [0, 0, HEADS, INNER], "v_to": [0, 0, HEADS, OUTER],
}  # fmt: skip
ACROSS = "t = Transpose<perm=[2,1,0]>(h) k = MatMul(t, w)"  # the channels become the batch
ALL = (HEADS, INNER, OUTER, 12)


def attend(arguments: str = "q, k, v", *groups: int, given: str = "", outputs: str = "z", more: str = "",
           heads: int = HEADS, shared: int = HEADS, inner: int = INNER, outer: int = OUTER, opset: int = 23,
           ends: str = "z", **constants: Any) -> Case:  # fmt: skip
    """Return a case of attention over three projections of ``h``."""
    node = f"{outputs} = Attention<q_num_heads={heads}, kv_num_heads={shared}{given}>({arguments})"
    weights = projections(heads, shared, inner, outer)
    return rows(f"{PROJECTED} {node} {more}", *(groups or ALL), opset=opset, ends=ends, **weights, **constants)


CASES["Attention"] = [
    rows("t = Transpose<perm=[0,2,1]>(h) z = Attention<q_num_heads=1, kv_num_heads=1>(t, t, t)", close=1, opset=23),
    *(attend(opset=opset) for opset in (23, 24)),
    attend(given=", scale=0.3"),
    attend(given=", softcap=0.5"),
    attend(given=", is_causal=1, scale=0.7", opset=24),
    rows("z = Attention<q_num_heads=3, kv_num_heads=3>(h, h, h)", 3, 4, opset=23),
    rows("z = Attention<q_num_heads=3, kv_num_heads=3, scale=0.9>(h, h, h)", 3, 4, opset=23),
    # heads of the query that share those of key and value
    attend("q, k, v", 2, 3, INNER, OUTER, 12, heads=6, shared=2),
    attend("q, k, v", 6, INNER, OUTER, 12, heads=6, shared=1),
    attend("q, k, v", 6, INNER, OUTER, 12, heads=6, shared=6),
    attend("q, k, v", 2, 3, INNER, OUTER, 12, heads=6, shared=2, given=", scale=0.3", opset=24),
    attend("q, k, v", HEADS, OUTER, 12, inner=1),
    # masks, with or without heads and batch
    attend("q, k, v, m", m=(PLACES, PLACES)),
    attend("q, k, v, m", m=allowed(PLACES, PLACES)),
    attend("q, k, v, m", m=(HEADS, PLACES, PLACES)),
    attend("q, k, v, m", m=(1, HEADS, PLACES, PLACES)),
    attend("q, k, v, m", m=allowed(BATCH, 1, PLACES, PLACES), opset=24),
    attend("q, k, v, m", INNER, OUTER, 12, m=allowed(BATCH, HEADS, PLACES, PLACES)),  # only numbers are copied
    attend("q, k, v, m", m=(BATCH, HEADS, PLACES, PLACES)),
    attend("q, k, v, m", 2, 3, INNER, OUTER, 12, m=(1, 6, PLACES, PLACES), heads=6, shared=2),
    # caches
    attend("q, k, v, , pk, pv", outputs="z, ck, cv", more=APART, ends="z a b", **TOGETHER, **cache()),
    attend("q, k, v, m, pk, pv", 2, 3, INNER, OUTER, 12, outputs="z, ck, cv", heads=6, shared=2,
           m=(6, PLACES, PAST + PLACES), **cache(heads=2)),
    attend("q, k, v, , , , n", opset=24, n=np.array([3, 5])),
    # scores
    attend(outputs="z, , , s", more="t = Transpose<perm=[0,2,3,1]>(s)", ends="z t"),
    attend("q, k, v", INNER, OUTER, 12, outputs="z, , , s", given=", qk_matmul_output_mode=3",
           more="t = Transpose<perm=[0,2,3,1]>(s)", ends="z t"),
    # of rank 4
    rows(f"{PROJECTED} {FOUR} z = Attention(q_s, k_s, v_s)", *ALL, close=(1, 3), opset=23, **INTO_FOUR,
         **projections()),
    rows(f"{PROJECTED} {FOUR} z = Attention<scale=0.3>(q_s, k_s, v_s, m)", *ALL, close=(1, 3), opset=24,
         m=(HEADS, PLACES, PLACES), **INTO_FOUR, **projections()),
    rows(f"{PROJECTED} {FOUR} z = Attention(q_s, k_s, v_s)", 2, 3, INNER, OUTER, 12, close=(1, 3), opset=23,
         **{**INTO_FOUR, "q_to": [0, 0, 6, INNER]}, **projections(heads=6)),
    case("a = Conv(h, w) b = Conv(h, u) z = Attention(a, a, b)", 8, 12, opset=23, w=(8, 12, 1, 1), u=(8, 12, 1, 1)),
    # the batch
    rows(f"{ACROSS} z = Attention<q_num_heads=3, kv_num_heads=3>(k, k, k)", 3, 4, 12, close=(0, 2), opset=23,
         w=(2, 12)),
    rows(f"{ACROSS} z = Attention<q_num_heads=3, kv_num_heads=3>(k, k, k, , , , n)", 3, 4, close=(0, 2), opset=24,
         w=(2, 12), n=np.array([3, 5] * 6)),
    # scaled by a norm of heads, as some models do
    rows(f"{PROJECTED} {FOUR} a = RMSNormalization(q_s, g) b = RMSNormalization(k_s, g) z = Attention(a, b, v_s)", *ALL,
         close=(1, 3), opset=23, g=np.linspace(0.5, 2, INNER, dtype=np.float32), **INTO_FOUR, **projections()),
]  # fmt: skip

# --- ONNX Runtime's

MEAN = "m = ReduceMean<axes=[0, 1], keepdims=0>(x)"
SAME = {"wv": (12, HEADS * INNER)}
SHARED = np.array([[1] * PLACES, [1, 1, 1, 0, 0]], np.int32)


def several(arguments: str = "q, k, v", *groups: int, given: str = "", outputs: str = "z", more: str = "",
            ends: str = "z", before: str = PROJECTED, **constants: Any) -> Case:  # fmt: skip
    node = f"{outputs} = com.microsoft.MultiHeadAttention<num_heads={HEADS}{given}>({arguments})"
    return rows(f"{before} {node} {more}", *(groups or ALL), ends=ends, **{**projections(), **constants})


CASES["MultiHeadAttention"] = [
    rows("t = Transpose<perm=[0,2,1]>(h) z = com.microsoft.MultiHeadAttention<num_heads=1>(t, t, t)", close=1),
    several(),
    several(given=", scale=0.3"),
    several(given=", unidirectional=1"),
    several("h, h, h", 3, 4, before=""),
    several("q, k, v, b", b=(HEADS * (INNER + INNER + OUTER),)),
    several("q, k, v, b", given=", scale=0.3", b=(HEADS * (INNER + INNER + OUTER),)),
    several("h, h, h, b", 3, 4, before="", b=(3 * 12,)),
    several("h, h, h, b", 3, 4, given=", scale=0.9", before="", b=(3 * 12,)),
    # a bias that is computed, with and without a weight that makes it
    several("q, k, v, c", before=f"{PROJECTED} {MEAN} c = MatMul(m, u)", u=(3, HEADS * (INNER + INNER + OUTER))),
    several("q, k, v, c", before=f"{PROJECTED} {MEAN} f = MatMul(m, u) c = Tanh(f)",
            u=(3, HEADS * (INNER + INNER + OUTER))),
    several("h, h, h, c", 3, 4, before=f"{MEAN} f = MatMul(m, u) c = Tanh(f)", u=(3, 36)),
    several("q, k, v, , m", m=SHARED),
    several("q, k, v, , , a", a=(1, HEADS, PLACES, PLACES)),
    several("q, k, v, , , a", a=(BATCH, 1, PLACES, PLACES)),
    several("q, k, v, , , a", a=(BATCH, HEADS, PLACES, PLACES)),
    several(outputs="z, ck, cv", more=APART, ends="z a b",
            pk_to=[BATCH, PLACES, HEADS * INNER], pv_to=[BATCH, PLACES, HEADS * OUTER]),
    several("q, k, v, , , , pk, pv", HEADS, INNER, 12, outputs="z, ck, cv", more=APART, ends="z a b",
            **{**TOGETHER, "pv_to": TOGETHER["pk_to"], **SAME, **cache(outer=INNER)}),
    several("q, k_s, v_s", HEADS, INNER, 12, before=f"{PROJECTED} {FOUR}", **{**INTO_FOUR, **SAME,
            "v_to": INTO_FOUR["k_to"]}),
    several("q, k_s, v_s, b", HEADS, INNER, 12, before=f"{PROJECTED} {FOUR}", b=(3 * HEADS * INNER,),
            **{**INTO_FOUR, **SAME, "v_to": INTO_FOUR["k_to"]}),
    rows(f"{ACROSS} z = com.microsoft.MultiHeadAttention<num_heads=3>(k, k, k)", 3, 4, 12, close=(0, 2), w=(2, 12)),
    rows(f"{ACROSS} z = com.microsoft.MultiHeadAttention<num_heads=3>(k, k, k, , m)", 3, 4, close=(0, 2), w=(2, 12),
         m=np.tile(SHARED, (6, 1))),
]  # fmt: skip

PACKED = {"w": (12, HEADS * (INNER + INNER + OUTER)), "b": (HEADS * (INNER + INNER + OUTER),)}
EQUAL = {"w": (12, 3 * HEADS * INNER), "b": (3 * HEADS * INNER,)}


def packed(arguments: str, *groups: int, given: str = f", qkv_hidden_sizes=[12,12,{HEADS * OUTER}]",
           outputs: str = "z", more: str = "", ends: str = "z", **constants: Any) -> Case:  # fmt: skip
    node = f"{outputs} = com.microsoft.Attention<num_heads={HEADS}{given}>({arguments})"
    return rows(f"{node} {more}", *(groups or ALL), ends=ends, **{**PACKED, **constants})


CASES["Attention"] += [
    packed("h, w, b"),
    packed("h, w, b", given=f", qkv_hidden_sizes=[12,12,{HEADS * OUTER}], scale=0.3, unidirectional=1"),
    packed("h, w, b", HEADS, INNER, INNER, 12, given="", **EQUAL),
    packed("h, w, b", HEADS, INNER, INNER, 12, given=", scale=0.4", **EQUAL),
    rows("a = com.microsoft.Attention<num_heads=3>(h, w, b) z = com.microsoft.Attention<num_heads=3>(a, w, b)", 3, 4, 4,
         w=(12, 36), b=(36,)),
    packed("h, w, b, m", m=SHARED),
    packed("h, w, b, m", m=np.array([3, 5], np.int32)),
    packed("h, w, b, , , a", a=(1, HEADS, PLACES, PLACES)),
    packed("h, w, b, , , a", a=(BATCH, HEADS, PLACES, PLACES)),
    packed("h, w, b, , p", HEADS, INNER, 12, given="", outputs="z, c",
           more="e, f = Split<axis=0>(c) s = Squeeze(e, one) t = Transpose<perm=[0,2,1,3]>(s) a = Reshape(t, to)",
           ends="z a", one=[0], to=[BATCH, PAST + PLACES, HEADS * INNER], p=(2, BATCH, HEADS, PAST, INNER), **EQUAL),
    rows("t = Transpose<perm=[2,1,0]>(h) z = com.microsoft.Attention<num_heads=3>(t, w, b)", 3, 4, 4, 12, close=(0, 2),
         w=(2, 36), b=(36,)),
    rows("t = Transpose<perm=[2,1,0]>(h) z = com.microsoft.Attention<num_heads=3>(t, w, b, m)", 3, 4, 4, close=(0, 2),
         w=(2, 36), b=(36,), m=np.tile(SHARED, (6, 1))),
]  # fmt: skip

SIZE = 16  # the head dimension, which has to stay
LATE = {"n": np.full(BATCH, PLACES - 1, np.int32), "all": np.array(PLACES, np.int32)}
TABLES = {"cos": (9, SIZE // 2), "sin": (9, SIZE // 2)}


def shared(arguments: str = "q, k, v, , , n, all", *groups: int, given: str = "", outputs: str = "z, ck, cv",
           more: str = "", ends: str = "z", heads: int = 6, few: int = 2, **constants: Any) -> Case:  # fmt: skip
    node = f"com.microsoft.GroupQueryAttention<num_heads={heads}, kv_num_heads={few}{given}>"
    body = f"{PROJECTED} {outputs} = {node}({arguments}) {more}"
    weights = projections(heads, few, SIZE, SIZE)
    return rows(body, *(groups or (2, 3, 12)), ends=ends, **{**weights, **LATE, **constants})


CACHED = {"pk": (BATCH, 2, PLACES - 1, SIZE), "pv": (BATCH, 2, PLACES - 1, SIZE)}
CASES["GroupQueryAttention"] = [
    shared(),
    shared(given=", scale=0.2"),
    shared(given=", softcap=0.5, local_window_size=3"),
    shared(given=", smooth_softmax=1"),
    shared("q, k, v, , , n, all", 3, 12, heads=3, few=3),
    shared("q, k, v, , , n, all", 6, 12, heads=6, few=1),
    shared("q, k, v, , , n, all, cos, sin", given=", do_rotary=1", **TABLES),
    shared("q, k, v, , , n, all, cos, sin, p", given=", do_rotary=1, rotary_interleaved=1", **TABLES,
           p=np.tile(np.arange(PLACES), (BATCH, 1))),
    shared("q, k, v, , , n, all, , , , a", a=(1, 6, PLACES, PLACES)),
    shared("q, k, v, , , n, all, , , , a", a=(BATCH, 1, PLACES, PLACES)),
    shared(more="k_t = Transpose<perm=[0,2,1,3]>(ck) a = Reshape(k_t, to)", ends="z a", to=[BATCH, PLACES, 2 * SIZE]),
    shared("q, k, v, pk, pv, n, all", x="float[2,1,3] x", **CACHED),
    shared("q, k, v, , , n, all, , , , , s", 12, s=(6,)),
    rows("p = MatMul(h, w) z, ck, cv = com.microsoft.GroupQueryAttention<num_heads=2, kv_num_heads=1>"
         "(p, , , , , n, all)", 12, w=(12, 4 * SIZE), **LATE),
]  # fmt: skip

# --- rotations

ANGLES = (np.arange(9)[:, None] * np.array([1.0, 0.1])).astype(np.float32)
TURN = {"c": np.cos(ANGLES), "s": np.sin(ANGLES)}  # of pairs, by place
HERE = {name: np.tile(table[:PLACES], (BATCH, 1, 1)) for name, table in TURN.items()}
ORDER = {"p": np.array([[0, 1, 2, 3, 4], [3, 1, 4, 0, 8]])}
CASES["RotaryEmbedding"] = [
    rows("z = RotaryEmbedding<num_heads=3>(h, c, s)", 2, 3, opset=23, **HERE),
    rows("z = RotaryEmbedding<num_heads=3>(h, c, s, p)", 2, 3, opset=24, **TURN, **ORDER),
    rows("z = RotaryEmbedding<num_heads=3, interleaved=1>(h, c, s, p)", 2, 3, opset=23, **TURN, **ORDER),
    rows("a = Reshape(h, to) t = Transpose<perm=[0,2,1,3]>(a) z = RotaryEmbedding(t, c, s, p)", 2, 3, close=(1, 3),
         opset=23, to=[0, 0, 3, 4], **TURN, **ORDER),
    rows("z = RotaryEmbedding<num_heads=2, rotary_embedding_dim=4>(h, c, s, p)", opset=23, **TURN, **ORDER),
    rows(f"{ACROSS} z = RotaryEmbedding<num_heads=2>(k, c, s)", 2, 2,
         close=(0, 2), opset=23, w=(2, 8), **{n: np.tile(table, (6, 1, 1)) for n, table in HERE.items()}),
    rows("z = com.microsoft.RotaryEmbedding<num_heads=3>(h, p, c, s)", 2, 3, **TURN, **ORDER),
    rows("z = com.microsoft.RotaryEmbedding(h, p, c, s)", 2, 3, p=np.array([1]), **TURN),
    rows("z = com.microsoft.RotaryEmbedding<interleaved=1>(h, p, c, s)", 2, 3, **TURN, **ORDER),
    rows("a = Reshape(h, to) t = Transpose<perm=[0,2,1,3]>(a) z = com.microsoft.RotaryEmbedding(t, p, c, s)", 2, 3,
         close=(1, 3), to=[0, 0, 3, 4], **TURN, **ORDER),
    rows("z = com.microsoft.RotaryEmbedding<num_heads=2, rotary_embedding_dim=4>(h, p, c, s)", **TURN, **ORDER),
    # before attention, which sums over what was turned
    rows(f"{PROJECTED} a = RotaryEmbedding<num_heads=6>(q, c, s, p) b = RotaryEmbedding<num_heads=2>(k, c, s, p) "
         "z = Attention<q_num_heads=6, kv_num_heads=2>(a, b, v)", 2, 2, 3, OUTER, 12, opset=23, **TURN, **ORDER,
         **projections(6, 2)),
    rows(f"{PROJECTED} a = com.microsoft.RotaryEmbedding(q, p, c, s) b = com.microsoft.RotaryEmbedding(k, p, c, s) "
         "a_f = Cast<to=1>(a) z = com.microsoft.MultiHeadAttention<num_heads=3>(a_f, b, v)", 2, HEADS, OUTER, 12,
         **TURN, **ORDER, **projections()),
]  # fmt: skip
